//! A network's parameters as a file.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array2, ArrayRef2};
use num_traits::FromBytes;
use safetensors::Dtype;

use super::container::{Kind, Reader, Tensor, Tensors, same_name};
use crate::array::values;
use crate::error::Error;
use crate::layer::{Layer, Param, Role, parts};
use crate::scalar::Scalar;
use crate::sequential::Sequential;

/// The format of this crate's metadata; another number is another format.
const FORMAT: &str = "1";

/// Tensors of a checkpoint that are not the network's begin with one of these.
pub(super) const OPTIMIZER: &str = "optimizer.";
pub(super) const HISTORY: &str = "history.";

impl<F: Scalar> Sequential<F> {
    /// Saves all parameters and running statistics as a safetensors file, with the names and layouts of PyTorch's
    /// `state_dict`: `0.weight` as `(out, in)`, `1.running_mean`… A file that is there is replaced only once the new
    /// one is whole and on the disk.
    ///
    /// ```
    /// use gradus::prelude::*;
    /// # let path = std::env::temp_dir().join(format!("gradus-doc-save-{}.safetensors", std::process::id()));
    /// let net = Sequential::<f32>::mlp(8, &[4], 2).build(&mut rng(1))?;
    /// net.save(&path)?;
    /// let mut other = Sequential::<f32>::mlp(8, &[4], 2).build(&mut rng(2))?;
    /// other.load(&path)?;
    /// assert_eq!(other.to_bytes()?, net.to_bytes()?);
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// In Python, with `net = torch.nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))`:
    /// `net.load_state_dict(safetensors.torch.load_file(path))`. A network inside a network is a `Sequential` inside a
    /// `Sequential` there too.
    ///
    /// # Errors
    /// The file cannot be written; a trained parameter or a running statistic is NaN or infinite (a good file is not
    /// replaced by a broken network); two parameters have the same name.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        tensors(self)?.save(&metadata(self), path.as_ref())
    }

    /// The bytes that [`save`](Self::save) writes.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        tensors(self)?.to_bytes(&metadata(self))
    }

    /// Fills this network from a file of [`save`](Self::save), from a checkpoint, or from
    /// `safetensors.torch.save_file(net.state_dict(), path)`: every parameter, or none where there is an error.
    ///
    /// Nothing is converted: an `f32` network takes an `F32` file. Where the file says which architecture it is of, it
    /// has to be this one's (the `Debug` form of a network); of a file without metadata names, types and shapes are compared.
    /// Trained parameters and running means have to be finite, running variances also not negative; other buffers may be
    /// anything.
    ///
    /// # Errors
    /// The file cannot be read or is no such file (the byte is named); it is of another architecture; a tensor is
    /// missing, too many, of another type or shape, or has values that cannot be (the tensor is named).
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.fill(Reader::open(path.as_ref())?)
    }

    /// Fills this network from the bytes of such a file.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.fill(Reader::parse(bytes, "the bytes")?)
    }

    pub(super) fn fill(&mut self, reader: Reader<'_>) -> Result<(), Error> {
        check_metadata(self, &reader)?;
        let source = reader.source().to_string();
        let is_checkpoint = reader.metadata(super::run::RUN).is_some();
        let ignore = |name: &str| is_checkpoint && (name.starts_with(OPTIMIZER) || name.starts_with(HISTORY));
        let values = decode(self, "", &mut reader.read(&kinds(self)?, ignore)?, &source)?;
        assign(self, values);
        Ok(())
    }
}

/// Who wrote the file, and for which network. `format` is what PyTorch's own tools write and look for.
pub(super) fn metadata<F: Scalar>(net: &Sequential<F>) -> BTreeMap<String, String> {
    let entries = [
        super::open::metadata(net),
        ("format", "pt".to_string()),
        ("gradus.format", FORMAT.to_string()),
        ("gradus.version", env!("CARGO_PKG_VERSION").to_string()),
        ("gradus.architecture", format!("{net:?}")),
    ];
    entries.map(|(key, value)| (key.to_string(), value)).into()
}

pub(super) fn check_metadata<F: Scalar>(net: &Sequential<F>, reader: &Reader<'_>) -> Result<(), Error> {
    let expected = [("gradus.format", FORMAT.to_string()), ("gradus.architecture", format!("{net:?}"))];
    for (key, expected) in expected {
        if let Some(found) = reader.metadata(key)
            && found != expected
        {
            return Err(reader.error(key, format!("expected {expected}, found {found}")));
        }
    }
    Ok(())
}

/// What a file has to hold for this network.
pub(super) fn kinds<F: Scalar>(net: &Sequential<F>) -> Result<BTreeMap<String, Kind>, Error> {
    let (mut kinds, mut result) = (BTreeMap::new(), Ok(()));
    net.params(&mut |param| {
        if kinds.insert(param.name.clone(), kind(param)).is_some() {
            result = Err(same_name(&param.name));
        }
    });
    result.map(|()| kinds)
}

/// A network's tensors, in PyTorch's layout.
pub(super) fn tensors<F: Scalar>(net: &Sequential<F>) -> Result<Tensors, Error> {
    let (mut tensors, mut result) = (Tensors::default(), Ok(()));
    net.params(&mut |param| {
        if result.is_ok() {
            result = require_possible(param.role, &param.value, "the network", &param.name)
                .and_then(|()| tensors.insert(param.name.clone(), Tensor { kind: kind(param), bytes: encode(param) }));
        }
    });
    result.map(|()| tensors)
}

/// The values of every parameter, from the tensors of [`kinds`], whose names begin with `prefix`.
pub(super) fn decode<F: Scalar>(
    net: &Sequential<F>,
    prefix: &str,
    tensors: &mut Tensors,
    source: &str,
) -> Result<BTreeMap<String, Array2<F>>, Error> {
    let (mut decoded, mut result) = (BTreeMap::new(), Ok(()));
    net.params(&mut |param| {
        if result.is_ok() {
            let name = format!("{prefix}{}", param.name);
            let value = decode_param(param, &tensors.take(&name));
            result = require_possible(param.role, &value, source, &name);
            decoded.insert(param.name.clone(), value);
        }
    });
    result.map(|()| decoded)
}

/// Puts every value in its place; they fit, since they were decoded for this network.
pub(super) fn assign<F: Scalar>(net: &mut Sequential<F>, mut values: BTreeMap<String, Array2<F>>) {
    net.params_mut(&mut |param| {
        param.value = values.remove(&param.name).expect("a value for each parameter").into_shared();
    });
}

fn kind<F: Scalar>(param: &Param<F>) -> Kind {
    let (rows, columns) = param.value.dim();
    let shape = match param.role {
        Role::Weight => vec![columns, rows],
        Role::Counter => vec![],
        _ if rows == 1 => vec![columns],
        _ => vec![rows, columns],
    };
    let dtype = if param.role == Role::Counter { Dtype::I64 } else { dtype::<F>() };
    Kind { dtype, shape }
}

fn encode<F: Scalar>(param: &Param<F>) -> Vec<u8> {
    match param.role {
        Role::Weight => to_le_bytes(param.value.t().iter()),
        Role::Counter => param.count().to_le_bytes().into(),
        _ => to_le_bytes(values(&param.value).iter()),
    }
}

fn decode_param<F: Scalar>(param: &Param<F>, bytes: &[u8]) -> Array2<F> {
    let (rows, columns) = param.value.dim();
    let array = |shape, values| Array2::from_shape_vec(shape, values).expect("the shape was checked");
    match param.role {
        Role::Weight => array((columns, rows), from_le_bytes(bytes)).t().as_standard_layout().into_owned(),
        Role::Counter => {
            let mut row = vec![F::zero(); rows * columns];
            parts(bytes.try_into().map_or(0, i64::from_le_bytes), &mut row);
            array((rows, columns), row)
        }
        _ => array((rows, columns), from_le_bytes(bytes)),
    }
}

/// The type of a file's numbers.
pub(super) fn dtype<F: Scalar>() -> Dtype {
    if size_of::<F>() == 4 { Dtype::F32 } else { Dtype::F64 }
}

pub(super) fn to_le_bytes<'a, F: Scalar>(values: impl Iterator<Item = &'a F>) -> Vec<u8> {
    values.flat_map(|x| x.to_le_bytes()).collect()
}

pub(super) fn from_le_bytes<F: Scalar>(bytes: &[u8]) -> Vec<F> {
    let value = |chunk: &[u8]| {
        let mut bytes = <F as FromBytes>::Bytes::default();
        bytes.as_mut().copy_from_slice(chunk);
        F::from_le_bytes(&bytes)
    };
    bytes.chunks_exact(size_of::<F>()).map(value).collect()
}

/// A trained parameter that is not finite makes every prediction NaN, and can only get worse. So do running statistics
/// that are none. Any other buffer of a layer may be anything: a running minimum starts at infinity.
fn require_possible<F: Scalar>(role: Role, value: &ArrayRef2<F>, source: &str, name: &str) -> Result<(), Error> {
    let (least, expected) = match (role, name.rsplit('.').next()) {
        (Role::Buffer, Some("running_var")) => (F::zero(), "finite numbers of at least 0"),
        (Role::Buffer, Some("running_mean")) => (F::min_value(), "finite numbers"),
        (role, _) if role.is_trained() => (F::min_value(), "finite numbers"),
        _ => return Ok(()),
    };
    let is_possible = |x: F| x.is_finite() && x >= least;
    let Some(((row, column), found)) = value.indexed_iter().find(|(_, x)| !is_possible(**x)) else { return Ok(()) };
    let problem = format!("expected {expected}, found {found} at row {row}, column {column}");
    Err(Error::format(source, format!("tensor {name}"), problem))
}

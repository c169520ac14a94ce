//! Networks made of what their files say of them.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::ops::Deref;

use ndarray::{Array1, Array2};

use super::container::Reader;
use crate::error::Error;
use crate::layer::{
    Affine, BatchNorm, Description, Dropout, DropoutForm, ELU, GELU, GELUForm, Layer, LayerNorm, LeakyReLU, PReLU,
};
use crate::layer::{ReLU, SiLU, Sigmoid, Softplus, Tanh};
use crate::scalar::Scalar;
use crate::sequential::Sequential;

/// The metadata that say how a network is made.
pub(super) const NETWORK: &str = "gradus.network";

/// The kind of a network.
const SEQUENTIAL: &str = "Sequential";

/// Makes a layer of its description.
type Make<F> = Box<dyn Fn(&Described<'_>) -> Result<Box<dyn Layer<F>>, Error> + Send + Sync>;

/// How layers are made of their descriptions: those of this crate, and your own.
///
/// ```
/// use gradus::{prelude::*, layer::Description, save::Registry, ndarray::Array2};
///
/// /// y = c x.
/// #[derive(Debug, Clone)]
/// struct Times(f64);
///
/// impl<F: Scalar> Layer<F> for Times {
/// #   fn forward(&mut self, input: Array2<F>, _pass: &mut Pass<'_>) -> Array2<F> { self.infer(input) }
/// #   fn backward(&mut self, grad: Array2<F>) -> Array2<F> { grad * F::of(self.0) }
///     // forward, backward …
///     fn infer(&self, input: Array2<F>) -> Array2<F> {
///         input * F::of(self.0)
///     }
///     fn describe(&self) -> Result<Description, Error> {
///         Ok(Description::new("Times").with("factor", self.0))
///     }
/// }
///
/// let net = Sequential::<f32>::input(8).affine(3, Init::He).layer(Times(2.5)).build(&mut rng(1))?;
/// let bytes = net.to_bytes()?;
/// let error = Sequential::<f32>::open_bytes(&bytes).unwrap_err().to_string();
/// assert_eq!(error, "the bytes, gradus.network, layer 1: kind: expected one that is registered, found Times");
///
/// let registry = Registry::default().with("Times", |described| Ok(Times(described.get("factor")?)));
/// let opened = Sequential::<f32>::open_bytes_with(&bytes, &registry)?;
/// assert_eq!(opened.to_bytes()?, bytes);
/// # Ok::<(), Error>(())
/// ```
pub struct Registry<F: Scalar> {
    makers: BTreeMap<String, Make<F>>,
}

impl<F: Scalar> Default for Registry<F> {
    /// The layers of this crate, a line each.
    fn default() -> Self {
        Self { makers: BTreeMap::new() }
            .with("Affine", |described| {
                let [outputs, inputs] = described.shape("weight")?;
                let affine = Affine::from_parts(Array2::zeros((inputs, outputs)), Array1::zeros(outputs))?;
                Ok(if described.has("bias") { affine } else { affine.without_bias() })
            })
            .with("BatchNorm", |described| {
                let [columns] = described.shape("weight")?;
                let norm = BatchNorm::new(columns)?.with_epsilon(described.get("epsilon")?)?;
                norm.with_momentum(described.get("momentum")?)
            })
            .with("Dropout", |described| {
                let form = described.form(&[DropoutForm::Inverted, DropoutForm::Book])?;
                Dropout::with_form(described.get("ratio")?, form)
            })
            .with("ELU", |described| ELU::new(described.get("alpha")?))
            .with("GELU", |described| Ok(GELU::with_form(described.form(&[GELUForm::Erf, GELUForm::Tanh])?)))
            .with("LayerNorm", |described| {
                let [columns] = described.shape("weight")?;
                LayerNorm::new(columns)?.with_epsilon(described.get("epsilon")?)
            })
            .with("LeakyReLU", |described| LeakyReLU::new(described.get("negative_slope")?))
            .with("PReLU", |described| {
                let [slopes] = described.shape("weight")?;
                PReLU::per_column(slopes)
            })
            .with("ReLU", |_| Ok(ReLU::new()))
            .with("Sigmoid", |_| Ok(Sigmoid::new()))
            .with("SiLU", |_| Ok(SiLU::new()))
            .with("Softplus", |described| Softplus::new(described.get("beta")?))
            .with("Tanh", |_| Ok(Tanh::new()))
    }
}

impl<F: Scalar> Registry<F> {
    /// The same with another kind of layer; one that is there already is replaced. What is made of a file has to take
    /// its sizes from the shapes of its tensors, which are as large as they say; a setting may say anything.
    #[must_use]
    pub fn with<L: Layer<F> + 'static>(
        mut self,
        kind: &str,
        make: impl Fn(&Described<'_>) -> Result<L, Error> + Send + Sync + 'static,
    ) -> Self {
        self.makers.insert(kind.into(), Box::new(move |described| Ok(Box::new(make(described)?))));
        self
    }

    /// The network of a description, its parameters not yet those of the file; their names begin with `prefix`.
    pub(super) fn network(
        &self,
        description: &Description,
        prefix: &str,
        reader: &Reader<'_>,
    ) -> Result<Sequential<F>, Error> {
        let wrong = |place: &str, error: Error| match error {
            Error::Format { .. } => error,
            other if place.is_empty() => reader.error(NETWORK, other.to_string()),
            other => reader.error(format!("{NETWORK}, layer {place}"), other.to_string()),
        };
        let mut layers = Vec::new();
        for (i, description) in description.layers.iter().enumerate() {
            let place = format!("{prefix}{i}");
            let layer = self.layer(description, &format!("{place}."), reader);
            layers.push(layer.map_err(|error| wrong(&place, error))?);
        }
        let net = description.get("inputs").and_then(|inputs| Sequential::from_layers(inputs, layers));
        net.map_err(|error| wrong(prefix.trim_end_matches('.'), error))
    }

    fn layer(&self, description: &Description, prefix: &str, reader: &Reader<'_>) -> Result<Box<dyn Layer<F>>, Error> {
        if description.kind == SEQUENTIAL {
            return Ok(Box::new(self.network(description, prefix, reader)?));
        }
        let make = self.makers.get(&description.kind);
        let make = make.ok_or_else(|| Error::invalid("kind", "one that is registered", &description.kind))?;
        make(&Described { description, reader, prefix })
    }
}

impl<F: Scalar> Debug for Registry<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.makers.keys()).finish()
    }
}

/// A layer as its file describes it: a [`Description`] (by dereference) and the shapes of its tensors.
pub struct Described<'a> {
    description: &'a Description,
    reader: &'a Reader<'a>,
    prefix: &'a str,
}

impl Described<'_> {
    /// The dimensions of the parameter of this name as they are in the file: of a
    /// [`Role::Weight`](crate::layer::Role::Weight) `[outputs, inputs]`, of any other row `[columns]`.
    ///
    /// # Errors
    /// There is no such tensor, or it has another number of dimensions.
    pub fn shape<const N: usize>(&self, name: &str) -> Result<[usize; N], Error> {
        let name = format!("{}{name}", self.prefix);
        let found = self.reader.kind(&name);
        let shape = found.as_ref().and_then(|kind| kind.shape.clone().try_into().ok());
        shape.ok_or_else(|| {
            let found = found.map_or("none".into(), |kind| kind.to_string());
            let problem = format!("expected one of {N} dimensions, found {found}");
            self.reader.error(format!("tensor {name}"), problem)
        })
    }

    /// Whether there is a parameter of this name in the file.
    pub fn has(&self, name: &str) -> bool {
        self.reader.kind(&format!("{}{name}", self.prefix)).is_some()
    }
}

impl Debug for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}", self.description, self.reader.source())
    }
}

impl Deref for Described<'_> {
    type Target = Description;

    fn deref(&self) -> &Description {
        self.description
    }
}

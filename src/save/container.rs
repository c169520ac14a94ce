//! The safetensors container: 8 bytes for the length of a header, little end first; the header, JSON: for each tensor
//! its type, shape and place; then the tensors, one after another without a gap.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde::Deserialize;

use super::file;
use crate::error::Error;

/// What the format allows a header to be.
const MAX_HEADER: u64 = 100_000_000;

/// The name the format keeps for itself.
const METADATA: &str = "__metadata__";

/// A tensor that a file has to hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Want {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
}

/// A tensor to be written: what it is, and its values, little end first.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) want: Want,
    pub(super) bytes: Vec<u8>,
}

/// Writes a file, whole or not at all.
pub(super) fn save(path: &Path, metadata: BTreeMap<String, String>, tensors: Vec<Tensor>) -> Result<(), Error> {
    let (header, tensors) = prepare(metadata, tensors)?;
    file::replace(path, |stream| write(stream, &header, &tensors))
}

/// The bytes of a file.
pub(super) fn to_bytes(metadata: BTreeMap<String, String>, tensors: Vec<Tensor>) -> Result<Vec<u8>, Error> {
    let (header, tensors) = prepare(metadata, tensors)?;
    let mut bytes =
        Vec::with_capacity(8 + header.len() + tensors.iter().map(|tensor| tensor.bytes.len()).sum::<usize>());
    write(&mut bytes, &header, &tensors).expect("memory takes all that is written");
    Ok(bytes)
}

fn write(stream: &mut dyn Write, header: &[u8], tensors: &[Tensor]) -> io::Result<()> {
    stream.write_all(&(header.len() as u64).to_le_bytes())?;
    stream.write_all(header)?;
    tensors.iter().try_for_each(|tensor| stream.write_all(&tensor.bytes))
}

/// The header and the tensors in the order of the file: the wide types first, so that every value is aligned.
/// The same content gives the same bytes.
fn prepare(metadata: BTreeMap<String, String>, mut tensors: Vec<Tensor>) -> Result<(Vec<u8>, Vec<Tensor>), Error> {
    tensors.sort_by(|a, b| b.want.dtype.cmp(&a.want.dtype).then_with(|| a.want.name.cmp(&b.want.name)));
    let mut entries = serde_json::Map::new();
    entries.insert(METADATA.into(), serde_json::json!(metadata));
    let mut offset = 0;
    for Tensor { want, bytes } in &tensors {
        let data_offsets = (offset, offset + bytes.len());
        offset = data_offsets.1;
        let info = TensorInfo { dtype: want.dtype, shape: want.shape.clone(), data_offsets };
        let info = serde_json::to_value(info).expect("a type, a shape and two numbers are JSON");
        if entries.insert(want.name.clone(), info).is_some() {
            let problem = format!("two parameters are called {}; a saved file needs a name for each", want.name);
            return Err(Error::Contract { layer: "the network".into(), problem });
        }
    }
    let mut header = serde_json::to_vec(&entries).expect("a map of JSON values is JSON");
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok((header, tensors))
}

/// A file whose header was read and found right.
pub(crate) struct Reader<'a> {
    stream: Box<dyn Read + 'a>,
    source: String,
    path: Option<&'a Path>,
    /// Where the tensors begin.
    start: u64,
    header: Header,
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    tensors: BTreeMap<String, TensorInfo>,
}

impl<'a> Reader<'a> {
    pub(crate) fn open(path: &'a Path) -> Result<Self, Error> {
        let (file, length) = file::open(path)?;
        Self::new(Box::new(io::BufReader::new(file)), length, path.display().to_string(), Some(path))
    }

    pub(crate) fn parse(bytes: &'a [u8], source: &str) -> Result<Self, Error> {
        Self::new(Box::new(bytes), bytes.len() as u64, source.into(), None)
    }

    fn new(stream: Box<dyn Read + 'a>, length: u64, source: String, path: Option<&'a Path>) -> Result<Self, Error> {
        let header = Header { metadata: BTreeMap::new(), tensors: BTreeMap::new() };
        let mut reader = Self { stream, source, path, start: 0, header };
        let size = reader.bytes(0, 8, "bytes, the length of the header")?;
        let size = u64::from_le_bytes(size.try_into().expect("eight bytes"));
        if size > MAX_HEADER {
            return Err(reader.format(0, format!("expected a header of at most {MAX_HEADER} bytes, found {size}")));
        }
        let header = reader.bytes(8, size, "bytes of the header")?;
        reader.header = serde_json::from_slice(&header).map_err(|error| reader.json_error(&header, &error))?;
        reader.start = 8 + size;
        reader.check_places(length)?;
        Ok(reader)
    }

    /// The tensors lie one after another without a gap, each as long as its type and shape say, and fill the file.
    fn check_places(&self, length: u64) -> Result<(), Error> {
        let mut tensors: Vec<_> = self.header.tensors.iter().collect();
        tensors.sort_by_key(|(_, info)| info.data_offsets);
        let mut end = 0;
        for (name, info) in tensors {
            let (first, last) = info.data_offsets;
            if first != end || last < first {
                let problem =
                    format!("tensor {name}: expected it to begin at {end} and end behind, found {first} and {last}");
                return Err(self.format(self.start, problem));
            }
            let size = info.shape.iter().try_fold(info.dtype.bitsize(), |size, &n| size.checked_mul(n));
            if size != (last - first).checked_mul(8) {
                let problem =
                    format!("tensor {name}: {:?} {:?} does not fill {} bytes", info.dtype, info.shape, last - first);
                return Err(self.format(self.start, problem));
            }
            end = last;
        }
        let (promised, found) = (end as u64, length.saturating_sub(self.start));
        if promised == found {
            return Ok(());
        }
        let offset = self.start + promised.min(found);
        Err(self.format(offset, format!("expected {promised} bytes of tensors, found {found}")))
    }

    pub(super) fn metadata(&self, key: &str) -> Option<&str> {
        self.header.metadata.get(key).map(String::as_str)
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The shape of a tensor, if there is one of this name.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.header.tensors.get(name).map(|info| &*info.shape)
    }

    /// The bytes of these tensors, in their order. All types and shapes are held against the header before anything
    /// is read, so memory is taken for what is wanted alone. There may be others only where `ignore` says so.
    pub(super) fn read(mut self, wants: &[Want], ignore: impl Fn(&str) -> bool) -> Result<Vec<Vec<u8>>, Error> {
        let mut names = BTreeSet::new();
        for want in wants {
            names.insert(&*want.name);
            self.check_tensor(want)?;
        }
        let extra = self.header.tensors.iter().find(|(name, _)| !names.contains(&***name) && !ignore(name));
        if let Some((name, info)) = extra {
            return Err(self.tensor_error(name, "no such tensor".into(), describe(info.dtype, &info.shape)));
        }
        let mut places: Vec<_> = std::mem::take(&mut self.header.tensors).into_iter().collect();
        places.sort_by_key(|(_, info)| info.data_offsets);
        let mut found = BTreeMap::new();
        for (name, info) in places {
            let (first, last) = info.data_offsets;
            let (offset, size) = (self.start + first as u64, (last - first) as u64);
            if names.contains(&*name) {
                let bytes = self.bytes(offset, size, &format!("bytes of tensor {name}"))?;
                found.insert(name, bytes);
            } else {
                io::copy(&mut self.stream.by_ref().take(size), &mut io::sink())
                    .map_err(|error| self.failure(offset, error))?;
            }
        }
        Ok(wants.iter().map(|want| found.remove(&want.name).expect("it was found in the header")).collect())
    }

    fn check_tensor(&self, want: &Want) -> Result<(), Error> {
        let info = self.header.tensors.get(&want.name);
        if info.is_some_and(|info| info.dtype == want.dtype && info.shape == want.shape) {
            return Ok(());
        }
        let found = info.map_or("none".into(), |info| describe(info.dtype, &info.shape));
        Err(self.tensor_error(&want.name, describe(want.dtype, &want.shape), found))
    }

    /// Exactly `count` bytes. Memory grows with what is there: a promise alone costs nothing.
    fn bytes(&mut self, offset: u64, count: u64, what: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let result = self.stream.by_ref().take(count).read_to_end(&mut bytes);
        result.map_err(|error| self.failure(offset, error))?;
        if (bytes.len() as u64) < count {
            let problem = format!("expected {count} {what}, found the end after {}", bytes.len());
            return Err(self.format(offset + bytes.len() as u64, problem));
        }
        Ok(bytes)
    }

    fn json_error(&self, header: &[u8], error: &serde_json::Error) -> Error {
        let lines = header.split_inclusive(|&byte| byte == b'\n');
        let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
        let offset = 8 + before + error.column().saturating_sub(1);
        self.format(offset as u64, format!("expected a safetensors header, found a defect: {error}"))
    }

    fn failure(&self, offset: u64, error: io::Error) -> Error {
        match self.path {
            Some(path) => Error::io("read", path)(error),
            None => self.format(offset, error.to_string()),
        }
    }

    pub(super) fn tensor_error(&self, tensor: &str, expected: String, found: String) -> Error {
        Error::Tensor { source: self.source.clone(), tensor: tensor.into(), expected, found }
    }

    fn format(&self, offset: u64, problem: String) -> Error {
        Error::Format { source: self.source.clone(), offset, problem }
    }
}

fn describe(dtype: Dtype, shape: &[usize]) -> String {
    format!("{dtype:?} {shape:?}")
}

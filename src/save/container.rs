//! The safetensors container, a map of tensors by name: 8 bytes for the length of the header, little-endian; the header,
//! JSON: for each tensor its type, shape and place; then the tensors, one after another without a gap.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde::de::{self, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::file;
use crate::error::Error;

/// What the format allows a header to be.
const MAX_HEADER: u64 = 100_000_000;

/// More tensors than any network has, and more of anything else that has a name; memory is not taken for more.
const MOST_NAMES: usize = 100_000;

/// More dimensions than any tensor has.
const MOST_DIMENSIONS: usize = 64;

/// The name the format keeps for itself.
const METADATA: &str = "__metadata__";

/// What a tensor is: its type and its dimensions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kind {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.dtype, self.shape)
    }
}

/// A tensor and its values, little-endian.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
}

/// Tensors by name.
#[derive(Debug, Default)]
pub(super) struct Tensors(BTreeMap<String, Tensor>);

/// Two parameters of a network have this name, or one has that of the metadata.
pub(super) fn same_name(name: &str) -> Error {
    let problem = format!("a saved file needs a name of its own for each parameter, found {name} twice");
    Error::layer("the network", problem)
}

impl Tensors {
    pub(super) fn insert(&mut self, name: String, tensor: Tensor) -> Result<(), Error> {
        if name == METADATA || self.0.contains_key(&name) {
            return Err(same_name(&name));
        }
        self.0.insert(name, tensor);
        Ok(())
    }

    /// Inserts all of other tensors, with this before their names.
    pub(super) fn extend(&mut self, prefix: &str, others: Self) -> Result<(), Error> {
        others.0.into_iter().try_for_each(|(name, tensor)| self.insert(format!("{prefix}{name}"), tensor))
    }

    /// The bytes of a tensor that was asked for when the file was read.
    pub(super) fn take(&mut self, name: &str) -> Vec<u8> {
        self.0.remove(name).expect("it was asked for and found").bytes
    }

    /// The bytes of a file.
    pub(super) fn to_bytes(&self, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.write(&self.header(metadata)?, &mut bytes).expect("memory takes all that is written");
        Ok(bytes)
    }

    /// Writes a file, whole or not at all.
    pub(super) fn save(&self, metadata: &BTreeMap<String, String>, path: &Path) -> Result<(), Error> {
        let header = self.header(metadata)?;
        file::replace(path, |stream| self.write(&header, stream))
    }

    /// The wide types come first, so that every value is aligned. The same content gives the same bytes.
    fn in_order(&self) -> Vec<(&String, &Tensor)> {
        let mut tensors: Vec<_> = self.0.iter().collect();
        tensors.sort_by_key(|(_, tensor)| Reverse(tensor.kind.dtype));
        tensors
    }

    /// The header of a file, which is one that can be read.
    fn header(&self, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>, Error> {
        let mut header = serde_json::Map::new();
        header.insert(METADATA.into(), serde_json::json!(metadata));
        let mut end = 0;
        for (name, Tensor { kind, bytes }) in self.in_order() {
            let data_offsets = (end, end + bytes.len());
            end = data_offsets.1;
            let info = TensorInfo { dtype: kind.dtype, shape: kind.shape.clone(), data_offsets };
            header.insert(name.clone(), serde_json::to_value(info).expect("a type, a shape and two numbers are JSON"));
        }
        let mut header = serde_json::to_vec(&header).expect("a map of JSON values is JSON");
        header.resize(header.len().next_multiple_of(8), b' ');
        let (tensors, size) = (self.0.len(), header.len());
        if tensors > MOST_NAMES || size as u64 > MAX_HEADER {
            let most = format!("at most {MOST_NAMES} tensors and a header of {MAX_HEADER} bytes");
            return Err(Error::invalid("what is to be saved", most, format!("{tensors} and {size}")));
        }
        Ok(header)
    }

    fn write(&self, header: &[u8], stream: &mut dyn Write) -> io::Result<()> {
        stream.write_all(&(header.len() as u64).to_le_bytes())?;
        stream.write_all(header)?;
        self.in_order().into_iter().try_for_each(|(_, tensor)| stream.write_all(&tensor.bytes))
    }
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

/// What of a header is kept.
#[derive(Default)]
struct Header {
    /// The entries of this crate.
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, Info>,
}

#[derive(Deserialize)]
struct Info {
    dtype: Dtype,
    #[serde(deserialize_with = "dimensions")]
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

impl<'de> Deserialize<'de> for Header {
    /// By hand: what serde derives for a field beside a map copies the whole header, at twenty times its size.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tensors by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let (mut header, mut has_metadata) = (Header::default(), false);
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA && !has_metadata {
                        has_metadata = true;
                        header.metadata = map.next_value::<Metadata>()?.0;
                    } else if name == METADATA || header.tensors.contains_key(&name) {
                        return Err(A::Error::custom(format!("found {name} twice")));
                    } else {
                        header.tensors.insert(name, map.next_value()?);
                        at_most::<A::Error>(header.tensors.len(), MOST_NAMES, "tensors")?;
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Parts)
    }
}

/// The entries of this crate: all others may be any number.
struct Metadata(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_map(Names { is_kept: |name| name.starts_with("gradus."), values: PhantomData })
            .map(Self)
    }
}

/// Reads a map that has few names, or is damaged.
pub(super) fn few<'de, D, V>(deserializer: D) -> Result<BTreeMap<String, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    deserializer.deserialize_map(Names { is_kept: |_| true, values: PhantomData })
}

/// Reads a map, of which some names are kept.
struct Names<V> {
    is_kept: fn(&str) -> bool,
    values: PhantomData<V>,
}

impl<'de, V: Deserialize<'de>> Visitor<'de> for Names<V> {
    type Value = BTreeMap<String, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("values by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut kept = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, V>()? {
            if (self.is_kept)(&name) {
                kept.insert(name, value);
                at_most::<A::Error>(kept.len(), MOST_NAMES, "names")?;
            }
        }
        Ok(kept)
    }
}

fn dimensions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    struct Dimensions;
    impl<'de> Visitor<'de> for Dimensions {
        type Value = Vec<usize>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("dimensions")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<usize>, A::Error> {
            let mut shape = Vec::new();
            while let Some(dimension) = sequence.next_element()? {
                shape.push(dimension);
                at_most::<A::Error>(shape.len(), MOST_DIMENSIONS, "dimensions")?;
            }
            Ok(shape)
        }
    }
    deserializer.deserialize_seq(Dimensions)
}

fn at_most<E: de::Error>(count: usize, most: usize, what: &str) -> Result<(), E> {
    if count <= most { Ok(()) } else { Err(E::custom(format!("expected at most {most} {what}"))) }
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
        let mut reader = Self { stream, source, path, start: 0, header: Header::default() };
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

    /// What the file says a tensor is, if there is one of this name.
    pub(super) fn kind(&self, name: &str) -> Option<Kind> {
        self.header.tensors.get(name).map(|info| Kind { dtype: info.dtype, shape: info.shape.clone() })
    }

    /// Reads these tensors. All types and shapes are compared with the header before anything is read, so memory is taken
    /// only for what is expected. There may be others only where `ignore` says so.
    pub(super) fn read(
        mut self,
        expected: &BTreeMap<String, Kind>,
        ignore: impl Fn(&str) -> bool,
    ) -> Result<Tensors, Error> {
        for (name, kind) in expected {
            let found = self.kind(name);
            if found.as_ref() != Some(kind) {
                return Err(self.tensor_error(name, kind, &found.map_or("none".into(), |found| found.to_string())));
            }
        }
        let extra = self.header.tensors.keys().find(|name| !expected.contains_key(*name) && !ignore(name));
        if let Some((name, kind)) = extra.and_then(|name| Some((name, self.kind(name)?))) {
            return Err(self.tensor_error(name, &"no such tensor", &kind));
        }
        let mut places: Vec<_> = std::mem::take(&mut self.header.tensors).into_iter().collect();
        places.sort_by_key(|(_, info)| info.data_offsets);
        let mut tensors = Tensors::default();
        for (name, info) in places {
            let (first, last) = info.data_offsets;
            let (offset, size) = (self.start + first as u64, (last - first) as u64);
            if expected.contains_key(&name) {
                let bytes = self.bytes(offset, size, &format!("bytes of tensor {name}"))?;
                tensors.0.insert(name, Tensor { kind: Kind { dtype: info.dtype, shape: info.shape }, bytes });
            } else {
                io::copy(&mut self.stream.by_ref().take(size), &mut io::sink())
                    .map_err(|error| self.failure(offset, error))?;
            }
        }
        Ok(tensors)
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

    fn tensor_error(&self, name: &str, expected: &dyn Display, found: &dyn Display) -> Error {
        self.error(format!("tensor {name}"), format!("expected {expected}, found {found}"))
    }

    fn format(&self, offset: u64, problem: String) -> Error {
        self.error(format!("byte {offset}"), problem)
    }

    pub(super) fn error(&self, place: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::format(&self.source, place, problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written can be read.
    #[test]
    fn a_header_beyond_the_limit_is_not_written() {
        let text = "x".repeat(MAX_HEADER as usize);
        let error = Tensors::default().to_bytes(&[("gradus.checkpoint".to_string(), text)].into()).unwrap_err();
        assert!(
            error.to_string().contains("at most 100000 tensors and a header of 100000000 bytes, found 0 and 1000000")
        );
    }
}

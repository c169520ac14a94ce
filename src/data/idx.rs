//! The IDX format, in which MNIST comes.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use ndarray::Array2;

use crate::data::Dataset;
use crate::error::{Error, require};
use crate::scalar::Scalar;

/// An array of unsigned bytes of any rank: the content of an IDX file, plain or compressed with gzip.
///
/// | bytes | content |
/// |---|---|
/// | 0, 1 | zero |
/// | 2 | the type of the values: 8, unsigned bytes, is the one read here |
/// | 3 | the rank `r`: how many dimensions |
/// | 4 to 3 + 4r | the dimensions, 32 bits each, most significant byte first |
/// | 4 + 4r on | the values, the last dimension fastest |
///
/// A file that does not follow this format gives an [`Error`], whatever it holds; memory is taken for the values that
/// are there, not for those the dimensions promise.
///
/// ```
/// use gradus::data::Idx;
///
/// let bytes = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 10, 11, 12, 20, 21, 22];
/// let idx = Idx::parse(&bytes, "an example")?;
/// assert_eq!(idx.shape(), [2, 3]);
/// assert_eq!(idx.values(), [10, 11, 12, 20, 21, 22]);
///
/// let error = Idx::parse(&bytes[..15], "an example").unwrap_err();
/// assert_eq!(error.to_string(), "an example, byte 15: expected 6 values, found the end after 3");
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Idx {
    source: String,
    shape: Vec<usize>,
    values: Vec<u8>,
}

impl Idx {
    /// Reads a file. Whether it is compressed is told by its content, not by its name.
    ///
    /// ```no_run
    /// let letters = gradus::data::Idx::open("emnist-letters-train-images-idx3-ubyte.gz")?;
    /// let labels = gradus::data::Idx::open("emnist-letters-train-labels-idx1-ubyte.gz")?;
    /// let data = letters.with_labels::<f32>(&labels, 255, 27)?;
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// A file that cannot be read or is not of this format (the byte is named).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = File::open(path).map_err(Error::io("open", path))?;
        Self::read(file, path.display().to_string(), Some(path))
    }

    /// Reads bytes; `source` is what errors call them.
    ///
    /// # Errors
    /// Bytes that are not of this format (the first such is named).
    pub fn parse(bytes: &[u8], source: impl Into<String>) -> Result<Self, Error> {
        Self::read(bytes, source.into(), None)
    }

    fn read(stream: impl Read, source: String, path: Option<&Path>) -> Result<Self, Error> {
        let (shape, values) = Reader::new(stream, &source, path)?.array()?;
        Ok(Self { source, shape, values })
    }

    /// The dimensions: for images `[count, height, width]`, for labels `[count]`.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, the last dimension fastest.
    pub fn values(&self) -> &[u8] {
        &self.values
    }

    /// The file it was read from, or what the bytes were called.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// These as rows and `labels` as their classes: the first dimension counts the rows, the others are laid
    /// out in a row, and the values from 0 to `largest` become 0 to 1.
    ///
    /// ```
    /// # use gradus::data::Idx;
    /// let images = Idx::parse(&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255, 255, 0], "images")?;
    /// let labels = Idx::parse(&[0, 0, 8, 1, 0, 0, 0, 2, 1, 0], "labels")?;
    /// let data = images.with_labels::<f32>(&labels, 255, 10)?;
    /// assert_eq!(data.rows().row(0).to_vec(), [0.0, 1.0]);
    /// assert_eq!(data.labels(), Some(&[1, 0][..]));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Labels of more than one dimension, or not as many as the rows, or one that is no class; no values, or one above
    /// `largest`; a `largest` of 0.
    pub fn with_labels<F: Scalar>(&self, labels: &Self, largest: u8, classes: usize) -> Result<Dataset<F>, Error> {
        require(largest > 0, "largest value", "at least 1", largest)?;
        let rows = self.shape[0];
        if labels.shape != [rows] {
            return Err(labels.count_error(self));
        }
        if let Some(row) = labels.values.iter().position(|&label| usize::from(label) >= classes) {
            let problem = format!("row {row}: expected a label below {classes}, found {}", labels.values[row]);
            return Err(Error::format(&labels.source, labels.place(row), problem));
        }
        if let Some(at) = self.values.iter().position(|&value| value > largest) {
            let problem = format!("expected a value of at most {largest}, found {}", self.values[at]);
            return Err(Error::format(&self.source, self.place(at), problem));
        }
        if self.values.is_empty() {
            return Err(Error::empty(format!("values in {}", self.source)));
        }
        let scale: [F; 256] = std::array::from_fn(|value| F::of(value as f64 / f64::from(largest)));
        let values = self.values.iter().map(|&value| scale[usize::from(value)]).collect();
        let rows = Array2::from_shape_vec((rows, self.values.len() / rows), values).expect("rows of the same size");
        Dataset::classification(rows, labels.values.iter().map(|&label| label.into()).collect(), classes)
    }

    fn count_error(&self, images: &Self) -> Error {
        if self.shape.len() != 1 {
            let problem = format!("expected labels, of 1 dimension, found {}", self.shape.len());
            return Error::format(&self.source, "byte 3", problem);
        }
        let what = format!("labels in {} (rows in {})", self.source, images.source);
        Error::invalid(what, images.shape[0], self.shape[0])
    }

    fn place(&self, value: usize) -> String {
        format!("byte {}", 4 + 4 * self.shape.len() + value)
    }
}

impl fmt::Debug for Idx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idx").field("source", &self.source).field("shape", &self.shape).finish_non_exhaustive()
    }
}

/// A stream that knows where it is and says so when something is wrong.
struct Reader<'a> {
    stream: Box<dyn Read + 'a>,
    source: &'a str,
    path: Option<&'a Path>,
    compressed: bool,
    offset: u64,
}

impl<'a> Reader<'a> {
    fn new(mut stream: impl Read + 'a, source: &'a str, path: Option<&'a Path>) -> Result<Self, Error> {
        let mut reader = Self { stream: Box::new(io::empty()), source, path, compressed: false, offset: 0 };
        let mut start = Vec::new();
        stream.by_ref().take(2).read_to_end(&mut start).map_err(|error| reader.failure(error))?;
        reader.compressed = start == [0x1f, 0x8b];
        let stream = io::Cursor::new(start).chain(stream);
        reader.stream = if reader.compressed { Box::new(MultiGzDecoder::new(stream)) } else { Box::new(stream) };
        Ok(reader)
    }

    fn array(mut self) -> Result<(Vec<usize>, Vec<u8>), Error> {
        let shape = self.header()?;
        let size = self.size(&shape)?;
        let values = self.bytes(size, "values")?;
        self.end()?;
        Ok((shape, values))
    }

    fn header(&mut self) -> Result<Vec<usize>, Error> {
        let start = self.bytes(4, "bytes of an IDX header")?;
        let name = match start[2] {
            _ if start[..2] != [0, 0] => {
                let problem = format!("expected an IDX header, two zeros, found {} {}", start[0], start[1]);
                return Err(self.format(0, problem));
            }
            0x08 if start[3] == 0 => return Err(self.format(3, "expected at least 1 dimension, found 0".into())),
            0x08 => return (0..start[3]).map(|_| self.dimension()).collect(),
            0x09 => "signed bytes",
            0x0b => "16-bit whole numbers",
            0x0c => "32-bit whole numbers",
            0x0d => "32-bit floating-point numbers",
            0x0e => "64-bit floating-point numbers",
            _ => "no type of this format",
        };
        Err(self.format(2, format!("expected type 8 (unsigned bytes), found {} ({name})", start[2])))
    }

    fn dimension(&mut self) -> Result<usize, Error> {
        let bytes = self.bytes(4, "bytes of a dimension")?;
        let size = u32::from_be_bytes(bytes.try_into().expect("four bytes"));
        usize::try_from(size).map_err(|_| self.format(self.offset - 4, format!("{size} is too large a dimension")))
    }

    fn size(&self, shape: &[usize]) -> Result<usize, Error> {
        let size = shape.iter().try_fold(1_usize, |size, &dimension| size.checked_mul(dimension));
        size.ok_or_else(|| self.format(4, format!("the dimensions {shape:?} make more values than can be counted")))
    }

    /// The next `count` bytes. Memory grows with what is there: a promise alone costs nothing.
    fn bytes(&mut self, count: usize, what: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let result = self.stream.by_ref().take(count as u64).read_to_end(&mut bytes);
        self.offset += bytes.len() as u64;
        result.map_err(|error| self.failure(error))?;
        if bytes.len() < count {
            let problem = format!("expected {count} {what}, found the end after {}", bytes.len());
            return Err(self.format(self.offset, problem));
        }
        Ok(bytes)
    }

    /// Nothing may follow. (A compressed stream also checks its sum here.)
    fn end(&mut self) -> Result<(), Error> {
        let mut more = Vec::new();
        self.stream.by_ref().take(1).read_to_end(&mut more).map_err(|error| self.failure(error))?;
        if more.is_empty() {
            Ok(())
        } else {
            Err(self.format(self.offset, "expected the end, found more bytes".into()))
        }
    }

    fn failure(&self, error: io::Error) -> Error {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        let bad_gzip = self.compressed && matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof);
        match self.path {
            Some(path) if !bad_gzip => Error::io("read", path)(error),
            _ if error.kind() == UnexpectedEof => {
                self.format(self.offset, "expected more gzip data, found the end of it".into())
            }
            _ => self.format(self.offset, format!("expected gzip data, found a defect: {error}")),
        }
    }

    fn format(&self, offset: u64, problem: String) -> Error {
        Error::format(self.source, format!("byte {offset}"), problem)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    const HEADER: [u8; 8] = [0, 0, 8, 1, 0, 0, 0, 10];

    fn end_of(stream: impl Read) -> u64 {
        match Idx::read(stream, "a test".into(), None) {
            Err(Error::Format { place, problem, .. }) if problem == "expected the end, found more bytes" => {
                place.trim_start_matches("byte ").parse().unwrap()
            }
            other => panic!("expected too many bytes, found {other:?}"),
        }
    }

    #[test]
    fn a_stream_without_end_is_left_where_it_should_have_ended() {
        assert_eq!(end_of(HEADER.chain(io::repeat(7))), 18);
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let pack = |bytes: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        // A gigabyte in one megabyte.
        let bomb = [pack(&HEADER), pack(&vec![0; 1 << 20]).repeat(1000)].concat();
        let used = Cell::new(0);
        let counting = Counting { stream: &bomb[..], used: &used };
        assert_eq!(end_of(counting), 18);
        assert!(bomb.len() > 1_000_000 && used.get() < 100_000, "{} of {} bytes were read", used.get(), bomb.len());
    }

    struct Counting<'a> {
        stream: &'a [u8],
        used: &'a Cell<usize>,
    }

    impl Read for Counting<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.stream.read(buffer)?;
            self.used.set(self.used.get() + count);
            Ok(count)
        }
    }
}

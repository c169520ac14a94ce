//! MNIST from its four files.

use std::io::{self, ErrorKind::NotFound};
use std::path::Path;

use crate::data::{Dataset, Idx};
use crate::error::Error;
use crate::scalar::Scalar;

/// The 28×28 handwritten digits of MNIST, `(training, test)`: 60,000 and 10,000 rows of 784 values from
/// 0 to 1, 10 classes, in the order of the files.
///
/// `dir` holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
/// `t10k-labels-idx1-ubyte`, each plain or compressed (`.gz`). They can be had from
/// <https://storage.googleapis.com/cvdf-datasets/mnist/>. Fashion-MNIST and Kuzushiji-MNIST come under the
/// same names and are read as well.
///
/// ```no_run
/// let (train, test) = gradus::data::mnist::<f32>("data/mnist")?;
/// assert_eq!((train.len(), test.len(), train.width()), (60_000, 10_000, 784));
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// A file that is not there, cannot be read or is not of its format; files that do not belong together.
pub fn mnist<F: Scalar>(dir: impl AsRef<Path>) -> Result<(Dataset<F>, Dataset<F>), Error> {
    let part = |name: &str| {
        let images = open(dir.as_ref(), &format!("{name}-images-idx3-ubyte"))?;
        let labels = open(dir.as_ref(), &format!("{name}-labels-idx1-ubyte"))?;
        if images.shape().len() != 3 {
            let problem = format!("expected images, of 3 dimensions, found {}", images.shape().len());
            return Err(Error::format(images.source(), "byte 3", problem));
        }
        images.with_labels(&labels, 255, 10)
    };
    let (train, test) = (part("train")?, part("t10k")?);
    if train.width() != test.width() {
        return Err(Error::invalid("pixels of a test image (of a training image)", train.width(), test.width()));
    }
    Ok((train, test))
}

/// The plain file if there is one, else the compressed one.
fn open(dir: &Path, name: &str) -> Result<Idx, Error> {
    let plain = dir.join(name);
    let compressed = dir.join(format!("{name}.gz"));
    for path in [&plain, &compressed] {
        match Idx::open(path) {
            Err(Error::Io { source, .. }) if source.kind() == NotFound => {}
            result => return result,
        }
    }
    let help = format!(
        "there is neither this file nor {}; the four files of MNIST can be had from \
         https://storage.googleapis.com/cvdf-datasets/mnist/ and go, compressed or not, into one folder",
        compressed.display()
    );
    Err(Error::io("open", &plain)(io::Error::new(NotFound, help)))
}

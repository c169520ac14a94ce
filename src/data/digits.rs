//! Real data that is always there.

use crate::data::{Dataset, Idx};
use crate::error::Error;
use crate::scalar::Scalar;

/// 1,797 handwritten digits of 8×8 pixels, part of this crate: real data that is always available.
///
/// ```
/// use gradus::data::Digits;
///
/// let digits = Digits::load::<f32>()?;
/// assert_eq!((digits.len(), digits.width(), digits.classes()), (1797, 64, 10));
/// assert_eq!(&digits.labels().unwrap()[..5], [0, 1, 2, 3, 4]);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Where they come from
/// The test set of *Optical Recognition of Handwritten Digits* by E. Alpaydin and C. Kaynak (UCI Machine
/// Learning Repository, 1998, [doi:10.24432/C50P49](https://doi.org/10.24432/C50P49)), licensed under
/// [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/). 13 people wrote them; a pixel counts
/// the dark dots, 0 to 16, of a 4×4 block of the 32×32 bitmap.
///
/// What was done to them: the text was turned into two compressed IDX files, every value and the order
/// unchanged; [`load`](Self::load) divides the counts by 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digits;

impl Digits {
    /// The digits in their original order, pixels from 0 (white) to 1, row by row from the top left.
    ///
    /// # Errors
    /// None that can be met: the files are part of the crate.
    pub fn load<F: Scalar>() -> Result<Dataset<F>, Error> {
        let images = Idx::parse(include_bytes!("digits-images-idx3-ubyte.gz"), "the images of Digits")?;
        let labels = Idx::parse(include_bytes!("digits-labels-idx1-ubyte.gz"), "the labels of Digits")?;
        images.with_labels(&labels, 16, 10)
    }
}

//! Columns on a common scale.

use ndarray::Array2;

use crate::data::Dataset;
use crate::error::Error;
use crate::scalar::Scalar;

/// `x' = (x - mean) / deviation`, column by column: mean 0 and variance 1 for the rows it was made
/// of.
///
/// The variance is the biased one, `Σ (x - mean)² / N`. A column whose values are all the same
/// has no scale: its deviation counts as 1, so that it becomes 0 everywhere.
///
/// Make it of the training rows alone and apply it to both parts: held-back rows that had a say in it
/// would not be unknown to the network any more.
///
/// ```
/// use gradus::{data::{Dataset, Normalizer}, ndarray::array};
///
/// let train = Dataset::<f64>::regression(array![[1.0, 7.0], [3.0, 7.0]], array![[0.0], [1.0]])?;
/// let test = Dataset::<f64>::regression(array![[4.0, 8.0]], array![[1.0]])?;
///
/// let normalizer = Normalizer::of(&train);
/// assert_eq!(train.normalize(&normalizer)?.rows(), array![[-1.0, 0.0], [1.0, 0.0]]);
/// assert_eq!(test.normalize(&normalizer)?.rows(), array![[2.0, 1.0]]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Normalizer {
    /// What is taken from each column.
    pub mean: Vec<f64>,
    /// What each column is divided by after that.
    pub deviation: Vec<f64>,
}

impl Normalizer {
    /// The means and deviations of the columns of these rows.
    pub fn of<F: Scalar>(data: &Dataset<F>) -> Self {
        let count = data.len() as f64;
        // Relative to the first row: a constant column has differences of exactly 0, and a large
        // offset common to all rows does not cost the variance its digits.
        let first: Vec<f64> = data.rows().row(0).iter().map(|&x| x.as_f64()).collect();
        let mut shift = vec![0.0; data.width()];
        for row in data.rows().rows() {
            for ((sum, &x), first) in shift.iter_mut().zip(row).zip(&first) {
                *sum += x.as_f64() - first;
            }
        }
        shift.iter_mut().for_each(|sum| *sum /= count);

        let mut variance = vec![0.0; data.width()];
        for row in data.rows().rows() {
            for (((sum, &x), first), shift) in variance.iter_mut().zip(row).zip(&first).zip(&shift) {
                *sum += (x.as_f64() - first - shift).powi(2);
            }
        }
        let deviation = variance.iter().map(|&sum: &f64| if sum > 0.0 { (sum / count).sqrt() } else { 1.0 });
        Self { deviation: deviation.collect(), mean: first.iter().zip(&shift).map(|(x, shift)| x + shift).collect() }
    }

    /// Rows on the same scale, for a network that was trained on normalized ones.
    ///
    /// ```
    /// # use gradus::{data::Normalizer, ndarray::array};
    /// let normalizer = Normalizer { mean: vec![5.0, 0.0], deviation: vec![2.0, 1.0] };
    /// assert_eq!(normalizer.apply(array![[9.0_f32, 3.0]])?, array![[2.0, 3.0]]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Rows of another width than the normalizer's.
    pub fn apply<F: Scalar>(&self, mut rows: Array2<F>) -> Result<Array2<F>, Error> {
        for (what, found) in [("means", self.mean.len()), ("deviations", self.deviation.len())] {
            if found != rows.ncols() {
                return Err(Error::invalid(
                    format!("{what} of the normalizer (columns of the rows)"),
                    rows.ncols(),
                    found,
                ));
            }
        }
        for mut row in rows.rows_mut() {
            for ((x, mean), deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
                *x = F::of((x.as_f64() - mean) / deviation);
            }
        }
        Ok(rows)
    }
}

impl<F: Scalar> Dataset<F> {
    /// The rows on the scale of `normalizer`, the targets as they are.
    ///
    /// # Errors
    /// A normalizer made of rows of another width, a value too far from the others for the number type.
    pub fn normalize(self, normalizer: &Normalizer) -> Result<Self, Error> {
        let (rows, targets) = self.into_parts();
        Self::new(normalizer.apply(rows)?, targets)
    }
}

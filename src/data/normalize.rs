//! Columns on a common scale.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::data::{Dataset, Targets};
use crate::error::{Error, require};
use crate::json::exact;
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
///
/// Numbers to approximate are learned best on the same scale: see [`of_targets`](Self::of_targets). What was done to the
/// training data has to be done to what is asked later: a [`Model`](crate::Model) keeps it with the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normalizer {
    /// What is taken from each column.
    #[serde(with = "exact")]
    pub mean: Vec<f64>,
    /// What each column is divided by after that.
    #[serde(with = "exact")]
    pub deviation: Vec<f64>,
}

impl Normalizer {
    /// The means and deviations of the columns of these rows.
    pub fn of<F: Scalar>(data: &Dataset<F>) -> Self {
        Self::of_columns(data.rows())
    }

    /// The means and deviations of the columns of dense targets.
    ///
    /// ```
    /// use gradus::{data::{Dataset, Normalizer}, ndarray::array};
    /// let prices = Dataset::<f64>::regression(array![[1.0], [2.0]], array![[100.0], [300.0]])?;
    /// let scale = Normalizer::of_targets(&prices)?;
    /// let scaled = prices.normalize_targets(&scale)?;
    /// assert_eq!(scaled.dense(), Some(&array![[-1.0], [1.0]]));
    /// assert_eq!(scale.undo(array![[0.5]])?, array![[250.0]]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Targets that are class labels.
    pub fn of_targets<F: Scalar>(data: &Dataset<F>) -> Result<Self, Error> {
        let targets = data.dense().ok_or_else(|| no_scale(data))?;
        Ok(Self::of_columns(targets))
    }

    fn of_columns<F: Scalar>(columns: &Array2<F>) -> Self {
        let count = columns.nrows() as f64;
        // Relative to the first row: a constant column has differences of exactly 0, and a large
        // offset common to all rows does not cost the variance its digits.
        let first: Vec<f64> = columns.row(0).iter().map(|&x| x.as_f64()).collect();
        let mut shift = vec![0.0; columns.ncols()];
        for row in columns.rows() {
            for ((sum, &x), first) in shift.iter_mut().zip(row).zip(&first) {
                *sum += x.as_f64() - first;
            }
        }
        shift.iter_mut().for_each(|sum| *sum /= count);

        let mut variance = vec![0.0; columns.ncols()];
        for row in columns.rows() {
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
    /// Rows of another width than the normalizer's; a mean that is not finite, a deviation that is not above 0.
    pub fn apply<F: Scalar>(&self, rows: Array2<F>) -> Result<Array2<F>, Error> {
        self.map(rows, |x, mean, deviation| (x - mean) / deviation)
    }

    /// Rows back on the scale they had: what a network answers that was trained on normalized targets.
    ///
    /// ```
    /// # use gradus::{data::Normalizer, ndarray::array};
    /// let normalizer = Normalizer { mean: vec![5.0, 0.0], deviation: vec![2.0, 1.0] };
    /// assert_eq!(normalizer.undo(array![[2.0_f32, 3.0]])?, array![[9.0, 3.0]]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn undo<F: Scalar>(&self, rows: Array2<F>) -> Result<Array2<F>, Error> {
        self.map(rows, |x, mean, deviation| x * deviation + mean)
    }

    fn map<F: Scalar>(&self, mut rows: Array2<F>, f: impl Fn(f64, f64, f64) -> f64) -> Result<Array2<F>, Error> {
        self.check(rows.ncols())?;
        for mut row in rows.rows_mut() {
            for ((x, &mean), &deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
                *x = F::of(f(x.as_f64(), mean, deviation));
            }
        }
        Ok(rows)
    }

    /// Why it cannot scale so many columns.
    pub(crate) fn check(&self, columns: usize) -> Result<(), Error> {
        for (what, found) in [("means", self.mean.len()), ("deviations", self.deviation.len())] {
            if found != columns {
                return Err(Error::invalid(format!("{what} of the normalizer (columns of the rows)"), columns, found));
            }
        }
        for (column, (&mean, &deviation)) in self.mean.iter().zip(&self.deviation).enumerate() {
            let of = |what: &str| format!("{what} of column {column} of the normalizer");
            require(mean.is_finite(), &of("mean"), "a finite number", mean)?;
            let is_right = deviation > 0.0 && deviation.is_finite();
            require(is_right, &of("deviation"), "a finite number above 0", deviation)?;
        }
        Ok(())
    }
}

/// Labels have no scale.
fn no_scale<F: Scalar>(data: &Dataset<F>) -> Error {
    Error::invalid("the scale of the targets", "dense targets", data.targets().kind())
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

    /// The dense targets on the scale of `normalizer`, the rows as they are.
    ///
    /// # Errors
    /// Targets that are class labels or of another width; a value too far from the others for the number type.
    pub fn normalize_targets(self, normalizer: &Normalizer) -> Result<Self, Error> {
        let error = no_scale(&self);
        let (rows, Targets::Dense(values)) = self.into_parts() else { return Err(error) };
        Self::regression(rows, normalizer.apply(values)?)
    }
}

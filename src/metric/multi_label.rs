//! Rows that may be of several classes at once.

use ndarray::{Array2, Zip};

use crate::data::Targets;
use crate::error::{Error, require};
use crate::scalar::Scalar;

/// The share of all labels that are right, each a column of its own that is answered where its output is positive: a
/// probability above one half. 1 less scikit-learn's `hamming_loss`. NaN is never right.
///
/// ```
/// use gradus::{data::Targets, metric, ndarray::array};
/// let targets = Targets::Dense(array![[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]);
/// let outputs = array![[3.0, -1.0, 2.0], [0.5, -2.0, 1.0]];
/// assert_eq!(metric::multi_label_accuracy(&outputs, &targets)?, 5.0 / 6.0);
/// assert_eq!(metric::exact_match(&outputs, &targets)?, 0.5);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// Targets that are not dense zeros and ones, or of another shape than the outputs.
pub fn multi_label_accuracy<F: Scalar>(outputs: &Array2<F>, targets: &Targets<F>) -> Result<f64, Error> {
    let right = right(outputs, targets)?;
    Ok(right.iter().filter(|right| **right).count() as f64 / right.len() as f64)
}

/// The share of rows of which every label is right: scikit-learn's `accuracy_score` of several labels.
///
/// # Errors
/// As [`multi_label_accuracy`].
pub fn exact_match<F: Scalar>(outputs: &Array2<F>, targets: &Targets<F>) -> Result<f64, Error> {
    let right = right(outputs, targets)?;
    Ok(right.rows().into_iter().filter(|row| row.iter().all(|right| *right)).count() as f64 / right.nrows() as f64)
}

/// Which labels are right.
fn right<F: Scalar>(outputs: &Array2<F>, targets: &Targets<F>) -> Result<Array2<bool>, Error> {
    let Targets::Dense(t) = targets else {
        return Err(Error::invalid("targets of several labels", "dense zeros and ones", targets.kind()));
    };
    let expected = format!("the shape of the targets, {:?}", t.dim());
    require(outputs.dim() == t.dim(), "outputs", &expected, format!("{:?}", outputs.dim()))?;
    let is_label = |t: F| t == F::zero() || t == F::one();
    if let Some(((row, column), found)) = t.indexed_iter().find(|(_, t)| !is_label(**t)) {
        return Err(Error::invalid(format!("targets, row {row}, column {column}"), "0 or 1", found));
    }
    Ok(Zip::from(outputs).and(t).map_collect(|&y, &t| !y.is_nan() && (y > F::zero()) == (t == F::one())))
}

//! Figures by which a network is judged: how many rows are classified correctly, and how activations are distributed
//! (the book's section 6.2).
//!
//! ```
//! use gradus::{data::Targets, metric, ndarray::array};
//! let outputs = array![[0.1, 2.0], [3.0, -1.0], [0.0, 0.5]];
//! assert_eq!(metric::classes(&outputs), [1, 0, 1]);
//! let targets = Targets::Labels { labels: vec![1, 0, 0], classes: 2 };
//! assert_eq!(metric::accuracy(&outputs, &targets)?, 2.0 / 3.0);
//! # Ok::<(), gradus::Error>(())
//! ```

mod summary;

use ndarray::Array2;

use crate::data::Targets;
use crate::error::Error;
use crate::scalar::Scalar;

pub use summary::{Histogram, Summary};

/// The class of every row of outputs: the largest output, the first of equals; with a single output column class 1 where
/// it is positive. NaN is nobody's class: among numbers it is ignored. A row of nothing but NaN has no class; it is given
/// as 0 here, and is right for no label in [`accuracy`].
///
/// ```
/// use gradus::{metric, ndarray::array};
/// assert_eq!(metric::classes(&array![[f64::NAN, -1.0, 2.0], [f64::NAN, f64::NAN, f64::NAN]]), [2, 0]);
/// ```
pub fn classes<F: Scalar>(output: &Array2<F>) -> Vec<usize> {
    let class = |row: ndarray::ArrayView1<'_, F>| class(row.as_slice().unwrap_or(&row.to_vec()));
    output.rows().into_iter().map(class).collect()
}

/// The share of rows whose class, as [`classes`] gives it, is the right one. A row of nothing but NaN is right for no
/// label.
///
/// # Errors
/// Targets that are neither labels nor one-hot rows.
pub fn accuracy<F: Scalar>(output: &Array2<F>, targets: &Targets<F>) -> Result<f64, Error> {
    let right = correct(output, targets)
        .ok_or_else(|| Error::invalid("accuracy", "class labels or one-hot rows", targets.kind()))?;
    Ok(right as f64 / targets.len() as f64)
}

/// How many rows of outputs have their largest value at the right class; `None` where a target is no class.
pub(crate) fn correct<F: Scalar>(output: &Array2<F>, targets: &Targets<F>) -> Option<usize> {
    let output = output.as_standard_layout();
    let output = output.as_slice().expect("just made so").chunks_exact(output.ncols().max(1));
    match targets {
        Targets::Labels { labels, .. } => {
            Some(output.zip(labels).filter(|(row, label)| is_class(row, **label)).count())
        }
        Targets::Dense(t) => output.zip(t.rows()).try_fold(0, |right, (row, t)| {
            let label = one_hot(t.as_slice()?)?;
            Some(right + usize::from(is_class(row, label)))
        }),
    }
}

/// `class(row) == label`, without a branch for each element; false where all outputs are NaN or there is no such class.
fn is_class<F: Scalar>(row: &[F], label: usize) -> bool {
    if let [logit] = row {
        return !logit.is_nan() && class(row) == label;
    }
    let Some((before, after @ [largest, ..])) = row.split_at_checked(label) else { return false };
    let largest = *largest;
    let (smaller, not_larger) = (|x: F| (x < largest) | x.is_nan(), |x: F| (x <= largest) | x.is_nan());
    !largest.is_nan()
        & before.iter().fold(true, |all, &x| all & smaller(x))
        & after.iter().fold(true, |all, &x| all & not_larger(x))
}

fn class<F: Scalar>(row: &[F]) -> usize {
    match row {
        [logit] => usize::from(*logit > F::zero()),
        _ => (1..row.len()).fold(0, |best, j| {
            let is_larger = row[j] > row[best] || (row[best].is_nan() && !row[j].is_nan());
            if is_larger { j } else { best }
        }),
    }
}

/// The place of the one in a row of zeros; of a single column, its 0 or 1.
fn one_hot<F: Scalar>(row: &[F]) -> Option<usize> {
    let (zero, one) = (F::zero(), F::one());
    match row {
        [t] if *t == zero || *t == one => Some(usize::from(*t == one)),
        [_] => None,
        _ => {
            let place = row.iter().position(|&t| t == one)?;
            row.iter().enumerate().all(|(j, &t)| j == place || t == zero).then_some(place)
        }
    }
}

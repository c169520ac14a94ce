//! What training makes small: the trait [`Loss`] and the losses of the book's chapter 4.
//!
//! ```
//! use gradus::{data::Targets, loss::{Loss, SoftmaxCrossEntropy}, ndarray::array};
//! let targets = Targets::Labels { labels: vec![1], classes: 2 };
//! let (loss, grad) = SoftmaxCrossEntropy.value_and_grad(array![[0.0, 0.0]], &targets);
//! assert!((loss - 2.0_f64.ln()).abs() < 1e-15);
//! assert_eq!(grad, array![[0.5, -0.5]]);
//! ```

mod binary_cross_entropy;
mod mean_squared_error;
mod softmax_cross_entropy;

use std::fmt::Debug;

use ndarray::Array2;

use crate::array::{short_type_name, standard, values_mut};
use crate::data::{Targets, check_labels};
use crate::error::Error;
use crate::scalar::Scalar;

pub use binary_cross_entropy::BinaryCrossEntropy;
pub use mean_squared_error::MeanSquaredError;
pub use softmax_cross_entropy::{SoftmaxCrossEntropy, softmax};

/// A number that says how far a batch of outputs is from its targets, averaged over the batch.
///
/// Class labels stand for one-hot rows; where the output has one column, a label 0 or 1 is the target itself.
///
/// One of your own, compared with numerical gradients by [`check::gradients`](crate::check::gradients):
///
/// ```
/// use gradus::{prelude::*, check, ndarray::{Array2, array}};
///
/// /// Mean absolute error, `Σ |y - t| / N`, of dense targets.
/// #[derive(Debug, Clone)]
/// struct Absolute;
///
/// impl<F: Scalar> Loss<F> for Absolute {
///     fn value_and_grad(&self, output: Array2<F>, targets: &Targets<F>) -> (f64, Array2<F>) {
///         let Targets::Dense(t) = targets else { panic!("Absolute takes dense targets") };
///         let (difference, rows) = (output - t, F::of(t.nrows() as f64));
///         let loss: F = difference.iter().map(|d| d.abs()).sum();
///         ((loss / rows).as_f64(), difference.mapv(|d| d.signum() / rows))
///     }
/// }
///
/// let net = Sequential::mlp(2, &[3], 1).build(&mut gradus::rng(1))?;
/// let (rows, targets) = (array![[1.0, 2.0], [-3.0, 0.5]], Targets::Dense(array![[9.0], [-9.0]]));
/// let report = check::gradients(&net, &Absolute, &rows, &targets);
/// assert!(report.worst() < 1e-7, "{report}");
/// # Ok::<(), Error>(())
/// ```
pub trait Loss<F: Scalar>: Debug + Send + Sync {
    /// L of a batch of outputs `(N, out)`, and dL/d output, which takes the output's buffer.
    ///
    /// # Panics
    /// The built-in losses, where there are no outputs, or not one row for each target with the width of the targets (or
    /// one column for labels, where the loss takes that), and [`SoftmaxCrossEntropy`] where a label is no class.
    /// [`check`](Self::check) finds a wrong width or label first.
    fn value_and_grad(&self, output: Array2<F>, targets: &Targets<F>) -> (f64, Array2<F>);

    /// L alone, of outputs that stay as they are.
    ///
    /// # Panics
    /// Where [`value_and_grad`](Self::value_and_grad) does.
    fn value(&self, output: &Array2<F>, targets: &Targets<F>) -> f64 {
        self.value_and_grad(output.clone(), targets).0
    }

    /// What L, a mean over the rows of a batch, was divided by: the number of rows.
    ///
    /// The loss of a batch in parts is the mean of their losses, each counted by its weight; so is its gradient.
    fn weight(&self, targets: &Targets<F>) -> f64 {
        targets.len() as f64
    }

    /// Why an output of this width cannot be compared with these targets.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the widths differ, or a label is no class.
    fn check(&self, width: usize, targets: &Targets<F>) -> Result<(), Error> {
        check_targets(width, targets)
    }

    /// What saved files call the loss.
    fn name(&self) -> String {
        short_type_name::<Self>()
    }
}

/// Labels are classes, and there is an output column a class or target; for two classes one column will do.
pub(crate) fn check_targets<F: Scalar>(width: usize, targets: &Targets<F>) -> Result<(), Error> {
    let binary = width == 1 && matches!(targets, Targets::Labels { classes: 2, .. });
    if !binary {
        check_width(width, targets)?;
    }
    match targets {
        Targets::Labels { labels, classes } => check_labels(labels, *classes),
        Targets::Dense(_) => Ok(()),
    }
}

/// An output column for each class or target.
fn check_width<F>(width: usize, targets: &Targets<F>) -> Result<(), Error> {
    if targets.width() == width {
        return Ok(());
    }
    let what = "width of the network's output (one column for each class or target)";
    Err(Error::invalid(what, targets.width(), width))
}

/// What a pointer to a loss forwards to it.
macro_rules! forward {
    ($pointer:ty) => {
        #[deny(clippy::missing_trait_methods)] // a forwarding method that is forgotten would be the default one
        impl<F: Scalar, L: Loss<F> + ?Sized> Loss<F> for $pointer {
            fn value(&self, output: &Array2<F>, targets: &Targets<F>) -> f64 {
                (**self).value(output, targets)
            }
            fn value_and_grad(&self, output: Array2<F>, targets: &Targets<F>) -> (f64, Array2<F>) {
                (**self).value_and_grad(output, targets)
            }
            fn weight(&self, targets: &Targets<F>) -> f64 {
                (**self).weight(targets)
            }
            fn check(&self, width: usize, targets: &Targets<F>) -> Result<(), Error> {
                (**self).check(width, targets)
            }
            fn name(&self) -> String {
                (**self).name()
            }
        }
    };
}
forward!(Box<L>);
forward!(&L);

/// The mean of an element-wise loss, and its gradient; `f: (output, target) -> (loss, slope)`.
#[inline(always)]
fn mean_over_elements<F: Scalar>(
    output: Array2<F>,
    targets: &Targets<F>,
    f: impl Fn(F, F) -> (F, F),
) -> (f64, Array2<F>) {
    let width = if output.ncols() == 1 && matches!(targets, Targets::Labels { .. }) { 1 } else { targets.width() };
    let (_, width) = expect_rows(&output, targets, width);
    let mut output = standard(output);
    let count = output.len() as f64;
    let share = F::of(1.0 / count);
    let x = values_mut(&mut output);
    let mut total = 0.0;
    let mut one = |x: &mut F, t: F| {
        let (loss, slope) = f(*x, t);
        total += loss.as_f64();
        *x = slope * share;
    };
    match targets {
        Targets::Dense(t) => x.iter_mut().zip(t).for_each(|(x, &t)| one(x, t)),
        Targets::Labels { labels, .. } if width == 1 => {
            x.iter_mut().zip(labels).for_each(|(x, &label)| one(x, F::of(label as f64)));
        }
        Targets::Labels { labels, .. } => {
            for (x, &label) in x.chunks_exact_mut(width).zip(labels) {
                for (j, x) in x.iter_mut().enumerate() {
                    one(x, if j == label { F::one() } else { F::zero() });
                }
            }
        }
    }
    (total / count, output)
}

/// The shape of the output, which has to have one row for each target and the width asked for.
#[track_caller]
fn expect_rows<F: Scalar>(output: &Array2<F>, targets: &Targets<F>, width: usize) -> (usize, usize) {
    assert!(
        output.dim() == (targets.len(), width) && !output.is_empty(),
        "loss: outputs of shape {:?}, but {} targets of width {}",
        output.dim(),
        targets.len(),
        targets.width()
    );
    output.dim()
}

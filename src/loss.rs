//! What training makes small.

use std::fmt::Debug;

use ndarray::Array2;

use crate::data::Targets;
use crate::error::Error;
use crate::kernel;
use crate::layer::{relu, standard, values_mut};
use crate::scalar::Scalar;

/// A number that says how far a batch of outputs is from its targets, averaged over the batch.
///
/// Class labels stand for one-hot rows; where the output has one column, a label 0 or 1 is the target itself.
///
/// One of your own, held against numerical gradients by [`check::gradients`](crate::check::gradients):
///
/// ```
/// use gradus::{Loss, Scalar, Sequential, Targets, check, ndarray::{Array2, array}};
///
/// /// Mean absolute error, `Σ |y - t| / N`, of dense targets.
/// #[derive(Debug)]
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
/// let mut net = Sequential::mlp(2, &[3], 1).build(&mut gradus::rng(1))?;
/// let (rows, targets) = (array![[1.0, 2.0], [-3.0, 0.5]], Targets::Dense(array![[9.0], [-9.0]]));
/// let report = check::gradients(&mut net, &Absolute, &rows, &targets);
/// assert!(report.worst() < 1e-7, "{report}");
/// # Ok::<(), gradus::Error>(())
/// ```
pub trait Loss<F: Scalar>: Debug + Send + Sync {
    /// L of a batch of outputs `(N, out)`, and dL/d output, which takes the output's buffer.
    ///
    /// # Panics
    /// The built-in losses, where there are no outputs, or not a row a target with the width of the targets (or one column
    /// for labels, where the loss takes that), and [`SoftmaxCrossEntropy`] where a label is no class.
    /// [`check`](Self::check) finds a wrong width or label first.
    fn value_and_grad(&self, output: Array2<F>, targets: &Targets<F>) -> (f64, Array2<F>);

    /// L alone, of outputs that stay as they are.
    ///
    /// # Panics
    /// Where [`value_and_grad`](Self::value_and_grad) does.
    fn value(&self, output: &Array2<F>, targets: &Targets<F>) -> f64 {
        self.value_and_grad(output.clone(), targets).0
    }

    /// Why an output of this width cannot be held against these targets.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where the widths differ, [`Error::Label`] where a label is no class.
    fn check(&self, width: usize, targets: &Targets<F>) -> Result<(), Error> {
        check_targets(width, targets)
    }
}

/// Labels are classes, and there is an output column a class or target; for two classes one column will do.
pub(crate) fn check_targets<F: Scalar>(width: usize, targets: &Targets<F>) -> Result<(), Error> {
    let binary = width == 1 && matches!(targets, Targets::Labels { classes: 2, .. });
    if !binary {
        check_width(width, targets)?;
    }
    let Targets::Labels { labels, classes } = targets else { return Ok(()) };
    match labels.iter().position(|label| label >= classes) {
        Some(row) => Err(Error::Label { row, label: labels[row], classes: *classes }),
        None => Ok(()),
    }
}

fn check_width<F>(width: usize, targets: &Targets<F>) -> Result<(), Error> {
    if targets.width() == width {
        return Ok(());
    }
    let what = "width of the network's output (one column a class or target)".to_string();
    Err(Error::Mismatch { what, expected: targets.width(), found: width })
}

impl<F: Scalar, L: Loss<F> + ?Sized> Loss<F> for Box<L> {
    fn value(&self, output: &Array2<F>, targets: &Targets<F>) -> f64 {
        (**self).value(output, targets)
    }
    fn value_and_grad(&self, output: Array2<F>, targets: &Targets<F>) -> (f64, Array2<F>) {
        (**self).value_and_grad(output, targets)
    }
    fn check(&self, width: usize, targets: &Targets<F>) -> Result<(), Error> {
        (**self).check(width, targets)
    }
}

/// Cross-entropy of the softmax of the outputs: `L = -Σₙ Σⱼ tₙⱼ ln pₙⱼ / N`, `p = softmax(output)`.
///
/// Takes logits, never probabilities, and computes `ln p` as `x - max - ln Σ exp(x - max)`, so it is finite for
/// logits whose differences are finite (the book adds 1e-7 inside the logarithm instead, which caps its loss at 16.1).
/// `dL/dx = (p Σⱼtⱼ - t) / N`. Two classes take two output columns; for a single one there is
/// [`BinaryCrossEntropy`].
///
/// ```
/// use gradus::{Loss, SoftmaxCrossEntropy, Targets, ndarray::array};
/// let label = Targets::Labels { labels: vec![1], classes: 2 };
/// let (loss, grad) = SoftmaxCrossEntropy.value_and_grad(array![[0.0, 0.0]], &label);
/// assert!((loss - 2.0_f64.ln()).abs() < 1e-15);
/// assert_eq!(grad, array![[0.5, -0.5]]);
/// assert_eq!(SoftmaxCrossEntropy.value(&array![[1e4, -1e4]], &label), 2e4);
/// ```
#[doc(alias = "CrossEntropyLoss")]
#[derive(Debug, Clone, Copy, Default)]
pub struct SoftmaxCrossEntropy;

impl<F: Scalar> Loss<F> for SoftmaxCrossEntropy {
    fn check(&self, width: usize, targets: &Targets<F>) -> Result<(), Error> {
        check_width(width, targets)?;
        check_targets(width, targets)
    }

    fn value_and_grad(&self, output: Array2<F>, targets: &Targets<F>) -> (f64, Array2<F>) {
        let (rows, width) = expect(&output, targets, targets.width());
        let mut output = standard(output);
        let share = F::one() / F::of(rows as f64);
        let x = values_mut(&mut output);
        let total = kernel::vectorize(
            #[inline(always)]
            move || {
                x.chunks_exact_mut(width).for_each(below_max);
                let mut total = 0.0;
                for (n, x) in x.chunks_exact(width).enumerate() {
                    total -= match targets {
                        Targets::Labels { labels, .. } => x[labels[n]].as_f64(),
                        Targets::Dense(t) => {
                            x.iter().zip(t.row(n)).fold(F::zero(), |sum, (&x, &t)| sum + t * x).as_f64()
                        }
                    };
                }
                x.iter_mut().for_each(|x| *x = kernel::exp(*x));
                for (n, x) in x.chunks_exact_mut(width).enumerate() {
                    let log_sum = over_sum(x);
                    match targets {
                        Targets::Labels { labels, .. } => {
                            total += log_sum.as_f64();
                            x[labels[n]] -= F::one();
                            x.iter_mut().for_each(|x| *x *= share);
                        }
                        Targets::Dense(t) => {
                            let t = t.row(n);
                            let sum = t.iter().fold(F::zero(), |sum, &t| sum + t);
                            total += (log_sum * sum).as_f64();
                            x.iter_mut().zip(&t).for_each(|(x, &t)| *x = (*x * sum - t) * share);
                        }
                    }
                }
                total
            },
        );
        (total / rows as f64, output)
    }
}

/// Turns logits into probabilities, row by row: `pⱼ = exp(xⱼ) / Σₖ exp(xₖ)`.
///
/// ```
/// use gradus::{ndarray::array, softmax};
/// assert_eq!(softmax(array![[0.0, 0.0], [1e4, -1e4]]), array![[0.5, 0.5], [1.0, 0.0]]);
/// ```
pub fn softmax<F: Scalar>(logits: Array2<F>) -> Array2<F> {
    let width = logits.ncols().max(1);
    let mut logits = standard(logits);
    let x = values_mut(&mut logits);
    kernel::vectorize(
        #[inline(always)]
        move || {
            x.chunks_exact_mut(width).for_each(below_max);
            x.iter_mut().for_each(|x| *x = kernel::exp(*x));
            x.chunks_exact_mut(width).for_each(|x| _ = over_sum(x));
        },
    );
    logits
}

// The softmax, in steps that go over all rows: the exponentials of one short row would leave registers empty.

/// `x <- x - max x`.
#[inline(always)]
fn below_max<F: Scalar>(x: &mut [F]) {
    let max = kernel::max(x);
    x.iter_mut().for_each(|x| *x -= max);
}

/// `x <- x / Σ x`; gives `ln Σ x`.
#[inline(always)]
fn over_sum<F: Scalar>(x: &mut [F]) -> F {
    let sum = kernel::sum(x);
    let scale = F::one() / sum;
    x.iter_mut().for_each(|x| *x *= scale);
    sum.ln()
}

/// Mean squared error, `L = Σ (y - t)² / (N · out)`: the mean over all elements, as in PyTorch.
/// `dL/dy = 2 (y - t) / (N · out)`. (The book's sum-of-squares error is `½ Σ (y - t)²`.)
///
/// ```
/// use gradus::{Loss, MeanSquaredError, Targets, ndarray::array};
/// let (loss, grad) = MeanSquaredError.value_and_grad(array![[1.0, 5.0]], &Targets::Dense(array![[0.0, 2.0]]));
/// assert_eq!((loss, grad), (5.0, array![[1.0, 3.0]]));
/// ```
#[doc(alias = "MSELoss")]
#[derive(Debug, Clone, Copy, Default)]
pub struct MeanSquaredError;

impl<F: Scalar> Loss<F> for MeanSquaredError {
    fn value_and_grad(&self, output: Array2<F>, targets: &Targets<F>) -> (f64, Array2<F>) {
        let two = F::of(2.0);
        mean_over_elements(output, targets, |y, t| ((y - t) * (y - t), two * (y - t)))
    }
}

/// Binary cross-entropy of the sigmoid of the outputs, mean over all elements:
/// `L = -Σ (t ln σ(x) + (1 - t) ln(1 - σ(x))) / (N · out)`.
///
/// Takes logits and is computed as `max(x, 0) - x t + ln(1 + exp(-|x|))`, finite for any finite logits.
/// `dL/dx = (σ(x) - t) / (N · out)`. For two classes give the network one output column and the data labels 0 and 1.
///
/// ```
/// use gradus::{BinaryCrossEntropy, Loss, Targets, ndarray::array};
/// let label = Targets::Labels { labels: vec![1], classes: 2 };
/// let (loss, grad) = BinaryCrossEntropy.value_and_grad(array![[0.0]], &label);
/// assert!((loss - 2.0_f64.ln()).abs() < 1e-15);
/// assert_eq!(grad, array![[-0.5]]);
/// assert_eq!(BinaryCrossEntropy.value(&array![[-1e4]], &label), 1e4);
/// ```
#[doc(alias = "BCEWithLogitsLoss")]
#[derive(Debug, Clone, Copy, Default)]
pub struct BinaryCrossEntropy;

impl<F: Scalar> Loss<F> for BinaryCrossEntropy {
    fn value_and_grad(&self, output: Array2<F>, targets: &Targets<F>) -> (f64, Array2<F>) {
        mean_over_elements(output, targets, |x, t| {
            let loss = relu(x) - x * t + kernel::exp(-x.abs()).ln_1p();
            (loss, kernel::sigmoid(x) - t)
        })
    }
}

/// The mean of an element-wise loss, and its gradient; `f: (output, target) -> (loss, slope)`.
#[inline(always)]
fn mean_over_elements<F: Scalar>(
    output: Array2<F>,
    targets: &Targets<F>,
    f: impl Fn(F, F) -> (F, F),
) -> (f64, Array2<F>) {
    let width = if output.ncols() == 1 && matches!(targets, Targets::Labels { .. }) { 1 } else { targets.width() };
    let (_, width) = expect(&output, targets, width);
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

/// The shape of the output, which has to have a row a target and the width asked for.
#[track_caller]
fn expect<F: Scalar>(output: &Array2<F>, targets: &Targets<F>, width: usize) -> (usize, usize) {
    assert!(
        output.dim() == (targets.len(), width) && !output.is_empty(),
        "loss: outputs of shape {:?}, but {} targets of width {}",
        output.dim(),
        targets.len(),
        targets.width()
    );
    output.dim()
}

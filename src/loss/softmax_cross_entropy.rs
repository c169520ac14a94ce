use ndarray::Array2;

use super::{Loss, check_targets, check_width, expect_rows};
use crate::array::{standard, values_mut};
use crate::data::Targets;
use crate::error::Error;
use crate::kernel;
use crate::scalar::Scalar;

/// Cross-entropy of the softmax of the outputs: `L = -Σₙ Σⱼ tₙⱼ ln pₙⱼ / N`, `p = softmax(output)`.
///
/// Takes logits, never probabilities, and computes `ln p` as `x - max - ln Σ exp(x - max)`, so it is finite for
/// logits whose differences are finite; a logit of -∞ is a class of probability 0 (the book adds 1e-7 inside the logarithm instead, which caps its loss at 16.1).
/// `dL/dx = (p Σⱼtⱼ - t) / N`. Two classes take two output columns; for a single one there is
/// [`BinaryCrossEntropy`](super::BinaryCrossEntropy).
///
/// ```
/// use gradus::{data::Targets, loss::{Loss, SoftmaxCrossEntropy}, ndarray::array};
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
        let (rows, width) = expect_rows(&output, targets, targets.width());
        let mut output = standard(output);
        let share = F::one() / F::of(rows as f64);
        let x = values_mut(&mut output);
        let total = kernel::vectorize(
            #[inline(always)]
            move || {
                x.chunks_exact_mut(width).for_each(subtract_max);
                let mut total = 0.0;
                for (n, x) in x.chunks_exact(width).enumerate() {
                    total -= match targets {
                        Targets::Labels { labels, .. } => x[labels[n]].as_f64(),
                        Targets::Dense(t) => {
                            x.iter().zip(t.row(n)).fold(F::zero(), |sum, (&x, &t)| sum + weighted(t, x)).as_f64()
                        }
                    };
                }
                x.iter_mut().for_each(|x| *x = kernel::exp(*x));
                for (n, x) in x.chunks_exact_mut(width).enumerate() {
                    let log_sum = divide_by_sum(x);
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

/// `t x`; a class of no weight counts for nothing, also where its logit is -∞ (NaN shows in `ln Σ exp`).
#[inline(always)]
fn weighted<F: Scalar>(t: F, x: F) -> F {
    if t == F::zero() { F::zero() } else { t * x }
}

/// Turns logits into probabilities, row by row: `pⱼ = exp(xⱼ) / Σₖ exp(xₖ)`.
///
/// ```
/// use gradus::{loss::softmax, ndarray::array};
/// assert_eq!(softmax(array![[0.0, 0.0], [1e4, -1e4]]), array![[0.5, 0.5], [1.0, 0.0]]);
/// ```
pub fn softmax<F: Scalar>(logits: Array2<F>) -> Array2<F> {
    let width = logits.ncols().max(1);
    let mut logits = standard(logits);
    let x = values_mut(&mut logits);
    kernel::vectorize(
        #[inline(always)]
        move || {
            x.chunks_exact_mut(width).for_each(subtract_max);
            x.iter_mut().for_each(|x| *x = kernel::exp(*x));
            x.chunks_exact_mut(width).for_each(|x| _ = divide_by_sum(x));
        },
    );
    logits
}

// The softmax, in steps that go over all rows: the exponentials of one short row would leave registers empty.

/// `x ← x - max x`.
#[inline(always)]
fn subtract_max<F: Scalar>(x: &mut [F]) {
    let max = kernel::max(x);
    x.iter_mut().for_each(|x| *x -= max);
}

/// `x ← x / Σ x`; gives `ln Σ x`.
#[inline(always)]
fn divide_by_sum<F: Scalar>(x: &mut [F]) -> F {
    let sum = kernel::sum(x);
    let scale = F::one() / sum;
    x.iter_mut().for_each(|x| *x *= scale);
    sum.ln()
}

use ndarray::Array2;

use super::{Loss, mean_over_elements};
use crate::data::Targets;
use crate::kernel;
use crate::scalar::Scalar;

/// Binary cross-entropy of the sigmoid of the outputs, mean over all elements:
/// `L = -Σ (t ln σ(x) + (1 - t) ln(1 - σ(x))) / (N · out)`.
///
/// Takes logits and is computed as `max(x, 0) - x t + ln(1 + exp(-|x|))`, finite for any finite logits.
/// An infinite logit is a probability of 0 or 1.
/// `dL/dx = (σ(x) - t) / (N · out)`. For two classes give the network one output column and the data labels 0 and 1.
///
/// ```
/// use gradus::{data::Targets, loss::{BinaryCrossEntropy, Loss}, ndarray::array};
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
            let positive = |x| if x > F::zero() { x } else { F::zero() };
            // The same as `max(x, 0) - x t` where x is finite; ∞ t and ∞ - ∞ are no numbers.
            let linear = match t {
                t if t == F::zero() => positive(x),
                t if t == F::one() => positive(-x),
                t => positive(x) - x * t,
            };
            let loss = linear + kernel::exp(-x.abs()).ln_1p();
            (loss, kernel::sigmoid(x) - t)
        })
    }
}

use ndarray::Array2;

use super::{Loss, mean_over_elements};
use crate::data::Targets;
use crate::scalar::Scalar;

/// Mean squared error, `L = Σ (y - t)² / (N · out)`: the mean over all elements, as in PyTorch.
/// `dL/dy = 2 (y - t) / (N · out)`. (The book's sum-of-squares error is `½ Σ (y - t)²`.)
///
/// ```
/// use gradus::{data::Targets, loss::{Loss, MeanSquaredError}, ndarray::array};
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

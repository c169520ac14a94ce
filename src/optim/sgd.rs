use super::Optimizer;
use crate::kernel;
use crate::scalar::Scalar;

/// Stochastic gradient descent, `p ← p - η g`.
///
/// Slow where the function is not isotropic: on `f(x, y) = x²/20 + y²` the gradient hardly points at the
/// minimum, and the path zig-zags.
///
/// ```
/// use gradus::{SGD, Updater};
/// let mut updater = Updater::new(SGD { learning_rate: 0.95 });
/// let mut p = [-7.0_f64, 2.0];
/// for _ in 0..30 {
///     let gradient = [p[0] / 10.0, 2.0 * p[1]];
///     updater.step_slice(&mut p, &gradient)?;
/// }
/// assert!((p[0] + 0.3503929958).abs() < 1e-9 && (p[1] - 0.08478231655).abs() < 1e-9);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SGD<F = f32> {
    /// η, 0.01 by default.
    pub learning_rate: F,
}

impl<F: Scalar> Default for SGD<F> {
    fn default() -> Self {
        Self { learning_rate: F::of(0.01) }
    }
}

impl<F: Scalar> Optimizer<F> for SGD<F> {
    fn update(&self, _step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let lr = self.learning_rate;
        kernel::sweep(param, grad, slots, move |p, g, []| (p - lr * g, []));
    }

    fn learning_rate(&self) -> F {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, rate: F) {
        self.learning_rate = rate;
    }
}

use super::{Optimizer, bounded, check_epsilon, check_rate, square_limit};
use crate::error::Error;
use crate::kernel;
use crate::scalar::Scalar;

/// AdaGrad: a learning rate for every parameter, smaller the more that parameter has moved.
///
/// ```text
/// h ← h + g²
/// p ← p - η g / (√h + ε)
/// ```
///
/// ε stands outside the root, as in the book (whose 1e-7 is the default here) and in PyTorch (1e-10).
/// Duchi, Hazan & Singer, *Adaptive Subgradient Methods*, 2011.
///
/// ```
/// use gradus::{AdaGrad, Updater};
/// let mut updater = Updater::new(AdaGrad { learning_rate: 1.0, epsilon: 1e-30 });
/// let mut p = [0.0];
/// updater.step_slice(&mut p, &[3.0])?; // h = 9
/// assert_eq!(p, [-1.0]);
/// updater.step_slice(&mut p, &[4.0])?; // h = 25
/// assert_eq!(p, [-1.8]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaGrad<F = f32> {
    /// η, 0.01 by default.
    pub learning_rate: F,
    /// ε, keeps the division finite: 1e-7 by default.
    pub epsilon: F,
}

impl<F: Scalar> Default for AdaGrad<F> {
    fn default() -> Self {
        Self { learning_rate: F::of(0.01), epsilon: F::of(1e-7) }
    }
}

impl<F: Scalar> Optimizer<F> for AdaGrad<F> {
    fn slots(&self) -> usize {
        1
    }

    fn update(&self, _step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let (lr, epsilon, limit) = (self.learning_rate, self.epsilon, square_limit());
        kernel::sweep(param, grad, slots, move |p, g, [h]| {
            let g = bounded(g, limit);
            let h = h + g * g;
            (p - lr * g / (h.sqrt() + epsilon), [h])
        });
    }

    fn learning_rate(&self) -> F {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, rate: F) {
        self.learning_rate = rate;
    }

    fn check(&self) -> Result<(), Error> {
        check_rate(self.learning_rate)?;
        check_epsilon(self.epsilon)
    }
}

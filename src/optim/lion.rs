use super::{Optimizer, check_beta, check_rate};
use crate::error::Error;
use crate::kernel;
use crate::scalar::Scalar;

/// Lion: steps of one length, into the direction of a momentum's sign.
///
/// ```text
/// p ← p - η sign(β₁ m + (1 - β₁) g)
/// m ← β₂ m + (1 - β₂) g
/// ```
///
/// sign(0) = 0. Found by a search over programs. The authors take a learning rate 3 to 10 times smaller than for
/// AdamW and a decay larger by as much: [`WeightDecay::Decoupled`](crate::WeightDecay::Decoupled), the `λ` of
/// their algorithm, is set on the [`Trainer`](crate::Trainer) or [`Updater`](crate::Updater).
/// Chen et al., *Symbolic Discovery of Optimization Algorithms*, 2023. PyTorch does not have it.
///
/// ```
/// use gradus::{Lion, Updater};
/// let mut updater = Updater::new(Lion { learning_rate: 0.25, ..Lion::default() });
/// let mut p = [1.0, 1.0, 1.0];
/// updater.step_slice(&mut p, &[1e-3, -1e3, 0.0])?;
/// assert_eq!(p, [0.75, 1.25, 1.0]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lion<F = f32> {
    /// η, 0.0001 by default.
    pub learning_rate: F,
    /// β₁, the share of m in the step: 0.9 by default.
    pub beta1: F,
    /// β₂, the share of m that is kept: 0.99 by default.
    pub beta2: F,
}

impl<F: Scalar> Default for Lion<F> {
    fn default() -> Self {
        Self { learning_rate: F::of(1e-4), beta1: F::of(0.9), beta2: F::of(0.99) }
    }
}

impl<F: Scalar> Optimizer<F> for Lion<F> {
    fn slots(&self) -> usize {
        1
    }

    fn update(&self, _step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let (lr, beta1, beta2) = (self.learning_rate, self.beta1, self.beta2);
        let (rest1, rest2) = (F::one() - beta1, F::one() - beta2);
        kernel::sweep(param, grad, slots, move |p, g, [m]| {
            let c = beta1 * m + rest1 * g;
            // `signum` of zero is one; of NaN it is NaN.
            let step = if c == F::zero() { c } else { lr * c.signum() };
            (p - step, [beta2 * m + rest2 * g])
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
        check_beta("beta1", self.beta1)?;
        check_beta("beta2", self.beta2)
    }
}

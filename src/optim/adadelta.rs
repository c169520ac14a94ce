use super::{Optimizer, bounded, check_beta, check_epsilon, check_rate, square_limit};
use crate::error::Error;
use crate::kernel;
use crate::scalar::Scalar;

/// AdaDelta: RMSProp that takes the length of its steps from the steps before, and needs no learning rate.
///
/// ```text
/// h ← ρ h + (1 - ρ) g²
/// d = g √(s + ε) / √(h + ε)
/// s ← ρ s + (1 - ρ) d²
/// p ← p - η d
/// ```
///
/// ε stands inside both roots and is what the first steps are made of: with the default they are about
/// `√(ε / (1 - ρ))` = 0.004 long. The paper has no η; it is 1 here and in PyTorch, whose ρ is 0.9.
/// Zeiler, *ADADELTA: An Adaptive Learning Rate Method*, 2012.
///
/// ```
/// use gradus::{AdaDelta, Updater};
/// let mut updater = Updater::new(AdaDelta { decay: 0.75, epsilon: 1.0, ..AdaDelta::default() });
/// let mut p = [1.0];
/// updater.step_slice(&mut p, &[2.0])?; // h = 1, d = 2 / √2
/// assert!((p[0] - (1.0 - 2.0_f64.sqrt())).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaDelta<F = f32> {
    /// η, 1 by default.
    pub learning_rate: F,
    /// ρ, the share of h and s that is kept: 0.95 by default.
    pub decay: F,
    /// ε, 1e-6 by default.
    pub epsilon: F,
}

impl<F: Scalar> Default for AdaDelta<F> {
    fn default() -> Self {
        Self { learning_rate: F::one(), decay: F::of(0.95), epsilon: F::of(1e-6) }
    }
}

impl<F: Scalar> Optimizer<F> for AdaDelta<F> {
    fn slots(&self) -> usize {
        2
    }

    fn update(&self, _step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let (lr, decay, epsilon) = (self.learning_rate, self.decay, self.epsilon);
        let (rest, limit) = (F::one() - decay, square_limit());
        kernel::sweep(param, grad, slots, move |p, g, [h, s]| {
            let g = bounded(g, limit);
            let h = decay * h + rest * g * g;
            let d = (s + epsilon).sqrt() / (h + epsilon).sqrt() * g;
            let s = decay * s + rest * d * d;
            (p - lr * d, [h, s])
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
        check_beta("decay", self.decay)?;
        check_epsilon(self.epsilon)
    }
}

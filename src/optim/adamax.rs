use super::adam::correction;
use super::{Optimizer, check_beta, check_epsilon, check_rate};
use crate::error::Error;
use crate::kernel;
use crate::scalar::Scalar;

/// AdaMax: Adam with the largest gradient of late where Adam has the root mean square.
///
/// ```text
/// m ← β₁ m + (1 - β₁) g          m̂ = m / (1 - β₁ᵗ)
/// u ← max(β₂ u, |g| + ε)
/// p ← p - η m̂ / u
/// ```
///
/// u needs no correction. The paper has no ε; here it is as in PyTorch, beside |g|, and a parameter whose
/// gradient has always been zero does not move. Nothing is squared.
/// Kingma & Ba, *Adam: A Method for Stochastic Optimization*, 2015, section 7.1.
///
/// ```
/// use gradus::{AdaMax, Updater};
/// let mut updater = Updater::new(AdaMax { learning_rate: 0.1, ..AdaMax::default() });
/// let mut p = [1.0_f64, 1.0];
/// updater.step_slice(&mut p, &[1e-3, -1e3])?;
/// assert!((p[0] - 0.9).abs() < 1e-5 && (p[1] - 1.1).abs() < 1e-9);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaMax<F = f32> {
    /// η, 0.002 by default.
    pub learning_rate: F,
    /// β₁, the share of m that is kept: 0.9 by default.
    pub beta1: F,
    /// β₂, the share of u that is kept: 0.999 by default.
    pub beta2: F,
    /// ε, keeps the division finite: 1e-8 by default.
    pub epsilon: F,
}

impl<F: Scalar> Default for AdaMax<F> {
    fn default() -> Self {
        Self { learning_rate: F::of(0.002), beta1: F::of(0.9), beta2: F::of(0.999), epsilon: F::of(1e-8) }
    }
}

impl<F: Scalar> Optimizer<F> for AdaMax<F> {
    fn slots(&self) -> usize {
        2
    }

    fn update(&self, step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let (beta1, beta2, epsilon) = (self.beta1, self.beta2, self.epsilon);
        let (rest, rate) = (F::one() - beta1, self.learning_rate / correction(beta1, step));
        kernel::sweep(param, grad, slots, move |p, g, [m, u]| {
            let m = beta1 * m + rest * g;
            let (kept, new) = (beta2 * u, g.abs() + epsilon);
            let u = if kept > new { kept } else { new };
            (p - rate * (m / u), [m, u])
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
        check_beta("beta2", self.beta2)?;
        check_epsilon(self.epsilon)
    }
}

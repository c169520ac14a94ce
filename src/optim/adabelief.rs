use super::adam::correction;
use super::{Optimizer, bounded, check_beta, check_epsilon, check_rate, square_limit};
use crate::error::Error;
use crate::kernel;
use crate::scalar::Scalar;

/// AdaBelief: Adam that divides by how far gradients stray from their mean, not by how large they are; long steps
/// where gradients are steady, short ones where they are not.
///
/// ```text
/// m ← β₁ m + (1 - β₁) g                m̂ = m / (1 - β₁ᵗ)
/// s ← β₂ s + (1 - β₂) (g - m)² + ε     ŝ = s / (1 - β₂ᵗ)
/// p ← p - η m̂ / (√ŝ + ε)
/// ```
///
/// Algorithm 2 of the paper, with its ε at both places (the one inside s adds up to `ε / (1 - β₂)`); the authors'
/// later code has an ε of 1e-16 and a rectification as in [`RAdam`](crate::RAdam). PyTorch does not have it.
/// Zhuang et al., *AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients*, 2020.
///
/// ```
/// use gradus::{AdaBelief, Updater};
/// let mut updater = Updater::new(AdaBelief { learning_rate: 0.1, epsilon: 1e-30, ..AdaBelief::default() });
/// let mut p = [1.0_f64];
/// updater.step_slice(&mut p, &[5.0])?; // m̂ = g, ŝ = (0.9 g)²
/// assert!((p[0] - (1.0 - 0.1 / 0.9)).abs() < 1e-12);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaBelief<F = f32> {
    /// η, 0.001 by default.
    pub learning_rate: F,
    /// β₁, the share of m that is kept: 0.9 by default.
    pub beta1: F,
    /// β₂, the share of s that is kept: 0.999 by default.
    pub beta2: F,
    /// ε, keeps the division finite: 1e-8 by default.
    pub epsilon: F,
}

impl<F: Scalar> Default for AdaBelief<F> {
    fn default() -> Self {
        Self { learning_rate: F::of(0.001), beta1: F::of(0.9), beta2: F::of(0.999), epsilon: F::of(1e-8) }
    }
}

impl<F: Scalar> Optimizer<F> for AdaBelief<F> {
    fn slots(&self) -> usize {
        2
    }

    fn update(&self, step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let (beta1, beta2, epsilon) = (self.beta1, self.beta2, self.epsilon);
        let (rest1, rest2, limit) = (F::one() - beta1, F::one() - beta2, square_limit());
        let rate = self.learning_rate / correction(beta1, step);
        let root = F::one() / correction(beta2, step).sqrt();
        kernel::sweep(param, grad, slots, move |p, g, [m, s]| {
            let g = bounded(g, limit);
            let m = beta1 * m + rest1 * g;
            let stray = g - m;
            let s = beta2 * s + rest2 * stray * stray + epsilon;
            (p - rate * m / (s.sqrt() * root + epsilon), [m, s])
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

use super::adam::correction;
use super::{Optimizer, bounded, check_beta, check_epsilon, check_rate, square_limit};
use crate::error::{Error, require};
use crate::kernel;
use crate::scalar::Scalar;

/// NAdam: Adam with Nesterov's momentum, which warms up by itself.
///
/// ```text
/// μₜ = β₁ (1 - ½ · 0.96^(t ψ))
/// m ← β₁ m + (1 - β₁) g          m̄ = μₜ₊₁ m / (1 - μ₁…μₜ₊₁) + (1 - μₜ) g / (1 - μ₁…μₜ)
/// v ← β₂ v + (1 - β₂) g²         v̂ = v / (1 - β₂ᵗ)
/// p ← p - η m̄ / (√v̂ + ε)
/// ```
///
/// As in PyTorch: m is kept with the constant β₁, while the paper's algorithm keeps it with μₜ.
/// Dozat, *Incorporating Nesterov Momentum into Adam*, 2016.
///
/// ```
/// use gradus::{NAdam, Updater};
/// let mut updater = Updater::new(NAdam::default());
/// let mut p = [1.0_f64];
/// updater.step_slice(&mut p, &[5.0])?;
/// assert!(p[0] < 1.0);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NAdam<F = f32> {
    /// η, 0.002 by default.
    pub learning_rate: F,
    /// β₁, the share of m that is kept: 0.9 by default.
    pub beta1: F,
    /// β₂, the share of v that is kept: 0.999 by default.
    pub beta2: F,
    /// ε, keeps the division finite: 1e-8 by default.
    pub epsilon: F,
    /// ψ, how fast μ rises from β₁ / 2 to β₁: 0.004 by default, half the way in some 4,000 steps.
    pub momentum_decay: F,
}

impl<F: Scalar> Default for NAdam<F> {
    fn default() -> Self {
        Self {
            learning_rate: F::of(0.002),
            beta1: F::of(0.9),
            beta2: F::of(0.999),
            epsilon: F::of(1e-8),
            momentum_decay: F::of(0.004),
        }
    }
}

impl<F: Scalar> NAdam<F> {
    /// What g and m are multiplied with: η times their shares of m̄.
    fn rates(&self, step: u64) -> (F, F) {
        let (beta1, psi) = (self.beta1.as_f64(), self.momentum_decay.as_f64());
        let mu = |t: u64| beta1 * (1.0 - 0.5 * 0.96_f64.powf(t as f64 * psi));
        // Less than β₁ᵗ; 1 less a product below 1e-20 is 1.
        let vanished = beta1.powf(step as f64) < 1e-20;
        let product: f64 = if vanished { 0.0 } else { (1..=step).map(mu).product() };
        let (now, next, rate) = (mu(step), mu(step + 1), self.learning_rate.as_f64());
        (F::of(rate * (1.0 - now) / (1.0 - product)), F::of(rate * next / (1.0 - product * next)))
    }
}

impl<F: Scalar> Optimizer<F> for NAdam<F> {
    fn slots(&self) -> usize {
        2
    }

    fn update(&self, step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let (beta1, beta2, epsilon) = (self.beta1, self.beta2, self.epsilon);
        let (rest1, rest2, limit) = (F::one() - beta1, F::one() - beta2, square_limit());
        let (of_g, of_m) = self.rates(step);
        let root = F::one() / correction(beta2, step).sqrt();
        kernel::sweep(param, grad, slots, move |p, g, [m, v]| {
            let g = bounded(g, limit);
            let m = beta1 * m + rest1 * g;
            let v = beta2 * v + rest2 * g * g;
            (p - (of_g * g + of_m * m) / (v.sqrt() * root + epsilon), [m, v])
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
        let psi = self.momentum_decay.as_f64();
        require(psi >= 0.0 && psi.is_finite(), "momentum_decay", "a finite value of at least 0", psi)?;
        check_epsilon(self.epsilon)
    }
}

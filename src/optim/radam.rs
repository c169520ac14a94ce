use super::adam::correction;
use super::{Optimizer, bounded, check_beta, check_epsilon, check_rate, square_limit};
use crate::error::Error;
use crate::kernel;
use crate::scalar::Scalar;

/// RAdam: Adam that does without its second moment while too few gradients stand behind it, a warm-up without a
/// hyper-parameter.
///
/// ```text
/// m ← β₁ m + (1 - β₁) g          m̂ = m / (1 - β₁ᵗ)
/// v ← β₂ v + (1 - β₂) g²
/// ρ∞ = 2 / (1 - β₂) - 1          ρ = ρ∞ - 2 t β₂ᵗ / (1 - β₂ᵗ)
/// ρ > 5:  p ← p - η r m̂ √(1 - β₂ᵗ) / (√v + ε),  r² = (ρ - 4)(ρ - 2) ρ∞ / ((ρ∞ - 4)(ρ∞ - 2) ρ)
/// else:   p ← p - η m̂
/// ```
///
/// With the default β₂ the first five steps are plain momentum. As in PyTorch: ε beside the uncorrected root,
/// and 5 where the paper has 4, as its authors' code does.
/// Liu et al., *On the Variance of the Adaptive Learning Rate and Beyond*, 2020.
///
/// ```
/// use gradus::{RAdam, Updater};
/// let mut updater = Updater::new(RAdam { learning_rate: 0.1, ..RAdam::default() });
/// let mut p = [1.0_f64];
/// updater.step_slice(&mut p, &[5.0])?;
/// assert!((p[0] - 0.5).abs() < 1e-12);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RAdam<F = f32> {
    /// η, 0.001 by default.
    pub learning_rate: F,
    /// β₁, the share of m that is kept: 0.9 by default.
    pub beta1: F,
    /// β₂, the share of v that is kept: 0.999 by default.
    pub beta2: F,
    /// ε, keeps the division finite: 1e-8 by default.
    pub epsilon: F,
}

impl<F: Scalar> Default for RAdam<F> {
    fn default() -> Self {
        Self { learning_rate: F::of(0.001), beta1: F::of(0.9), beta2: F::of(0.999), epsilon: F::of(1e-8) }
    }
}

impl<F: Scalar> RAdam<F> {
    /// `r √(1 - β₂ᵗ)`, once there is an r.
    fn rectification(&self, step: u64) -> Option<F> {
        let (beta2, t) = (self.beta2.as_f64(), step as f64);
        let power = beta2.powf(t);
        let longest = 2.0 / (1.0 - beta2) - 1.0;
        let rho = longest - 2.0 * t * power / (1.0 - power);
        let squared = (rho - 4.0) * (rho - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * rho);
        (rho > 5.0).then(|| F::of((squared * (1.0 - power)).sqrt()))
    }
}

impl<F: Scalar> Optimizer<F> for RAdam<F> {
    fn slots(&self) -> usize {
        2
    }

    fn update(&self, step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let (beta1, beta2, epsilon) = (self.beta1, self.beta2, self.epsilon);
        let (rest1, rest2, limit) = (F::one() - beta1, F::one() - beta2, square_limit());
        let rate = self.learning_rate / correction(beta1, step);
        let rectification = self.rectification(step);
        kernel::sweep(param, grad, slots, move |p, g, [m, v]| {
            let g = bounded(g, limit);
            let m = beta1 * m + rest1 * g;
            let v = beta2 * v + rest2 * g * g;
            let scale = rectification.map_or(F::one(), |r| r / (v.sqrt() + epsilon));
            (p - rate * scale * m, [m, v])
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

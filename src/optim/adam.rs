use super::{Optimizer, bounded, check_beta, check_epsilon, check_rate, square_limit};
use crate::error::Error;
use crate::kernel;
use crate::scalar::Scalar;

/// Adam: the velocity of Momentum and the per-parameter rates of AdaGrad, both as moving averages,
/// corrected for their start at zero.
///
/// ```text
/// m ← β₁ m + (1 - β₁) g          m̂ = m / (1 - β₁ᵗ)
/// v ← β₂ v + (1 - β₂) g²         v̂ = v / (1 - β₂ᵗ)
/// p ← p - η m̂ / (√v̂ + ε)
/// ```
///
/// Algorithm 1 of the paper, as in PyTorch: ε after the bias correction. The book adds its ε (1e-7) to the
/// uncorrected root, √v, the paper's "ε̂" form, which differs in the first steps by about ε.
/// Kingma & Ba, *Adam: A Method for Stochastic Optimization*, 2015.
///
/// With `amsgrad` v̂ never falls, `v̂ = max v / (1 - β₂ᵗ)`: the largest v until now, corrected afterwards, as in
/// PyTorch (Reddi, Kale & Kumar, *On the Convergence of Adam and Beyond*, 2018, do not correct).
///
/// In `f32` a gradient below 1e-19 has a square of zero, so ε is all it is divided by: it still moves its
/// parameter, by `η m̂ / ε`. One above 1e18 counts as 1e18 (in all rules that square): its square has to be finite.
///
/// ```
/// use gradus::{Adam, Updater};
/// let mut updater = Updater::new(Adam { learning_rate: 0.1, ..Adam::default() });
/// let mut p = [1.0, 1.0];
/// updater.step_slice(&mut p, &[1e-3, -1e3])?;
/// // The first step has the length of the learning rate, whatever the size of the gradient.
/// assert!((p[0] - 0.9_f64).abs() < 1e-5 && (p[1] - 1.1).abs() < 1e-9);
/// # Ok::<(), gradus::Error>(())
/// ```
#[doc(alias = "AMSGrad")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam<F = f32> {
    /// η, 0.001 by default.
    pub learning_rate: F,
    /// β₁, the share of m that is kept: 0.9 by default.
    pub beta1: F,
    /// β₂, the share of v that is kept: 0.999 by default.
    pub beta2: F,
    /// ε, keeps the division finite: 1e-8 by default.
    pub epsilon: F,
    /// AMSGrad: whether the largest v until now divides, at the cost of a third slot; no by default.
    pub amsgrad: bool,
}

impl<F: Scalar> Default for Adam<F> {
    fn default() -> Self {
        Self {
            learning_rate: F::of(0.001),
            beta1: F::of(0.9),
            beta2: F::of(0.999),
            epsilon: F::of(1e-8),
            amsgrad: false,
        }
    }
}

impl<F: Scalar> Optimizer<F> for Adam<F> {
    fn slots(&self) -> usize {
        if self.amsgrad { 3 } else { 2 }
    }

    fn update(&self, step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let (beta1, beta2, epsilon) = (self.beta1, self.beta2, self.epsilon);
        let (rest1, rest2, limit) = (F::one() - beta1, F::one() - beta2, square_limit());
        let rate = self.learning_rate / correction(beta1, step);
        let root = F::one() / correction(beta2, step).sqrt();
        if self.amsgrad {
            kernel::sweep(param, grad, slots, move |p, g, [m, v, largest]| {
                let g = bounded(g, limit);
                let m = beta1 * m + rest1 * g;
                let v = beta2 * v + rest2 * g * g;
                let largest = if largest > v { largest } else { v };
                (p - rate * m / (largest.sqrt() * root + epsilon), [m, v, largest])
            });
        } else {
            kernel::sweep(param, grad, slots, move |p, g, [m, v]| {
                let g = bounded(g, limit);
                let m = beta1 * m + rest1 * g;
                let v = beta2 * v + rest2 * g * g;
                (p - rate * m / (v.sqrt() * root + epsilon), [m, v])
            });
        }
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

/// 1 - βᵗ: what a moving average that started at zero has to be divided by after t steps.
pub(super) fn correction<F: Scalar>(beta: F, step: u64) -> F {
    F::of(1.0 - beta.as_f64().powf(step as f64))
}

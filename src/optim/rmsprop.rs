use super::{Optimizer, bounded, check_beta, check_epsilon, check_rate, square_limit};
use crate::error::Error;
use crate::kernel;
use crate::scalar::Scalar;

/// RMSProp: AdaGrad that forgets, so that its steps do not shrink to nothing.
///
/// ```text
/// h ← ρ h + (1 - ρ) g²
/// p ← p - η g / (√h + ε)
/// ```
///
/// ε stands outside the root. ρ, η and ε are those of the book's code (the lecture has ρ = 0.9, η = 0.001, no ε;
/// PyTorch has ε = 1e-8). h starts at zero and is not corrected for it: the first steps are up to `1 / √(1 - ρ)`
/// times as long as η. PyTorch's options `momentum` and `centered` are left out; Adam is what they lead to.
/// Tieleman & Hinton, *Lecture 6.5 of Neural Networks for Machine Learning*, 2012.
///
/// ```
/// use gradus::{RMSProp, Updater};
/// let mut updater = Updater::new(RMSProp { learning_rate: 0.1, decay: 0.75, epsilon: 1e-30 });
/// let mut p = [1.0];
/// updater.step_slice(&mut p, &[3.0])?; // h = 9 / 4
/// assert!((p[0] - 0.8_f64).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
#[doc(alias = "RMSprop")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RMSProp<F = f32> {
    /// η, 0.01 by default.
    pub learning_rate: F,
    /// ρ, the share of h that is kept: 0.99 by default. PyTorch calls it alpha.
    pub decay: F,
    /// ε, keeps the division finite: 1e-7 by default.
    pub epsilon: F,
}

impl<F: Scalar> Default for RMSProp<F> {
    fn default() -> Self {
        Self { learning_rate: F::of(0.01), decay: F::of(0.99), epsilon: F::of(1e-7) }
    }
}

impl<F: Scalar> Optimizer<F> for RMSProp<F> {
    fn slots(&self) -> usize {
        1
    }

    fn update(&self, _step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let (lr, decay, epsilon) = (self.learning_rate, self.decay, self.epsilon);
        let (rest, limit) = (F::one() - decay, square_limit());
        kernel::sweep(param, grad, slots, move |p, g, [h]| {
            let g = bounded(g, limit);
            let h = decay * h + rest * g * g;
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
        check_beta("decay", self.decay)?;
        check_epsilon(self.epsilon)
    }
}

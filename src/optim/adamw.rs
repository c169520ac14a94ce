use super::{Adam, Optimizer, WeightDecay};
use crate::error::{Error, require};
use crate::scalar::Scalar;

/// AdamW: [`Adam`] with decoupled weight decay.
///
/// ```text
/// p ← p - η λ p      weights only
/// then as Adam
/// ```
///
/// The decay is [`WeightDecay::Decoupled`]: `Adam` with that set on the [`Trainer`](crate::Trainer) or
/// [`Updater`](crate::Updater) takes the same steps, and what is set there stands in for λ here. It decays what
/// has the role [`Weight`](crate::Role::Weight), and other roles when asked to; PyTorch's decays biases and scales
/// as well, as long as it is not given groups of parameters.
/// Loshchilov & Hutter, *Decoupled Weight Decay Regularization*, 2019.
///
/// ```
/// use gradus::{AdamW, Updater};
/// let mut updater = Updater::new(AdamW { learning_rate: 0.1, weight_decay: 0.5, ..AdamW::default() });
/// let mut p = [2.0_f64];
/// updater.step_slice(&mut p, &[0.0])?; // 2 (1 - 0.1 · 0.5)
/// assert!((p[0] - 1.9).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW<F = f32> {
    /// η, 0.001 by default.
    pub learning_rate: F,
    /// β₁, the share of m that is kept: 0.9 by default.
    pub beta1: F,
    /// β₂, the share of v that is kept: 0.999 by default.
    pub beta2: F,
    /// ε, keeps the division finite: 1e-8 by default.
    pub epsilon: F,
    /// Whether the largest v until now divides, as in [`Adam::amsgrad`]: no by default.
    pub amsgrad: bool,
    /// λ, 0.01 by default.
    pub weight_decay: F,
}

impl<F: Scalar> AdamW<F> {
    fn adam(&self) -> Adam<F> {
        let Self { learning_rate, beta1, beta2, epsilon, amsgrad, .. } = *self;
        Adam { learning_rate, beta1, beta2, epsilon, amsgrad }
    }
}

impl<F: Scalar> Default for AdamW<F> {
    fn default() -> Self {
        let Adam { learning_rate, beta1, beta2, epsilon, amsgrad } = Adam::default();
        Self { learning_rate, beta1, beta2, epsilon, amsgrad, weight_decay: F::of(0.01) }
    }
}

impl<F: Scalar> Optimizer<F> for AdamW<F> {
    fn slots(&self) -> usize {
        self.adam().slots()
    }

    fn update(&self, step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        self.adam().update(step, param, grad, slots);
    }

    fn learning_rate(&self) -> F {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, rate: F) {
        self.learning_rate = rate;
    }

    fn weight_decay(&self) -> WeightDecay {
        WeightDecay::Decoupled(self.weight_decay.as_f64())
    }

    fn check(&self) -> Result<(), Error> {
        let lambda = self.weight_decay.as_f64();
        require(lambda >= 0.0 && lambda.is_finite(), "weight_decay", "a finite value of at least 0", lambda)?;
        self.adam().check()
    }
}

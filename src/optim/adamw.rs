use super::rule::{Optimizer, Scalar, Step, adam_rule, common};
use super::{Adam, WeightDecay};

adam_rule! {
    /// AdamW: [`Adam`] with decoupled weight decay.
    ///
    /// ```text
    /// p ← p - η λ p      weights only
    /// then as Adam
    /// ```
    ///
    /// The decay is [`WeightDecay::Decoupled`]: `Adam` with that set on the [`Trainer`](crate::Trainer) or
    /// [`Updater`](super::Updater) takes the same steps, and what is set there replaces λ here. It decays what
    /// has the role [`Weight`](crate::layer::Role::Weight), and other roles when asked to; PyTorch's decays biases and scales
    /// as well, as long as it is not given groups of parameters.
    /// Loshchilov & Hutter, *Decoupled Weight Decay Regularization*, 2019.
    ///
    /// ```
    /// use gradus::optim::{AdamW, Updater};
    /// let mut updater = Updater::new(AdamW { learning_rate: 0.1, weight_decay: 0.5, ..AdamW::default() });
    /// let mut p = [2.0_f64];
    /// updater.step_slice(&mut p, &[0.0])?; // 2 (1 - 0.1 · 0.5)
    /// assert!((p[0] - 1.9).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct AdamW {
        /// η, 0.001 by default.
        learning_rate = 0.001,
        /// λ, 0.01 by default.
        weight_decay: RATE = 0.01,
    }
}

impl<F: Scalar> Optimizer<F> for AdamW {
    common!(slots: 2);

    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let Self { learning_rate, beta1, beta2, epsilon, .. } = *self;
        Adam { learning_rate, beta1, beta2, epsilon }.update(step, param, grad, slots);
    }

    fn weight_decay(&self) -> WeightDecay {
        WeightDecay::Decoupled(self.weight_decay)
    }
}

use super::rule::{Optimizer, Scalar, Step, bounded, common, rule, sweep};

rule! {
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
    /// use gradus::optim::{RMSProp, Updater};
    /// let mut updater = Updater::new(RMSProp { learning_rate: 0.1, decay: 0.75, epsilon: 1e-30 });
    /// let mut p = [1.0];
    /// updater.step_slice(&mut p, &[3.0])?; // h = 9 / 4
    /// assert!((p[0] - 0.8_f64).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    #[doc(alias = "RMSprop")]
    pub struct RMSProp {
        /// η, 0.01 by default.
        learning_rate = 0.01,
        /// ρ, the share of h that is kept: 0.99 by default. PyTorch calls it alpha.
        decay: SHARE = 0.99,
        /// ε, keeps the division finite: 1e-7 by default.
        epsilon: POSITIVE = 1e-7,
    }
}

impl<F: Scalar> Optimizer<F> for RMSProp {
    common!(slots: 1);

    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let (rate, epsilon) = (step.rate, F::of(self.epsilon));
        let (decay, rest) = (F::of(self.decay), F::of(1.0 - self.decay));
        sweep(param, grad, slots, move |p, g, [h]| {
            let g = bounded(g);
            let h = decay * h + rest * g * g;
            (p - rate * g / (h.sqrt() + epsilon), [h])
        });
    }
}

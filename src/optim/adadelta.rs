use super::rule::{Optimizer, Scalar, Step, bounded, common, rule, sweep};

rule! {
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
    /// use gradus::optim::{AdaDelta, Updater};
    /// let mut updater = Updater::new(AdaDelta { decay: 0.75, epsilon: 1.0, ..AdaDelta::default() });
    /// let mut p = [1.0];
    /// updater.step_slice(&mut p, &[2.0])?; // h = 1, d = 2 / √2
    /// assert!((p[0] - (1.0 - 2.0_f64.sqrt())).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct AdaDelta {
        /// η, 1 by default.
        learning_rate = 1.0,
        /// ρ, the share of h and s that is kept: 0.95 by default.
        decay: SHARE = 0.95,
        /// ε, 1e-6 by default.
        epsilon: POSITIVE = 1e-6,
    }
}

impl<F: Scalar> Optimizer<F> for AdaDelta {
    common!(slots: 2);

    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let (rate, epsilon) = (step.rate, F::of(self.epsilon));
        let (decay, rest) = (F::of(self.decay), F::of(1.0 - self.decay));
        sweep(param, grad, slots, move |p, g, [h, s]| {
            let g = bounded(g);
            let h = decay * h + rest * g * g;
            let d = (s + epsilon).sqrt() / (h + epsilon).sqrt() * g;
            let s = decay * s + rest * d * d;
            (p - rate * d, [h, s])
        });
    }
}

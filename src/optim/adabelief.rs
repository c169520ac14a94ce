use super::rule::{AdamStep, Optimizer, Scalar, Step, adam_rule, bounded, common, sweep};

adam_rule! {
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
    /// later code has an ε of 1e-16 and a rectification as in [`RAdam`](super::RAdam). PyTorch does not have it.
    /// Zhuang et al., *AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients*, 2020.
    ///
    /// ```
    /// use gradus::optim::{AdaBelief, Updater};
    /// let mut updater = Updater::new(AdaBelief { learning_rate: 0.1, epsilon: 1e-30, ..AdaBelief::default() });
    /// let mut p = [1.0_f64];
    /// updater.step_slice(&mut p, &[5.0])?; // m̂ = g, ŝ = (0.9 g)²
    /// assert!((p[0] - (1.0 - 0.1 / 0.9)).abs() < 1e-12);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct AdaBelief {
        /// η, 0.001 by default.
        learning_rate = 0.001,
    }
}

impl<F: Scalar> Optimizer<F> for AdaBelief {
    common!(slots: 2);

    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let AdamStep { beta1, beta2, rest1, rest2, epsilon, rate, root } = self.numbers(step);
        sweep(param, grad, slots, move |p, g, [m, s]| {
            let g = bounded(g);
            let m = beta1 * m + rest1 * g;
            let stray = g - m;
            let s = beta2 * s + rest2 * stray * stray + epsilon;
            (p - rate * m / (s.sqrt() * root + epsilon), [m, s])
        });
    }
}

use super::rule::{AdamStep, Optimizer, Scalar, Step, adam_rule, bounded, common, sweep};

adam_rule! {
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
    /// With the default β₂ the first five steps are plain momentum. As in PyTorch, ε is added to the uncorrected root,
    /// and 5 where the paper has 4, as its authors' code does.
    /// Liu et al., *On the Variance of the Adaptive Learning Rate and Beyond*, 2020.
    ///
    /// ```
    /// use gradus::optim::{RAdam, Updater};
    /// let mut updater = Updater::new(RAdam { learning_rate: 0.1, ..RAdam::default() });
    /// let mut p = [1.0_f64];
    /// updater.step_slice(&mut p, &[5.0])?;
    /// assert!((p[0] - 0.5).abs() < 1e-12);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct RAdam {
        /// η, 0.001 by default.
        learning_rate = 0.001,
    }
}

impl RAdam {
    /// `r √(1 - β₂ᵗ)`, once there is an r.
    fn rectification(&self, step: u64) -> Option<f64> {
        let (t, power) = (step as f64, self.beta2.powf(step as f64));
        let longest = 2.0 / (1.0 - self.beta2) - 1.0;
        let rho = longest - 2.0 * t * power / (1.0 - power);
        let squared = (rho - 4.0) * (rho - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * rho);
        (rho > 5.0).then(|| (squared * (1.0 - power)).sqrt())
    }
}

impl<F: Scalar> Optimizer<F> for RAdam {
    common!(slots: 2);

    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let AdamStep { beta1, beta2, rest1, rest2, epsilon, rate, .. } = self.numbers(step);
        let rectification = self.rectification(step.number).map(F::of);
        sweep(param, grad, slots, move |p, g, [m, v]| {
            let g = bounded(g);
            let m = beta1 * m + rest1 * g;
            let v = beta2 * v + rest2 * g * g;
            let scale = rectification.map_or(F::one(), |r| r / (v.sqrt() + epsilon));
            (p - rate * scale * m, [m, v])
        });
    }
}

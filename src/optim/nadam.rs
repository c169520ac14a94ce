use super::rule::{AdamStep, Optimizer, Scalar, Step, adam_rule, bounded, common, sweep};

adam_rule! {
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
    /// use gradus::optim::{NAdam, Updater};
    /// let mut updater = Updater::new(NAdam::default());
    /// let mut p = [1.0_f64];
    /// updater.step_slice(&mut p, &[5.0])?;
    /// assert!(p[0] < 1.0);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct NAdam {
        /// η, 0.002 by default.
        learning_rate = 0.002,
        /// ψ, how fast μ rises from β₁ / 2 to β₁: 0.004 by default, half the way in some 4,000 steps.
        momentum_decay: RATE = 0.004,
    }
}

impl NAdam {
    /// What g and m are multiplied by: η times their shares of m̄.
    fn rates<F: Scalar>(&self, step: Step<F>) -> (F, F) {
        let mu = |t: u64| self.beta1 * (1.0 - 0.5 * 0.96_f64.powf(t as f64 * self.momentum_decay));
        // Less than β₁ᵗ; 1 minus a product below 1e-20 is 1.
        let vanished = self.beta1.powf(step.number as f64) < 1e-20;
        let product: f64 = if vanished { 0.0 } else { (1..=step.number).map(mu).product() };
        let (now, next, rate) = (mu(step.number), mu(step.number + 1), step.rate.as_f64());
        (F::of(rate * (1.0 - now) / (1.0 - product)), F::of(rate * next / (1.0 - product * next)))
    }
}

impl<F: Scalar> Optimizer<F> for NAdam {
    common!(slots: 2);

    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let AdamStep { beta1, beta2, rest1, rest2, epsilon, root, .. } = self.numbers(step);
        let (of_g, of_m) = self.rates(step);
        sweep(param, grad, slots, move |p, g, [m, v]| {
            let g = bounded(g);
            let m = beta1 * m + rest1 * g;
            let v = beta2 * v + rest2 * g * g;
            (p - (of_g * g + of_m * m) / (v.sqrt() * root + epsilon), [m, v])
        });
    }
}

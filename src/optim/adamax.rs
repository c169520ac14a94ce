use super::rule::{AdamStep, Optimizer, Scalar, Step, adam_rule, common, sweep};

adam_rule! {
    /// AdaMax: Adam that divides by a decaying maximum of the gradients instead of their root mean square.
    ///
    /// ```text
    /// m ← β₁ m + (1 - β₁) g          m̂ = m / (1 - β₁ᵗ)
    /// u ← max(β₂ u, |g| + ε)
    /// p ← p - η m̂ / u
    /// ```
    ///
    /// u needs no correction. The paper has no ε; here it is added to |g|, as in PyTorch, and a parameter whose
    /// gradient has always been zero does not move. Nothing is squared.
    /// Kingma & Ba, *Adam: A Method for Stochastic Optimization*, 2015, section 7.1.
    ///
    /// ```
    /// use gradus::optim::{AdaMax, Updater};
    /// let mut updater = Updater::new(AdaMax { learning_rate: 0.1, ..AdaMax::default() });
    /// let mut p = [1.0_f64, 1.0];
    /// updater.step_slice(&mut p, &[1e-3, -1e3])?;
    /// assert!((p[0] - 0.9).abs() < 1e-5 && (p[1] - 1.1).abs() < 1e-9);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct AdaMax {
        /// η, 0.002 by default.
        learning_rate = 0.002,
    }
}

impl<F: Scalar> Optimizer<F> for AdaMax {
    common!(slots: 2);

    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let AdamStep { beta1, beta2, rest1, epsilon, rate, .. } = self.numbers(step);
        sweep(param, grad, slots, move |p, g, [m, u]| {
            let m = beta1 * m + rest1 * g;
            let (kept, new) = (beta2 * u, g.abs() + epsilon);
            let u = if kept > new { kept } else { new };
            (p - rate * (m / u), [m, u])
        });
    }
}

use super::rule::{AdamStep, Optimizer, Scalar, Step, adam_rule, bounded, common, sweep};

adam_rule! {
    /// AMSGrad: [`Adam`](super::Adam) whose divisor never falls.
    ///
    /// ```text
    /// m ← β₁ m + (1 - β₁) g          m̂ = m / (1 - β₁ᵗ)
    /// v ← β₂ v + (1 - β₂) g²
    /// w ← max(w, v)                  v̂ = w / (1 - β₂ᵗ)
    /// p ← p - η m̂ / (√v̂ + ε)
    /// ```
    ///
    /// As in PyTorch (`Adam(amsgrad=True)`): the largest v so far, corrected afterwards. The paper does not correct.
    /// Reddi, Kale & Kumar, *On the Convergence of Adam and Beyond*, 2018.
    ///
    /// ```
    /// use gradus::optim::{AMSGrad, Updater};
    /// let mut updater = Updater::new(AMSGrad { learning_rate: 0.1, ..AMSGrad::default() });
    /// let mut p = [1.0_f64];
    /// updater.step_slice(&mut p, &[5.0])?;
    /// assert!((p[0] - 0.9).abs() < 1e-8);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct AMSGrad {
        /// η, 0.001 by default.
        learning_rate = 0.001,
    }
}

impl<F: Scalar> Optimizer<F> for AMSGrad {
    common!(slots: 3);

    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let AdamStep { beta1, beta2, rest1, rest2, epsilon, rate, root } = self.numbers(step);
        sweep(param, grad, slots, move |p, g, [m, v, largest]| {
            let g = bounded(g);
            let m = beta1 * m + rest1 * g;
            let v = beta2 * v + rest2 * g * g;
            let largest = if largest > v { largest } else { v };
            (p - rate * m / (largest.sqrt() * root + epsilon), [m, v, largest])
        });
    }
}

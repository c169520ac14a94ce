use super::rule::{AdamStep, Optimizer, Scalar, Step, adam_rule, bounded, common, sweep};

adam_rule! {
    /// Adam: the velocity of Momentum and the per-parameter rates of AdaGrad, both as moving averages,
    /// corrected for their start at zero.
    ///
    /// ```text
    /// m ← β₁ m + (1 - β₁) g          m̂ = m / (1 - β₁ᵗ)
    /// v ← β₂ v + (1 - β₂) g²         v̂ = v / (1 - β₂ᵗ)
    /// p ← p - η m̂ / (√v̂ + ε)
    /// ```
    ///
    /// Algorithm 1 of the paper, as in PyTorch: ε after the bias correction. The book adds its ε (1e-7) to the
    /// uncorrected root, √v, the paper's "ε̂" form, which differs in the first steps by about ε.
    /// Kingma & Ba, *Adam: A Method for Stochastic Optimization*, 2015.
    ///
    /// In `f32` a gradient below 1e-19 has a square of zero, so ε is all it is divided by: it still moves its
    /// parameter, by `η m̂ / ε`. One above 1e18 counts as 1e18 (in all rules that square): its square has to be finite.
    ///
    /// ```
    /// use gradus::optim::{Adam, Updater};
    /// let mut updater = Updater::new(Adam { learning_rate: 0.1, ..Adam::default() });
    /// let mut p = [1.0, 1.0];
    /// updater.step_slice(&mut p, &[1e-3, -1e3])?;
    /// // The first step has the length of the learning rate, whatever the size of the gradient.
    /// assert!((p[0] - 0.9_f64).abs() < 1e-5 && (p[1] - 1.1).abs() < 1e-9);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Adam {
        /// η, 0.001 by default.
        learning_rate = 0.001,
    }
}

impl<F: Scalar> Optimizer<F> for Adam {
    common!(slots: 2);

    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let AdamStep { beta1, beta2, rest1, rest2, epsilon, rate, root } = self.numbers(step);
        sweep(param, grad, slots, move |p, g, [m, v]| {
            let g = bounded(g);
            let m = beta1 * m + rest1 * g;
            let v = beta2 * v + rest2 * g * g;
            (p - rate * m / (v.sqrt() * root + epsilon), [m, v])
        });
    }
}

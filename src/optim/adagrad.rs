use super::rule::{Optimizer, Scalar, Step, bounded, common, rule, sweep};

rule! {
    /// AdaGrad: a learning rate for every parameter, smaller the more that parameter has moved.
    ///
    /// ```text
    /// h ← h + g²
    /// p ← p - η g / (√h + ε)
    /// ```
    ///
    /// ε stands outside the root, as in the book (whose 1e-7 is the default here) and in PyTorch (1e-10).
    /// Duchi, Hazan & Singer, *Adaptive Subgradient Methods*, 2011.
    ///
    /// ```
    /// use gradus::optim::{AdaGrad, Updater};
    /// let mut updater = Updater::new(AdaGrad { learning_rate: 1.0, epsilon: 1e-30 });
    /// let mut p = [0.0];
    /// updater.step_slice(&mut p, &[3.0])?; // h = 9
    /// assert_eq!(p, [-1.0]);
    /// updater.step_slice(&mut p, &[4.0])?; // h = 25
    /// assert_eq!(p, [-1.8]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct AdaGrad {
        /// η, 0.01 by default.
        learning_rate = 0.01,
        /// ε, keeps the division finite: 1e-7 by default.
        epsilon: POSITIVE = 1e-7,
    }
}

impl<F: Scalar> Optimizer<F> for AdaGrad {
    common!(slots: 1);

    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let (rate, epsilon) = (step.rate, F::of(self.epsilon));
        sweep(param, grad, slots, move |p, g, [h]| {
            let g = bounded(g);
            let h = h + g * g;
            (p - rate * g / (h.sqrt() + epsilon), [h])
        });
    }
}

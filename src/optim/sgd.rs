use super::rule::{Optimizer, Scalar, Step, common, rule, sweep};

rule! {
    /// Stochastic gradient descent, `p ← p - η g`.
    ///
    /// Slow where the function is not isotropic: on `f(x, y) = x²/20 + y²` the gradient hardly points at the
    /// minimum, and the path zig-zags.
    ///
    /// ```
    /// use gradus::optim::{SGD, Updater};
    /// let mut updater = Updater::new(SGD { learning_rate: 0.95 });
    /// let mut p = [-7.0_f64, 2.0];
    /// for _ in 0..30 {
    ///     let gradient = [p[0] / 10.0, 2.0 * p[1]];
    ///     updater.step_slice(&mut p, &gradient)?;
    /// }
    /// assert!((p[0] + 0.3503929958).abs() < 1e-9 && (p[1] - 0.08478231655).abs() < 1e-9);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct SGD {
        /// η, 0.01 by default.
        learning_rate = 0.01,
    }
}

impl<F: Scalar> Optimizer<F> for SGD {
    common!(slots: 0);

    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        sweep(param, grad, slots, move |p, g, []| (p - step.rate * g, []));
    }
}

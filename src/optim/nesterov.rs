use super::MomentumForm;
use super::rule::{Optimizer, Scalar, Step, common, rule, sweep};

rule! {
    /// Nesterov's momentum: [`Momentum`](super::Momentum) that steps as if the velocity had already been followed.
    ///
    /// ```text
    /// form   Book: v ← μ v - η g    PyTorch: v ← μ v + g
    ///              p ← p + μ v - η g         p ← p - η (g + μ v)
    /// ```
    ///
    /// The gradient is taken at p itself, the usual change of variables (Bengio, Boulanger-Lewandowski & Pascanu,
    /// *Advances in Optimizing Recurrent Networks*, 2013). The book's code writes the same step with the v before.
    /// When the rate changes, the forms differ as those of `Momentum` do.
    /// Nesterov, *A method for solving the convex programming problem with convergence rate O(1/k²)*, 1983.
    ///
    /// ```
    /// use gradus::optim::{Nesterov, Updater};
    /// let mut updater = Updater::new(Nesterov { learning_rate: 0.1, ..Nesterov::default() });
    /// let mut p = [1.0_f64];
    /// updater.step_slice(&mut p, &[1.0])?; // 1 - 0.1 (1 + 0.9)
    /// assert!((p[0] - 0.81).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Nesterov {
        /// η, 0.01 by default.
        learning_rate = 0.01,
        /// μ, the share of the velocity that is kept: 0.9 by default.
        momentum: SHARE = 0.9,
        ;
        /// What the velocity holds: the book's form by default.
        form: MomentumForm = MomentumForm::Book,
    }
}

impl<F: Scalar> Optimizer<F> for Nesterov {
    common!(slots: 1);

    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let ((gain, rate), momentum) = (self.form.gain_and_rate(step.rate), F::of(self.momentum));
        sweep(param, grad, slots, move |p, g, [v]| {
            let g = gain * g;
            let v = momentum * v + g;
            (p - rate * (g + momentum * v), [v])
        });
    }
}

use super::rule::{Optimizer, Scalar, Step, common, rule, sweep};

rule! {
    /// Momentum: a ball rolling down a slope, with velocity v and friction.
    ///
    /// ```text
    /// form   Book: v ← μ v - η g    PyTorch: v ← μ v + g
    ///              p ← p + v                 p ← p - η v
    /// ```
    ///
    /// The two forms take the same path as long as η stays the same, and differ when a schedule changes it: see
    /// [`MomentumForm`]. The book's is the default.
    /// Polyak, *Some methods of speeding up the convergence of iteration methods*, 1964.
    ///
    /// ```
    /// use gradus::optim::{Momentum, Updater};
    /// let mut updater = Updater::new(Momentum { learning_rate: 0.1, ..Momentum::default() });
    /// let mut p = [1.0];
    /// updater.step_slice(&mut p, &[1.0])?; // v = -0.1
    /// updater.step_slice(&mut p, &[1.0])?; // v = -0.19
    /// assert!((p[0] - 0.71_f64).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Momentum {
        /// η, 0.01 by default.
        learning_rate = 0.01,
        /// μ, the share of the velocity that is kept: 0.9 by default.
        momentum: SHARE = 0.9,
        ;
        /// What the velocity holds: the book's form by default.
        form: MomentumForm = MomentumForm::Book,
    }
}

impl<F: Scalar> Optimizer<F> for Momentum {
    common!(slots: 1);

    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let ((gain, rate), momentum) = (self.form.gain_and_rate(step.rate), F::of(self.momentum));
        sweep(param, grad, slots, move |p, g, [v]| {
            let v = momentum * v + gain * g;
            (p - rate * v, [v])
        });
    }
}

/// What a velocity holds, which matters where the learning rate changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MomentumForm {
    /// `v ← μ v - η g`, steps already taken: a velocity keeps the rates of its past steps, so a new rate
    /// shows little by little, over about `1 / (1 - μ)` steps.
    #[default]
    Book,
    /// `v ← μ v + g`, gradients: a new rate applies to all of the velocity at once. For recipes with a schedule
    /// that come from PyTorch.
    PyTorch,
}

impl MomentumForm {
    /// What g is multiplied by on its way into v, and v on its way into p. The velocity of the book's form is
    /// kept as `-v`, which has the same bits but for the sign.
    #[inline(always)]
    pub(super) fn gain_and_rate<F: Scalar>(self, learning_rate: F) -> (F, F) {
        match self {
            Self::Book => (learning_rate, F::one()),
            Self::PyTorch => (F::one(), learning_rate),
        }
    }
}

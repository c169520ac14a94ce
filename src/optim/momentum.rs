use super::{Optimizer, check_beta, check_rate};
use crate::error::Error;
use crate::kernel;
use crate::scalar::Scalar;

/// What a velocity holds, which matters where the learning rate changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MomentumForm {
    /// `v ← μ v - η g`, steps already taken: a velocity keeps the rates it was gathered with, so a new rate
    /// shows little by little, over about `1 / (1 - μ)` steps.
    #[default]
    Book,
    /// `v ← μ v + g`, gradients: a new rate applies to all of the velocity at once. For recipes with a schedule
    /// that come from PyTorch.
    PyTorch,
}

impl MomentumForm {
    /// What g is multiplied with on its way into v, and v on its way into p. The velocity of the book's form is
    /// kept as `-v`, which has the same bits but for the sign.
    #[inline(always)]
    pub(super) fn gain_and_rate<F: Scalar>(self, learning_rate: F) -> (F, F) {
        match self {
            Self::Book => (learning_rate, F::one()),
            Self::PyTorch => (F::one(), learning_rate),
        }
    }
}

/// Momentum: a ball rolling down a slope, with velocity v and friction.
///
/// ```text
/// form   Book: v ← μ v - η g    PyTorch: v ← μ v + g
///              p ← p + v                 p ← p - η v
/// ```
///
/// The two forms are the same path as long as η stays the same, and part when a schedule changes it: see
/// [`MomentumForm`]. The book's is the default.
/// Polyak, *Some methods of speeding up the convergence of iteration methods*, 1964.
///
/// ```
/// use gradus::{Momentum, Updater};
/// let mut updater = Updater::new(Momentum { learning_rate: 0.1, ..Momentum::default() });
/// let mut p = [1.0];
/// updater.step_slice(&mut p, &[1.0])?; // v = -0.1
/// updater.step_slice(&mut p, &[1.0])?; // v = -0.19
/// assert!((p[0] - 0.71_f64).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Momentum<F = f32> {
    /// η, 0.01 by default.
    pub learning_rate: F,
    /// μ, the share of the velocity that is kept: 0.9 by default.
    pub momentum: F,
    /// What the velocity holds: the book's form by default.
    pub form: MomentumForm,
}

impl<F: Scalar> Default for Momentum<F> {
    fn default() -> Self {
        Self { learning_rate: F::of(0.01), momentum: F::of(0.9), form: MomentumForm::Book }
    }
}

impl<F: Scalar> Optimizer<F> for Momentum<F> {
    fn slots(&self) -> usize {
        1
    }

    fn update(&self, _step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let (gain, rate) = self.form.gain_and_rate(self.learning_rate);
        let momentum = self.momentum;
        kernel::sweep(param, grad, slots, move |p, g, [v]| {
            let v = momentum * v + gain * g;
            (p - rate * v, [v])
        });
    }

    fn learning_rate(&self) -> F {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, rate: F) {
        self.learning_rate = rate;
    }

    fn check(&self) -> Result<(), Error> {
        check_rate(self.learning_rate)?;
        check_beta("momentum", self.momentum)
    }
}

//! How a gradient becomes a step.

mod adabelief;
mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod adamw;
mod clip;
mod lion;
mod momentum;
mod nadam;
mod nesterov;
mod radam;
mod rmsprop;
mod schedule;
mod sgd;
mod updater;
mod weight_decay;

use std::fmt::Debug;

use crate::error::Error;
use crate::scalar::Scalar;

pub use adabelief::AdaBelief;
pub use adadelta::AdaDelta;
pub use adagrad::AdaGrad;
pub use adam::Adam;
pub use adamax::AdaMax;
pub use adamw::AdamW;
pub use clip::Clip;
pub use lion::Lion;
pub use momentum::{Momentum, MomentumForm};
pub use nadam::NAdam;
pub use nesterov::Nesterov;
pub use radam::RAdam;
pub use rmsprop::RMSProp;
pub use schedule::{
    Constant, Cosine, CosineRestarts, Exponential, LinearWarmup, OneCycle, Plateau, ReduceOnPlateau, Schedule,
    StepDecay,
};
pub use sgd::SGD;
pub(crate) use updater::Paused;
pub use updater::{ParamState, Updater, UpdaterState};
pub use weight_decay::WeightDecay;

/// A rule that turns a gradient into a change of the parameters: a formula over flat slices.
///
/// A rule owns its hyper-parameters and no state; [`Updater`] owns the state, counts the steps, and gives every
/// rule weight decay, clipping, schedules, threads, saving and resuming. Rules go into a table as
/// `Box<dyn Optimizer<F>>`, which is a rule itself. One of your own (with [`sweep`](crate::sweep) in place of its loop it
/// is as fast as those here):
///
/// ```
/// use gradus::{Optimizer, Updater};
///
/// /// p ← p - η sign(g).
/// #[derive(Debug)]
/// struct SignDescent {
///     learning_rate: f64,
/// }
///
/// impl Optimizer<f64> for SignDescent {
///     fn update(&self, _step: u64, param: &mut [f64], grad: &[f64], _slots: &mut [&mut [f64]]) {
///         for (p, g) in param.iter_mut().zip(grad) {
///             *p -= self.learning_rate * g.signum();
///         }
///     }
///     fn learning_rate(&self) -> f64 {
///         self.learning_rate
///     }
///     fn set_learning_rate(&mut self, rate: f64) {
///         self.learning_rate = rate;
///     }
/// }
///
/// let mut updater = Updater::new(SignDescent { learning_rate: 0.5 });
/// let mut w = [3.0, -2.0];
/// updater.step_slice(&mut w, &[0.1, -7.0])?;
/// assert_eq!(w, [2.5, -1.5]);
/// # Ok::<(), gradus::Error>(())
/// ```
pub trait Optimizer<F: Scalar>: Debug + Send + Sync {
    /// State values per parameter: SGD 0, Momentum and AdaGrad 1, Adam 2; at most 8.
    /// They start at zero.
    fn slots(&self) -> usize {
        0
    }

    /// One step on (a block of) one parameter; `step` counts from 1, every slot is as long as `param`.
    ///
    /// Element-wise by contract: element i of everything depends on elements i alone. The driver hands over
    /// blocks of any size, in any order, on any thread. Gradients are finite but may be huge: where they are squared,
    /// it is for the rule to keep the square finite.
    fn update(&self, step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]);

    /// η, the learning rate.
    fn learning_rate(&self) -> F;

    /// Sets η: schedules do.
    fn set_learning_rate(&mut self, rate: F);

    /// A weight decay that is part of the rule: AdamW's. The driver applies it, where none is set there.
    fn weight_decay(&self) -> WeightDecay {
        WeightDecay::None
    }

    /// Whether the hyper-parameters are in their ranges; asked before every step.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] names the first one that is not.
    fn check(&self) -> Result<(), Error> {
        check_rate(self.learning_rate())
    }

    /// What tables and saved files call the rule.
    fn name(&self) -> String {
        crate::layer::short_type_name::<Self>()
    }
}

impl<F: Scalar, O: Optimizer<F> + ?Sized> Optimizer<F> for Box<O> {
    fn slots(&self) -> usize {
        (**self).slots()
    }
    fn update(&self, step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        (**self).update(step, param, grad, slots);
    }
    fn learning_rate(&self) -> F {
        (**self).learning_rate()
    }
    fn set_learning_rate(&mut self, rate: F) {
        (**self).set_learning_rate(rate);
    }
    fn weight_decay(&self) -> WeightDecay {
        (**self).weight_decay()
    }
    fn check(&self) -> Result<(), Error> {
        (**self).check()
    }
    fn name(&self) -> String {
        (**self).name()
    }
}

/// A learning rate has to be at least 0 and finite.
pub(crate) fn check_rate<F: Scalar>(rate: F) -> Result<(), Error> {
    check_range(rate >= F::zero() && rate.is_finite(), "learning_rate", "a finite value of at least 0", rate)
}

/// A decay rate β has to be in [0, 1).
pub(crate) fn check_beta<F: Scalar>(name: &str, beta: F) -> Result<(), Error> {
    check_range(beta >= F::zero() && beta < F::one(), name, "a value in [0, 1)", beta)
}

/// An ε has to be above 0 and finite: where a gradient has always been zero, 0 is divided by it.
pub(crate) fn check_epsilon<F: Scalar>(epsilon: F) -> Result<(), Error> {
    check_range(epsilon > F::zero() && epsilon.is_finite(), "epsilon", "a finite value above 0", epsilon)
}

/// The largest gradient that is squared: 1.2e18 in `f32`, its square is 1/256 of the largest number.
pub(crate) fn square_limit<F: Scalar>() -> F {
    F::max_value().sqrt() / F::of(16.0)
}

/// A gradient whose square is finite; NaN stays NaN, so that it is not taken for a step.
#[inline(always)]
pub(crate) fn bounded<F: Scalar>(g: F, limit: F) -> F {
    let g = if g > limit { limit } else { g };
    if g < -limit { -limit } else { g }
}

fn check_range<F: Scalar>(holds: bool, name: &str, expected: &str, found: F) -> Result<(), Error> {
    crate::error::require(holds, name, expected, found.as_f64())
}

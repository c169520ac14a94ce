//! How a gradient becomes a step.

mod adagrad;
mod adam;
mod momentum;
mod sgd;
mod updater;
mod weight_decay;

use std::fmt::Debug;

use crate::error::Error;
use crate::scalar::Scalar;

pub use adagrad::AdaGrad;
pub use adam::Adam;
pub use momentum::Momentum;
pub use sgd::SGD;
pub use updater::Updater;
pub use weight_decay::WeightDecay;

/// A rule that turns a gradient into a change of the parameters: a formula over flat slices.
///
/// A rule owns its hyper-parameters and no state; [`Updater`] owns the state, counts the steps, and gives every
/// rule weight decay, clipping, threads, saving and resuming. One of your own:
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
    /// blocks of any size, in any order, on any thread.
    fn update(&self, step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]);

    /// η, the learning rate.
    fn learning_rate(&self) -> F;

    /// Sets η: schedules do.
    fn set_learning_rate(&mut self, rate: F);

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

/// An ε has to be at least 0 and finite.
pub(crate) fn check_epsilon<F: Scalar>(epsilon: F) -> Result<(), Error> {
    check_range(epsilon >= F::zero() && epsilon.is_finite(), "epsilon", "a finite value of at least 0", epsilon)
}

fn check_range<F: Scalar>(holds: bool, name: &str, expected: &str, found: F) -> Result<(), Error> {
    crate::error::require(holds, name, expected, found.as_f64())
}

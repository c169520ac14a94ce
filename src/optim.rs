//! How a gradient becomes a step: the trait [`Optimizer`], the rules of the book's section 6.1 and their successors, and
//! [`Updater`], which drives any of them.
//!
//! ```
//! use gradus::optim::{Momentum, Updater};
//!
//! // f(x, y) = x²/20 + y², from (-7, 2)
//! let mut updater = Updater::new(Momentum { learning_rate: 0.1, ..Momentum::default() });
//! let mut p = [-7.0_f64, 2.0];
//! for _ in 0..100 {
//!     let gradient = [p[0] / 10.0, 2.0 * p[1]];
//!     updater.step_slice(&mut p, &gradient)?;
//! }
//! assert!(p[0].abs() < 0.1 && p[1].abs() < 0.1);
//! # Ok::<(), gradus::Error>(())
//! ```

mod adabelief;
mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod adamw;
mod amsgrad;
mod clip;
mod lion;
mod momentum;
mod nadam;
mod nesterov;
mod radam;
mod rmsprop;
mod rule;
mod sgd;
mod state;
mod updater;
mod weight_decay;

use std::fmt::Debug;

use crate::array::short_type_name;
use crate::error::Error;
use crate::scalar::Scalar;

pub use adabelief::AdaBelief;
pub use adadelta::AdaDelta;
pub use adagrad::AdaGrad;
pub use adam::Adam;
pub use adamax::AdaMax;
pub use adamw::AdamW;
pub use amsgrad::AMSGrad;
pub use clip::Clip;
pub use lion::Lion;
pub use momentum::{Momentum, MomentumForm};
pub use nadam::NAdam;
pub use nesterov::Nesterov;
pub use radam::RAdam;
pub use rmsprop::RMSProp;
pub use sgd::SGD;
pub use state::{ParamState, UpdaterState};
pub use updater::Updater;
pub use weight_decay::WeightDecay;

/// Which step it is, and its learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step<F> {
    /// The number of the step, from 1: how many steps the parameter has been part of.
    pub number: u64,
    /// η: the rule's own [`learning_rate`](Optimizer::learning_rate), or what a schedule says.
    pub rate: F,
}

/// A rule that turns a gradient into a change of the parameters: a formula over flat slices.
///
/// A rule owns its hyper-parameters and no state; [`Updater`] owns the state, counts the steps, and gives every
/// rule weight decay, clipping, schedules, threads, saving and resuming. Rules go into a table as
/// `Box<dyn Optimizer<F>>`, which is a rule itself.
///
/// # A rule of your own
/// It trains networks of either number type. With [`kernel::sweep`](crate::kernel::sweep) in place of a loop it is as
/// fast as those here:
///
/// ```
/// use gradus::{prelude::*, kernel};
///
/// /// p ← p - η sign(g).
/// #[derive(Debug, Clone)]
/// struct SignDescent {
///     learning_rate: f64,
/// }
///
/// impl<F: Scalar> Optimizer<F> for SignDescent {
///     fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
///         kernel::sweep(param, grad, slots, move |p, g, []| (p - step.rate * g.signum(), []));
///     }
///     fn learning_rate(&self) -> f64 {
///         self.learning_rate
///     }
/// }
///
/// let mut updater = Updater::new(SignDescent { learning_rate: 0.5 });
/// let mut w = [3.0, -2.0];
/// updater.step_slice(&mut w, &[0.1, -7.0])?;
/// assert_eq!(w, [2.5, -1.5]);
///
/// let digits = Digits::load::<f32>()?.take(100)?;
/// let mut net = Sequential::mlp(64, &[20], 10).build(&mut gradus::rng(1))?;
/// Trainer::new(SoftmaxCrossEntropy, SignDescent { learning_rate: 0.001 }).fit(&mut net, &digits)?;
/// # Ok::<(), Error>(())
/// ```
pub trait Optimizer<F: Scalar>: Debug + Send + Sync {
    /// State values for each parameter: SGD 0, Momentum and AdaGrad 1, Adam 2; at most 8. They start at zero.
    fn slots(&self) -> usize {
        0
    }

    /// One step on (a block of) one parameter; every slot is as long as `param`.
    ///
    /// Element-wise by contract: element i of everything depends on elements i alone. The driver hands over
    /// blocks of any size, in any order, on any thread. Gradients are finite but may be huge: where they are squared,
    /// the rule has to keep the square finite.
    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]);

    /// η where no schedule says otherwise.
    fn learning_rate(&self) -> f64;

    /// A weight decay that is part of the rule: AdamW's. The driver applies it, unless another is set there.
    fn weight_decay(&self) -> WeightDecay {
        WeightDecay::None
    }

    /// Whether the hyper-parameters other than the learning rate are in their ranges, as numbers of the type `F`; asked
    /// before every step.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the first one that is not.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The hyper-parameters other than the learning rate, by name: a run that is resumed has to have the same.
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// What tables and saved files call the rule.
    fn name(&self) -> String {
        short_type_name::<Self>()
    }
}

/// What a pointer to a rule forwards to it.
macro_rules! forward {
    ($pointer:ty) => {
        #[deny(clippy::missing_trait_methods)] // a forwarding method that is forgotten would be the default one
        impl<F: Scalar, O: Optimizer<F> + ?Sized> Optimizer<F> for $pointer {
            fn slots(&self) -> usize {
                (**self).slots()
            }
            fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
                (**self).update(step, param, grad, slots);
            }
            fn learning_rate(&self) -> f64 {
                (**self).learning_rate()
            }
            fn weight_decay(&self) -> WeightDecay {
                (**self).weight_decay()
            }
            fn check(&self) -> Result<(), Error> {
                (**self).check()
            }
            fn settings(&self) -> Vec<(&'static str, String)> {
                (**self).settings()
            }
            fn name(&self) -> String {
                (**self).name()
            }
        }
    };
}
forward!(Box<O>);
forward!(&O);

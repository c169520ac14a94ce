//! Learning rates that change during a run.
//!
//! ```
//! use gradus::prelude::*;
//! let cosine = Cosine { learning_rate: 0.1, minimum: 0.0, steps: 95 };
//! let schedule = LinearWarmup { steps: 5, start: None, then: cosine };
//! assert_eq!([0, 4, 5, 100].map(|step| schedule.rate(step, &[])), [0.02, 0.1, 0.1, 0.0]);
//! ```
//!
//! The book keeps its rates constant; its section 6.1.5 names the learning rate decay that AdaGrad replaces.

mod cosine;
mod plateau;
mod warmup;

use std::fmt::{self, Debug};

use crate::array::short_type_name;
use crate::error::{Error, require};

pub use cosine::{Cosine, CosineRestarts, OneCycle};
pub use plateau::ReduceOnPlateau;
pub use warmup::LinearWarmup;

/// The learning rate of every step.
///
/// Given to [`Trainer::schedule`](crate::Trainer::schedule) or [`Updater::schedule`](crate::optim::Updater::schedule),
/// where it replaces the rule's own learning rate. Steps are batches, counted from 0 over the whole life of the updater:
/// to think in epochs, multiply by `train.len().div_ceil(batch_size)`.
///
/// A number is a schedule, and so is a closure from the step to the rate:
///
/// ```
/// use gradus::optim::{SGD, Updater};
/// let mut updater = Updater::new(SGD::default()).schedule(|step: u64| 1.0 / (1.0 + step as f64));
/// let mut p = [0.0_f64];
/// updater.step_slice(&mut p, &[-6.0])?; // rate 1
/// updater.step_slice(&mut p, &[-6.0])?; // rate 1/2
/// assert_eq!(p, [9.0]);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// One of your own is a type that is `Clone`, and a function of the step and of the losses of all epochs so far:
///
/// ```
/// use gradus::prelude::*;
///
/// /// Half the rate once the loss is below 0.5.
/// #[derive(Clone)]
/// struct Halve(f64);
///
/// impl Schedule for Halve {
///     fn rate(&self, _step: u64, losses: &[f64]) -> f64 {
///         if losses.iter().any(|&loss| loss < 0.5) { self.0 / 2.0 } else { self.0 }
///     }
/// }
///
/// let data = Digits::load::<f32>()?.take(100)?;
/// let mut net = Sequential::mlp(data.width(), &[20], data.classes()).build(&mut gradus::rng(1))?;
/// let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default()).batch_size(20).epochs(20).schedule(Halve(0.01));
/// let history = trainer.fit(&mut net, &data)?;
/// assert_eq!(history.epochs[19].learning_rate, 0.005);
/// # Ok::<(), Error>(())
/// ```
pub trait Schedule: CloneSchedule + Send + Sync {
    /// η of a step, counted from 0. `losses` has the loss of every finished epoch: on the validation data or, where there
    /// are none, on the training data.
    fn rate(&self, step: u64, losses: &[f64]) -> f64;

    /// Whether the hyper-parameters are in their ranges; asked before every step.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the first one that is not.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl<T: Fn(u64) -> f64 + Clone + Send + Sync + 'static> Schedule for T {
    fn rate(&self, step: u64, _losses: &[f64]) -> f64 {
        self(step)
    }
}

/// The same rate at every step.
impl Schedule for f64 {
    fn rate(&self, _step: u64, _losses: &[f64]) -> f64 {
        *self
    }
    fn check(&self) -> Result<(), Error> {
        check_rate("learning_rate", *self)
    }
}

#[deny(clippy::missing_trait_methods)] // a forwarding method that is forgotten would be the default one
impl Schedule for Box<dyn Schedule> {
    fn rate(&self, step: u64, losses: &[f64]) -> f64 {
        (**self).rate(step, losses)
    }
    fn check(&self) -> Result<(), Error> {
        (**self).check()
    }
}

/// Lets a boxed schedule be cloned and named; every schedule that is `Clone` has it.
pub trait CloneSchedule {
    /// A copy in a box.
    fn clone_schedule(&self) -> Box<dyn Schedule>;
    /// The name of its type.
    fn name(&self) -> String;
}

impl<T: Schedule + Clone + 'static> CloneSchedule for T {
    fn clone_schedule(&self) -> Box<dyn Schedule> {
        Box::new(self.clone())
    }
    fn name(&self) -> String {
        short_type_name::<T>()
    }
}

impl Clone for Box<dyn Schedule> {
    fn clone(&self) -> Self {
        (**self).clone_schedule()
    }
}

impl Debug for dyn Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

fn check_rate(name: &str, rate: f64) -> Result<(), Error> {
    require(rate >= 0.0 && rate.is_finite(), name, "a finite value of at least 0", rate)
}

fn check_steps(name: &str, steps: u64) -> Result<(), Error> {
    require(steps > 0, name, "at least 1", steps)
}

fn check_factor(name: &str, factor: f64) -> Result<(), Error> {
    require(factor > 0.0 && factor.is_finite(), name, "a finite value above 0", factor)
}

/// Falls by a factor every so many steps, `η γ^⌊k / every⌋`. PyTorch's `StepLR`.
///
/// ```
/// use gradus::schedule::{Schedule, StepDecay};
/// let schedule = StepDecay { learning_rate: 0.1, every: 100, factor: 0.5 };
/// assert_eq!([0, 99, 100, 200].map(|step| schedule.rate(step, &[])), [0.1, 0.1, 0.05, 0.025]);
/// ```
#[doc(alias = "StepLR")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepDecay {
    /// η, the rate at the start.
    pub learning_rate: f64,
    /// The number of steps of one rate.
    pub every: u64,
    /// γ, what the rate is then multiplied with.
    pub factor: f64,
}

impl Schedule for StepDecay {
    fn rate(&self, step: u64, _losses: &[f64]) -> f64 {
        self.learning_rate * self.factor.powf((step / self.every.max(1)) as f64)
    }
    fn check(&self) -> Result<(), Error> {
        check_rate("learning_rate", self.learning_rate)?;
        check_steps("every", self.every)?;
        check_factor("factor", self.factor)
    }
}

/// Falls by a factor at every step, `η γᵏ`. PyTorch's `ExponentialLR`.
///
/// ```
/// use gradus::schedule::{Exponential, Schedule};
/// assert_eq!(Exponential { learning_rate: 1.0, factor: 0.5 }.rate(3, &[]), 0.125);
/// ```
#[doc(alias = "ExponentialLR")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exponential {
    /// η, the rate at the start.
    pub learning_rate: f64,
    /// γ, the rate of a step as a share of the one before.
    pub factor: f64,
}

impl Schedule for Exponential {
    fn rate(&self, step: u64, _losses: &[f64]) -> f64 {
        self.learning_rate * self.factor.powf(step as f64)
    }
    fn check(&self) -> Result<(), Error> {
        check_rate("learning_rate", self.learning_rate)?;
        check_factor("factor", self.factor)
    }
}

//! Learning rates that change on the way.

mod cosine;
mod plateau;
mod warmup;

use std::fmt::{self, Debug};

use crate::error::{Error, require};

pub use cosine::{Cosine, CosineRestarts, OneCycle};
pub use plateau::{Plateau, ReduceOnPlateau};
pub use warmup::LinearWarmup;

/// The learning rate of every step.
///
/// Given to [`Trainer::schedule`](crate::Trainer::schedule) or [`Updater::schedule`](crate::Updater::schedule), which
/// sets it before each step. Steps are batches, counted from 0 over the whole life of the updater: to think in
/// epochs, multiply by `train.len().div_ceil(batch_size)`. The rate is the schedule's alone; what the rule was made
/// with does not matter.
///
/// A closure is a schedule:
///
/// ```
/// use gradus::{SGD, Updater};
/// let mut updater = Updater::new(SGD::default()).schedule(|step: u64| 1.0 / (1.0 + step as f64));
/// let mut p = [0.0_f64];
/// updater.step_slice(&mut p, &[-6.0])?; // rate 1
/// updater.step_slice(&mut p, &[-6.0])?; // rate 1/2
/// assert_eq!(p, [9.0]);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// One of your own is a type that is `Clone`.
pub trait Schedule: CloneSchedule + Send + Sync {
    /// η of a step, counted from 0.
    fn rate(&self, step: u64) -> f64;

    /// Hears the loss on the validation data (or, where there are none, on the training data) after each epoch.
    fn observe(&mut self, _loss: f64) {}

    /// What `observe` has gathered, as a few numbers: a checkpoint keeps them.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Goes on from what [`state`](Self::state) gave.
    ///
    /// # Errors
    /// Numbers that `state` cannot have given.
    fn restore(&mut self, state: &[f64]) -> Result<(), Error> {
        expect_numbers(&self.name(), 0, state)
    }

    /// Whether the hyper-parameters are in their ranges; asked before every step.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] names the first one that is not.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// What saved files call the schedule.
    fn name(&self) -> String {
        crate::layer::short_type_name::<Self>()
    }
}

impl<T: Fn(u64) -> f64 + Clone + Send + Sync + 'static> Schedule for T {
    fn rate(&self, step: u64) -> f64 {
        self(step)
    }
    fn name(&self) -> String {
        "closure".into()
    }
}

impl Schedule for Box<dyn Schedule> {
    fn rate(&self, step: u64) -> f64 {
        (**self).rate(step)
    }
    fn observe(&mut self, loss: f64) {
        (**self).observe(loss);
    }
    fn state(&self) -> Vec<f64> {
        (**self).state()
    }
    fn restore(&mut self, state: &[f64]) -> Result<(), Error> {
        (**self).restore(state)
    }
    fn check(&self) -> Result<(), Error> {
        (**self).check()
    }
    fn name(&self) -> String {
        (**self).name()
    }
}

/// What lets a boxed schedule be cloned; every schedule that is `Clone` has it.
pub trait CloneSchedule {
    /// A copy in a box.
    fn boxed(&self) -> Box<dyn Schedule>;
}

impl<T: Schedule + Clone + 'static> CloneSchedule for T {
    fn boxed(&self) -> Box<dyn Schedule> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Schedule> {
    fn clone(&self) -> Self {
        (**self).boxed()
    }
}

impl Debug for dyn Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// Holds a saved state to its length.
fn expect_numbers(schedule: &str, expected: usize, state: &[f64]) -> Result<(), Error> {
    if state.len() == expected {
        return Ok(());
    }
    Err(Error::Mismatch { what: format!("saved numbers of the schedule {schedule}"), expected, found: state.len() })
}

fn check_rate(name: &str, rate: f64) -> Result<(), Error> {
    require(rate >= 0.0 && rate.is_finite(), name, "a finite value of at least 0", rate)
}

fn check_steps(name: &str, steps: u64) -> Result<(), Error> {
    require(steps > 0, name, "at least 1", steps as f64)
}

fn check_factor(name: &str, factor: f64) -> Result<(), Error> {
    require(factor > 0.0 && factor.is_finite(), name, "a finite value above 0", factor)
}

/// The same rate at every step, `η`.
///
/// ```
/// use gradus::{Constant, Schedule};
/// assert_eq!(Constant { learning_rate: 0.1 }.rate(7), 0.1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constant {
    /// η.
    pub learning_rate: f64,
}

impl Schedule for Constant {
    fn rate(&self, _step: u64) -> f64 {
        self.learning_rate
    }
    fn check(&self) -> Result<(), Error> {
        check_rate("learning_rate", self.learning_rate)
    }
}

/// Falls by a factor every so many steps, `η γ^⌊k / every⌋`. PyTorch's `StepLR`.
///
/// ```
/// use gradus::{Schedule, StepDecay};
/// let schedule = StepDecay { learning_rate: 0.1, every: 100, factor: 0.5 };
/// assert_eq!([0, 99, 100, 200].map(|step| schedule.rate(step)), [0.1, 0.1, 0.05, 0.025]);
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
    fn rate(&self, step: u64) -> f64 {
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
/// use gradus::{Exponential, Schedule};
/// assert_eq!(Exponential { learning_rate: 1.0, factor: 0.5 }.rate(3), 0.125);
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
    fn rate(&self, step: u64) -> f64 {
        self.learning_rate * self.factor.powf(step as f64)
    }
    fn check(&self) -> Result<(), Error> {
        check_rate("learning_rate", self.learning_rate)?;
        check_factor("factor", self.factor)
    }
}

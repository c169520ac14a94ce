use super::{Schedule, check_rate};
use crate::error::{Error, require};

/// Lowers the rate when the loss has stopped falling: `η γⁿ`, not below the minimum, after n plateaus.
///
/// A loss is better than the best one so far when it is below `best (1 - threshold)`. More than `patience` epochs
/// in a row without a better one are a plateau; the rate falls for the epochs that follow, and the next `cooldown`
/// epochs do not count. PyTorch's `ReduceLROnPlateau`, with its defaults; a fall by no more than 1e-8 is left out, as
/// there. NaN is never better.
///
/// It is a function of the losses that [`Trainer::fit`](crate::Trainer::fit) records: on the validation data, or on the
/// training data where there are none. It goes through all of them at every step, so a plateau of many thousands of
/// epochs costs microseconds a step.
///
/// ```
/// use gradus::schedule::{ReduceOnPlateau, Schedule};
/// let schedule = ReduceOnPlateau { learning_rate: 0.1, patience: 1, ..ReduceOnPlateau::default() };
/// assert_eq!(schedule.rate(300, &[1.0, 0.8, 0.8]), 0.1);
/// assert!((schedule.rate(400, &[1.0, 0.8, 0.8, 0.9]) - 0.01).abs() < 1e-15);
/// ```
#[doc(alias = "ReduceLROnPlateau")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReduceOnPlateau {
    /// η, the rate at the start: 0.01 by default.
    pub learning_rate: f64,
    /// γ, what the rate is multiplied by: 0.1 by default.
    pub factor: f64,
    /// How many epochs in a row may be no better: 10 by default.
    pub patience: u64,
    /// By what share a better loss is smaller: 1e-4 by default.
    pub threshold: f64,
    /// How many epochs after a fall do not count: 0 by default.
    pub cooldown: u64,
    /// The rate never falls below this: 0 by default.
    pub minimum: f64,
}

impl Default for ReduceOnPlateau {
    fn default() -> Self {
        Self { learning_rate: 0.01, factor: 0.1, patience: 10, threshold: 1e-4, cooldown: 0, minimum: 0.0 }
    }
}

impl Schedule for ReduceOnPlateau {
    fn rate(&self, _step: u64, losses: &[f64]) -> f64 {
        let (mut rate, mut best, mut bad_epochs, mut cooling) = (self.learning_rate, f64::INFINITY, 0, 0);
        for &loss in losses {
            if loss < best * (1.0 - self.threshold) {
                (best, bad_epochs) = (loss, 0);
            } else {
                bad_epochs += 1;
            }
            if cooling > 0 {
                (cooling, bad_epochs) = (cooling - 1, 0);
            }
            if bad_epochs > self.patience {
                (bad_epochs, cooling) = (0, self.cooldown);
                let lower = (rate * self.factor).max(self.minimum);
                if rate - lower > 1e-8 {
                    rate = lower;
                }
            }
        }
        rate
    }

    fn check(&self) -> Result<(), Error> {
        check_rate("learning_rate", self.learning_rate)?;
        check_rate("minimum", self.minimum)?;
        require(self.factor > 0.0 && self.factor < 1.0, "factor", "a value in (0, 1)", self.factor)?;
        require(self.threshold >= 0.0 && self.threshold < 1.0, "threshold", "a value in [0, 1)", self.threshold)
    }
}

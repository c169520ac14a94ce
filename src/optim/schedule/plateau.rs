use super::{Schedule, check_rate, expect_numbers};
use crate::error::{Error, require};

/// Lowers the rate when the validation loss has stopped falling: `η γⁿ`, not below the minimum, after n plateaus.
///
/// A loss is better than the best one so far when it is below `best (1 - threshold)`. More than `patience` epochs
/// in a row without a better one are a plateau; the rate falls for the epochs that follow, and the next `cooldown`
/// epochs do not count. PyTorch's `ReduceLROnPlateau`, with its defaults.
///
/// [`Trainer::fit`](crate::Trainer::fit) feeds it the loss on the validation data, or on the training data where
/// there are none.
///
/// ```
/// use gradus::{ReduceOnPlateau, Schedule};
/// let mut schedule = ReduceOnPlateau { learning_rate: 0.1, patience: 1, ..ReduceOnPlateau::default() };
/// for loss in [1.0, 0.8, 0.8] {
///     schedule.observe(loss);
/// }
/// assert_eq!(schedule.rate(300), 0.1);
/// schedule.observe(0.9);
/// assert!((schedule.rate(400) - 0.01).abs() < 1e-15);
/// ```
#[doc(alias = "ReduceLROnPlateau")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReduceOnPlateau {
    /// η, the rate at the start: 0.01 by default.
    pub learning_rate: f64,
    /// γ, what the rate is multiplied with: 0.1 by default.
    pub factor: f64,
    /// How many epochs in a row may be no better: 10 by default.
    pub patience: u64,
    /// By what share a better loss is smaller: 1e-4 by default.
    pub threshold: f64,
    /// How many epochs after a fall do not count: 0 by default.
    pub cooldown: u64,
    /// The rate never falls below this: 0 by default.
    pub minimum: f64,
    /// What was seen until now; `Plateau::default()` at the start.
    pub seen: Plateau,
}

/// What a [`ReduceOnPlateau`] has seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plateau {
    /// The lowest loss.
    pub best: f64,
    /// Epochs in a row without a better loss.
    pub bad_epochs: u64,
    /// Epochs that still do not count.
    pub cooling: u64,
    /// n, how often the rate fell.
    pub falls: u64,
}

impl Default for Plateau {
    fn default() -> Self {
        Self { best: f64::INFINITY, bad_epochs: 0, cooling: 0, falls: 0 }
    }
}

impl Default for ReduceOnPlateau {
    fn default() -> Self {
        Self {
            learning_rate: 0.01,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            cooldown: 0,
            minimum: 0.0,
            seen: Plateau::default(),
        }
    }
}

impl Schedule for ReduceOnPlateau {
    fn rate(&self, _step: u64) -> f64 {
        let Plateau { falls, .. } = self.seen;
        if falls == 0 {
            return self.learning_rate;
        }
        (self.learning_rate * self.factor.powf(falls as f64)).max(self.minimum)
    }

    fn observe(&mut self, loss: f64) {
        let seen = &mut self.seen;
        if seen.best.is_infinite() && loss.is_finite() || loss < seen.best * (1.0 - self.threshold) {
            (seen.best, seen.bad_epochs) = (loss, 0);
        } else {
            seen.bad_epochs += 1;
        }
        if seen.cooling > 0 {
            (seen.cooling, seen.bad_epochs) = (seen.cooling - 1, 0);
        }
        if seen.bad_epochs > self.patience {
            (seen.bad_epochs, seen.cooling, seen.falls) = (0, self.cooldown, seen.falls + 1);
        }
    }

    fn state(&self) -> Vec<f64> {
        let Plateau { best, bad_epochs, cooling, falls } = self.seen;
        vec![best, bad_epochs as f64, cooling as f64, falls as f64]
    }

    fn restore(&mut self, state: &[f64]) -> Result<(), Error> {
        expect_numbers(&self.name(), 4, state)?;
        let count = |x: f64| x as u64;
        let (bad_epochs, cooling, falls) = (count(state[1]), count(state[2]), count(state[3]));
        self.seen = Plateau { best: state[0], bad_epochs, cooling, falls };
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        check_rate("learning_rate", self.learning_rate)?;
        check_rate("minimum", self.minimum)?;
        require(self.factor > 0.0 && self.factor < 1.0, "factor", "a value in (0, 1)", self.factor)?;
        require(self.threshold >= 0.0 && self.threshold < 1.0, "threshold", "a value in [0, 1)", self.threshold)
    }
}

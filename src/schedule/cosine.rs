use std::f64::consts::PI;

use super::{Schedule, check_factor, check_rate, check_steps};
use crate::error::{Error, require};

/// Half a cosine wave from `from` (at share 0) to `to` (at share 1).
fn wave(from: f64, to: f64, share: f64) -> f64 {
    to + 0.5 * (from - to) * (1.0 + (PI * share).cos())
}

/// Falls along half a cosine wave, `η_min + ½ (η - η_min) (1 + cos(π k / steps))`.
///
/// The wave goes on: after `steps` the rate rises again, and is back at η after twice as many. PyTorch's
/// `CosineAnnealingLR`. Loshchilov & Hutter, *SGDR: Stochastic Gradient Descent with Warm Restarts*, 2017.
///
/// ```
/// use gradus::schedule::{Cosine, Schedule};
/// let schedule = Cosine { learning_rate: 0.1, minimum: 0.0, steps: 100 };
/// assert_eq!(schedule.rate(0, &[]), 0.1);
/// assert!((schedule.rate(50, &[]) - 0.05).abs() < 1e-15);
/// assert_eq!(schedule.rate(100, &[]), 0.0);
/// ```
#[doc(alias = "CosineAnnealingLR")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cosine {
    /// η, the rate at the start.
    pub learning_rate: f64,
    /// η_min, the rate at the end.
    pub minimum: f64,
    /// The number of steps from the start to the end.
    pub steps: u64,
}

impl Schedule for Cosine {
    fn rate(&self, step: u64, _losses: &[f64]) -> f64 {
        wave(self.learning_rate, self.minimum, step as f64 / self.steps as f64)
    }
    fn check(&self) -> Result<(), Error> {
        check_rate("learning_rate", self.learning_rate)?;
        check_rate("minimum", self.minimum)?;
        check_steps("steps", self.steps)
    }
}

/// Falls along half a cosine wave, jumps back to the top and falls again, each time `growth` times as long.
///
/// PyTorch's `CosineAnnealingWarmRestarts`. The minimum itself is not reached: where the wave would be there, the
/// next one starts.
///
/// ```
/// use gradus::schedule::{CosineRestarts, Schedule};
/// let schedule = CosineRestarts { learning_rate: 0.1, minimum: 0.0, period: 10, growth: 2 };
/// assert_eq!([0, 10, 30, 70].map(|step| schedule.rate(step, &[])), [0.1; 4]);
/// assert!((schedule.rate(20, &[]) - 0.05).abs() < 1e-15);
/// ```
#[doc(alias = "CosineAnnealingWarmRestarts")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CosineRestarts {
    /// η, the rate at each start.
    pub learning_rate: f64,
    /// η_min, the rate that each wave falls towards.
    pub minimum: f64,
    /// The number of steps of the first wave.
    pub period: u64,
    /// How many times as long each wave is as the one before: 1 for equal ones.
    pub growth: u64,
}

impl Schedule for CosineRestarts {
    fn rate(&self, step: u64, _losses: &[f64]) -> f64 {
        let (mut since, mut period) = (step, self.period.max(1));
        if self.growth <= 1 {
            since %= period;
        }
        while since >= period {
            since -= period;
            period = period.saturating_mul(self.growth);
        }
        wave(self.learning_rate, self.minimum, since as f64 / period as f64)
    }
    fn check(&self) -> Result<(), Error> {
        check_rate("learning_rate", self.learning_rate)?;
        check_rate("minimum", self.minimum)?;
        check_steps("period", self.period)?;
        check_steps("growth", self.growth)
    }
}

/// One rise and one long fall, each half a cosine wave: large rates in the middle of a run let it be short.
///
/// ```text
/// η_max / rise    →    η_max    →    η_max / (rise · fall)
///   step 0        step warmup · steps - 1      step steps - 1
/// ```
///
/// PyTorch's `OneCycleLR` with its defaults (cosine, two phases), but the momentum is left alone: PyTorch moves it
/// between 0.95 and 0.85 against the rate. After the end the rate stays where it is; PyTorch stops with an error.
/// Smith & Topin, *Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates*, 2018.
///
/// ```
/// use gradus::schedule::{OneCycle, Schedule};
/// let schedule = OneCycle { learning_rate: 0.1, steps: 100, ..OneCycle::default() };
/// assert!((schedule.rate(0, &[]) - 0.004).abs() < 1e-15);
/// assert_eq!(schedule.rate(29, &[]), 0.1);
/// assert!((schedule.rate(99, &[]) - 4e-7).abs() < 1e-15);
/// ```
#[doc(alias = "OneCycleLR")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OneCycle {
    /// η_max, the rate at the top: 0.1 by default.
    pub learning_rate: f64,
    /// The number of steps of the whole cycle: 1000 by default.
    pub steps: u64,
    /// The share of the steps in which the rate rises: 0.3 by default.
    pub warmup: f64,
    /// How many times higher the top is than the start: 25 by default.
    pub rise: f64,
    /// How many times higher the start is than the end: 10,000 by default.
    pub fall: f64,
}

impl Default for OneCycle {
    fn default() -> Self {
        Self { learning_rate: 0.1, steps: 1000, warmup: 0.3, rise: 25.0, fall: 1e4 }
    }
}

impl Schedule for OneCycle {
    fn rate(&self, step: u64, _losses: &[f64]) -> f64 {
        let (k, last) = (step as f64, self.steps as f64 - 1.0);
        let start = self.learning_rate / self.rise;
        let top = self.warmup * self.steps as f64 - 1.0;
        if k <= top && top > 0.0 {
            return wave(start, self.learning_rate, k / top);
        }
        let share = if last > top { ((k - top) / (last - top)).min(1.0) } else { 1.0 };
        wave(self.learning_rate, start / self.fall, share)
    }
    fn check(&self) -> Result<(), Error> {
        check_rate("learning_rate", self.learning_rate)?;
        check_steps("steps", self.steps)?;
        require((0.0..=1.0).contains(&self.warmup), "warmup", "a share between 0 and 1", self.warmup)?;
        check_factor("rise", self.rise)?;
        check_factor("fall", self.fall)
    }
}

use super::{Schedule, check_steps};
use crate::error::{Error, require};

/// Rises in a straight line to the first rate of another schedule, then hands over to it.
///
/// ```text
/// k < w:  η (k + 1) / w              start: None, as most papers have it
///         η (s + (1 - s) k / w)      start: Some(s), PyTorch's LinearLR in a SequentialLR
/// else:   then.rate(k - w)           η = then.rate(0)
/// ```
///
/// ```
/// use gradus::schedule::{Cosine, LinearWarmup, Schedule};
/// let cosine = Cosine { learning_rate: 0.1, minimum: 0.0, steps: 95 };
/// let schedule = LinearWarmup { steps: 5, start: None, then: cosine };
/// assert_eq!([0, 4, 5, 100].map(|step| schedule.rate(step, &[])), [0.02, 0.1, 0.1, 0.0]);
/// assert_eq!(LinearWarmup { start: Some(0.5), ..schedule }.rate(0, &[]), 0.05);
/// ```
#[doc(alias = "LinearLR")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearWarmup<S> {
    /// w, the number of steps before the other schedule begins.
    pub steps: u64,
    /// s, the first rate as a share of η.
    pub start: Option<f64>,
    /// What comes then.
    pub then: S,
}

impl<S: Schedule + Clone + 'static> Schedule for LinearWarmup<S> {
    fn rate(&self, step: u64, losses: &[f64]) -> f64 {
        let (k, w) = (step as f64, self.steps as f64);
        match self.start {
            _ if step >= self.steps => self.then.rate(step - self.steps, losses),
            None => self.then.rate(0, losses) * (k + 1.0) / w,
            Some(start) => self.then.rate(0, losses) * (start + (1.0 - start) * k / w),
        }
    }

    fn check(&self) -> Result<(), Error> {
        check_steps("steps", self.steps)?;
        let start = self.start.unwrap_or(0.0);
        require(start >= 0.0 && start.is_finite(), "start", "a finite value of at least 0", start)?;
        self.then.check()
    }
}

//! The progress bar of a study.

use super::Direction;
use super::trial::TrialRecord;

/// A bar on standard error with the best score so far. It shows nothing without the feature `progress`, or if standard
/// error is not a terminal.
#[derive(Debug)]
pub(super) struct Progress {
    #[cfg(feature = "progress")]
    bar: indicatif::ProgressBar,
    #[cfg(feature = "progress")]
    direction: Direction,
    #[cfg(feature = "progress")]
    best: std::sync::Mutex<Option<f64>>,
}

#[cfg(feature = "progress")]
impl Progress {
    pub(super) fn new(shown: bool, trials: usize, direction: Direction) -> Self {
        use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
        use std::io::IsTerminal;
        let bar = if shown && std::io::stderr().is_terminal() {
            ProgressBar::with_draw_target(Some(trials as u64), ProgressDrawTarget::stderr_with_hz(10))
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("trial {pos}/{len} {bar:30} ETA {eta} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, direction, best: std::sync::Mutex::new(None) }
    }

    pub(super) fn finished(&self, record: &TrialRecord) {
        let mut best = self.best.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Ok(score) = record.score
            && best.is_none_or(|best| self.direction.is_better(score, best))
        {
            *best = Some(score);
            self.bar.set_message(format!("best {score:.4} (trial {})", record.number));
        }
        self.bar.inc(1);
    }
}

#[cfg(not(feature = "progress"))]
impl Progress {
    pub(super) fn new(_shown: bool, _trials: usize, _direction: Direction) -> Self {
        Self {}
    }

    pub(super) fn finished(&self, _record: &TrialRecord) {}
}

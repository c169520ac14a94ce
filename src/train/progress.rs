//! The progress bar of `fit`.

use super::Epoch;
use crate::scalar::Scalar;

/// A bar on standard error; nothing where that is no terminal, or without the feature `progress`.
#[derive(Debug)]
pub(super) struct Progress {
    #[cfg(feature = "progress")]
    bar: indicatif::ProgressBar,
    #[cfg(feature = "progress")]
    epochs: usize,
}

#[cfg(feature = "progress")]
impl Progress {
    pub(super) fn new(shown: bool, epochs: usize, steps: usize) -> Self {
        use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
        use std::io::IsTerminal;
        let bar = if shown && std::io::stderr().is_terminal() {
            ProgressBar::with_draw_target(
                Some(epochs.saturating_mul(steps) as u64),
                ProgressDrawTarget::stderr_with_hz(10),
            )
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} ETA {eta} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, epochs }
    }

    pub(super) fn step(&self, epoch: usize, loss: f64) {
        if !self.bar.is_hidden() {
            self.bar.inc(1);
            if self.bar.position().is_multiple_of(16) {
                self.bar.set_prefix(format!("epoch {epoch}/{}, loss {loss:.4}", self.epochs));
            }
        }
    }

    pub(super) fn epoch<F: Scalar>(&self, epoch: &Epoch<'_, F>) {
        if !self.bar.is_hidden() {
            let percent = |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.1} %", 100.0 * share));
            let (train, validation) = (percent(epoch.accuracy), percent(epoch.validation_accuracy));
            self.bar.set_message(format!("accuracy {train}, validation {validation}"));
        }
    }
}

#[cfg(not(feature = "progress"))]
impl Progress {
    pub(super) fn new(_shown: bool, _epochs: usize, _steps: usize) -> Self {
        Self {}
    }

    pub(super) fn step(&self, _epoch: usize, _loss: f64) {}

    pub(super) fn epoch<F: Scalar>(&self, _epoch: &Epoch<'_, F>) {}
}

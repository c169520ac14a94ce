//! Early stopping.

use super::Trainer;
use super::resume::Monitor;
use crate::error::{Error, require};
use crate::history::History;
use crate::layer::Layer;
use crate::loss::Loss;
use crate::optim::Optimizer;
use crate::scalar::Scalar;
use crate::sequential::Sequential;

/// When a run is stopped, and the best network until now.
#[derive(Debug, Clone)]
pub(super) struct Stopping<F: Scalar> {
    by: Monitor,
    patience: usize,
    pub(super) best: Option<Sequential<F>>,
}

impl<F: Scalar, L: Loss<F>, O: Optimizer<F>> Trainer<F, L, O> {
    /// Stops after so many epochs in turn that are no better on the validation data than the best one, and gives the network
    /// the parameters and running statistics of that best one back, however the run ends but by an error. The optimizer's state
    /// stays that of the last step. A patience of `usize::MAX` never stops.
    ///
    /// Of equal epochs the first is the best; one whose figure is NaN never is. A checkpoint holds the best network where it is
    /// not the last one: a resumed run stops where the whole one would have, with the same bits.
    ///
    /// ```
    /// use gradus::prelude::*;
    /// let (train, validation) = Digits::load::<f32>()?.shuffle(&mut rng(1)).take(300)?.split(0.5)?;
    /// let mut net = Sequential::mlp(train.width(), &[50], train.classes()).build(&mut rng(1))?;
    /// let history = Trainer::new(SoftmaxCrossEntropy, Adam { learning_rate: 0.03, ..Adam::default() })
    ///     .epochs(1000)
    ///     .validate(&validation)
    ///     .early_stopping(Monitor::Loss, 5)
    ///     .fit(&mut net, &train)?;
    /// let losses: Vec<f64> = history.epochs.iter().filter_map(|epoch| epoch.validation_loss).collect();
    /// let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    /// assert_eq!(losses[losses.len() - 6], best);
    /// assert_eq!(net.loss(&SoftmaxCrossEntropy, &validation)?, best);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// Of `fit`: a patience of 0, no validation data, or an accuracy to go by where targets are no classes.
    #[doc(alias = "patience")]
    pub fn early_stopping(mut self, by: Monitor, patience: usize) -> Self {
        self.stopping = Some(Stopping { by, patience, best: None });
        self
    }

    pub(super) fn check_stopping(&self) -> Result<(), Error> {
        let Some(Stopping { patience, .. }) = self.stopping else { return Ok(()) };
        require(patience > 0, "early_stopping", "a patience of at least 1 epoch", patience)?;
        if self.validation.is_none() {
            return Err(Error::empty("rows of validation data, to stop early by"));
        }
        Ok(())
    }

    /// Keeps the network where the last epoch was the best.
    pub(super) fn keep_if_best(&mut self, net: &Sequential<F>, history: &History) -> Result<(), Error> {
        let Some(stopping) = &mut self.stopping else { return Ok(()) };
        stopping.by.require(history)?;
        if stopping.by.best_epoch(&history.epochs) == history.epochs.len().checked_sub(1) {
            stopping.best = Some(net.clone());
        }
        Ok(())
    }

    /// Whether the best epoch was too long ago.
    pub(super) fn has_stopped(&self, history: &History) -> bool {
        let epochs = &history.epochs;
        self.stopping.as_ref().is_some_and(|stopping| {
            let since = stopping.by.best_epoch(epochs).map_or(epochs.len(), |best| epochs.len() - 1 - best);
            since >= stopping.patience
        })
    }

    /// Gives the network what the best one had.
    pub(super) fn give_best_back(&mut self, net: &mut Sequential<F>) {
        let Some(best) = self.stopping.as_mut().and_then(|stopping| stopping.best.take()) else { return };
        let mut values = Vec::new();
        best.params(&mut |param| values.push(param.value.clone()));
        drop(best);
        let mut values = values.into_iter();
        net.params_mut(&mut |param| param.value = values.next().expect("a copy has as many parameters"));
    }

    /// The best network of a run, where it is another one than the last.
    pub(super) fn best_before(&self, history: &History) -> Option<&Sequential<F>> {
        let stopping = self.stopping.as_ref()?;
        let is_last = stopping.by.best_epoch(&history.epochs) == history.epochs.len().checked_sub(1);
        stopping.best.as_ref().filter(|_| !is_last)
    }

    /// Goes on with the best network of a checkpoint: one of its own, or else `net`, if its last epoch was the best.
    pub(super) fn restore_best(&mut self, best: Option<Sequential<F>>, net: &Sequential<F>, history: &History) {
        if let Some(stopping) = &mut self.stopping {
            let is_last = stopping.by.best_epoch(&history.epochs) == history.epochs.len().checked_sub(1);
            stopping.best = best.or_else(|| (is_last && !history.epochs.is_empty()).then(|| net.clone()));
        }
    }
}

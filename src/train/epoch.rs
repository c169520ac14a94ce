use std::ops::Deref;

use super::pass::Outcome;
use crate::history::{EpochRecord, History};
use crate::scalar::Scalar;
use crate::sequential::Sequential;

/// What the per-epoch closure sees: the epoch's [`EpochRecord`] (by dereference), the network, all records so far.
#[derive(Debug)]
pub struct Epoch<'a, F: Scalar> {
    /// The network as it is now.
    pub net: &'a Sequential<F>,
    /// All that was recorded so far, this epoch included.
    pub history: &'a History,
}

impl<F: Scalar> Deref for Epoch<'_, F> {
    type Target = EpochRecord;

    fn deref(&self) -> &EpochRecord {
        self.history.epochs.last().expect("an epoch is shown after its record was made")
    }
}

/// What the per-step closure sees.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct StepRecord {
    /// Which step of the optimizer, from 1.
    pub number: u64,
    /// Which epoch it is of, from 1.
    pub epoch: usize,
    /// The loss of its batch: in training mode, before the update, with the weight penalty.
    pub loss: f64,
    /// Its learning rate.
    pub learning_rate: f64,
}

/// Sums over the batches of an epoch.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) rows: usize,
    loss: f64,
    weight: f64,
    pub(super) right: Option<usize>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { rows: 0, loss: 0.0, weight: 0.0, right: Some(0) }
    }
}

impl Tally {
    pub(super) fn add(&mut self, rows: usize, outcome: &Outcome) {
        self.rows += rows;
        self.loss += outcome.loss * outcome.weight;
        self.weight += outcome.weight;
        self.right = self.right.zip(outcome.right).map(|(sum, right)| sum + right);
    }

    /// The mean over the rows, as the loss weighs them.
    pub(super) fn loss(&self) -> f64 {
        self.loss / self.weight
    }
}

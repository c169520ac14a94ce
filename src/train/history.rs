use std::ops::Deref;

use crate::scalar::Scalar;
use crate::sequential::Sequential;

/// What a run recorded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// The training loss of every step: of its batch, in training mode, before the update, with the L2 penalty.
    pub losses: Vec<f64>,
    /// A row for every finished epoch.
    pub epochs: Vec<EpochRecord>,
}

/// The figures of one epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochRecord {
    /// Which epoch, from 1.
    pub epoch: usize,
    /// Steps the optimizer has taken by its end.
    pub steps: u64,
    /// The learning rate of its last step.
    pub learning_rate: f64,
    /// Mean training loss over the epoch's rows: each measured in training mode as its batch came by, before that
    /// batch's update, with the L2 penalty.
    pub loss: f64,
    /// Share of the epoch's rows that were classified rightly, measured on the same outputs as `loss`. It costs
    /// nothing, and lags behind the network as it is at the end of the epoch. `None` where targets are not classes.
    pub accuracy: Option<f64>,
    /// Mean loss on the validation data after the epoch, in inference mode, without penalty.
    pub validation_loss: Option<f64>,
    /// Accuracy on the validation data after the epoch, in inference mode.
    pub validation_accuracy: Option<f64>,
}

/// What the per-epoch closure sees: the epoch's [`EpochRecord`] (by dereference), the network, all records so far.
#[derive(Debug)]
pub struct Epoch<'a, F: Scalar> {
    /// The network as it is now.
    pub net: &'a Sequential<F>,
    /// All that was recorded until now, this epoch included.
    pub history: &'a History,
}

impl<F: Scalar> Deref for Epoch<'_, F> {
    type Target = EpochRecord;

    fn deref(&self) -> &EpochRecord {
        self.history.epochs.last().expect("an epoch is shown after its record was made")
    }
}

//! What a run records.

use serde::{Deserialize, Serialize};

use crate::json::exact;

/// What a run recorded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// The training loss of every step: of its batch, in training mode, before the update, with the L2 penalty.
    pub losses: Vec<f64>,
    /// A row for every finished epoch.
    pub epochs: Vec<EpochRecord>,
}

/// The figures of one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Which epoch, from 1.
    pub epoch: usize,
    /// Steps the optimizer has taken by its end.
    pub steps: u64,
    /// The learning rate of its last step.
    #[serde(with = "exact")]
    pub learning_rate: f64,
    /// Mean training loss over the epoch's rows: each measured in training mode, before the update of its
    /// batch, with the L2 penalty.
    #[serde(with = "exact")]
    pub loss: f64,
    /// Share of the epoch's rows that were classified correctly, measured on the same outputs as `loss`. It costs
    /// nothing, and lags behind the network as it is at the end of the epoch. `None` where targets are not classes.
    #[serde(with = "exact")]
    pub accuracy: Option<f64>,
    /// Mean loss on the validation data after the epoch, in inference mode, without penalty.
    #[serde(with = "exact")]
    pub validation_loss: Option<f64>,
    /// Accuracy on the validation data after the epoch, in inference mode.
    #[serde(with = "exact")]
    pub validation_accuracy: Option<f64>,
}

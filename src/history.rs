//! What a run records.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

use crate::json::exact;

/// What a run recorded. It can be shown as a table and written as CSV, or as JSON by serde.
///
/// ```
/// use gradus::prelude::*;
/// let digits = Digits::load::<f32>()?.take(300)?;
/// let mut net = Sequential::mlp(64, &[20], 10).build(&mut rng(1))?;
/// let history = Trainer::new(SoftmaxCrossEntropy, Adam::default()).epochs(3).fit(&mut net, &digits)?;
/// println!("{history}");
/// assert_eq!(history.to_string().lines().count(), 4);
/// assert!(history.to_csv().starts_with("epoch,steps,learning_rate,loss,accuracy,"));
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// The training loss of every step: of its batch, in training mode, before the update, with the L2 penalty.
    #[serde(with = "exact")]
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

impl History {
    /// The epochs as CSV: a header, then a line each, every number with the digits from which it reads back. A figure that
    /// was not measured is an empty field.
    pub fn to_csv(&self) -> String {
        let mut csv = "epoch,steps,learning_rate,loss,accuracy,validation_loss,validation_accuracy\n".to_string();
        for record in &self.epochs {
            let EpochRecord { epoch, steps, learning_rate, loss, .. } = record;
            let optional = [record.accuracy, record.validation_loss, record.validation_accuracy];
            let [accuracy, on_loss, on_accuracy] = optional.map(|x| x.map_or(String::new(), |x| x.to_string()));
            csv += &format!("{epoch},{steps},{learning_rate},{loss},{accuracy},{on_loss},{on_accuracy}\n");
        }
        csv
    }
}

impl Display for History {
    /// A table of the epochs, 70 columns wide.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("epoch    steps       rate        loss   accuracy  val. loss  val. acc.")?;
        for record in &self.epochs {
            let percent = |share: Option<f64>| share.map_or(String::new(), |share| format!("{:.2} %", 100.0 * share));
            let (rate, loss) = (number(record.learning_rate), number(record.loss));
            let (accuracy, on_accuracy) = (percent(record.accuracy), percent(record.validation_accuracy));
            let on_loss = record.validation_loss.map_or(String::new(), number);
            let (epoch, steps) = (record.epoch, record.steps);
            let line =
                format!("{epoch:>5} {steps:>8} {rate:>10} {loss:>11} {accuracy:>10} {on_loss:>10} {on_accuracy:>10}");
            write!(f, "\n{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Five digits behind the point, or an exponent where that says nothing.
fn number(x: f64) -> String {
    if x == 0.0 || (1e-3..1e4).contains(&x.abs()) { format!("{x:.5}") } else { format!("{x:.3e}") }
}

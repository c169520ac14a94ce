//! Learning 300 rows by heart: what the examples of the remedies have in common.

use gradus::prelude::*;
use gradus::rand::Rng;

use super::figure::{Axis, Mark, PALETTE, Panel};
use super::{Progress, draw, percent};

pub const ROWS: usize = 300;
const BATCH: usize = 100;
pub const UPDATES_AN_EPOCH: usize = ROWS / BATCH;
/// 6,000 updates and the one after.
pub const LONG_EPOCHS: usize = 2001;

/// (epoch, training accuracy, test accuracy), after the epoch's first update.
pub type Record = (usize, f64, f64);

/// Trains on batches of the first 300 rows. Every one of the book's epochs is recorded, then every tenth.
pub fn train(
    net: &mut Sequential,
    mut trainer: Trainer<'_, f32, SoftmaxCrossEntropy, SGD>,
    (train, test): (&Dataset, &Dataset),
    (epochs, book_epochs): (usize, usize),
    rng: &mut impl Rng,
) -> Result<Vec<Record>, Error> {
    let train = train.take(ROWS)?;
    let mut batch = Batch::default();
    let mut records = Vec::new();
    let mut progress = Progress::new("training", epochs);
    for update in 0..=(epochs - 1) * UPDATES_AN_EPOCH {
        train.gather(&draw(ROWS, BATCH, rng), &mut batch);
        trainer.step(net, &mut batch)?;
        let epoch = update / UPDATES_AN_EPOCH;
        if update % UPDATES_AN_EPOCH == 0 && (epoch < book_epochs || epoch.is_multiple_of(10)) {
            records.push((epoch, net.accuracy(&train)?, net.accuracy(test)?));
            progress.set(epoch);
        }
    }
    Ok(records)
}

/// Training accuracy, test accuracy and the gap between them at an epoch.
pub fn cells(records: &[Record], epoch: usize) -> [String; 3] {
    let (_, train, test) = records.iter().rfind(|record| record.0 <= epoch).copied().unwrap_or_default();
    [percent(train), percent(test), percent(train - test)]
}

/// The curves of a run up to its `last` epoch.
pub fn panel(title: String, records: &[Record], last: usize) -> Panel {
    let points = |which: fn(&Record) -> f64| {
        let records = records.iter().filter(move |record| record.0 <= last);
        records.map(move |record| (record.0 as f64, which(record)))
    };
    let curves = [Mark::line(points(|record| record.1), PALETTE[0]), Mark::line(points(|record| record.2), PALETTE[1])];
    Panel::new(title, Axis::new("epoch (3 updates)"), Axis::new("accuracy").range(0.0, 1.0)).with(curves)
}

//! Learning 300 rows by heart: what the examples of the remedies have in common.

use gradus::prelude::*;
use gradus::rand::Rng;

use super::{Arguments, Axis, Curve, Curves, Outcome, Progress, Table, draw, percent};

const ROWS: usize = 300;
const BATCH: usize = 100;
const UPDATES_AN_EPOCH: usize = ROWS / BATCH;
/// 6,000 updates and the one after.
pub const LONG_EPOCHS: usize = 2001;

/// (epoch, training accuracy, test accuracy), after the epoch's first update.
pub type Record = (usize, f64, f64);

/// Trains on batches of the first 300 rows. Every one of the book's epochs is recorded, then every tenth.
pub fn train(
    net: &mut Sequential,
    mut trainer: Trainer<f32, SoftmaxCrossEntropy, SGD>,
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

/// Prints, writes and draws the accuracies of every arm of `what`, after the book's epochs and after all.
pub fn show(
    arguments: &Arguments,
    (file, title): (&str, &str),
    what: &str,
    book_epochs: usize,
    arms: &[(String, Vec<Record>)],
) -> Outcome {
    let last = arms[0].1.last().map_or(0, |record| record.0);
    let marks = [last.min(book_epochs - 1), last];
    let header = marks.map(|mark| format!("at {}: training", mark + 1));
    let mut table = Table::new([what, &header[0], "test", "gap", &header[1], "test", "gap"]);
    for (name, records) in arms {
        let cells = marks.into_iter().flat_map(|mark| {
            let (_, train, test) = records.iter().rfind(|record| record.0 <= mark).copied().unwrap_or_default();
            [percent(train), percent(test), percent(train - test)]
        });
        table.row([name.clone()].into_iter().chain(cells));
    }
    let [short, long] = marks.map(|mark| mark + 1);
    println!("{ROWS} training rows, after {short} and {long} epochs of {UPDATES_AN_EPOCH} updates:\n\n{table}");

    let axes = (Axis::new("epoch (3 updates)"), Axis::new("accuracy").range(0.0, 1.0));
    let panels = arms.iter().map(|(name, records)| {
        let curve = |name, of: fn(&Record) -> f64| {
            Curve::line(name, records.iter().map(|record| (record.0 as f64, of(record))))
        };
        (format!("{what} {name}"), [curve("training", |record| record.1), curve("test", |record| record.2)])
    });
    Curves::new(title, axes.0, axes.1)
        .grid(arms.len(), (330, 270))
        .zoom(marks[0] as f64)
        .panels(panels)
        .show(arguments, file)
}

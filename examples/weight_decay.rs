//! Overfitting on 300 rows, and weight decay against it.
//!
//! ```text
//! cargo run --release --example weight_decay -- [--data DIR --seed N --out DIR --quick]
//! ```
//!
//! 6 hidden layers of 100 ReLUs, SGD 0.01, batches of 100; an "epoch" is 3 updates, as the book counts them. To
//! expect: without decay the net learns its 300 rows by heart; with λ = 0.1, the book's choice, the gap between
//! training and test accuracy is narrower after the book's 201 epochs, but so is the net's grasp: its **test accuracy
//! is lower too** (on MNIST 73 % against 76 %, in every one of ten runs of the book's own code), and stays so. A λ that
//! wins is smaller and needs longer: 0.003, after 6,000 updates, is ahead of no decay on the test data (on MNIST by
//! 1.2 points, mean over four seeds; on the embedded digits by 0.9). It was chosen on these same test data, so the gain is a
//! little optimistic.

mod support;

use std::process::ExitCode;

use gradus::Batch;
use gradus::prelude::*;
use support::figure::{Axis, Figure, Mark, PALETTE, Panel};
use support::{Arguments, Outcome, Progress, draw, percent, table::Table};

const ROWS: usize = 300;
const BATCH: usize = 100;
const UPDATES_AN_EPOCH: usize = ROWS / BATCH;
/// The book's length; from there on every tenth epoch is recorded.
pub(crate) const BOOK_EPOCHS: usize = 201;
/// 6,000 updates and the one after.
pub(crate) const LONG_EPOCHS: usize = 2001;
pub(crate) const LAMBDAS: [f64; 3] = [0.0, 0.003, 0.1];

/// (epoch, training accuracy, test accuracy), after the epoch's first update.
pub(crate) type Record = (usize, f64, f64);

/// One way of training.
pub(crate) struct Run {
    pub(crate) lambda: f64,
    pub(crate) records: Vec<Record>,
    /// Σ W² at the end.
    pub(crate) sum_of_squares: f64,
}

/// Every run of a seed begins with the same weights and sees the same batches.
pub(crate) fn train(train: &Dataset, test: &Dataset, lambda: f64, seed: u64, epochs: usize) -> Result<Run, Error> {
    let train = train.take(ROWS)?;
    let mut rng = gradus::rng(seed);
    let mut net = Sequential::<f32>::mlp(train.width(), &[100; 6], train.classes()).build(&mut rng)?;
    let mut trainer =
        Trainer::new(SoftmaxCrossEntropy, SGD { learning_rate: 0.01 }).weight_decay(WeightDecay::L2(lambda));

    let mut batch = Batch::default();
    let mut records = Vec::new();
    let mut progress = Progress::new(format!("λ = {lambda}"), epochs);
    for update in 0..=(epochs - 1) * UPDATES_AN_EPOCH {
        train.gather(&draw(ROWS, BATCH, &mut rng), &mut batch);
        trainer.step(&mut net, &mut batch)?;
        let epoch = update / UPDATES_AN_EPOCH;
        if update % UPDATES_AN_EPOCH == 0 && (epoch < BOOK_EPOCHS || epoch.is_multiple_of(10)) {
            records.push((epoch, net.accuracy(&train)?, net.accuracy(test)?));
            progress.set(epoch);
        }
    }
    Ok(Run { lambda, records, sum_of_squares: sum_of_squares(&net) })
}

fn sum_of_squares(net: &Sequential) -> f64 {
    let mut sum = 0.0;
    net.params(&mut |param| {
        if param.role == gradus::Role::Weight {
            sum += param.value.iter().map(|w| f64::from(w * w)).sum::<f64>();
        }
    });
    sum
}

fn run(arguments: &Arguments) -> Outcome {
    let data = arguments.load()?;
    let epochs = arguments.steps(LONG_EPOCHS, 20);
    let runs = LAMBDAS.map(|lambda| train(&data.train, &data.test, lambda, arguments.seed, epochs));
    let runs: Vec<Run> = runs.into_iter().collect::<Result<_, _>>()?;

    let marks = [epochs.min(BOOK_EPOCHS) - 1, epochs - 1];
    println!(
        "{ROWS} training rows, after {} and {} epochs of {UPDATES_AN_EPOCH} updates:\n",
        marks[0] + 1,
        marks[1] + 1
    );
    let [short, long] = marks.map(|mark| format!("at {}: training", mark + 1));
    let mut table = Table::new(&["λ", &short, "test", "gap", &long, "test", "gap", "Σ W²"]);
    for run in &runs {
        let figures = marks.into_iter().flat_map(|mark| {
            let (_, train, test) = run.records.iter().rfind(|record| record.0 <= mark).copied().unwrap_or_default();
            [percent(train), percent(test), percent(train - test)]
        });
        let squares = format!("{:.0}", run.sum_of_squares);
        table.row([run.lambda.to_string()].into_iter().chain(figures).chain([squares]));
    }
    println!("{table}");

    let rows = runs.iter().flat_map(|run| {
        run.records.iter().map(move |(epoch, train, test)| format!("{},{epoch},{train},{test}", run.lambda))
    });
    arguments.csv("weight_decay.csv", "lambda,epoch,train_accuracy,test_accuracy", rows)?;

    let panels = marks.into_iter().flat_map(|last| runs.iter().map(move |run| panel(run, last)));
    let title = "Overfitting 300 rows, and weight decay: the book's 201 epochs, and 2,001";
    let figure = Figure::grid(title, runs.len(), (330, 270), panels.collect());
    arguments.svg("weight_decay.svg", &figure.legend(["training", "test"].into_iter().zip(PALETTE)))
}

/// The curves of a run up to its `last` epoch.
fn panel(run: &Run, last: usize) -> Panel {
    let points = |which: fn(&Record) -> f64| {
        let records = run.records.iter().filter(move |record| record.0 <= last);
        records.map(move |record| (record.0 as f64, which(record)))
    };
    let curves = [Mark::line(points(|record| record.1), PALETTE[0]), Mark::line(points(|record| record.2), PALETTE[1])];
    let title = if run.lambda == 0.0 { "no decay".into() } else { format!("λ = {}", run.lambda) };
    Panel::new(title, Axis::new("epoch (3 updates)"), Axis::new("accuracy").range(0.0, 1.0)).with(curves)
}

fn main() -> ExitCode {
    support::main("weight_decay", "Overfitting 300 rows, and weight decay against it.", run)
}

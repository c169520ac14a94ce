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

use gradus::prelude::*;
use support::figure::{Figure, PALETTE};
pub(crate) use support::overfit::Record;
use support::overfit::{self, LONG_EPOCHS, ROWS, UPDATES_AN_EPOCH};
use support::{Arguments, Outcome, table::Table};

pub(crate) const BOOK_EPOCHS: usize = 201;
pub(crate) const LAMBDAS: [f64; 3] = [0.0, 0.003, 0.1];

/// One way of training.
pub(crate) struct Run {
    pub(crate) lambda: f64,
    pub(crate) records: Vec<Record>,
    /// Σ W² at the end.
    pub(crate) sum_of_squares: f64,
}

/// Every run of a seed begins with the same weights and sees the same batches.
pub(crate) fn train(train: &Dataset, test: &Dataset, lambda: f64, seed: u64, epochs: usize) -> Result<Run, Error> {
    let mut rng = gradus::rng(seed);
    let mut net = Sequential::<f32>::mlp(train.width(), &[100; 6], train.classes()).build(&mut rng)?;
    let trainer = Trainer::new(SoftmaxCrossEntropy, SGD { learning_rate: 0.01 }).weight_decay(WeightDecay::L2(lambda));
    let records = overfit::train(&mut net, trainer, (train, test), (epochs, BOOK_EPOCHS), &mut rng)?;
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
        let figures = marks.into_iter().flat_map(|mark| overfit::cells(&run.records, mark));
        let squares = format!("{:.0}", run.sum_of_squares);
        table.row([run.lambda.to_string()].into_iter().chain(figures).chain([squares]));
    }
    println!("{table}");

    let rows = runs.iter().flat_map(|run| {
        run.records.iter().map(move |(epoch, train, test)| format!("{},{epoch},{train},{test}", run.lambda))
    });
    arguments.csv("weight_decay.csv", "lambda,epoch,train_accuracy,test_accuracy", rows)?;

    let panel = |run: &Run, last| {
        let title = if run.lambda == 0.0 { "no decay".into() } else { format!("λ = {}", run.lambda) };
        overfit::panel(title, &run.records, last)
    };
    let panels = marks.into_iter().flat_map(|last| runs.iter().map(move |run| panel(run, last)));
    let title = "Overfitting 300 rows, and weight decay: the book's 201 epochs, and 2,001";
    let figure = Figure::grid(title, runs.len(), (330, 270), panels.collect());
    arguments.svg("weight_decay.svg", &figure.legend(["training", "test"].into_iter().zip(PALETTE)))
}

fn main() -> ExitCode {
    support::main("weight_decay", "Overfitting 300 rows, and weight decay against it.", run)
}

//! Weight decay narrows the gap between training and test accuracy on 300 rows; a strong one costs test accuracy too.
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
//! 1.2 points, mean over four seeds; on the embedded digits by 0.2). It was chosen on these same test data, so the gain is a
//! little optimistic.

mod support;

use std::process::ExitCode;

use gradus::prelude::*;
pub(crate) use support::overfit::Record;
use support::overfit::{self, LONG_EPOCHS};
use support::{Arguments, Outcome};

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
        if param.role == Role::Weight {
            sum += param.value.iter().map(|w| f64::from(w * w)).sum::<f64>();
        }
    });
    sum
}

fn run(arguments: &Arguments) -> Outcome {
    let data = arguments.load()?;
    let epochs = arguments.steps(LONG_EPOCHS, 20);
    let mut arms = Vec::new();
    for lambda in LAMBDAS {
        let Run { lambda, records, sum_of_squares } = train(&data.train, &data.test, lambda, arguments.seed, epochs)?;
        println!("λ {lambda}: Σ W² {sum_of_squares:.0} after {epochs} epochs");
        arms.push((lambda.to_string(), records));
    }
    let title = "Overfitting 300 rows, and weight decay: the book's 201 epochs, and 2,001";
    overfit::show(arguments, ("weight_decay", title), "λ", BOOK_EPOCHS, &arms)
}

fn main() -> ExitCode {
    support::main("Overfitting on 300 rows, and weight decay against it.", run)
}

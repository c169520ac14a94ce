//! Dropout against overfitting on 300 rows: after the book's 301 epochs test accuracy is lower, after 2,001 higher.
//!
//! ```text
//! cargo run --release --example dropout -- [--data DIR --seed N --out DIR --quick]
//! ```
//!
//! 6 hidden layers of 100 ReLUs, SGD 0.01, batches of 100; an "epoch" is 3 updates, as the book counts them;
//! Dropout 0.2 after every ReLU. To expect: after the book's 301 epochs (903 updates) the gap between training and
//! test accuracy is narrower, but **test accuracy is lower too** (on MNIST 52 % against 76 %): six book-form layers
//! shrink signal and gradients by 0.8 each, and the net is simply undertrained. By 6,000 updates it knows its rows
//! by heart as well and is ahead on the test data, on MNIST by 0.8 to 2 points. The inverted form, which keeps the
//! scale, learns faster.

mod support;

use std::process::ExitCode;

use gradus::prelude::*;
pub(crate) use support::overfit::{LONG_EPOCHS, Record};
use support::{Arguments, Outcome, overfit};

pub(crate) const BOOK_EPOCHS: usize = 301;
pub(crate) const ARMS: [(&str, f64, DropoutForm); 3] =
    [("0", 0.0, DropoutForm::Book), ("0.2 book", 0.2, DropoutForm::Book), ("0.2 inverted", 0.2, DropoutForm::Inverted)];

/// Every run of a seed sees the same batches.
pub(crate) fn train(
    train: &Dataset,
    test: &Dataset,
    (_, ratio, form): (&str, f64, DropoutForm),
    seed: u64,
    epochs: usize,
) -> Result<Vec<Record>, Error> {
    let (mut weights, mut batches) = (gradus::rng(seed), gradus::rng(seed + 1_000_000));
    let hidden = (0..6).fold(Sequential::<f32>::input(train.width()), |net, _| {
        net.affine(100, Init::He).relu().dropout_with(ratio, form)
    });
    let mut net = hidden.affine(train.classes(), Init::He).build(&mut weights)?;
    let trainer = Trainer::new(SoftmaxCrossEntropy, SGD { learning_rate: 0.01 });
    overfit::train(&mut net, trainer, (train, test), (epochs, BOOK_EPOCHS), &mut batches)
}

fn run(arguments: &Arguments) -> Outcome {
    let data = arguments.load()?;
    let epochs = arguments.steps(LONG_EPOCHS, 40);
    let mut runs = Vec::new();
    for arm in ARMS {
        runs.push((arm.0.to_string(), train(&data.train, &data.test, arm, arguments.seed, epochs)?));
    }

    let title = "Overfitting 300 rows, and dropout: the book's 301 epochs, and 2,001";
    overfit::show(arguments, ("dropout", title), "dropout", BOOK_EPOCHS, &runs)
}

fn main() -> ExitCode {
    support::main("Dropout against overfitting on 300 rows.", run)
}

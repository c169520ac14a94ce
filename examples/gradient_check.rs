//! A bug in a layer's backward shows in the parameters before that layer, and in none behind it.
//!
//! ```text
//! cargo run --release --example gradient_check -- [--data DIR --seed N --out DIR]
//! ```
//!
//! A net with BatchNorm in f64, every parameter. To expect: relative errors below 1e-7 for the right net; with a
//! ReLU that forgets its mask in backward, errors of order 1 in every parameter *before* it (but for the biases
//! that a BatchNorm takes out again: their gradient is 0) and none behind, which is how to find it.
//!
//! The third column is the book's own check, on a batch of **one** row. There it proves nothing: over one row
//! BatchNorm's x̂ is 0 and its output β alone, 0 at the start, so that every ReLU sits exactly on its kink.
//! Backpropagation takes the slope there as 0, the numerical gradient finds a half, and all gradients before are 0
//! on both sides. So: use a batch.

mod support;

use std::process::ExitCode;

use gradus::check::{self, Report};
use gradus::ndarray::Array2;
use gradus::prelude::*;
use support::{Arguments, Data, Outcome, gradients};

/// A ReLU whose author forgot that backward needs the mask.
#[derive(Debug, Clone, Default)]
pub(crate) struct Maskless(ReLU<f64>);

impl Layer<f64> for Maskless {
    fn forward(&mut self, input: Array2<f64>, pass: &mut Pass<'_>) -> Array2<f64> {
        self.0.forward(input, pass)
    }

    fn backward(&mut self, grad: Array2<f64>) -> Array2<f64> {
        grad
    }

    fn infer(&self, input: Array2<f64>) -> Array2<f64> {
        self.0.infer(input)
    }
}

/// 2 hidden layers with BatchNorm; the planted bug is in the second one's ReLU.
pub(crate) fn network(inputs: usize, bug: bool, seed: u64) -> Result<Sequential<f64>, Error> {
    let net = Sequential::input(inputs).affine(20, Init::He).batch_norm().relu().affine(20, Init::He).batch_norm();
    let net = if bug { net.layer(Maskless::default()) } else { net.relu() };
    net.affine(10, Init::He).build(&mut gradus::rng(seed))
}

pub(crate) fn report(data: &Dataset<f64>, rows: usize, bug: bool, seed: u64) -> Result<Report, Error> {
    let batch = data.take(rows)?;
    let net = network(data.width(), bug, seed)?;
    Ok(check::gradients(&net, &SoftmaxCrossEntropy, batch.rows(), batch.targets()))
}

fn run(arguments: &Arguments) -> Outcome {
    let Data { train, .. } = arguments.load()?;
    let report = |rows, bug| report(&train, rows, bug, arguments.seed);
    let reports = [
        ("10 rows", report(10, false)?),
        ("10 rows (planted bug)", report(10, true)?),
        ("1 row (the book's check)", report(1, false)?),
    ];
    gradients::show(arguments, "gradient_check", &reports)
}

fn main() -> ExitCode {
    support::main("Backpropagation against numerical gradients, and a planted bug.", run)
}

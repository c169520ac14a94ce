//! Backpropagation held against numerical gradients, and what a bug looks like.
//!
//! ```text
//! cargo run --release --example gradient_check -- [--data DIR --seed N --out DIR]
//! ```
//!
//! A net with BatchNorm in f64, every parameter. To expect: relative errors below 1e-7 for the right net; with a
//! ReLU that forgets its mask in backward, errors of order 1 in every parameter *before* it and none behind, which
//! is how to find it.
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
use support::figure::{Axis, Figure, Mark, PALETTE, Panel};
use support::{Arguments, Outcome, table::Table};

/// A ReLU whose author forgot that backward needs the mask.
#[derive(Debug, Default)]
pub(crate) struct Maskless(ReLU<f64>);

impl Layer<f64> for Maskless {
    fn forward(&mut self, input: Array2<f64>) -> Array2<f64> {
        self.0.forward(input)
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
    let mut net = network(data.width(), bug, seed)?;
    Ok(check::gradients(&mut net, &SoftmaxCrossEntropy, batch.rows(), batch.targets()))
}

fn run(arguments: &Arguments) -> Outcome {
    let data = match &arguments.data {
        Some(dir) => gradus::mnist(dir)?.0,
        None => Digits::load()?,
    };
    let seed = arguments.seed;
    let reports = [report(&data, 10, false, seed)?, report(&data, 10, true, seed)?, report(&data, 1, false, seed)?];

    let mut table =
        Table::new(&["largest relative error of", "10 rows", "10 rows, planted bug", "1 row, the book's check"]);
    for i in 0..reports[0].rows.len() {
        let errors = reports.iter().map(|report| format!("{:.1e}", report.rows[i].max_rel));
        table.row([reports[0].rows[i].parameter.clone()].into_iter().chain(errors));
    }
    println!("{table}\nThe right net in full:\n\n{}", reports[0]);

    for (name, report) in ["gradient_check", "gradient_check_bug", "gradient_check_one_row"].into_iter().zip(&reports) {
        let rows = report.rows.iter().map(|row| format!("{},{},{}", row.parameter, row.max_abs, row.max_rel));
        arguments.csv(&format!("{name}.csv"), "parameter,max_abs_error,max_rel_error", rows)?;
    }
    arguments.svg("gradient_check.svg", &picture(&reports))
}

fn picture(reports: &[Report; 3]) -> Figure {
    let (rows, least) = (&reports[0].rows, 1e-16);
    let height = |i: usize| -(i as f64);
    let mut marks = Vec::new();
    for (report, color) in reports.iter().zip(PALETTE) {
        let points = report.rows.iter().enumerate().map(|(i, row)| (row.max_rel.max(least), height(i)));
        marks.push(Mark::dots(points, color));
    }
    marks.extend(
        rows.iter().enumerate().map(|(i, row)| Mark::Note { at: (3e-20, height(i)), text: row.parameter.clone() }),
    );
    let x = Axis::new("largest relative error (1e-16 stands for less, too)").range(2e-20, 10.0).log();
    let y = Axis::new("").range(height(rows.len()), 1.0).bare();
    let legend = ["10 rows", "10 rows, planted bug", "1 row, as in the book"];
    Figure::single("Backpropagation against numerical gradients", Panel::new("", x, y).with(marks))
        .legend(legend.into_iter().zip(PALETTE))
}

fn main() -> ExitCode {
    support::main("gradient_check", "Backpropagation against numerical gradients, and a planted bug.", run)
}

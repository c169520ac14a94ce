//! Too large initial weights push outputs to the ends of sigmoid and tanh, too small ones make them all alike; Xavier
//! and He keep them spread.
//!
//! ```text
//! cargo run --release --example activation_histograms
//! ```
//!
//! 1,000 rows of 100 values through 5 layers of 100, no training. To expect: with std 1 a sigmoid's outputs sit at
//! 0 and 1, where it lets no gradient through (65 % saturated in layer 5), and tanh's at ±1 (85 %); with std 0.01
//! they are all alike, and ReLU's die out (std 1.5e-6 in layer 5); Xavier keeps the outputs of sigmoid and tanh
//! spread, and only He those of ReLU (std 0.83 in every layer).

mod support;

use std::ops::Range;
use std::process::ExitCode;

use gradus::metric::{Histogram, Summary};
use gradus::prelude::*;
use support::{Arguments, Outcome, Table, histograms, percent};

const LAYERS: usize = 5;
const WIDTH: usize = 100;
const BINS: usize = 30;

pub(crate) const ACTIVATIONS: [&str; 3] = ["sigmoid", "tanh", "ReLU"];
pub(crate) const INITS: [(&str, Init); 4] =
    [("std 1", Init::Normal(1.0)), ("std 0.01", Init::Normal(0.01)), ("Xavier", Init::Xavier), ("He", Init::He)];

/// The outputs of each activation of one network.
pub(crate) struct Column {
    pub(crate) activation: &'static str,
    pub(crate) init: &'static str,
    pub(crate) layers: Vec<(Summary, Histogram)>,
}

impl Column {
    /// Share of a layer's values at a flat end of the activation: for ReLU exactly 0.
    pub(crate) fn saturated(&self, layer: usize) -> f64 {
        let summary = &self.layers[layer].0;
        if self.activation == "ReLU" { summary.zero } else { summary.low + summary.high }
    }
}

pub(crate) fn columns(seed: u64) -> Result<Vec<Column>, Error> {
    let mut columns = Vec::new();
    for activation in ACTIVATIONS {
        for (name, init) in INITS {
            // Every network sees the same inputs, and the same weights but for their scale.
            let mut rng = gradus::rng(seed);
            let rows = Init::Normal(1.0).sample(1000, WIDTH, &mut rng)?;
            let net = (0..LAYERS).fold(Sequential::<f32>::input(WIDTH), |net, _| {
                let net = net.affine(WIDTH, init);
                match activation {
                    "sigmoid" => net.sigmoid(),
                    "tanh" => net.tanh(),
                    _ => net.relu(),
                }
            });
            let outputs = net.build(&mut rng)?.activations(&rows)?;
            // Every second layer is an activation, the others are Affine.
            let outputs: Vec<_> = outputs.iter().skip(1).step_by(2).collect();
            let linear = if activation == "sigmoid" { 0.05..=0.95 } else { -0.95..=0.95 };
            let summaries: Vec<_> = outputs.iter().map(|output| Summary::of(output, linear.clone())).collect();
            let range = range(activation, &summaries);
            let histograms = outputs.iter().map(|output| Histogram::of(output, range.clone(), BINS));
            let layers = summaries.iter().copied().zip(histograms).collect();
            columns.push(Column { activation, init: name, layers });
        }
    }
    Ok(columns)
}

/// The values an activation can have; for ReLU up to three deviations of the widest layer.
fn range(activation: &str, summaries: &[Summary]) -> Range<f64> {
    match activation {
        "sigmoid" => 0.0..1.0,
        "tanh" => -1.0..1.0,
        _ => 0.0..3.0 * summaries.iter().map(|summary| summary.std).fold(0.0, f64::max),
    }
}

fn run(arguments: &Arguments) -> Outcome {
    let columns = columns(arguments.seed)?;
    let mut table = Table::new(["", "std, layer 1", "layer 3", "layer 5", "saturated, layer 1", "layer 3", "layer 5"]);
    let mut nets = Vec::new();
    for column in &columns {
        let name = format!("{} {}", column.activation, column.init);
        let std = [0, 2, 4].map(|layer| format!("{:.3e}", column.layers[layer].0.std));
        let saturated = [0, 2, 4].map(|layer| percent(column.saturated(layer)));
        table.row([name.clone()].into_iter().chain(std).chain(saturated));
        nets.push((name, &column.layers[..]));
    }
    println!("{table}");
    let title = "Outputs of five layers (each to its own height; a bar far above the others is cut)";
    histograms::show(arguments, "activation_histograms", title, &nets)
}

fn main() -> ExitCode {
    support::main("Outputs of five layers by activation and initial weights.", run)
}

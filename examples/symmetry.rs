//! Equal weights stay equal: a layer of 100 units that begin alike is a layer of one.
//!
//! ```text
//! cargo run --release --example symmetry -- [--data DIR --seed N --out DIR --quick]
//! ```
//!
//! 2 hidden layers of 100 ReLUs, Adam, 20 epochs, weights all zero, all 0.05, or random. To expect: every unit of a
//! layer gets the same gradient as its neighbours, so that with equal weights one distinct unit a layer is all
//! there ever is; with zeros nothing but the last bias moves at all (through a ReLU at 0 no gradient passes), and
//! accuracy stays at a guess; with 0.05 the one unit learns a little. Random weights tell the units apart (all but
//! a few, dead on every row and so alike).

mod support;

use std::collections::HashSet;
use std::process::ExitCode;

use gradus::ndarray::Array2;
use gradus::prelude::*;
use support::{Arguments, Axis, Curve, Curves, Outcome, Table, percent};

pub(crate) const INITS: [(&str, Init); 3] =
    [("zeros", Init::Zeros), ("constant 0.05", Init::Constant(0.05)), ("He", Init::He)];
const HIDDEN: usize = 2;

/// One epoch of one net.
pub(crate) struct Record {
    pub(crate) epoch: usize,
    /// In each hidden layer: units whose outputs differ from those of every other, on 1,000 rows.
    pub(crate) distinct: Vec<usize>,
    pub(crate) accuracy: f64,
}

pub(crate) fn train(train: &Dataset, init: Init, seed: u64, epochs: usize) -> Result<(Sequential, Vec<Record>), Error> {
    let train = train.take(train.len().min(5000))?;
    let probe = train.take(1000)?;
    let hidden = (0..HIDDEN).fold(Sequential::input(train.width()), |net, _| net.affine(100, init).relu());
    let mut net = hidden.affine(train.classes(), init).build(&mut gradus::rng(seed))?;

    let record = |epoch: usize, net: &Sequential| -> Result<Record, Error> {
        let outputs = net.activations(probe.rows())?;
        let distinct = outputs.iter().skip(1).step_by(2).map(distinct_units).collect();
        Ok(Record { epoch, distinct, accuracy: net.accuracy(&train)? })
    };
    let mut records = vec![record(0, &net)?];
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default()).epochs(epochs).seed(seed);
    trainer.fit_with(&mut net, &train, |epoch| record(epoch.epoch, epoch.net).map(|record| records.push(record)))?;
    Ok((net, records))
}

/// How many columns are different, to the last bit.
fn distinct_units(outputs: &Array2<f32>) -> usize {
    let bits = |column: gradus::ndarray::ArrayView1<'_, f32>| column.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    outputs.columns().into_iter().map(bits).collect::<HashSet<_>>().len()
}

fn run(arguments: &Arguments) -> Outcome {
    let data = arguments.load()?;
    let epochs = arguments.steps(20, 3);
    let mut runs = Vec::new();
    for (name, init) in INITS {
        let (net, records) = train(&data.train, init, arguments.seed, epochs)?;
        runs.push((name, records, net.accuracy(&data.test)?));
    }

    let mut table = Table::new(["init", "distinct units, layer 1", "layer 2", "training accuracy", "test accuracy"]);
    for (name, records, test) in &runs {
        let last = &records[records.len() - 1];
        let [first, second] = [last.distinct[0], last.distinct[1]].map(|units| format!("{units} of 100"));
        table.row([name.to_string(), first, second, percent(last.accuracy), percent(*test)]);
    }
    println!("after {epochs} epochs:\n\n{table}");

    let curves = |of: fn(&Record) -> f64| {
        runs.iter().map(move |(name, records, _)| {
            let points = records.iter().map(|record| (record.epoch as f64, of(record)));
            // Zeros lie under the constant.
            if *name == "zeros" { Curve::wide(name, points) } else { Curve::line(name, points) }
        })
    };
    Curves::new("Equal weights stay equal", Axis::new("epoch"), Axis::new("units or accuracy"))
        .grid(3, (300, 300))
        .panel("distinct units of 100 in layer 1", curves(|record| record.distinct[0] as f64))
        .panel("distinct units of 100 in layer 2", curves(|record| record.distinct[1] as f64))
        .panel("training accuracy", curves(|record| record.accuracy))
        .show(arguments, "symmetry")
}

fn main() -> ExitCode {
    support::main("What weights that begin equal cost.", run)
}

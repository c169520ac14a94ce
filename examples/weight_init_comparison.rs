//! Three ways to begin, one way to train: std 0.01, Xavier and He under ReLU.
//!
//! ```text
//! cargo run --release --example weight_init_comparison -- [--data DIR --seed N --out DIR --quick]
//! ```
//!
//! 4 hidden layers of 100 ReLUs, SGD 0.01, 2,000 steps of 128 rows drawn with replacement; the loss is that of the
//! step's batch after the update. To expect: with std 0.01 the signal dies on its way through the layers and the
//! loss stays at ln 10 = 2.303, the loss of a guess; He is ahead of Xavier, which is made for tanh and loses half
//! the signal at each ReLU. On MNIST the mean loss over the last 100 steps is 2.301, 0.29 (Xavier) and 0.20 (He).

mod support;

use std::process::ExitCode;

use gradus::prelude::*;
use support::figure::{Axis, Figure, Mark, PALETTE, Panel};
use support::race::{Run, race};
use support::{Arguments, Outcome, mean, percent, smooth, table::Table};

pub(crate) const INITS: [(&str, Init); 3] =
    [("std 0.01", Init::Normal(0.01)), ("Xavier", Init::Xavier), ("He", Init::He)];

pub(crate) fn compare(train: &Dataset, test: &Dataset, seed: u64, steps: usize) -> Result<Vec<Run>, Error> {
    let mut rng = gradus::rng(seed);
    let mut arms = Vec::new();
    for (name, init) in INITS {
        let hidden = (0..4).fold(Sequential::<f32>::input(train.width()), |net, _| net.affine(100, init).relu());
        let net = hidden.affine(train.classes(), init).build(&mut rng)?;
        arms.push((name, net, SGD { learning_rate: 0.01 }));
    }
    race(arms, (train, test), steps, &mut rng)
}

fn run(arguments: &Arguments) -> Outcome {
    let data = arguments.load()?;
    let steps = arguments.steps(2000, 200);
    let runs = compare(&data.train, &data.test, arguments.seed, steps)?;

    let window = steps / 20;
    let mut table = Table::new(&["init", "first loss", "loss at a half", "loss at the end", "test accuracy"]);
    for run in &runs {
        let loss = |end: usize| format!("{:.4}", mean(run.losses[end - window..end].iter().copied()));
        let first = format!("{:.4}", run.losses[0]);
        table.row([run.name.to_string(), first, loss(steps / 2), loss(steps), percent(run.test_accuracy)]);
    }
    println!("loss after the step, mean over {window} steps:\n\n{table}");

    let rows = runs
        .iter()
        .flat_map(|run| run.losses.iter().zip(1..).map(move |(loss, step)| format!("{},{step},{loss}", run.name)));
    arguments.csv("weight_init_comparison.csv", "init,step,loss", rows)?;

    let window = (steps / 50).max(1);
    let (x, y) = (Axis::new("step").range(0.0, steps as f64), Axis::new(&format!("loss (mean over {window} steps)")));
    let curves = runs.iter().zip(PALETTE).map(|(run, color)| Mark::line(smooth(&run.losses, window), color));
    let figure = Figure::single("Three initial weights under ReLU", Panel::new("", x, y.range(0.0, 2.5)).with(curves));
    arguments.svg("weight_init_comparison.svg", &figure.legend(INITS.map(|(name, _)| name).into_iter().zip(PALETTE)))
}

fn main() -> ExitCode {
    support::main("weight_init_comparison", "Initial weights of std 0.01, Xavier and He under ReLU.", run)
}

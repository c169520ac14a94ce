//! Under ReLU, He's initial weights learn at once, Xavier's later, and those of std 0.01 stay at a guess.
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
use support::race::{self, Run};
use support::{Arguments, Axis, Outcome};

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
    race::race(arms, (train, test), steps, &mut rng)
}

fn run(arguments: &Arguments) -> Outcome {
    let data = arguments.load()?;
    let runs = compare(&data.train, &data.test, arguments.seed, arguments.steps(2000, 200))?;
    let title = "Three initial weights under ReLU";
    race::show(arguments, "weight_init_comparison", title, Axis::new("loss").range(0.0, 2.5), &runs)
}

fn main() -> ExitCode {
    support::main("Initial weights of std 0.01, Xavier and He under ReLU.", run)
}

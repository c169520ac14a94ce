//! A net learns sin(x) from noisy points: its error ends near the variance of the noise, 0.01.
//!
//! ```text
//! cargo run --release --example regression -- [--seed N --out DIR --quick]
//! ```
//!
//! 300 points to learn from and 100 for validation, 2 hidden layers of 50 tanh, the squared error, Adam, 200 epochs. To
//! expect: a validation error of 0.0115, and answers that are 0.03 from sin(x) on average, closer than the points are. The
//! picture shows the points, the answers and sin(x).

mod support;

use std::f32::consts::PI;
use std::process::ExitCode;

use gradus::ndarray::Array2;
use gradus::prelude::*;
use gradus::rand::RngExt;
use support::{Arguments, Axis, Curve, Curves, Outcome};

const NOISE: f64 = 0.1;

fn run(arguments: &Arguments) -> Outcome {
    let mut rng = gradus::rng(arguments.seed);
    let x = Array2::from_shape_simple_fn((400, 1), || rng.random_range(-PI..PI));
    let noise: Array2<f32> = Init::Normal(NOISE).sample(400, 1, &mut rng)?;
    let y = x.mapv(f32::sin) + noise;
    let (train, validation) = Dataset::regression(x, y)?.split(0.25)?;

    let mut net = Sequential::<f32>::input(1)
        .affine(50, Init::He)
        .tanh()
        .affine(50, Init::Xavier)
        .tanh()
        .affine(1, Init::Xavier)
        .build(&mut rng)?;
    let history = Trainer::new(MeanSquaredError, Adam { learning_rate: 0.01, ..Adam::default() })
        .batch_size(50)
        .epochs(arguments.steps(200, 50))
        .seed(arguments.seed)
        .validate(&validation)
        .fit(&mut net, &train)?;
    for record in history.epochs.iter().filter(|record| [1, 10, 50, 200].contains(&record.epoch)) {
        let on_validation = record.validation_loss.unwrap_or(f64::NAN);
        println!("epoch {:>3}: training error {:.4}, validation error {on_validation:.4}", record.epoch, record.loss);
    }

    // On a grid without noise.
    let grid = Array2::from_shape_fn((200, 1), |(i, _)| PI * (i as f32 / 99.5 - 1.0));
    let answers = net.predict(&grid)?;
    let distance = (&answers - &grid.mapv(f32::sin)).mapv(f32::abs).mean().unwrap_or(f32::NAN);
    println!("mean distance from sin(x): {distance:.3}; variance of the noise: {:.4}", NOISE * NOISE);

    let points = |x: &Array2<f32>, y: &Array2<f32>| {
        x.iter().zip(y).map(|(&x, &y)| (f64::from(x), f64::from(y))).collect::<Vec<_>>()
    };
    let Targets::Dense(targets) = train.targets() else { unreachable!("targets of a regression are dense") };
    let curves = [
        Curve::dots("training data", points(train.rows(), targets)),
        Curve::line("prediction", points(&grid, &answers)),
        Curve::line("sin(x)", points(&grid, &grid.mapv(f32::sin))),
    ];
    Curves::new("A net learns sin(x) from noisy points", Axis::new("x"), Axis::new("y"))
        .panel("", curves)
        .show(arguments, "regression")
}

fn main() -> ExitCode {
    support::main("A net learns sin(x) from noisy points.", run)
}

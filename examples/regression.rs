//! A net learns a curve from noisy points, in degrees: its error ends near the deviation of the noise, 1 °C.
//!
//! ```text
//! cargo run --release --example regression -- [--seed N --out DIR --quick]
//! ```
//!
//! The temperature over a day, 15 - 10 cos(t) and noise, at 300 times to learn from and 100 for validation. Hours and
//! degrees are brought to mean 0 and variance 1 for the net, 2 hidden layers of 50 tanh, Adam, 200 epochs; a `Model` keeps
//! both scales, answers in degrees, and is saved so. To expect: a root mean squared error of 1.11 °C on the validation data
//! (the noise alone has 1 °C), R² = 0.974, and answers that are 0.46 °C from the curve on average, closer than the points
//! are. One picture shows the points, the answers and the curve; the other the answers against the truth.

mod support;

use std::f64::consts::PI;
use std::process::ExitCode;

use gradus::ndarray::Array2;
use gradus::rand::RngExt;
use gradus::{metric, prelude::*};
use support::{Arguments, Axis, Curve, Curves, Outcome};

/// Degrees.
const NOISE: f64 = 1.0;

/// Degrees at an hour of the day.
fn temperature(hour: f64) -> f64 {
    15.0 - 10.0 * (2.0 * PI * hour / 24.0).cos()
}

/// A model that was trained on these data, in their own units.
fn fit(train: &Dataset<f64>, arguments: &Arguments) -> Result<Model<f64>, Error> {
    let (hours, degrees) = (Normalizer::of(train), Normalizer::of_targets(train)?);
    let scaled = train.clone().normalize(&hours)?.normalize_targets(&degrees)?;
    let mut net = Sequential::input(1)
        .affine(50, Init::Xavier)
        .tanh()
        .affine(50, Init::Xavier)
        .tanh()
        .affine(1, Init::Xavier)
        .build(&mut rng(arguments.seed))?;
    let history = Trainer::new(MeanSquaredError, Adam { learning_rate: 0.01, ..Adam::default() })
        .batch_size(50)
        .epochs(arguments.steps(200, 50))
        .seed(arguments.seed)
        .fit(&mut net, &scaled)?;
    for record in history.epochs.iter().filter(|record| [1, 10, 50, 200].contains(&record.epoch)) {
        println!("epoch {:>3}: training error {:.4} of the variance", record.epoch, record.loss);
    }
    Model::new(net).scale_inputs(hours)?.scale_targets(degrees)
}

fn run(arguments: &Arguments) -> Outcome {
    let mut rng = gradus::rng(arguments.seed);
    let hours = Array2::from_shape_simple_fn((400, 1), || rng.random_range(0.0..24.0));
    let noise: Array2<f64> = Init::Normal(NOISE).sample(400, 1, &mut rng)?;
    let (train, validation) = Dataset::regression(hours.clone(), hours.mapv(temperature) + noise)?.split(0.25)?;

    let path = arguments.file("temperature.safetensors")?;
    fit(&train, arguments)?.save(&path)?;
    let model = Model::<f64>::open(&path)?;
    let error = model.measure(metric::root_mean_squared_error, &validation)?;
    let r2 = model.measure(metric::r2, &validation)?;
    println!("validation: root mean squared error {error:.2} °C, R² {r2:.3}; deviation of the noise: {NOISE} °C");

    // On a grid without noise.
    let grid = Array2::from_shape_fn((200, 1), |(i, _)| 24.0 * i as f64 / 199.0);
    let answers = model.predict(&grid)?;
    let curve = grid.mapv(temperature);
    println!("mean distance from the curve: {:.2} °C", (&answers - &curve).mapv(f64::abs).mean().unwrap_or(f64::NAN));

    let points = |x: &Array2<f64>, y: &Array2<f64>| x.iter().copied().zip(y.iter().copied()).collect::<Vec<_>>();
    let (Some(t), Some(truth)) = (train.dense(), validation.dense()) else { unreachable!("numbers are dense targets") };
    let curves = [
        Curve::dots("training data", points(train.rows(), t)),
        Curve::line("prediction", points(&grid, &answers)),
        Curve::line("15 - 10 cos(t)", points(&grid, &curve)),
    ];
    Curves::new("A net learns a day's temperature from noisy points", Axis::new("hour"), Axis::new("°C"))
        .panel("", curves)
        .show(arguments, "regression")?;
    let against = [
        Curve::dots("validation data", points(truth, &model.predict(validation.rows())?)),
        Curve::line("where all is right", [(3.0, 3.0), (27.0, 27.0)]),
    ];
    Curves::new("Prediction against truth", Axis::new("measured, °C"), Axis::new("predicted, °C"))
        .grid(1, (480, 440))
        .panel("", against)
        .show(arguments, "regression_truth")
}

fn main() -> ExitCode {
    support::main("A net learns a curve from noisy points, in degrees.", run)
}

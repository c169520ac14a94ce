//! Batch normalisation makes a net insensitive to its initial weights, and allows larger learning rates.
//!
//! ```text
//! cargo run --release --example batch_norm -- [--data DIR --seed N --out DIR --quick]
//! ```
//!
//! 5 hidden layers of 100 ReLUs learn 1,000 rows by SGD 0.01 from 16 weight scales, 10⁰ to 10⁻⁴, with BatchNorm and
//! without. To expect: the plain net learns at two or three of the scales (best at 0.29), diverges above them and
//! does not move below; with BatchNorm it learns at all of them, fastest around 0.01, and is ahead everywhere but
//! at 0.29 and 0.16. At one good scale and larger rates the plain net is lost, the one with BatchNorm faster.
//!
//! As in the book an "epoch" is 10 updates on batches of 100 rows drawn with replacement, and accuracy is taken
//! after the first of them. Where a plain net diverges the book goes on with NaN, which its argmax takes for digit
//! 0; here training stops with an error that leaves the net as it was before, and the accuracy of that net is what
//! is recorded from then on (it is as bad: its logits overflow). BatchNorm is set up like the book's: ε 1e-6, which
//! is not small against the variances at scale 10⁻⁴, and a running variance that starts at 0. (Its running variance
//! averages unbiased variances, 1 % larger than the book's.)

mod support;

use std::process::ExitCode;

use gradus::prelude::*;
use gradus::rand::Rng;
use support::{Arguments, Axis, Curve, Curves, Outcome, Progress, Table, draw, numbered, percent};

const ROWS: usize = 1000;
const BATCH: usize = 100;
pub(crate) const EPOCHS: usize = 20;
/// A scale at which the plain net learns too, for the comparison of learning rates.
pub(crate) const GOOD_SCALE: usize = 3;

/// 10⁰ to 10⁻⁴.
pub(crate) fn scales() -> [f64; 16] {
    std::array::from_fn(|i| 10_f64.powf(-4.0 * i as f64 / 15.0))
}

/// One net's way.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) scale: f64,
    pub(crate) learning_rate: f64,
    /// On the training rows, an epoch each.
    pub(crate) accuracies: Vec<f64>,
    /// The step at which the loss or a gradient was no longer finite.
    pub(crate) diverged: Option<u64>,
}

fn network(data: &Dataset, scale: f64, batch_norm: bool, rng: &mut impl Rng) -> Result<Sequential, Error> {
    let mut net = Sequential::input(data.width());
    for _ in 0..5 {
        net = net.affine(100, Init::Normal(scale));
        if batch_norm {
            let mut norm = BatchNorm::new(100)?.with_epsilon(1e-6)?;
            norm.running_var.value.fill(0.0);
            net = net.layer(norm);
        }
        net = net.relu();
    }
    net.affine(data.classes(), Init::Normal(scale)).build(rng)
}

/// The same batches for a net with BatchNorm and one without.
pub(crate) fn train(
    data: &Dataset,
    scale: f64,
    learning_rate: f64,
    epochs: usize,
    rng: &mut impl Rng,
) -> Result<[Run; 2], Error> {
    let optimizer = SGD { learning_rate };
    let mut arm = |batch_norm| {
        let run = Run { scale, learning_rate, accuracies: Vec::new(), diverged: None };
        let net = network(data, scale, batch_norm, rng)?;
        Ok::<_, Error>((run, net, Trainer::new(SoftmaxCrossEntropy, optimizer)))
    };
    let mut arms = [arm(true)?, arm(false)?];

    let mut batch = Batch::default();
    let updates_an_epoch = data.len() / BATCH;
    for update in 0..=(epochs - 1) * updates_an_epoch {
        let rows = draw(data.len(), BATCH, rng);
        for (run, net, trainer) in &mut arms {
            if run.diverged.is_none() {
                data.gather(&rows, &mut batch);
                match trainer.step(net, &mut batch) {
                    Err(Error::Diverged { step, .. }) => run.diverged = Some(step),
                    other => _ = other?,
                }
            }
            if update % updates_an_epoch == 0 {
                run.accuracies.push(net.accuracy(data)?);
            }
        }
    }
    Ok(arms.map(|(run, ..)| run))
}

fn run(arguments: &Arguments) -> Outcome {
    let data = arguments.load()?.train.take(ROWS)?;
    let epochs = arguments.steps(EPOCHS, 4);
    let mut rng = gradus::rng(arguments.seed);
    let mut runs = Vec::new();
    let mut progress = Progress::new("training", 18);
    for scale in scales() {
        runs.push(train(&data, scale, 0.01, epochs, &mut rng)?);
        progress.set(runs.len());
    }
    for learning_rate in [0.1, 1.0] {
        runs.push(train(&data, scales()[GOOD_SCALE], learning_rate, epochs, &mut rng)?);
        progress.set(runs.len());
    }
    drop(progress);

    println!("accuracy on {ROWS} training rows after {epochs} epochs:\n");
    let mut table = Table::new(["scale", "learning rate", "with BatchNorm", "without"]);
    for [with, without] in &runs {
        let accuracy = |run: &Run| percent(run.accuracies[epochs - 1]);
        let diverged = without.diverged.map_or(String::new(), |step| format!(" (diverged at step {step})"));
        let (scale, rate) = (format!("{:.6}", with.scale), with.learning_rate.to_string());
        table.row([scale, rate, accuracy(with), accuracy(without) + &diverged]);
    }
    println!("{table}");

    let curves = |title: &str| Curves::new(title, Axis::new("epoch"), Axis::new("accuracy").range(0.0, 1.0));
    let panel = |title: String, pair: &[Run; 2]| {
        let arms = ["with BatchNorm", "without"].into_iter().zip(pair);
        (title, arms.map(|(name, run)| Curve::line(name, numbered(0, &run.accuracies))).collect::<Vec<_>>())
    };
    curves("Training accuracy from 16 weight scales")
        .grid(4, (230, 180))
        .panels(runs[..16].iter().map(|pair| panel(format!("weight scale {:.6}", pair[0].scale), pair)))
        .show(arguments, "batch_norm")?;
    let rates = [GOOD_SCALE, 16, 17].map(|i| &runs[i]);
    curves("Larger learning rates, at one good weight scale")
        .grid(3, (290, 260))
        .panels(rates.map(|pair| panel(format!("learning rate {}", pair[0].learning_rate), pair)))
        .show(arguments, "batch_norm_learning_rates")
}

fn main() -> ExitCode {
    support::main("Batch normalisation at 16 weight scales and three learning rates.", run)
}

//! Ten nets that answer together, and one Dropout net that is an ensemble by itself.
//!
//! ```text
//! cargo run --release --example ensemble -- [--data DIR --seed N --out DIR --quick]
//! ```
//!
//! Nets of 4 hidden layers of 100 ReLUs learn 200 rows by Adam, 60 epochs, each from its own weights. To expect:
//! the mean of their probabilities is right more often than the mean member, by one to three points (on MNIST 77.7
//! to 78.6 % against 75.7 to 76.1 %, over three seeds). A single random pass of the Dropout net is worse by several
//! points: it is one thinned net. Averaged over more and more passes, each another thinned net with the same weights,
//! it rises to about where its plain inference already is: that is why Dropout is called an ensemble in one net.

mod support;

use std::process::ExitCode;

use gradus::Ensemble;
use gradus::prelude::*;
use support::figure::{Axis, Figure, GREY, Mark, PALETTE, Panel};
use support::{Arguments, Outcome, Progress, mean, percent, table::Table};

const ROWS: usize = 200;
pub(crate) const MEMBERS: usize = 10;
pub(crate) const PASSES: [usize; 7] = [1, 2, 5, 10, 20, 50, 100];

/// Test accuracies.
pub(crate) struct Accuracies {
    /// Of each member alone.
    pub(crate) alone: Vec<f64>,
    /// Of the first 1, 2, … members together.
    pub(crate) together: Vec<f64>,
    /// Of the Dropout net, by the number of random passes.
    pub(crate) passes: Vec<(usize, f64)>,
    /// Of the Dropout net's plain inference.
    pub(crate) plain: f64,
}

pub(crate) fn compare(
    train: &Dataset,
    test: &Dataset,
    seed: u64,
    members: usize,
    epochs: usize,
) -> Result<Accuracies, Error> {
    let train = train.take(ROWS)?;
    let mut rng = gradus::rng(seed);
    let mut fit = |dropout: f64, number: u64| -> Result<Sequential, Error> {
        let hidden =
            (0..4).fold(Sequential::input(train.width()), |net, _| net.affine(100, Init::He).relu().dropout(dropout));
        let mut net = hidden.affine(train.classes(), Init::He).build(&mut rng)?;
        let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default());
        trainer = trainer.batch_size(20).epochs(epochs).seed(1000 * seed + number).progress(false);
        trainer.fit(&mut net, &train)?;
        Ok(net)
    };

    let mut progress = Progress::new("training", members + 1);
    let first = fit(0.0, 0)?;
    let mut alone = vec![first.accuracy(test)?];
    let mut ensemble = Ensemble::new(vec![first])?;
    let mut together = vec![ensemble.accuracy(test)?];
    for number in 1..members {
        progress.set(number);
        let member = fit(0.0, number as u64)?;
        alone.push(member.accuracy(test)?);
        ensemble.push(member)?;
        together.push(ensemble.accuracy(test)?);
    }

    let dropout = fit(0.3, members as u64)?;
    let labels = test.labels().expect("digits are labelled");
    let mut passes = Vec::new();
    for count in PASSES {
        let probabilities = dropout.predict_monte_carlo(test.rows(), count, &mut rng)?;
        passes.push((count, share_right(&probabilities, labels)));
    }
    Ok(Accuracies { alone, together, passes, plain: dropout.accuracy(test)? })
}

/// The share of rows whose largest probability is at the label.
fn share_right(probabilities: &gradus::ndarray::Array2<f32>, labels: &[usize]) -> f64 {
    let right =
        probabilities.rows().into_iter().zip(labels).filter(|(row, label)| row.iter().all(|p| *p <= row[**label]));
    right.count() as f64 / labels.len() as f64
}

fn run(arguments: &Arguments) -> Outcome {
    let data = arguments.load()?;
    let members = arguments.steps(MEMBERS, 3);
    let found = compare(&data.train, &data.test, arguments.seed, members, arguments.steps(60, 5))?;

    let mut rows: Vec<(&str, usize, f64)> = Vec::new();
    rows.extend(found.together.iter().zip(1..).map(|(&accuracy, members)| ("ensemble", members, accuracy)));
    rows.extend(found.passes.iter().map(|&(passes, accuracy)| ("dropout passes", passes, accuracy)));
    rows.push(("dropout inference", 1, found.plain));

    let mut table = Table::new(&["kind", "members or passes", "test accuracy"]);
    table.row(["one net (mean of all)", "1", &percent(mean(found.alone.iter().copied()))]);
    rows.iter().for_each(|(kind, members, accuracy)| table.row([kind, &*members.to_string(), &percent(*accuracy)]));
    println!("{table}");
    let lines = rows.iter().map(|(kind, members, accuracy)| format!("{kind},{members},{accuracy}"));
    arguments.csv("ensemble.csv", "kind,members,test_accuracy", lines)?;
    arguments.svg("ensemble.svg", &picture(&found))
}

fn picture(found: &Accuracies) -> Figure {
    let together: Vec<_> = found.together.iter().zip(1..).map(|(&y, members)| (f64::from(members), y)).collect();
    let passes: Vec<_> = found.passes.iter().map(|&(passes, y)| (passes as f64, y)).collect();
    let level = |y: f64, color| Mark::line([(1.0, y), (100.0, y)], color);
    let marks = [
        level(mean(found.alone.iter().copied()), GREY),
        level(found.plain, PALETTE[2]),
        Mark::line(together.clone(), PALETTE[0]),
        Mark::dots(together, PALETTE[0]),
        Mark::line(passes.clone(), PALETTE[1]),
        Mark::dots(passes, PALETTE[1]),
    ];
    let x = Axis::new("members, or random passes").range(0.95, 105.0).log();
    let legend = [
        ("one net (mean of all)", GREY),
        ("ensemble", PALETTE[0]),
        ("Dropout net, random passes", PALETTE[1]),
        ("Dropout net, plain inference", PALETTE[2]),
    ];
    Figure::single(
        "An ensemble, and the ensemble in one Dropout net",
        Panel::new("", x, Axis::new("test accuracy")).with(marks),
    )
    .legend(legend)
}

fn main() -> ExitCode {
    support::main("ensemble", "An ensemble of nets, and the ensemble in one Dropout net.", run)
}

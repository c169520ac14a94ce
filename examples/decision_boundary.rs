//! Where a net parts two classes: overfitted it runs around single points, with weight decay or dropout less so.
//!
//! ```text
//! cargo run --release --example decision_boundary -- [--seed N --out DIR --quick]
//! ```
//!
//! 120 noisy points of two moons, 2 hidden layers of 100 ReLUs, Adam, 600 epochs: plain, with weight decay (L2, λ = 0.01)
//! and with dropout (a half). The picture shows the side each net gives every place; the table how it does on 4,000 new
//! points. To expect: 87.1 %, 89.8 % and 87.2 % of them, from 100 %, 95.0 % and 98.3 % of its own; over the seeds 0 to 3 on
//! average 87.7 %, 90.8 % and 89.2 %.

mod support;

use std::f64::consts::PI;
use std::process::ExitCode;

use gradus::ndarray::Array2;
use gradus::prelude::*;
use gradus::rand::Rng;
use support::figure::{BLUE, Color, Figure, Mark, Panel, VERMILLION};
use support::{Arguments, Axis, Outcome, Table, percent};

/// Two half circles, one reaching into the other, each point moved by this much.
pub fn moons(count: usize, noise: f64, rng: &mut impl Rng) -> Result<Dataset, Error> {
    let mut rows = Init::Normal(noise).sample(count, 2, rng)?;
    for (i, mut row) in rows.rows_mut().into_iter().enumerate() {
        let angle = PI * (i / 2) as f64 / (count / 2) as f64;
        let (x, y) = if i % 2 == 0 { (angle.cos(), angle.sin()) } else { (1.0 - angle.cos(), 0.5 - angle.sin()) };
        row[0] += x as f32;
        row[1] += y as f32;
    }
    Dataset::classification(rows, (0..count).map(|i| i % 2).collect(), 2)
}

/// A net, with what it was trained with.
#[derive(Debug)]
pub struct Run {
    /// What kept it smooth.
    pub name: &'static str,
    /// The net.
    pub net: Sequential,
    /// On the points it was trained on.
    pub train_accuracy: f64,
    /// On new points.
    pub test_accuracy: f64,
}

/// The three nets, each trained on the same points.
pub fn compare(train: &Dataset, test: &Dataset, seed: u64, epochs: usize) -> Result<Vec<Run>, Error> {
    let arms = [
        ("plain", WeightDecay::None, 0.0),
        ("weight decay", WeightDecay::L2(0.01), 0.0),
        ("dropout", WeightDecay::None, 0.5),
    ];
    let run = |(name, decay, ratio)| {
        let mut net = Sequential::input(2)
            .affine(100, Init::He)
            .relu()
            .dropout(ratio)
            .affine(100, Init::He)
            .relu()
            .dropout(ratio)
            .affine(2, Init::Xavier)
            .build(&mut rng(seed))?;
        let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam { learning_rate: 3e-3, ..Adam::default() });
        trainer = trainer.batch_size(40).epochs(epochs).weight_decay(decay).seed(seed);
        trainer.fit(&mut net, train)?;
        let (train_accuracy, test_accuracy) = (net.accuracy(train)?, net.accuracy(test)?);
        Ok(Run { name, net, train_accuracy, test_accuracy })
    };
    arms.into_iter().map(run).collect()
}

const X: (f64, f64) = (-2.0, 3.0);
const Y: (f64, f64) = (-1.75, 2.25);
const CELLS: (usize, usize) = (150, 120);
const SIDES: [Color; 2] = [Color(190, 215, 235), Color(250, 215, 190)];

/// The side of every place, a stripe for each run of places that are alike.
fn sides(net: &Sequential) -> Result<Vec<Mark>, Error> {
    let at = |range: (f64, f64), i: usize, cells: usize| range.0 + (range.1 - range.0) * i as f64 / cells as f64;
    let (width, height) = ((X.1 - X.0) / CELLS.0 as f64, (Y.1 - Y.0) / CELLS.1 as f64);
    let mut stripes = Vec::new();
    for j in 0..CELLS.1 {
        let low = at(Y, j, CELLS.1);
        let middle = |i: usize| [at(X, i, CELLS.0) + width / 2.0, low + height / 2.0];
        let places = Array2::from_shape_fn((CELLS.0, 2), |(i, axis)| middle(i)[axis] as f32);
        let mut first = 0;
        for alike in net.classify(&places)?.chunk_by(|a, b| a == b) {
            let (left, right) = (at(X, first, CELLS.0), at(X, first + alike.len(), CELLS.0));
            // A little into the next one, so that no seam shows.
            let high = low + 1.2 * height;
            let points = vec![(left, low), (right, low), (right, high), (left, high)];
            stripes.push(Mark::Area { points, color: SIDES[alike[0]] });
            first += alike.len();
        }
    }
    Ok(stripes)
}

fn run(arguments: &Arguments) -> Outcome {
    let mut rng = gradus::rng(arguments.seed);
    let (train, test) = (moons(120, 0.3, &mut rng)?, moons(4000, 0.3, &mut rng)?);
    let runs = compare(&train, &test, arguments.seed, arguments.steps(600, 100))?;
    let mut table = Table::new(["net", "120 points", "new points"]);
    let mut panels = Vec::new();
    for run in &runs {
        table.row([run.name.to_string(), percent(run.train_accuracy), percent(run.test_accuracy)]);
        let labels = train.labels().unwrap_or_default();
        let points = |class: usize| {
            let rows = train.rows().rows().into_iter().zip(labels).filter(move |(_, label)| **label == class);
            rows.map(|(row, _)| (f64::from(row[0]), f64::from(row[1])))
        };
        let (x, y) = (Axis::new("").range(X.0, X.1), Axis::new("").range(Y.0, Y.1));
        let title = format!("{}: {} of new points", run.name, percent(run.test_accuracy));
        let dots = [Mark::dots(points(0), BLUE), Mark::dots(points(1), VERMILLION)];
        panels.push(Panel::new(title, x, y).with(sides(&run.net)?).with(dots));
    }
    println!("{table}");
    let figure = Figure::grid("Where a net parts two moons", 3, (330, 280), panels);
    arguments.svg("decision_boundary.svg", &figure)
}

fn main() -> ExitCode {
    support::main("Where a net parts two classes, with and without weight decay and dropout.", run)
}

//! Nets that learn side by side, from the same batches.

use gradus::prelude::*;
use gradus::rand::Rng;

use super::{Arguments, Axis, Curve, Curves, Outcome, Progress, Table, draw, mean, numbered, percent};

const BATCH: usize = 128;

/// One net's way.
pub struct Run {
    pub name: &'static str,
    /// Of each step's batch, after the step, as in the book.
    pub losses: Vec<f64>,
    pub test_accuracy: f64,
}

/// So many steps of every net on the same batches of 128 rows, drawn with replacement.
pub fn race<O: Optimizer<f32>>(
    arms: impl IntoIterator<Item = (&'static str, Sequential, O)>,
    (train, test): (&Dataset, &Dataset),
    steps: usize,
    rng: &mut impl Rng,
) -> Result<Vec<Run>, Error> {
    let arm = |(name, net, optimizer)| (name, net, Trainer::new(SoftmaxCrossEntropy, optimizer), Vec::new());
    let mut arms: Vec<_> = arms.into_iter().map(arm).collect();
    let mut batch = Batch::default();
    let mut progress = Progress::new("training", steps);
    for step in 1..=steps {
        let rows = draw(train.len(), BATCH, rng);
        let sample = train.select(&rows)?;
        for (_, net, trainer, losses) in &mut arms {
            train.gather(&rows, &mut batch);
            trainer.step(net, &mut batch)?;
            losses.push(net.loss(&SoftmaxCrossEntropy, &sample)?);
        }
        progress.set(step);
    }
    let run =
        |(name, net, _, losses): (_, Sequential, _, _)| Ok(Run { name, losses, test_accuracy: net.accuracy(test)? });
    arms.into_iter().map(run).collect()
}

/// Prints, writes and draws the losses.
pub fn show(arguments: &Arguments, file: &str, title: &str, loss: Axis, runs: &[Run]) -> Outcome {
    // Single batches scatter: the table has means over the last steps before each mark.
    let steps = runs[0].losses.len();
    let (marks, window) = ([20, 10, 4, 2, 1].map(|part| steps / part), steps / 20);
    let header = marks.map(|mark| format!("loss at {mark}"));
    let mut table = Table::new(["".into()].into_iter().chain(header).chain(["test accuracy".into()]));
    for run in runs {
        let losses = marks.map(|mark| format!("{:.4}", mean(run.losses[mark - window..mark].iter().copied())));
        table.row([run.name.into()].into_iter().chain(losses).chain([percent(run.test_accuracy)]));
    }
    println!("loss after the step, mean over the {window} steps up to the one named:\n\n{table}");

    let curves = runs.iter().map(|run| Curve::line(run.name, numbered(1, &run.losses)));
    Curves::new(title, Axis::new("step").range(0.0, steps as f64), loss)
        .smooth(steps / 50)
        .panel("", curves)
        .show(arguments, file)
}

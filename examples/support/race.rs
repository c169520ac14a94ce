//! Nets that learn side by side, from the same batches.

use gradus::prelude::*;
use gradus::rand::Rng;

use super::{Progress, draw};

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

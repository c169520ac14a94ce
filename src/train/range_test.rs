use super::Trainer;
use crate::data::{Batch, Dataset};
use crate::error::{Error, require};
use crate::loss::Loss;
use crate::optim::Optimizer;
use crate::scalar::Scalar;
use crate::sequential::Sequential;

/// Finds a learning rate: trains for a few steps while the rate rises from far too small to far too large, and
/// watches the loss.
///
/// At step k of n the rate is `from · (to / from)^(k / (n - 1))`. The sweep ends early where the loss diverges. The
/// suggestion is the rate at which the smoothed loss fell most steeply on its way to its minimum. All this happens to a
/// copy of the network and of the trainer, which begins at step 0.
/// Smith, *Cyclical Learning Rates for Training Neural Networks*, 2017.
///
/// ```
/// use gradus::prelude::*;
/// let mut rng = gradus::rng(1);
/// let train = Digits::load::<f32>()?;
/// let net = Sequential::mlp(train.width(), &[50], train.classes()).build(&mut rng)?;
/// let mut trainer = Trainer::new(SoftmaxCrossEntropy, Momentum::default());
/// let sweep = RangeTest::default().run(&trainer, &net, &train)?;
/// let rate = sweep.suggestion.expect("the loss fell");
/// assert!(rate > 1e-3 && rate < 1.0, "{rate}");
/// trainer.updater_mut().optimizer.learning_rate = rate;
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "LRFinder")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RangeTest {
    /// The first rate: 1e-6 by default.
    pub from: f64,
    /// The last rate: 10 by default.
    pub to: f64,
    /// The number of steps, each on a batch of the trainer's size: 140 by default, 20 for every factor of ten.
    pub steps: usize,
    /// The sweep ends where the loss is this many times the lowest mean loss: 4 by default.
    pub divergence: f64,
}

impl Default for RangeTest {
    fn default() -> Self {
        Self { from: 1e-6, to: 10.0, steps: 140, divergence: 4.0 }
    }
}

/// What a [`RangeTest`] measured: one entry for each step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RateSweep {
    /// The learning rates.
    pub rates: Vec<f64>,
    /// The loss of each step's batch, before its update.
    pub losses: Vec<f64>,
    /// The mean of the losses around each step.
    pub smoothed: Vec<f64>,
    /// The rate at which `smoothed` fell most steeply; `None` where it never fell.
    pub suggestion: Option<f64>,
}

impl RangeTest {
    /// Sweeps the learning rate of copies of `trainer` and `net`.
    ///
    /// # Errors
    /// Data that do not fit the network, a hyper-parameter out of range. A loss that diverges is no error here.
    pub fn run<F: Scalar, L: Loss<F>, O: Optimizer<F>>(
        &self,
        trainer: &Trainer<F, L, O>,
        net: &Sequential<F>,
        train: &Dataset<F>,
    ) -> Result<RateSweep, Error> {
        self.check()?;
        trainer.check(net, train)?;
        let (from, growth, last) = (self.from, self.to / self.from, (self.steps - 1) as f64);
        let rate = move |step: u64| from * growth.powf(step as f64 / last);
        let mut sweep = self.sweep(trainer.fresh(rate), net.clone(), train)?;
        sweep.rates = (0..sweep.losses.len() as u64).map(rate).collect();
        sweep.smoothed = smoothed(&sweep.losses, self.window());
        sweep.suggestion = steepest(&sweep.smoothed, self.window()).map(|k| sweep.rates[k]);
        Ok(sweep)
    }

    fn check(&self) -> Result<(), Error> {
        require(self.from > 0.0 && self.from.is_finite(), "from", "a finite value above 0", self.from)?;
        require(self.to > self.from && self.to.is_finite(), "to", "a finite value above `from`", self.to)?;
        require(self.steps >= 2, "steps", "at least 2", self.steps)?;
        require(self.divergence > 1.0, "divergence", "a value above 1", self.divergence)
    }

    fn sweep<F: Scalar, L: Loss<F>, O: Optimizer<F>>(
        &self,
        mut trainer: Trainer<F, L, O>,
        mut net: Sequential<F>,
        train: &Dataset<F>,
    ) -> Result<RateSweep, Error> {
        let mut sweep = RateSweep::default();
        let (mut order, mut batch, mut mean, mut lowest) = (Vec::new(), Batch::default(), None, f64::INFINITY);
        loop {
            trainer.draw(train.len(), &mut order);
            for rows in order.chunks(trainer.batch_size) {
                train.gather(rows, &mut batch);
                let loss = match trainer.take_step(&mut net, &mut batch) {
                    Ok(outcome) => outcome.loss,
                    Err(Error::Diverged { .. }) => return Ok(sweep),
                    Err(other) => return Err(other),
                };
                sweep.losses.push(loss);
                let now = mean.map_or(loss, |mean: f64| 0.8 * mean + 0.2 * loss);
                lowest = lowest.min(now);
                mean = Some(now);
                if loss > self.divergence * lowest || sweep.losses.len() == self.steps {
                    return Ok(sweep);
                }
            }
        }
    }

    /// Steps on either side that a mean is taken over.
    fn window(&self) -> usize {
        (self.steps / 28).max(1)
    }
}

/// The mean over a step and up to `window` on either side.
fn smoothed(losses: &[f64], window: usize) -> Vec<f64> {
    let around = |k: usize| &losses[k.saturating_sub(window)..losses.len().min(k + window + 1)];
    (0..losses.len()).map(|k| around(k).iter().sum::<f64>() / around(k).len() as f64).collect()
}

/// Where a curve falls most, from `window` steps before to as many after, until it is lowest: what falls later is
/// the return from a spike.
fn steepest(curve: &[f64], window: usize) -> Option<usize> {
    let fall = |k: usize| curve[k - window] - curve[k + window];
    let lowest = (0..curve.len()).min_by(|&a, &b| curve[a].total_cmp(&curve[b]))?;
    let inner = window..(lowest + 1).min(curve.len().saturating_sub(window));
    inner.filter(|&k| fall(k) > 0.0).max_by(|&a, &b| fall(a).total_cmp(&fall(b)))
}

//! Training.

mod checkpoint;
mod history;
mod progress;
mod range_test;

use std::ops::ControlFlow;

use crate::data::shuffle::{below, shuffle};
use crate::data::{Batch, Dataset};
use crate::error::{Error, require};
use crate::kernel;
use crate::layer::{Layer, Role, values, values_mut};
use crate::loss::Loss;
use crate::optim::{Clip, Optimizer, Schedule, Updater, WeightDecay};
use crate::rng::{Generator, rng};
use crate::scalar::Scalar;
use crate::sequential::{Sequential, correct};
use checkpoint::Files;
use progress::Progress;

pub use checkpoint::Monitor;
pub use history::{Epoch, EpochRecord, History};
pub use range_test::{RangeTest, RateSweep};

/// How an epoch's batches are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sampling {
    /// Every row once an epoch, in a new random order; the last batch may be short.
    #[default]
    Shuffled,
    /// Every row of every batch drawn from all rows, as in the book: an epoch is as many full batches as fit
    /// into the data, at least one.
    WithReplacement,
}

/// Trains a network: a loss, an optimizer, and how to go through the data.
///
/// ```
/// use gradus::prelude::*;
/// let mut rng = gradus::rng(1);
/// let (train, validation) = Digits::load()?.shuffle(&mut rng).split(0.2)?;
/// let mut net = Sequential::<f32>::mlp(train.width(), &[50], train.classes()).build(&mut rng)?;
/// let history = Trainer::new(SoftmaxCrossEntropy, Momentum::default())
///     .batch_size(50)
///     .epochs(10)
///     .validate(&validation)
///     .fit(&mut net, &train)?;
/// assert_eq!(history.epochs.len(), 10);
/// assert!(net.accuracy(&validation)? > 0.9);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// With [`step`](Self::step), a loop of your own:
///
/// ```
/// # use gradus::prelude::*;
/// # let data = Digits::load::<f32>()?;
/// # let mut net = Sequential::mlp(data.width(), &[50], data.classes()).build(&mut gradus::rng(1))?;
/// let mut trainer = Trainer::new(SoftmaxCrossEntropy, SGD::default());
/// for mut batch in data.batches(100)? {
///     let loss = trainer.step(&mut net, &mut batch)?;
///     # assert!(loss.is_finite());
/// }
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Trainer<'a, F: Scalar, L, O> {
    loss: L,
    updater: Updater<F, O>,
    batch_size: usize,
    epochs: usize,
    sampling: Sampling,
    rng: Generator,
    validation: Option<&'a Dataset<F>>,
    progress: bool,
    files: Files,
    /// The buffers (running statistics) and generators of layers from before a step, for a step that diverges.
    kept: (Vec<F>, Vec<Generator>),
}

impl<'a, F: Scalar, L: Loss<F>, O: Optimizer<F>> Trainer<'a, F, L, O> {
    /// Batches of 100 rows, 10 epochs, shuffled with seed 0, no decay, no validation.
    pub fn new(loss: L, optimizer: O) -> Self {
        Self {
            loss,
            updater: Updater::new(optimizer),
            batch_size: 100,
            epochs: 10,
            sampling: Sampling::Shuffled,
            rng: rng(0),
            validation: None,
            progress: true,
            files: Files::default(),
            kept: (Vec::new(), Vec::new()),
        }
    }

    /// Rows a step. For gradient accumulation see [`Updater`](crate::Updater#gradient-accumulation).
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.batch_size = rows;
        self
    }

    /// How often [`fit`](Self::fit) goes through the data.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Decays weights with every step; [`WeightDecay::L2`] adds `½ λ Σ W²` to the training loss.
    pub fn weight_decay(mut self, decay: WeightDecay) -> Self {
        self.updater = self.updater.weight_decay(decay);
        self
    }

    /// Decays the parameters of these roles: `[Role::Weight]` where nothing is said.
    pub fn decay_roles(mut self, roles: &[Role]) -> Self {
        self.updater = self.updater.decay_roles(roles);
        self
    }

    /// Clips the gradients of every step.
    pub fn clip(mut self, clip: Clip) -> Self {
        self.updater = self.updater.clip(clip);
        self
    }

    /// Sets the learning rate before every step; a closure from the step (from 0) to the rate is a schedule.
    ///
    /// ```
    /// use gradus::prelude::*;
    /// # let data = Digits::load::<f32>()?;
    /// # let mut net = Sequential::mlp(data.width(), &[50], data.classes()).build(&mut gradus::rng(1))?;
    /// let per_epoch = data.len().div_ceil(100) as u64;
    /// let cosine = Cosine { learning_rate: 0.01, minimum: 0.0, steps: 4 * per_epoch };
    /// let mut trainer = Trainer::new(SoftmaxCrossEntropy, AdamW::default())
    ///     .epochs(5)
    ///     .schedule(LinearWarmup { steps: per_epoch, start: None, then: cosine });
    /// let history = trainer.fit(&mut net, &data)?;
    /// let rates: Vec<f64> = history.epochs.iter().map(|epoch| epoch.learning_rate).collect();
    /// assert!(rates[0] == f64::from(0.01_f32) && rates.is_sorted_by(|a, b| a > b));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.updater = self.updater.schedule(schedule);
        self
    }

    /// Measures loss and accuracy on these data after every epoch.
    pub fn validate(mut self, data: &'a Dataset<F>) -> Self {
        self.validation = Some(data);
        self
    }

    /// How batches are drawn.
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// The seed of the order of the rows.
    pub fn seed(mut self, seed: u64) -> Self {
        self.rng = rng(seed);
        self
    }

    /// Whether `fit` may show a progress bar (on standard error, with the feature `progress`, at a terminal).
    pub fn progress(mut self, shown: bool) -> Self {
        self.progress = shown;
        self
    }

    /// The optimizer's driver: step count, learning rate.
    pub fn updater(&self) -> &Updater<F, O> {
        &self.updater
    }

    /// The optimizer's driver, to change the learning rate between steps.
    pub fn updater_mut(&mut self) -> &mut Updater<F, O> {
        &mut self.updater
    }

    /// Trains for all epochs. Called again it goes on: the optimizer keeps its state.
    ///
    /// # Errors
    /// Before anything is changed: data that do not fit the network, a batch size of 0, a hyper-parameter out of
    /// range, a checkpoint of another run. On the way: [`Error::Diverged`] with all that was recorded, the network as
    /// before the failed step; a checkpoint that cannot be written.
    pub fn fit(&mut self, net: &mut Sequential<F>, train: &Dataset<F>) -> Result<History, Error> {
        self.fit_with(net, train, |_| ControlFlow::Continue(()))
    }

    /// Trains like [`fit`](Self::fit) and calls `after_epoch` after every epoch, which may stop the training:
    /// early stopping, logs and the like are closures.
    ///
    /// ```
    /// use gradus::prelude::*;
    /// use std::ops::ControlFlow;
    /// # let data = Digits::load::<f32>()?;
    /// # let mut net = Sequential::mlp(data.width(), &[50], data.classes()).build(&mut gradus::rng(1))?;
    /// let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default()).epochs(100);
    /// let history = trainer.fit_with(&mut net, &data, |epoch| {
    ///     if epoch.loss < 0.5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    /// })?;
    /// assert!(history.epochs.len() < 100);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_with(
        &mut self,
        net: &mut Sequential<F>,
        train: &Dataset<F>,
        mut after_epoch: impl FnMut(&Epoch<'_, F>) -> ControlFlow<()>,
    ) -> Result<History, Error> {
        self.check(net, train)?;
        let mut history = self.begin(net, train.len())?;
        let steps = self.steps_per_epoch(train.len());
        let progress = Progress::new(self.progress, self.epochs, steps);
        let (mut order, mut batch, mut next) = (Vec::new(), Batch::default(), Batch::default());
        for number in history.epochs.len() + 1..=self.epochs {
            self.draw(train.len(), steps, &mut order);
            let mut tally = Tally::default();
            let mut batches = order.chunks(self.batch_size).peekable();
            train.gather(batches.peek().expect("an epoch has a batch"), &mut batch);
            while let Some(rows) = batches.next() {
                let numbers = rows.len() * train.width();
                let gather = || {
                    if let Some(rows) = batches.peek() {
                        train.gather(rows, &mut next);
                    }
                };
                let step = || self.take_step(net, &mut batch);
                let (loss, right) =
                    kernel::join(numbers, gather, step).map_err(|error| with_history(error, &history))?;
                history.losses.push(loss);
                tally.add(rows.len(), loss, right);
                progress.step(number, loss);
                std::mem::swap(&mut batch, &mut next);
            }
            let record = self.record(number, &tally, net)?;
            self.updater.observe(record.validation_loss.unwrap_or(record.loss));
            history.epochs.push(record);
            self.save_best(net, &history)?;
            let epoch = Epoch { net, history: &history };
            progress.epoch(&epoch);
            let stop = after_epoch(&epoch).is_break();
            self.save_due(net, &history, train.len(), stop || number == self.epochs)?;
            if stop {
                break;
            }
        }
        Ok(history)
    }

    /// One training step on one batch; gives the loss from before the update, with the weight penalty.
    ///
    /// The batch's rows are used up: their buffer stays, its contents are unspecified. Refill it with
    /// [`Dataset::gather`], and a step allocates nothing (but for handing shares of large layers to other threads).
    ///
    /// # Errors
    /// A batch that does not fit the network, a hyper-parameter out of range, [`Error::Diverged`]; the network is
    /// then as it was before.
    pub fn step(&mut self, net: &mut Sequential<F>, batch: &mut Batch<F>) -> Result<f64, Error> {
        net.expect_width(batch.rows.ncols())?;
        self.loss.check(net.outputs(), &batch.targets)?;
        if batch.rows.nrows() != batch.targets.len() || batch.targets.is_empty() {
            let what = "targets of a batch (one a row, at least one)".to_string();
            return Err(Error::Mismatch { what, expected: batch.rows.nrows().max(1), found: batch.targets.len() });
        }
        Ok(self.take_step(net, batch)?.0)
    }

    fn check(&self, net: &Sequential<F>, train: &Dataset<F>) -> Result<(), Error> {
        require(self.batch_size > 0, "batch_size", "at least 1", self.batch_size as f64)?;
        self.updater.check()?;
        self.files.check(self.validation.is_some())?;
        net.check_data(&self.loss, train)?;
        self.validation.map_or(Ok(()), |data| net.check_data(&self.loss, data))
    }

    fn steps_per_epoch(&self, rows: usize) -> usize {
        match self.sampling {
            Sampling::Shuffled => rows.div_ceil(self.batch_size),
            Sampling::WithReplacement => (rows / self.batch_size).max(1),
        }
    }

    /// The rows of an epoch, batch after batch; depends on nothing but the generator.
    fn draw(&mut self, rows: usize, steps: usize, order: &mut Vec<usize>) {
        order.clear();
        match self.sampling {
            Sampling::Shuffled => {
                order.extend(0..rows);
                shuffle(order, &mut self.rng);
            }
            Sampling::WithReplacement => {
                order.extend((0..steps * self.batch_size).map(|_| below(rows, &mut self.rng)));
            }
        }
    }

    /// Forward, loss, backward, update; gives the loss and how many rows were classified rightly.
    fn take_step(&mut self, net: &mut Sequential<F>, batch: &mut Batch<F>) -> Result<(f64, Option<usize>), Error> {
        self.keep(net);
        let output = net.forward(std::mem::take(&mut batch.rows));
        let right = correct(&output, &batch.targets);
        let (loss, grad) = self.loss.value_and_grad(output, &batch.targets);
        let loss = loss + self.updater.penalty(net);
        batch.rows = net.backward_params(grad);
        if let Some(what) = not_finite(loss, net) {
            self.restore(net);
            return Err(Error::Diverged { step: self.updater.steps() + 1, what, history: Box::default() });
        }
        if let Err(error) = self.updater.step(net) {
            self.restore(net);
            return Err(error);
        }
        Ok((loss, right))
    }

    /// Keeps what a forward pass changes.
    fn keep(&mut self, net: &Sequential<F>) {
        let (buffers, generators) = &mut self.kept;
        buffers.clear();
        net.params(&mut |param| {
            if !param.role.is_trained() {
                buffers.extend_from_slice(values(&param.value));
            }
        });
        generators.clear();
        net.generators(&mut |generator| generators.push(generator.clone()));
    }

    /// Undoes a forward pass.
    fn restore(&self, net: &mut Sequential<F>) {
        let (buffers, generators) = &self.kept;
        let mut kept = &buffers[..];
        net.params_mut(&mut |param| {
            if !param.role.is_trained() {
                let (head, tail) = kept.split_at(param.value.len());
                values_mut(&mut param.value).copy_from_slice(head);
                kept = tail;
            }
        });
        let mut generators = generators.iter();
        net.generators_mut(&mut |generator| {
            if let Some(kept) = generators.next() {
                generator.clone_from(kept);
            }
        });
    }

    fn record(&self, epoch: usize, tally: &Tally, net: &Sequential<F>) -> Result<EpochRecord, Error> {
        let (mut validation_loss, mut validation_accuracy) = (None, None);
        if let Some(data) = self.validation {
            let output = net.predict(data.rows())?;
            validation_accuracy = correct(&output, data.targets()).map(|right| right as f64 / data.len() as f64);
            validation_loss = Some(self.loss.value(&output, data.targets()));
        }
        Ok(EpochRecord {
            epoch,
            steps: self.updater.steps(),
            learning_rate: self.updater.optimizer.learning_rate().as_f64(),
            loss: tally.loss / tally.rows as f64,
            accuracy: tally.right.map(|right| right as f64 / tally.rows as f64),
            validation_loss,
            validation_accuracy,
        })
    }
}

/// The name of the first thing that is not finite after a backward pass.
fn not_finite<F: Scalar>(loss: f64, net: &Sequential<F>) -> Option<String> {
    let mut what = (!loss.is_finite()).then(|| format!("the loss ({loss})"));
    net.params(&mut |param| {
        if what.is_none() && param.is_trained() && !kernel::all_finite(values(&param.grad)) {
            what = Some(format!("the gradient of {}", param.name));
        }
    });
    what
}

fn with_history(error: Error, history: &History) -> Error {
    match error {
        Error::Diverged { step, what, .. } => Error::Diverged { step, what, history: Box::new(history.clone()) },
        other => other,
    }
}

/// Sums over the batches of an epoch.
struct Tally {
    rows: usize,
    loss: f64,
    right: Option<usize>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { rows: 0, loss: 0.0, right: Some(0) }
    }
}

impl Tally {
    fn add(&mut self, rows: usize, loss: f64, right: Option<usize>) {
        self.rows += rows;
        self.loss += loss * rows as f64;
        self.right = self.right.zip(right).map(|(sum, right)| sum + right);
    }
}

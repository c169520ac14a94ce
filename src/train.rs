//! Training: [`Trainer`] goes through the data, records a history, keeps checkpoints (the book's sections 4.5 and 6.5).
//!
//! ```
//! use gradus::prelude::*;
//! let mut rng = gradus::rng(1);
//! let (train, validation) = Digits::load()?.shuffle(&mut rng).split(0.2)?;
//! let mut net = Sequential::<f32>::mlp(train.width(), &[50], train.classes()).build(&mut rng)?;
//! let history = Trainer::new(SoftmaxCrossEntropy, Momentum::default()).validate(&validation).fit(&mut net, &train)?;
//! assert_eq!(history.epochs.len(), 10);
//! # Ok::<(), Error>(())
//! ```

mod epoch;
mod progress;
mod range_test;
mod resume;

use std::ops::ControlFlow;

use crate::array::{fits, values};
use crate::data::{Batch, Dataset};
use crate::error::{Error, require};
use crate::kernel;
use crate::layer::{Layer, Pass, Role};
use crate::loss::Loss;
use crate::metric;
use crate::optim::{Clip, Optimizer, Updater, WeightDecay};
use crate::rng::{below, shuffle, stream};
use crate::scalar::Scalar;
use crate::schedule::Schedule;
use crate::sequential::Sequential;
use epoch::Tally;
use progress::Progress;
use resume::Files;

pub use crate::history::{EpochRecord, History};
pub use epoch::Epoch;
pub use range_test::{RangeTest, RateSweep};
pub use resume::Monitor;

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
pub struct Trainer<F: Scalar, L, O> {
    loss: L,
    updater: Updater<F, O>,
    batch_size: usize,
    epochs: usize,
    sampling: Sampling,
    seed: u64,
    /// How many epochs' orders were drawn.
    drawn: u64,
    validation: Option<Dataset<F>>,
    progress: bool,
    files: Files,
}

impl<F: Scalar, L: Loss<F>, O: Optimizer<F>> Trainer<F, L, O> {
    /// Batches of 100 rows, 10 epochs, shuffled with seed 0, no decay, no validation.
    pub fn new(loss: L, optimizer: O) -> Self {
        Self {
            loss,
            updater: Updater::new(optimizer),
            batch_size: 100,
            epochs: 10,
            sampling: Sampling::Shuffled,
            seed: 0,
            drawn: 0,
            validation: None,
            progress: true,
            files: Files::default(),
        }
    }

    /// Rows per step. For gradient accumulation see [`Updater`](crate::optim::Updater#gradient-accumulation).
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

    /// Decays the parameters of these roles: `[Role::Weight]` by default.
    pub fn decay_roles(mut self, roles: &[Role]) -> Self {
        self.updater = self.updater.decay_roles(roles);
        self
    }

    /// Clips the gradients of every step.
    pub fn clip(mut self, clip: Clip) -> Self {
        self.updater = self.updater.clip(clip);
        self
    }

    /// Takes the learning rate of every step from a schedule; a closure from the step (from 0) to the rate is one.
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
    /// assert!(rates[0] == 0.01 && rates.is_sorted_by(|a, b| a > b));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.updater = self.updater.schedule(schedule);
        self
    }

    /// Measures loss and accuracy on these data after every epoch. The trainer shares them, nothing is copied.
    pub fn validate(mut self, data: &Dataset<F>) -> Self {
        self.validation = Some(data.clone());
        self
    }

    /// How batches are drawn.
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// The seed of everything random in training: the order of the rows, and what layers draw in their passes. 0 by
    /// default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Whether `fit` may show a progress bar (on standard error, with the feature `progress`, at a terminal).
    pub fn progress(mut self, shown: bool) -> Self {
        self.progress = shown;
        self
    }

    /// The optimizer's driver: step count, learning rate, state.
    pub fn updater(&self) -> &Updater<F, O> {
        &self.updater
    }

    /// The optimizer's driver, to change hyper-parameters between steps.
    pub fn updater_mut(&mut self) -> &mut Updater<F, O> {
        &mut self.updater
    }

    /// Trains for all epochs. Called again it goes on: the optimizer keeps its state.
    ///
    /// # Errors
    /// Before anything is changed: data that do not fit the network, a batch size of 0 or too large to draw, a hyper-parameter out of
    /// range, a checkpoint of another run. On the way: [`Error::Diverged`] with all that was recorded, the network as
    /// before the failed step (where an epoch ends with a parameter that is not finite, the step that would have come
    /// next); a checkpoint that cannot be written.
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
        let progress = Progress::new(self.progress, self.epochs, self.steps_per_epoch(train.len()));
        let mut buffers = Buffers::default();
        for number in history.epochs.len() + 1..=self.epochs {
            let tally = self.run_epoch(net, train, &mut buffers, |loss| {
                history.losses.push(loss);
                progress.step(number, loss);
            });
            let tally = match tally {
                Err(Error::Diverged { step, what, .. }) => {
                    return Err(Error::Diverged { step, what, history: Box::new(history) });
                }
                other => other?,
            };
            let record = self.record(number, &tally, net)?;
            self.updater.observe(record.validation_loss.unwrap_or(record.loss));
            history.epochs.push(record);
            // The last step of a run has no later one to find out.
            if let Some(name) = not_finite(net) {
                let (step, what) = (self.updater.steps() + 1, format!("parameter {name}"));
                return Err(Error::Diverged { step, what, history: Box::new(history) });
            }
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

    /// The steps of one epoch; the next batch is gathered while a step computes.
    fn run_epoch(
        &mut self,
        net: &mut Sequential<F>,
        train: &Dataset<F>,
        Buffers { order, batch, next }: &mut Buffers<F>,
        mut after_step: impl FnMut(f64),
    ) -> Result<Tally, Error> {
        self.draw(train.len(), order);
        let mut tally = Tally::default();
        let mut batches = order.chunks(self.batch_size).peekable();
        train.gather(batches.peek().expect("an epoch has a batch"), batch);
        while let Some(rows) = batches.next() {
            let gather = || {
                if let Some(rows) = batches.peek() {
                    train.gather(rows, next);
                }
            };
            let (loss, right) = kernel::join(rows.len() * train.width(), gather, || self.take_step(net, batch))?;
            tally.add(rows.len(), loss, right);
            after_step(loss);
            std::mem::swap(batch, next);
        }
        Ok(tally)
    }

    /// One training step on one batch; gives the loss from before the update, with the weight penalty.
    ///
    /// The batch's rows are used up: their buffer stays, its contents are unspecified. Refill it with
    /// [`Dataset::gather`], and a step allocates nothing (except to hand parts of large layers to other threads).
    ///
    /// # Errors
    /// A batch that does not fit the network, a hyper-parameter out of range, [`Error::Diverged`]; the network is
    /// then as it was before.
    pub fn step(&mut self, net: &mut Sequential<F>, batch: &mut Batch<F>) -> Result<f64, Error> {
        net.expect_width(batch.rows.ncols())?;
        self.loss.check(net.outputs(), &batch.targets)?;
        if batch.rows.nrows() != batch.targets.len() || batch.targets.is_empty() {
            let what = "targets of a batch (one for each row, at least one)";
            return Err(Error::invalid(what, batch.rows.nrows().max(1), batch.targets.len()));
        }
        Ok(self.take_step(net, batch)?.0)
    }

    fn check(&self, net: &Sequential<F>, train: &Dataset<F>) -> Result<(), Error> {
        require(self.batch_size > 0, "batch_size", "at least 1", self.batch_size)?;
        if self.sampling == Sampling::WithReplacement {
            // Nothing else limits a batch: a shuffled one is no larger than the data.
            let size = self.batch_size;
            let has_room = fits::<F>(&[size, train.width()]) && fits::<usize>(&[size]);
            require(has_room, "batch_size", "rows that fit into memory", size)?;
        }
        self.updater.check()?;
        self.files.check(self.validation.is_some())?;
        net.check_data(&self.loss, train)?;
        self.validation.as_ref().map_or(Ok(()), |data| net.check_data(&self.loss, data))
    }

    fn steps_per_epoch(&self, rows: usize) -> usize {
        match self.sampling {
            Sampling::Shuffled => rows.div_ceil(self.batch_size),
            Sampling::WithReplacement => (rows / self.batch_size).max(1),
        }
    }

    /// The rows of the next epoch, batch after batch; they depend on the seed and the number of the epoch only.
    fn draw(&mut self, rows: usize, order: &mut Vec<usize>) {
        let mut rng = stream(self.seed, self.drawn, "order of the rows");
        self.drawn += 1;
        order.clear();
        match self.sampling {
            Sampling::Shuffled => {
                order.extend(0..rows);
                shuffle(order, &mut rng);
            }
            Sampling::WithReplacement => {
                let count = self.steps_per_epoch(rows) * self.batch_size;
                order.extend((0..count).map(|_| below(rows, &mut rng)));
            }
        }
    }

    /// Forward, loss, backward, update; gives the loss and how many rows were classified correctly. What layers draw
    /// depends on the seed and the number of the step only.
    fn take_step(&mut self, net: &mut Sequential<F>, batch: &mut Batch<F>) -> Result<(f64, Option<usize>), Error> {
        let mut rng = stream(self.seed, self.updater.steps(), "layers");
        let output = net.forward(std::mem::take(&mut batch.rows), &mut Pass::new(&mut rng));
        let right = metric::correct(&output, &batch.targets);
        let (loss, grad) = self.loss.value_and_grad(output, &batch.targets);
        let loss = loss + self.updater.penalty(net);
        batch.rows = net.backward_params(grad);
        if !loss.is_finite() {
            return Err(self.updater.diverged(format!("the loss ({loss})")));
        }
        self.updater.step(net)?;
        Ok((loss, right))
    }

    fn record(&self, epoch: usize, tally: &Tally, net: &Sequential<F>) -> Result<EpochRecord, Error> {
        let (mut validation_loss, mut validation_accuracy) = (None, None);
        if let Some(data) = &self.validation {
            let output = net.predict(data.rows())?;
            validation_accuracy =
                metric::correct(&output, data.targets()).map(|right| right as f64 / data.len() as f64);
            validation_loss = Some(self.loss.value(&output, data.targets()));
        }
        Ok(EpochRecord {
            epoch,
            steps: self.updater.steps(),
            learning_rate: self.updater.last_rate(),
            loss: tally.loss / tally.rows as f64,
            accuracy: tally.right.map(|right| right as f64 / tally.rows as f64),
            validation_loss,
            validation_accuracy,
        })
    }

    /// A trainer of the same settings at step 0, with another schedule and no files.
    fn fresh(&self, schedule: impl Schedule + 'static) -> Trainer<F, &L, &O> {
        Trainer {
            loss: &self.loss,
            updater: self.updater.fresh().schedule(schedule),
            batch_size: self.batch_size,
            epochs: self.epochs,
            sampling: self.sampling,
            seed: self.seed,
            drawn: self.drawn,
            validation: None,
            progress: false,
            files: Files::default(),
        }
    }

    /// What makes a run what it is, by name: a resumed one has to have the same.
    fn settings(&self, steps: u64, losses: &[f64], rows: Option<usize>) -> Vec<(String, String)> {
        let mut settings = self.updater.settings(steps, losses);
        let rows = rows.map(|rows| ("training_rows", rows.to_string()));
        let own = [
            ("loss", self.loss.name()),
            ("batch_size", self.batch_size.to_string()),
            ("sampling", format!("{:?}", self.sampling)),
        ];
        settings.extend(own.into_iter().chain(rows).map(|(name, value)| (name.to_string(), value)));
        settings
    }
}

/// The first trained parameter that is NaN or infinite somewhere.
fn not_finite<F: Scalar>(net: &Sequential<F>) -> Option<String> {
    let mut found = None;
    net.params(&mut |param| {
        if found.is_none() && param.is_trained() && !kernel::all_finite(values(&param.value)) {
            found = Some(param.name.clone());
        }
    });
    found
}

/// What an epoch works in; the next one uses it again.
#[derive(Debug)]
struct Buffers<F> {
    order: Vec<usize>,
    batch: Batch<F>,
    next: Batch<F>,
}

impl<F: Scalar> Default for Buffers<F> {
    fn default() -> Self {
        Self { order: Vec::new(), batch: Batch::default(), next: Batch::default() }
    }
}

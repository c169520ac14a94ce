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

mod answer;
mod epoch;
mod fit;
mod pass;
mod progress;
mod range_test;
mod replicas;
mod resume;
mod stopping;
mod world;

use std::sync::Arc;

use crate::collective::Collective;
use crate::data::{Batch, Dataset};
use crate::error::Error;
use crate::layer::Role;
use crate::loss::Loss;
use crate::optim::{Clip, Optimizer, Updater, WeightDecay};
use crate::scalar::Scalar;
use crate::schedule::Schedule;
use crate::sequential::Sequential;
use replicas::Replicas;
use resume::Files;
use stopping::Stopping;
use world::World;

pub use crate::history::{EpochRecord, History};
pub use answer::Answer;
pub use epoch::{Epoch, StepRecord};
pub use range_test::{RangeTest, RateSweep};
pub use resume::Monitor;

/// More threads than any machine has processors for one step.
const MOST_REPLICAS: usize = 1024;

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
    replicas: Replicas<F>,
    world: Option<World<F>>,
    stopping: Option<Stopping<F>>,
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
            replicas: Replicas::new(1),
            world: None,
            stopping: None,
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

    /// Cuts every batch into so many parts that go through copies of the network at the same time, each on a thread of its
    /// own. 1 by default.
    ///
    /// Products of large layers are shared among threads in any case; a step of small layers, in which every product would
    /// wait for all threads, gains from whole parts of the batch instead. The gradients of the parts are added in one order,
    /// and layers that look at the whole batch still do ([`Pass`](crate::layer::Pass)): the result depends on the number of replicas, as the
    /// rounding of a sum depends on its order, and not on the number of threads or processors that carry them. A checkpoint
    /// keeps the number. The copies share the parameters; each has gradients and activations of its own. Without the feature
    /// `parallel` every step starts its threads anew.
    ///
    /// ```
    /// use gradus::prelude::*;
    /// let data = Digits::load::<f32>()?;
    /// let mut net = Sequential::mlp(data.width(), &[100, 100], data.classes()).build(&mut gradus::rng(1))?;
    /// let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default()).replicas(2);
    /// trainer.fit(&mut net, &data)?;
    /// assert!(net.accuracy(&data)? > 0.95);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// Of `fit` and `step`: a number of 0 or beyond 1024, or more threads than the system grants.
    pub fn replicas(mut self, count: usize) -> Self {
        self.replicas = Replicas::new(count);
        self.updater = self.updater.shared(count > 1);
        self
    }

    /// Trains on all ranks of a group together, on several machines say: every rank runs the same program with the same data
    /// and takes its rows of each batch.
    ///
    /// `fit` begins with the network, the optimizer's state and the seed of rank 0, on every rank, and compares all that has
    /// to be the same: the settings, the data, the architecture. Every rank ends with the same bits, those that one process
    /// would have, but for the rounding of sums; the history and the validation are of all rows. Files, the progress bar and
    /// the closure of [`fit_with`](Self::fit_with) are those of rank 0. Where one rank fails, all do ([`Error::Rank`]). In a
    /// loop of your own every rank hands the whole batch to [`step`](Self::step).
    ///
    /// ```
    /// use gradus::{collective::threads, prelude::*};
    /// use std::sync::Arc;
    /// let data = &Digits::load::<f32>()?.take(400)?;
    /// let train = |rank| {
    ///     let mut net = Sequential::mlp(data.width(), &[20], data.classes()).build(&mut gradus::rng(1))?;
    ///     let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default()).across(Arc::new(rank)).epochs(2);
    ///     trainer.fit(&mut net, data)?;
    ///     net.to_bytes()
    /// };
    /// let nets = std::thread::scope(|scope| {
    ///     let ranks: Vec<_> = threads(3).into_iter().map(|rank| scope.spawn(move || train(rank))).collect();
    ///     ranks.into_iter().map(|rank| rank.join().unwrap()).collect::<Result<Vec<_>, Error>>()
    /// })?;
    /// assert!(nets[0] == nets[1] && nets[0] == nets[2]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn across(mut self, ranks: Arc<dyn Collective>) -> Self {
        self.world = Some(World::new(ranks));
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
        self.fit_with(net, train, |_| ())
    }

    /// Trains like [`fit`](Self::fit) and calls `after_epoch` after every epoch. It may answer nothing, or whether to go on,
    /// or a `Result` of either, whose error ends the run as [`Error::Callback`]: see [`Answer`].
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
    ///
    /// let mut log = std::io::sink(); // a file
    /// use std::io::Write;
    /// trainer.epochs(2).fit_with(&mut net, &data, |epoch| writeln!(log, "{} {}", epoch.epoch, epoch.loss))?;
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`fit`](Self::fit), and those of `after_epoch`; the network is then as it was at the end of that epoch.
    pub fn fit_with<A: Answer>(
        &mut self,
        net: &mut Sequential<F>,
        train: &Dataset<F>,
        mut after_epoch: impl FnMut(&Epoch<'_, F>) -> A,
    ) -> Result<History, Error> {
        self.run(net, train, None, &mut |epoch| after_epoch(epoch).flow())
    }

    /// Trains like [`fit_with`](Self::fit_with) and calls `after_step` after every step too: to show progress, to log, to
    /// be cancelled.
    ///
    /// Where it stops the run in the midst of an epoch, the history has the losses of its steps and no record of it, network
    /// and optimizer are as that step left them, and no checkpoint is written: one from before goes on with the beginning of
    /// the epoch.
    ///
    /// ```
    /// use gradus::prelude::*;
    /// use std::{ops::ControlFlow, sync::atomic::{AtomicBool, Ordering::Relaxed}};
    /// # let data = Digits::load::<f32>()?;
    /// # let mut net = Sequential::mlp(data.width(), &[50], data.classes()).build(&mut gradus::rng(1))?;
    /// let cancelled = AtomicBool::new(false); // set by another thread, or a signal
    /// let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default());
    /// let history = trainer.fit_with_steps(
    ///     &mut net,
    ///     &data,
    ///     |step| {
    ///         # cancelled.store(step.number == 20, Relaxed);
    ///         if cancelled.load(Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    ///     },
    ///     |epoch| println!("{}", epoch.loss),
    /// )?;
    /// assert_eq!((history.losses.len(), history.epochs.len()), (20, 1)); // an epoch has 18 steps
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`fit_with`](Self::fit_with), and those of `after_step`.
    pub fn fit_with_steps<S: Answer, A: Answer>(
        &mut self,
        net: &mut Sequential<F>,
        train: &Dataset<F>,
        mut after_step: impl FnMut(&StepRecord) -> S,
        mut after_epoch: impl FnMut(&Epoch<'_, F>) -> A,
    ) -> Result<History, Error> {
        self.run(net, train, Some(&mut |step| after_step(step).flow()), &mut |epoch| after_epoch(epoch).flow())
    }

    /// One training step on one batch; gives the loss from before the update, with the weight penalty.
    ///
    /// The batch's rows are used up: their buffer stays, its contents are unspecified. Refill it with
    /// [`Dataset::gather`], and a step allocates nothing (except to hand parts of large layers to other threads).
    ///
    /// # Errors
    /// A batch that does not fit the network, a hyper-parameter out of range, [`Error::Diverged`]; the network is
    /// then as it was before. A number of [`replicas`](Self::replicas) that is not possible.
    pub fn step(&mut self, net: &mut Sequential<F>, batch: &mut Batch<F>) -> Result<f64, Error> {
        net.expect_width(batch.rows.ncols())?;
        self.loss.check(net.outputs(), &batch.targets)?;
        if batch.rows.nrows() != batch.targets.len() || batch.targets.is_empty() {
            let what = "targets of a batch (one for each row, at least one)";
            return Err(Error::invalid(what, batch.rows.nrows().max(1), batch.targets.len()));
        }
        self.check_replicas()?;
        let outcome = if self.is_cut() {
            let whole = &*batch;
            self.take_cut_step(net, whole.rows.nrows(), |range, part| whole.copy_rows(range, part))?
        } else {
            self.take_step(net, batch)?
        };
        Ok(outcome.loss)
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
            replicas: Replicas::new(1),
            world: None,
            stopping: None,
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
            ("replicas", self.replicas.count.to_string()),
        ];
        settings.extend(own.into_iter().chain(rows).map(|(name, value)| (name.to_string(), value)));
        settings
    }
}

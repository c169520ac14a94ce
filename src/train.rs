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
mod pass;
mod progress;
mod range_test;
mod replicas;
mod resume;
mod world;

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use crate::array::{fits, values, values_mut};
use crate::collective::Collective;
use crate::data::{Batch, Dataset};
use crate::error::{Error, require};
use crate::kernel;
use crate::layer::{Layer, Pass, Role};
use crate::loss::Loss;
use crate::optim::{Clip, Optimizer, Updater, WeightDecay};
use crate::rng::{below, shuffle, stream};
use crate::scalar::Scalar;
use crate::schedule::Schedule;
use crate::sequential::Sequential;
use epoch::Tally;
use pass::{Outcome, pass};
use progress::Progress;
use replicas::{Cut, Replicas, rows_of};
use resume::Files;
use world::World;

pub use crate::history::{EpochRecord, History};
pub use epoch::Epoch;
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
    /// and layers that look at the whole batch still do ([`Pass`]): the result depends on the number of replicas, as the
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
        let checked = self.check(net, train);
        self.agree(checked)?;
        self.expect_same_run(net, train)?;
        let mut history = self.begin(net, train.len())?;
        let shown = self.progress && self.is_first();
        let progress = Progress::new(shown, self.epochs, self.steps_per_epoch(train.len()));
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
            let own = if self.is_first() {
                self.end_epoch(net, &history, train.len(), |epoch| {
                    progress.epoch(epoch);
                    after_epoch(epoch)
                })
            } else {
                Ok(ControlFlow::Continue(()))
            };
            if self.agree_on_end(net, own)?.is_break() {
                break;
            }
        }
        Ok(history)
    }

    /// Files, and whether to go on.
    fn end_epoch(
        &mut self,
        net: &Sequential<F>,
        history: &History,
        rows: usize,
        after_epoch: impl FnOnce(&Epoch<'_, F>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        self.save_best(net, history)?;
        let flow = after_epoch(&Epoch { net, history });
        self.save_due(net, history, rows, flow.is_break() || history.epochs.len() == self.epochs)?;
        Ok(flow)
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
        if self.is_cut() {
            for rows in order.chunks(self.batch_size) {
                let fill = |range: Range<usize>, batch: &mut Batch<F>| train.gather(&rows[range], batch);
                let outcome = self.take_cut_step(net, rows.len(), fill)?;
                tally.add(rows.len(), &outcome);
                after_step(outcome.loss);
            }
            return Ok(tally);
        }
        let mut batches = order.chunks(self.batch_size).peekable();
        train.gather(batches.peek().expect("an epoch has a batch"), batch);
        while let Some(rows) = batches.next() {
            let gather = || {
                if let Some(rows) = batches.peek() {
                    train.gather(rows, next);
                }
            };
            let outcome = kernel::join(rows.len() * train.width(), gather, || self.take_step(net, batch))?;
            tally.add(rows.len(), &outcome);
            after_step(outcome.loss);
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

    fn check(&self, net: &Sequential<F>, train: &Dataset<F>) -> Result<(), Error> {
        require(self.batch_size > 0, "batch_size", "at least 1", self.batch_size)?;
        self.check_replicas()?;
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

    fn check_replicas(&self) -> Result<(), Error> {
        require((1..=MOST_REPLICAS).contains(&self.replicas.count), "replicas", "1 to 1024", self.replicas.count)
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

    /// Forward, loss, backward, update. What layers draw depends on the seed and the number of the step only.
    fn take_step(&mut self, net: &mut Sequential<F>, batch: &mut Batch<F>) -> Result<Outcome, Error> {
        let mut rng = stream(self.seed, self.updater.steps(), "layers");
        let outcome = pass(net, &self.loss, batch, &mut Pass::new(&mut rng));
        self.update(net, outcome)
    }

    /// Whether a batch is cut into parts.
    fn is_cut(&self) -> bool {
        self.replicas.count > 1 || self.world.is_some()
    }

    /// The same for a batch that is cut among replicas and ranks, of which `fill` copies rows.
    fn take_cut_step(
        &mut self,
        net: &mut Sequential<F>,
        batch_rows: usize,
        fill: impl Fn(Range<usize>, &mut Batch<F>) + Sync,
    ) -> Result<Outcome, Error> {
        let ranks = self.world.as_ref().map(|world| &world.ranks);
        let (rank, size) = ranks.map_or((0, 1), |ranks| (ranks.rank(), ranks.size()));
        let rows = rows_of(rank, size, &(0..batch_rows));
        let first_part = rank * self.replicas.count;
        let cut = Cut { seed: self.seed, step: self.updater.steps(), batch_rows, rows, first_part };
        let mut outcome = self.replicas.pass(net, &self.loss, &cut, ranks, fill)?;
        if let Some(world) = &mut self.world {
            outcome = world.join(outcome);
            world.sum_gradients(net);
        }
        let weighed = F::of(batch_rows as f64 / outcome.weight);
        if weighed != F::one() {
            net.params_mut(&mut |param| {
                if param.is_trained() {
                    let gradient = values_mut(&mut param.grad);
                    kernel::vectorize(move || gradient.iter_mut().for_each(|g| *g *= weighed));
                }
            });
        }
        self.update(net, outcome)
    }

    /// The second half of a step; gives the loss with the weight penalty.
    fn update(&mut self, net: &mut Sequential<F>, outcome: Outcome) -> Result<Outcome, Error> {
        let loss = outcome.loss + self.updater.penalty(net);
        if !loss.is_finite() {
            return Err(self.updater.diverged(format!("the loss ({loss})")));
        }
        self.updater.step(net)?;
        Ok(Outcome { loss, ..outcome })
    }

    fn record(&self, epoch: usize, tally: &Tally, net: &Sequential<F>) -> Result<EpochRecord, Error> {
        let validation = self.validation.as_ref().map(|data| self.validation_outcome(net, data)).transpose()?;
        let accuracy = |right: Option<usize>, rows: usize| right.map(|right| right as f64 / rows as f64);
        Ok(EpochRecord {
            epoch,
            steps: self.updater.steps(),
            learning_rate: self.updater.last_rate(),
            loss: tally.loss(),
            accuracy: accuracy(tally.right, tally.rows),
            validation_loss: validation.map(|(outcome, _)| outcome.loss),
            validation_accuracy: validation.and_then(|(outcome, rows)| accuracy(outcome.right, rows)),
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
            replicas: Replicas::new(1),
            world: None,
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

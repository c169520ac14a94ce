//! How `fit` goes through the data.

use std::ops::{ControlFlow, Range};

use super::epoch::{Epoch, StepRecord, Tally};
use super::pass::{Outcome, pass};
use super::progress::Progress;
use super::replicas::{Cut, rows_of};
use super::{MOST_REPLICAS, Sampling, Trainer};
use crate::array::{fits, values, values_mut};
use crate::data::{Batch, Dataset};
use crate::error::{Error, require};
use crate::history::{EpochRecord, History};
use crate::kernel;
use crate::layer::{Layer, Pass};
use crate::loss::Loss;
use crate::optim::Optimizer;
use crate::rng::{below, shuffle, stream};
use crate::scalar::Scalar;
use crate::sequential::Sequential;

/// What is called after a step.
type AfterStep<'a> = &'a mut dyn FnMut(&StepRecord) -> Result<ControlFlow<()>, Error>;
/// What is called after an epoch.
type AfterEpoch<'a, F> = &'a mut dyn FnMut(&Epoch<'_, F>) -> Result<ControlFlow<()>, Error>;

impl<F: Scalar, L: Loss<F>, O: Optimizer<F>> Trainer<F, L, O> {
    /// Trains for all epochs.
    pub(super) fn run(
        &mut self,
        net: &mut Sequential<F>,
        train: &Dataset<F>,
        mut after_step: Option<AfterStep<'_>>,
        after_epoch: AfterEpoch<'_, F>,
    ) -> Result<History, Error> {
        let checked = self.check(net, train);
        self.agree(checked)?;
        self.expect_same_run(net, train)?;
        let mut history = self.begin(net, train.len())?;
        let shown = self.progress && self.is_first();
        let progress = Progress::new(shown, self.epochs, self.steps_per_epoch(train.len()));
        let mut buffers = Buffers::default();
        for number in history.epochs.len() + 1..=self.epochs {
            if self.has_stopped(&history) {
                break; // before it was resumed
            }
            let ran = self.run_epoch(net, train, &mut buffers, |trainer, loss| {
                history.losses.push(loss);
                progress.step(number, loss);
                let Some(after_step) = &mut after_step else { return Ok(ControlFlow::Continue(())) };
                let learning_rate = trainer.updater.last_rate();
                let step = StepRecord { number: trainer.updater.steps(), epoch: number, loss, learning_rate };
                let own = if trainer.is_first() { after_step(&step) } else { Ok(ControlFlow::Continue(())) };
                trainer.agree_on_flow(own)
            });
            let tally = match ran {
                Err(Error::Diverged { step, what, .. }) => {
                    return Err(Error::Diverged { step, what, history: Box::new(history) });
                }
                other => other?,
            };
            let Some(tally) = tally else { return Ok(history) };
            let record = self.record(number, &tally, net)?;
            self.updater.observe(record.validation_loss.unwrap_or(record.loss));
            history.epochs.push(record);
            // The last step of a run has no later one to find out.
            if let Some(name) = not_finite(net) {
                let (step, what) = (self.updater.steps() + 1, format!("parameter {name}"));
                return Err(Error::Diverged { step, what, history: Box::new(history) });
            }
            self.keep_if_best(net, &history)?;
            let own = if self.is_first() {
                self.end_epoch(net, &history, train.len(), &mut |epoch| {
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
        self.give_best_back(net);
        Ok(history)
    }

    /// Files, and whether to go on.
    fn end_epoch(
        &mut self,
        net: &Sequential<F>,
        history: &History,
        rows: usize,
        after_epoch: AfterEpoch<'_, F>,
    ) -> Result<ControlFlow<()>, Error> {
        self.save_best(net, history)?;
        let flow = after_epoch(&Epoch { net, history })?;
        let is_last = flow.is_break() || self.has_stopped(history) || history.epochs.len() == self.epochs;
        self.save_due(net, history, rows, is_last)?;
        Ok(flow)
    }

    /// The steps of one epoch; the next batch is gathered while a step computes. `None` where `after_step` stops it.
    fn run_epoch(
        &mut self,
        net: &mut Sequential<F>,
        train: &Dataset<F>,
        Buffers { order, batch, next }: &mut Buffers<F>,
        mut after_step: impl FnMut(&Self, f64) -> Result<ControlFlow<()>, Error>,
    ) -> Result<Option<Tally>, Error> {
        self.draw(train.len(), order);
        let mut tally = Tally::default();
        let is_cut = self.is_cut();
        let mut batches = order.chunks(self.batch_size).peekable();
        if !is_cut {
            train.gather(batches.peek().expect("an epoch has a batch"), batch);
        }
        while let Some(rows) = batches.next() {
            let outcome = if is_cut {
                let fill = |range: Range<usize>, part: &mut Batch<F>| train.gather(&rows[range], part);
                self.take_cut_step(net, rows.len(), fill)?
            } else {
                let gather = || {
                    if let Some(rows) = batches.peek() {
                        train.gather(rows, next);
                    }
                };
                let outcome = kernel::join(rows.len() * train.width(), gather, || self.take_step(net, batch))?;
                std::mem::swap(batch, next);
                outcome
            };
            tally.add(rows.len(), &outcome);
            if after_step(self, outcome.loss)?.is_break() {
                return Ok(None);
            }
        }
        Ok(Some(tally))
    }

    pub(super) fn check(&self, net: &Sequential<F>, train: &Dataset<F>) -> Result<(), Error> {
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
        self.check_stopping()?;
        net.check_data(&self.loss, train)?;
        self.validation.as_ref().map_or(Ok(()), |data| net.check_data(&self.loss, data))
    }

    pub(super) fn check_replicas(&self) -> Result<(), Error> {
        require((1..=MOST_REPLICAS).contains(&self.replicas.count), "replicas", "1 to 1024", self.replicas.count)
    }

    pub(super) fn steps_per_epoch(&self, rows: usize) -> usize {
        match self.sampling {
            Sampling::Shuffled => rows.div_ceil(self.batch_size),
            Sampling::WithReplacement => (rows / self.batch_size).max(1),
        }
    }

    /// The rows of the next epoch, batch after batch; they depend on the seed and the number of the epoch only.
    pub(super) fn draw(&mut self, rows: usize, order: &mut Vec<usize>) {
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
    pub(super) fn take_step(&mut self, net: &mut Sequential<F>, batch: &mut Batch<F>) -> Result<Outcome, Error> {
        let mut rng = stream(self.seed, self.updater.steps(), "layers");
        let outcome = pass(net, &self.loss, batch, &mut Pass::new(&mut rng));
        self.update(net, outcome)
    }

    /// Whether a batch is cut into parts.
    pub(super) fn is_cut(&self) -> bool {
        self.replicas.count > 1 || self.world.is_some()
    }

    /// The same for a batch that is cut among replicas and ranks, of which `fill` copies rows.
    pub(super) fn take_cut_step(
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

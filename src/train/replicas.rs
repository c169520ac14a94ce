//! A step on several threads: the batch is cut, each part goes through a copy of the network, and the gradients are added.

use std::any::Any;
use std::fmt;
use std::iter::once;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{ArcArray2, Array2};

use super::pass::{Outcome, pass};
use crate::array::{values, values_mut};
use crate::collective::{Collective, LEFT, ThreadRank, threads_within};
use crate::data::Batch;
use crate::error::Error;
use crate::kernel;
use crate::layer::{Part, Pass};
use crate::loss::Loss;
use crate::rng::{stream, stream_seed};
use crate::scalar::Scalar;
use crate::sequential::{Lent, Sequential};

/// The rows of part `part` of `parts`, which differ by one row at most.
pub(super) fn rows_of(part: usize, parts: usize, rows: &Range<usize>) -> Range<usize> {
    let begin = |part: usize| rows.start + (rows.len() as u128 * part as u128 / parts as u128) as usize;
    begin(part)..begin(part + 1)
}

/// A batch that is to be cut: which step it is of, how many rows it has, and which of them this process takes.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    pub(super) seed: u64,
    pub(super) step: u64,
    pub(super) batch_rows: usize,
    pub(super) rows: Range<usize>,
    /// The number of the first part here, among those of all processes.
    pub(super) first_part: usize,
}

/// The threads that share the steps of a trainer, and what each works with.
pub(super) struct Replicas<F: Scalar> {
    pub(super) count: usize,
    workers: Vec<Worker<F>>,
    lent: Lent<F>,
    nothing: ArcArray2<F>,
}

struct Worker<F> {
    rank: Arc<ThreadRank>,
    batch: Batch<F>,
    gradients: Vec<Array2<F>>,
    outcome: Outcome,
}

impl<F: Scalar> Replicas<F> {
    pub(super) fn new(count: usize) -> Self {
        Self { count, workers: Vec::new(), lent: Lent::default(), nothing: ArcArray2::default((0, 0)) }
    }

    /// Forward, loss and backward of a batch, of which `fill` copies rows. The gradients in the network are then those of the
    /// sum over the rows that are here, divided by the number of all rows of the batch. Layers take their sums over the
    /// `outer` ranks as well.
    ///
    /// # Errors
    /// The system refuses a thread; nothing has happened.
    pub(super) fn pass(
        &mut self,
        net: &mut Sequential<F>,
        loss: &impl Loss<F>,
        cut: &Cut,
        outer: Option<&Arc<dyn Collective>>,
        fill: impl Fn(Range<usize>, &mut Batch<F>) + Sync,
    ) -> Result<Outcome, Error> {
        let count = self.count;
        if self.workers.is_empty() {
            self.workers = threads_within(count, outer.cloned()).into_iter().map(Worker::new).collect();
        }
        let mut copies = net.take_copies(count - 1);
        net.lend(&mut self.lent);
        let (lent, nothing, panics) = (&self.lent, &self.nothing, Mutex::new(Vec::new()));
        let items = once(&mut *net).chain(&mut copies).zip(&mut self.workers).enumerate();
        let started = kernel::at_once(count, items, |(part, (net, worker))| {
            if part > 0 {
                net.borrow(lent);
            }
            let rows = rows_of(part, count, &cut.rows);
            // Whoever waits for a part that panics is told, and the panic goes on when all have ended.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| worker.run(net, loss, cut, part, rows, &fill))) {
                worker.rank.leave();
                panics.lock().unwrap_or_else(PoisonError::into_inner).push(panic);
            }
            if part > 0 {
                net.give_back(nothing);
            }
        });
        self.lent.clear();
        if let Err(source) = started {
            net.keep_copies(copies);
            return Err(Error::invalid("replicas", format!("as many threads as the system grants ({source})"), count));
        }
        let mut panics = panics.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !panics.is_empty() {
            self.workers.clear();
            let is_first = |panic: &Box<dyn Any + Send>| panic.downcast_ref::<&str>() != Some(&LEFT);
            resume_unwind(panics.swap_remove(panics.iter().position(is_first).unwrap_or(0)));
        }
        let outcome = self.workers.iter().fold(Outcome::NONE, |all, worker| all.and(worker.outcome));
        self.add_gradients();
        for (net, worker) in once(&mut *net).chain(&mut copies).zip(&mut self.workers) {
            net.put_gradients(&mut worker.gradients);
        }
        net.keep_copies(copies);
        Ok(outcome)
    }

    /// Adds the gradients of the other parts to those of the first, one part after another.
    fn add_gradients(&mut self) {
        let Some((first, others)) = self.workers.split_first_mut() else { return };
        let others = &*others;
        if others.is_empty() {
            return;
        }
        kernel::for_each_part(first.gradients.iter_mut().map(|gradient| values_mut(gradient)), |i, from, sums| {
            for other in others {
                let (terms, sums) = (&values(&other.gradients[i])[from..from + sums.len()], &mut *sums);
                kernel::vectorize(move || sums.iter_mut().zip(terms).for_each(|(sum, &term)| *sum += term));
            }
        });
    }
}

impl<F: Scalar> Worker<F> {
    fn new(rank: ThreadRank) -> Self {
        Self { rank: Arc::new(rank), batch: Batch::default(), gradients: Vec::new(), outcome: Outcome::NONE }
    }

    /// Its part of a step.
    fn run(
        &mut self,
        net: &mut Sequential<F>,
        loss: &impl Loss<F>,
        cut: &Cut,
        part: usize,
        rows: Range<usize>,
        fill: &impl Fn(Range<usize>, &mut Batch<F>),
    ) {
        let seed = stream_seed(cut.seed, cut.step, "layers");
        let mut shared = stream(cut.seed, cut.step, "layers");
        let mut own = stream(seed, (cut.first_part + part) as u64, "part");
        let others = Arc::clone(&self.rank) as Arc<dyn Collective>;
        fill(rows.clone(), &mut self.batch);
        let part = Part { shared: &mut shared, first_row: rows.start, batch_rows: cut.batch_rows, others: &others };
        self.outcome = pass(net, loss, &mut self.batch, &mut Pass::of_part(&mut own, part));
        net.take_gradients(&mut self.gradients);
    }
}

/// A copy shares no threads with its original.
impl<F: Scalar> Clone for Replicas<F> {
    fn clone(&self) -> Self {
        Self::new(self.count)
    }
}

impl<F: Scalar> fmt::Debug for Replicas<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.count.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_take_every_row_once_and_differ_by_one_at_most() {
        for rows in [0, 1, 7, 128, usize::MAX] {
            for parts in 1..9 {
                let all: Vec<_> = (0..parts).map(|part| rows_of(part, parts, &(0..rows))).collect();
                assert!(all[0].start == 0 && all[parts - 1].end == rows);
                assert!(all.windows(2).all(|pair| pair[0].end == pair[1].start));
                assert!(all.iter().all(|part| part.len() == rows / parts || part.len() == rows / parts + 1));
            }
        }
        assert_eq!(rows_of(1, 2, &(10..20)), 15..20);
    }
}

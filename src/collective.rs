//! Sums that several threads or processes take together: what training on many of them needs of whatever connects them.
//!
//! Each of the `size` ranks calls the same methods in the same order with slices of the same lengths. Every rank gets the
//! result, with the same bits. [`Trainer::across`](crate::Trainer::across) takes any engine that keeps this contract: the
//! companion crate `gradus-mpi` has one for many machines, [`threads`] makes one of the threads of a process, for tests and
//! for what they show of the others.
//!
//! ```
//! use gradus::collective::{Collective, threads};
//! let sums = std::thread::scope(|scope| {
//!     let sum = |rank: gradus::collective::ThreadRank| {
//!         let mut sum = [0.0];
//!         rank.sum_f64(&[1.0 + rank.rank() as f64], &mut sum);
//!         sum[0]
//!     };
//!     let ranks: Vec<_> = threads(3).into_iter().map(|rank| scope.spawn(move || sum(rank))).collect();
//!     ranks.into_iter().map(|rank| rank.join().unwrap()).collect::<Vec<_>>()
//! });
//! assert_eq!(sums, [6.0; 3]); // 1 + 2 + 3, on each
//! ```

mod agree;

use std::fmt::Debug;
use std::panic::panic_any;
use std::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::scalar::{Floats, FloatsMut, Scalar};

pub(crate) use agree::{agree, expect_same};

/// One rank's end of a group that takes sums together.
///
/// A rank whose partner is gone has nothing to go on with: a method may panic or end the process, and must not wait for ever.
pub trait Collective: Debug + Send + Sync {
    /// Which one this is, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// `to ← Σ from` over the ranks, with the same bits on each.
    fn sum_f32(&self, from: &[f32], to: &mut [f32]);

    /// `to ← Σ from` over the ranks, with the same bits on each.
    fn sum_f64(&self, from: &[f64], to: &mut [f64]);

    /// Gives every rank the bytes of rank `root`.
    fn broadcast(&self, root: usize, bytes: &mut Vec<u8>);
}

/// `to ← Σ from` over the ranks, in either number type.
pub(crate) fn sum<F: Scalar>(ranks: &dyn Collective, from: &[F], to: &mut [F]) {
    match (F::floats(from), F::floats_mut(to)) {
        (Floats::F32(from), FloatsMut::F32(to)) => ranks.sum_f32(from, to),
        (Floats::F64(from), FloatsMut::F64(to)) => ranks.sum_f64(from, to),
        _ => unreachable!("both are of the same type"),
    }
}

/// What a rank panics with where another one has ended before it came.
pub(crate) const LEFT: &str = "another rank has left the group";

/// How often a rank that waits lets other threads run before it sleeps: some 20 µs.
const ROUNDS: usize = 64;
/// How often it looks before that: some 2 µs.
const LOOKS: usize = 100;

/// A rank of a group of threads: see [`threads`].
#[derive(Debug)]
pub struct ThreadRank {
    rank: usize,
    group: Arc<Group>,
    /// How many meetings this rank has been to.
    met: AtomicUsize,
    sums: Mutex<Vec<f64>>,
}

#[derive(Debug)]
struct Group {
    size: usize,
    /// What each rank brought to a meeting, by the parity of its number: when a rank writes again where it wrote two meetings
    /// ago, all have come to the one between, and so have read.
    brought: [Vec<Mutex<Vec<f64>>>; 2],
    bytes: [Mutex<Vec<u8>>; 2],
    /// How many came to all meetings together.
    came: AtomicUsize,
    has_left: AtomicBool,
    asleep: Mutex<()>,
    woken: Condvar,
    outer: Option<Arc<dyn Collective>>,
    /// The sums of this group, and of all groups.
    joined: Mutex<[Vec<f64>; 2]>,
}

/// The ranks of a group of threads, one to move to each thread. Sums are taken in `f64`, in the order of the ranks.
///
/// A rank that waits for one that was dropped, or whose thread has panicked, panics.
pub fn threads(size: usize) -> Vec<ThreadRank> {
    threads_within(size, None)
}

/// The ranks of threads whose sums go on to other processes, or to the threads around them: `outer` is the end of the group
/// outside, and rank 0 speaks to it. A rank counts in its own group.
pub(crate) fn threads_within(size: usize, outer: Option<Arc<dyn Collective>>) -> Vec<ThreadRank> {
    let brought = || (0..size).map(|_| Mutex::default()).collect();
    let group = Arc::new(Group {
        size,
        brought: [brought(), brought()],
        bytes: Default::default(),
        came: AtomicUsize::new(0),
        has_left: AtomicBool::new(false),
        asleep: Mutex::default(),
        woken: Condvar::new(),
        outer,
        joined: Mutex::default(),
    });
    let rank = |rank| ThreadRank { rank, group: Arc::clone(&group), met: AtomicUsize::new(0), sums: Mutex::default() };
    (0..size).map(rank).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A group whose rank has panicked under a lock is left by it: nobody reads what it wrote.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ThreadRank {
    /// Leaves the group for good: whoever waits for this rank, or comes to, panics.
    pub(crate) fn leave(&self) {
        self.group.has_left.store(true, Release);
        drop(lock(&self.group.asleep));
        self.group.woken.notify_all();
    }

    /// The parity of the next meeting.
    fn parity(&self) -> usize {
        self.met.load(Relaxed) % 2
    }

    /// Waits until all ranks have come here: a moment awake, then asleep.
    fn meet(&self) {
        let Group { size, came, has_left, asleep, woken, .. } = &*self.group;
        let all = (self.met.fetch_add(1, Relaxed) + 1) * size;
        if came.fetch_add(1, AcqRel) + 1 == all {
            drop(lock(asleep));
            woken.notify_all();
        }
        let have_come = || came.load(Acquire) >= all;
        for round in 0..LOOKS + ROUNDS {
            if have_come() || has_left.load(Acquire) {
                break;
            }
            if round < LOOKS { std::hint::spin_loop() } else { thread::yield_now() }
        }
        let mut guard = lock(asleep);
        while !have_come() && !has_left.load(Acquire) {
            guard = woken.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        drop(guard);
        if !have_come() {
            panic_any(LEFT);
        }
    }

    /// `use_sums(Σ from)`.
    fn sum(&self, from: impl Iterator<Item = f64>, use_sums: impl FnOnce(&[f64])) {
        let brought = &self.group.brought[self.parity()];
        let mut own = lock(&brought[self.rank]);
        own.clear();
        own.extend(from);
        drop(own);
        self.meet();
        match &self.group.outer {
            None => {
                let sums = &mut *lock(&self.sums);
                add_up(brought, sums);
                use_sums(sums);
            }
            Some(outer) => {
                if self.rank == 0 {
                    let [sums, all] = &mut *lock(&self.group.joined);
                    add_up(brought, sums);
                    all.resize(sums.len(), 0.0);
                    outer.sum_f64(sums, all);
                }
                self.meet();
                use_sums(&lock(&self.group.joined)[1]);
                // Rank 0 must not write again before all have read.
                self.meet();
            }
        }
    }
}

/// The element-wise sums of what the ranks brought, in their order.
fn add_up(brought: &[Mutex<Vec<f64>>], sums: &mut Vec<f64>) {
    let (first, rest) = brought.split_first().expect("a group has a rank");
    sums.clone_from(&lock(first));
    for part in rest {
        let part = lock(part);
        assert_eq!(part.len(), sums.len(), "the ranks of a group sum slices of one length");
        sums.iter_mut().zip(&*part).for_each(|(sum, x)| *sum += x);
    }
}

impl Collective for ThreadRank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.group.size
    }

    fn sum_f32(&self, from: &[f32], to: &mut [f32]) {
        self.sum(from.iter().map(|&x| f64::from(x)), |sums| {
            to.iter_mut().zip(sums).for_each(|(to, &sum)| *to = sum as f32);
        });
    }

    fn sum_f64(&self, from: &[f64], to: &mut [f64]) {
        self.sum(from.iter().copied(), |sums| to.copy_from_slice(sums));
    }

    fn broadcast(&self, root: usize, bytes: &mut Vec<u8>) {
        let place = &self.group.bytes[self.parity()];
        if self.rank == root {
            lock(place).clone_from(bytes);
        }
        self.meet();
        if self.rank != root {
            bytes.clone_from(&lock(place));
        }
    }
}

impl Drop for ThreadRank {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `work` gives on every rank of a group.
    fn on_ranks<T: Send>(ranks: Vec<ThreadRank>, work: impl Fn(&ThreadRank) -> T + Sync) -> Vec<thread::Result<T>> {
        let work = &work;
        thread::scope(|scope| {
            let ranks: Vec<_> = ranks.into_iter().map(|rank| scope.spawn(move || work(&rank))).collect();
            ranks.into_iter().map(|rank| rank.join()).collect()
        })
    }

    #[test]
    fn ranks_get_the_sum_in_order_meeting_after_meeting() {
        for size in [1, 2, 3, 7] {
            let results = on_ranks(threads(size), |rank| {
                for meeting in 0..200 {
                    // 1e16 swallows a 1 that comes after it, and not the sum of those before.
                    let own = [if rank.rank() + 1 == size { 1e16 } else { 1.0 }, (meeting * (rank.rank() + 1)) as f64];
                    let mut sums = [f64::NAN; 2];
                    rank.sum_f64(&own, &mut sums);
                    let before = (size - 1) as f64;
                    assert_eq!(sums, [before + 1e16, (meeting * size * (size + 1) / 2) as f64]);
                    let mut sum = [f32::NAN];
                    rank.sum_f32(&[0.5], &mut sum);
                    assert_eq!(sum, [0.5 * size as f32]);
                }
            });
            results.into_iter().for_each(|result| result.unwrap());
        }
    }

    #[test]
    fn every_rank_gets_the_bytes_of_the_root() {
        let results = on_ranks(threads(3), |rank| {
            for root in [0, 2, 1, 1] {
                let mut bytes = vec![rank.rank() as u8; rank.rank() + 1];
                rank.broadcast(root, &mut bytes);
                assert_eq!(bytes, vec![root as u8; root + 1]);
            }
        });
        results.into_iter().for_each(|result| result.unwrap());
    }

    /// Two groups of three within a group of two.
    #[test]
    fn sums_go_on_to_the_group_outside() {
        let outer = threads(2).into_iter().map(|rank| Arc::new(rank) as Arc<dyn Collective>);
        let ranks = outer.flat_map(|outer| {
            let base = 3 * outer.rank();
            threads_within(3, Some(outer)).into_iter().map(move |rank| (base + rank.rank, rank))
        });
        thread::scope(|scope| {
            for (number, rank) in ranks {
                scope.spawn(move || {
                    for meeting in 0..100 {
                        let mut sum = [f64::NAN];
                        rank.sum_f64(&[(number * meeting) as f64], &mut sum);
                        assert_eq!(sum, [(15 * meeting) as f64]);
                    }
                });
            }
        });
    }

    #[test]
    fn a_rank_that_leaves_takes_the_others_with_it() {
        for is_panic in [false, true] {
            let results = on_ranks(threads(3), |rank| {
                let mut sum = [0.0];
                rank.sum_f64(&[1.0], &mut sum);
                assert!(!(is_panic && rank.rank() == 1), "of its own");
                if rank.rank() != 1 {
                    rank.sum_f64(&[1.0], &mut sum);
                }
            });
            for (rank, result) in results.into_iter().enumerate() {
                match result {
                    Ok(()) => assert!(rank == 1 && !is_panic),
                    Err(panic) => {
                        assert_eq!(*panic.downcast::<&str>().unwrap(), if rank == 1 { "of its own" } else { LEFT })
                    }
                }
            }
        }
    }
}

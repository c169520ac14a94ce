//! Work for several threads.

#[cfg(feature = "parallel")]
pub(crate) use shared::join;
#[cfg(feature = "parallel")]
pub(super) use shared::{count, parallel_for};

#[cfg(feature = "parallel")]
mod shared {
    use std::cell::Cell;
    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};

    use rayon::{ThreadPool, ThreadPoolBuilder};

    thread_local! {
        /// Whether this thread is at work on a share: shares are not shared again.
        static AT_WORK: Cell<bool> = const { Cell::new(false) };
    }

    /// Says that this thread is at work for as long as it is kept; it may have been before: a share that waits for
    /// threads of its own may be given another one.
    pub(super) struct AtWork {
        before: bool,
    }

    impl AtWork {
        pub(super) fn begin() -> Self {
            Self { before: AT_WORK.replace(true) }
        }
    }

    impl Drop for AtWork {
        fn drop(&mut self) {
            AT_WORK.set(self.before);
        }
    }

    /// How many threads there are for work that is not a share itself: as many as rayon would take.
    pub(crate) fn count() -> usize {
        if AT_WORK.get() { 1 } else { rayon::current_num_threads() }
    }

    /// A pool of this many threads, kept once it is made: all there are but the one that asks for help. Were there one
    /// more, they would get into each other's way.
    fn helpers(threads: usize) -> &'static ThreadPool {
        static POOLS: Mutex<BTreeMap<usize, &ThreadPool>> = Mutex::new(BTreeMap::new());
        let make = || {
            let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("gradus {i}")).build();
            &*Box::leak(Box::new(pool.expect("a thread can be started")))
        };
        // A pool that could not be made is not in it.
        POOLS.lock().unwrap_or_else(PoisonError::into_inner).entry(threads).or_insert_with(make)
    }

    /// Calls `work` on every item, on [`count`] threads at most: this one begins at once and the others help when they
    /// wake up.
    ///
    /// What an item computes must not depend on who takes it, or when.
    pub(crate) fn parallel_for<T: Send>(items: impl Iterator<Item = T> + Send, work: impl Fn(T) + Sync) {
        let threads = count();
        if threads < 2 {
            return items.for_each(work);
        }
        let items = Mutex::new(items);
        let take = || items.lock().expect("taking an item does not panic").next();
        let work = || {
            let _at_work = AtWork::begin();
            std::iter::from_fn(take).for_each(&work);
        };
        helpers(threads - 1).in_place_scope(|scope| {
            (1..threads).for_each(|_| scope.spawn(|_| work()));
            work();
        });
    }

    /// Numbers from which copying them aside pays: some 20 µs from memory, against waking the other thread.
    const WORTH: usize = 64 << 10;

    /// Does both, at the same time if there is another thread and `aside`, which copies so many `numbers`, is worth it;
    /// else `aside` comes last, so that what it copied is still in the cache afterwards.
    pub(crate) fn join<T>(numbers: usize, aside: impl FnOnce() + Send, work: impl FnOnce() -> T) -> T {
        let threads = if numbers < WORTH { 1 } else { count() };
        if threads < 2 {
            let done = work();
            aside();
            return done;
        }
        helpers(threads - 1).in_place_scope(|scope| {
            scope.spawn(|_| aside());
            work()
        })
    }
}

/// How many threads there are: this one.
#[cfg(not(feature = "parallel"))]
pub(super) fn count() -> usize {
    1
}

/// Calls `work` on every item.
#[cfg(not(feature = "parallel"))]
pub(super) fn parallel_for<T>(items: impl Iterator<Item = T>, work: impl Fn(T)) {
    items.for_each(work);
}

/// Does both.
#[cfg(not(feature = "parallel"))]
pub(crate) fn join<T>(_numbers: usize, aside: impl FnOnce(), work: impl FnOnce() -> T) -> T {
    let done = work();
    aside();
    done
}

/// Runs `test` as where there are three threads, on any machine.
#[cfg(test)]
pub(super) fn with_three<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    #[cfg(feature = "parallel")]
    let test = || rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap().install(test);
    test()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[test]
    fn every_item_is_taken_once_also_within_items() {
        let sums: Vec<_> = (0..40).map(|_| AtomicUsize::new(0)).collect();
        with_three(|| {
            assert_eq!(count(), if cfg!(feature = "parallel") { 3 } else { 1 });
            parallel_for(sums.iter().enumerate(), |(i, sum)| {
                assert_eq!(count(), 1, "a share is not shared again");
                parallel_for(0..i, |_| _ = sum.fetch_add(1, Relaxed));
            });
        });
        assert!(sums.iter().enumerate().all(|(i, sum)| sum.load(Relaxed) == i));
    }

    /// As many threads meet as there should be; a minute is for ever.
    #[cfg(feature = "parallel")]
    fn meet(threads: usize) {
        let (met, all) = (std::sync::Mutex::new(0), std::sync::Condvar::new());
        parallel_for(0..threads, |_| {
            let mut met = met.lock().unwrap();
            *met += 1;
            all.notify_all();
            let wait = all.wait_timeout_while(met, std::time::Duration::from_secs(60), |met| *met < threads).unwrap();
            assert!(!wait.1.timed_out(), "of {threads} threads {} came", *wait.0);
        });
    }

    #[test]
    #[cfg(feature = "parallel")]
    fn there_are_as_many_threads_as_in_the_pool_of_the_caller() {
        for threads in [2, 5, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| meet(threads));
        }
    }

    #[test]
    #[cfg(feature = "parallel")]
    fn a_share_within_a_share_leaves_the_outer_one_at_work() {
        with_three(|| {
            let outer = shared::AtWork::begin();
            drop(shared::AtWork::begin());
            assert_eq!(count(), 1);
            drop(outer);
            assert_eq!(count(), 3);
        });
    }

    #[test]
    fn a_share_that_panics_leaves_the_threads_as_they_were() {
        with_three(|| {
            let before = count();
            let panics = || parallel_for(0..100, |i| assert!(i < 50));
            assert!(std::panic::catch_unwind(panics).is_err());
            assert_eq!(count(), before);
        });
    }

    #[test]
    fn both_are_done_whatever_they_are_worth() {
        for numbers in [0, usize::MAX] {
            let mut aside = 0;
            assert_eq!(with_three(|| join(numbers, || aside = 1, || 2)), 2);
            assert_eq!(aside, 1);
        }
    }
}

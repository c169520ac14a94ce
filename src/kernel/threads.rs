//! A parallel for and a join on several threads.
//!
//! The threads are helpers of the library's own: at most one fewer than were ever wanted at once, shared by all callers.
//! A caller does all that no helper has begun, so that it never waits for a thread that waits for another caller, and
//! goes on alone where the system refuses a thread. Rayon says how many threads a program wants; its global pool is left
//! to the program.

#[cfg(feature = "parallel")]
pub(crate) use pooled::{at_once, join};
#[cfg(feature = "parallel")]
pub(super) use pooled::{count, parallel_for, parallel_for_from_both_ends};

#[cfg(feature = "parallel")]
mod helpers;

#[cfg(feature = "parallel")]
mod pooled {
    use std::cell::Cell;
    use std::io;
    use std::num::NonZero;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::sync::{Mutex, PoisonError};

    use super::helpers::Team;

    thread_local! {
        /// How many threads may share the work of this one where it runs a task: 1 in one of [`parallel_for`], which is not
        /// split again. 0 in no task.
        static SHARE: Cell<usize> = const { Cell::new(0) };
    }

    /// Marks this thread as running a task that so many threads may share until it is dropped. Guards nest: a layer that
    /// waits for threads of rayon may be given another task of theirs.
    pub(super) struct TaskGuard {
        before: usize,
    }

    impl TaskGuard {
        pub(super) fn begin(threads: usize) -> Self {
            Self { before: SHARE.replace(threads) }
        }
    }

    impl Drop for TaskGuard {
        fn drop(&mut self) {
            SHARE.set(self.before);
        }
    }

    /// The most threads that are ever taken, on a machine that has no more processors.
    const MOST_THREADS: usize = 256;

    /// How many threads may share the work of this one: as many as the pool of rayon has that this thread belongs to, and
    /// as many as its global pool would have elsewhere, which is not started for that; within a task, what is its share.
    pub(crate) fn count() -> usize {
        if SHARE.get() > 0 {
            SHARE.get()
        } else if rayon::current_thread_index().is_some() {
            rayon::current_num_threads().min(MOST_THREADS)
        } else {
            default_count()
        }
    }

    /// What the variable `RAYON_NUM_THREADS` says where that is a sensible number, else one for every processor.
    fn default_count() -> usize {
        static COUNT: AtomicUsize = AtomicUsize::new(0); // not yet known
        match COUNT.load(Relaxed) {
            0 => {
                let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
                let wanted = std::env::var("RAYON_NUM_THREADS").ok().and_then(|value| value.parse().ok());
                let sensible = 1..=MOST_THREADS.max(processors);
                let count = wanted.filter(|wanted| sensible.contains(wanted)).unwrap_or(processors);
                COUNT.store(count, Relaxed);
                count
            }
            count => count,
        }
    }

    /// Calls `work` on every item, on [`count`] threads at most: this one begins at once and the others take items when
    /// they wake up. It takes all that they have not begun, and waits for nothing else.
    ///
    /// What an item computes must not depend on the thread that takes it, or when.
    pub(crate) fn parallel_for<T: Send>(items: impl Iterator<Item = T> + Send, work: impl Fn(T) + Sync) {
        share(items, Iterator::next, work);
    }

    /// The same; this thread takes the first items and the others take the last ones, so that it finds in its cache what it
    /// had the time before.
    pub(crate) fn parallel_for_from_both_ends<T: Send>(
        items: impl DoubleEndedIterator<Item = T> + Send,
        work: impl Fn(T) + Sync,
    ) {
        share(items, DoubleEndedIterator::next_back, work);
    }

    /// The others `take` their items as they are told.
    fn share<I: Iterator<Item: Send> + Send>(
        items: I,
        take: fn(&mut I) -> Option<I::Item>,
        work: impl Fn(I::Item) + Sync,
    ) {
        let threads = count().min(items.size_hint().1.unwrap_or(usize::MAX));
        if threads < 2 {
            return items.for_each(work);
        }
        let items = Mutex::new(items);
        let run = |take: fn(&mut I) -> Option<I::Item>| {
            let _guard = TaskGuard::begin(1);
            let take = || take(&mut items.lock().expect("taking an item does not panic"));
            std::iter::from_fn(take).for_each(&work);
        };
        Team::of_this_process().share(threads - 1, &|| run(take), || run(I::next));
    }

    /// Calls `work` on every item, of which there are `threads`, each on a thread of its own: they may wait for one another.
    /// Where [`count`] is more, the items share what is over.
    ///
    /// # Errors
    /// The system refuses a thread; nothing was called.
    pub(crate) fn at_once<T: Send>(
        threads: usize,
        items: impl Iterator<Item = T> + Send,
        work: impl Fn(T) + Sync,
    ) -> io::Result<()> {
        let share = (count() / threads.max(1)).max(1);
        let items = Mutex::new(items);
        let take = || items.lock().expect("taking an item does not panic").next();
        let work = || {
            let _guard = TaskGuard::begin(share);
            std::iter::from_fn(take).for_each(&work);
        };
        Team::of_this_process().share_at_once(threads.saturating_sub(1), &work, work)
    }

    /// Elements from which copying them on another thread pays: some 20 µs from memory, compared with waking the thread.
    const PARALLEL_THRESHOLD: usize = 64 << 10;

    /// Runs both, at the same time if there is another thread and `aside`, which copies so many `elements`, is worth it;
    /// else `aside` comes last, so that its copy is still in the cache afterwards.
    pub(crate) fn join<T>(elements: usize, aside: impl FnOnce() + Send, work: impl FnOnce() -> T) -> T {
        if elements < PARALLEL_THRESHOLD || count() < 2 {
            let done = work();
            aside();
            return done;
        }
        let aside = Mutex::new(Some(aside));
        let once = || {
            let aside = aside.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(aside) = aside {
                aside();
            }
        };
        let done = Team::of_this_process().share(1, &once, work);
        once(); // unless a helper did
        done
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

/// Calls `work` on every item.
#[cfg(not(feature = "parallel"))]
pub(super) fn parallel_for_from_both_ends<T>(items: impl Iterator<Item = T>, work: impl Fn(T)) {
    items.for_each(work);
}

/// Calls `work` on every item, each on a thread of its own: they may wait for one another.
///
/// # Errors
/// The system refuses a thread; nothing was called.
#[cfg(not(feature = "parallel"))]
pub(crate) fn at_once<T: Send>(
    threads: usize,
    mut items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) + Sync,
) -> std::io::Result<()> {
    let (first, work) = (items.next(), &work);
    std::thread::scope(|scope| {
        let mut threads = Vec::with_capacity(threads);
        for item in items {
            // A thread gets its item once all have started; without one it ends.
            let (give, take) = std::sync::mpsc::channel();
            let run = move || take.into_iter().for_each(work);
            threads.push((std::thread::Builder::new().spawn_scoped(scope, run)?, give, item));
        }
        let given = threads.into_iter().map(|(thread, give, item)| (thread, give.send(item)));
        let threads: Vec<_> = given.map(|(thread, _)| thread).collect();
        first.into_iter().for_each(work);
        for thread in threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        Ok(())
    })
}

/// Runs both.
#[cfg(not(feature = "parallel"))]
pub(crate) fn join<T>(_elements: usize, aside: impl FnOnce(), work: impl FnOnce() -> T) -> T {
    let done = work();
    aside();
    done
}

/// Runs `test` with three threads, on any machine.
#[cfg(test)]
pub(super) fn on_three_threads<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    #[cfg(feature = "parallel")]
    let test = || rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap().install(test);
    test()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[test]
    fn parallel_for_takes_every_item_once_also_within_a_task() {
        let sums: Vec<_> = (0..40).map(|_| AtomicUsize::new(0)).collect();
        on_three_threads(|| {
            assert_eq!(count(), if cfg!(feature = "parallel") { 3 } else { 1 });
            parallel_for(sums.iter().enumerate(), |(i, sum)| {
                assert_eq!(count(), 1, "a task is not split again");
                parallel_for(0..i, |_| _ = sum.fetch_add(1, Relaxed));
            });
            parallel_for_from_both_ends(sums.iter(), |sum| _ = sum.fetch_add(1, Relaxed));
        });
        assert!(sums.iter().enumerate().all(|(i, sum)| sum.load(Relaxed) == i + 1));
    }

    /// Where this many threads wait for one another; a minute is for ever.
    struct Meeting {
        threads: usize,
        met: std::sync::Mutex<usize>,
        all: std::sync::Condvar,
    }

    impl Meeting {
        fn of(threads: usize) -> Self {
            Self { threads, met: Default::default(), all: Default::default() }
        }

        fn attend(&self) {
            let Self { threads, met, all } = self;
            let mut met = met.lock().unwrap();
            *met += 1;
            all.notify_all();
            let wait = all.wait_timeout_while(met, std::time::Duration::from_secs(60), |met| *met < *threads).unwrap();
            assert!(!wait.1.timed_out(), "of {threads} threads {} came", *wait.0);
        }
    }

    /// More than there are processors, beside tasks that keep helpers busy, within tasks and from several threads at once.
    #[test]
    fn items_at_once_can_wait_for_one_another_whatever_else_is_going_on() {
        let meet = |threads: usize| {
            let (meetings, calls) = ([Meeting::of(threads), Meeting::of(threads)], AtomicUsize::new(0));
            let attend = |i: usize| {
                calls.fetch_add(i, Relaxed);
                meetings.iter().for_each(Meeting::attend);
            };
            at_once(threads, 0..threads, attend).unwrap();
            assert_eq!(calls.into_inner(), (0..threads).sum::<usize>());
        };
        meet(1);
        meet(7);
        on_three_threads(|| parallel_for(0..9, |_| meet(3)));
        std::thread::scope(|scope| {
            (2..6).for_each(|threads| _ = scope.spawn(move || (0..20).for_each(|_| meet(threads))))
        });
    }

    #[test]
    #[cfg(feature = "parallel")]
    fn items_at_once_share_the_threads_that_are_over() {
        on_three_threads(|| {
            at_once(1, 0..1, |_| assert_eq!(count(), 3)).unwrap();
            at_once(2, 0..2, |_| assert_eq!(count(), 1)).unwrap();
        });
    }

    #[test]
    fn a_panic_at_once_reaches_the_caller() {
        let panics = |who| move || at_once(3, 0..3, |i| assert!(i != who, "it was {who}"));
        for who in 0..3 {
            let panic = std::panic::catch_unwind(panics(who)).unwrap_err();
            assert_eq!(*panic.downcast::<String>().unwrap(), format!("it was {who}"));
        }
    }

    #[cfg(feature = "parallel")]
    fn meet(threads: usize) {
        let meeting = Meeting::of(threads);
        parallel_for(0..threads, |_| meeting.attend());
    }

    #[test]
    #[cfg(feature = "parallel")]
    fn parallel_for_uses_as_many_threads_as_the_pool_of_the_caller() {
        for threads in [2, 5, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| meet(threads));
        }
    }

    #[test]
    #[cfg(feature = "parallel")]
    fn a_task_within_a_task_leaves_the_outer_one_marked() {
        on_three_threads(|| {
            let outer = pooled::TaskGuard::begin(1);
            drop(pooled::TaskGuard::begin(1));
            assert_eq!(count(), 1);
            drop(outer);
            assert_eq!(count(), 3);
        });
    }

    #[test]
    fn a_task_that_panics_leaves_the_threads_as_they_were() {
        on_three_threads(|| {
            let before = count();
            let panics = || parallel_for(0..100, |i| assert!(i < 50));
            assert!(std::panic::catch_unwind(panics).is_err());
            assert_eq!(count(), before);
        });
    }

    #[test]
    fn join_runs_both_whether_or_not_a_thread_pays() {
        for elements in [0, usize::MAX] {
            let mut aside = 0;
            assert_eq!(on_three_threads(|| join(elements, || aside = 1, || 2)), 2);
            assert_eq!(aside, 1);
        }
    }
}

//! Work for several threads.

/// How many threads there are.
#[cfg(feature = "parallel")]
pub(super) fn count() -> usize {
    rayon::current_num_threads()
}

/// How many threads there are: this one.
#[cfg(not(feature = "parallel"))]
pub(super) fn count() -> usize {
    1
}

/// Calls `work` on every item, on [`count`] threads at most: this one begins at once and the others help when they
/// wake up, so nothing waits for them but the items they took.
///
/// What an item computes must not depend on who takes it, or when.
#[cfg(feature = "parallel")]
pub(super) fn each<T: Send>(items: impl Iterator<Item = T> + Send, work: impl Fn(T) + Sync) {
    use std::sync::Mutex;

    let threads = count();
    if threads < 2 {
        return items.for_each(work);
    }
    let items = Mutex::new(items);
    let take = || items.lock().expect("taking an item does not panic").next();
    let work = || std::iter::from_fn(take).for_each(&work);
    rayon::in_place_scope(|scope| {
        (1..threads).for_each(|_| scope.spawn(|_| work()));
        work();
    });
}

/// Calls `work` on every item.
#[cfg(not(feature = "parallel"))]
pub(super) fn each<T>(items: impl Iterator<Item = T>, work: impl Fn(T)) {
    items.for_each(work);
}

/// Numbers from which copying them aside pays: some 20 µs from memory, against waking the other thread.
#[cfg(feature = "parallel")]
const WORTH: usize = 64 << 10;

/// Does both, at the same time if there is another thread and `aside`, which copies so many `numbers`, is worth it.
#[cfg(feature = "parallel")]
pub(crate) fn beside<T>(numbers: usize, aside: impl FnOnce() + Send, work: impl FnOnce() -> T) -> T {
    if numbers < WORTH || count() < 2 {
        aside();
        return work();
    }
    rayon::in_place_scope(|scope| {
        scope.spawn(|_| aside());
        work()
    })
}

/// Does both.
#[cfg(not(feature = "parallel"))]
pub(crate) fn beside<T>(_numbers: usize, aside: impl FnOnce(), work: impl FnOnce() -> T) -> T {
    aside();
    work()
}

//! Threads that help others: started when first wanted, then kept.
#![allow(unsafe_code)]

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, process, thread};

use super::pooled::TaskGuard;

/// How often a thread that has nothing to do lets others run before it sleeps: some 20 µs, so that the next product of
/// a layer finds it awake.
const ROUNDS: usize = 64;
/// After the system refused a thread nobody asks for one for so long.
const PAUSE: Duration = Duration::from_secs(1);

/// Work that helpers may join in, which borrows. It lives on the stack of the thread that offers it.
struct Job<'a> {
    help: &'a (dyn Fn() + Sync),
    /// How many helpers are in `help`; changed under the lock of the team.
    running: AtomicUsize,
    /// The first panic of a helper.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// A job that more helpers may begin.
struct Offer {
    job: NonNull<Job<'static>>,
    /// How many.
    places: usize,
    /// Whether idle helpers are kept for all places.
    promised: bool,
}

// SAFETY: the job it points to is `Sync`: a shared reference to a `Sync` closure, an atomic and a mutex.
unsafe impl Send for Offer {}

#[derive(Default)]
struct State {
    /// What is offered, the oldest first, behind what is promised.
    offers: VecDeque<Offer>,
    helpers: usize,
    /// Helpers that are in no job; never fewer than the promised places that nobody has taken yet.
    idle: usize,
    promised: usize,
    sleeping: usize,
    /// When the system last refused to start a thread.
    refused: Option<Instant>,
}

/// The helpers of a process and what they are offered.
pub(super) struct Team {
    process: u32,
    start: fn(&'static Team, usize) -> io::Result<()>,
    state: Mutex<State>,
    /// How many places are offered; changed under the lock.
    places: AtomicUsize,
    offered: Condvar,
    ended: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts helper `number`.
fn start(team: &'static Team, number: usize) -> io::Result<()> {
    thread::Builder::new().name(format!("gradus {number}")).spawn(|| team.help()).map(drop)
}

impl Team {
    fn new(start: fn(&'static Team, usize) -> io::Result<()>) -> Self {
        Self {
            process: process::id(),
            start,
            state: Mutex::default(),
            places: AtomicUsize::new(0),
            offered: Condvar::new(),
            ended: Condvar::new(),
        }
    }

    /// The team of this process. A process that was forked has none of its parent's threads, and locks as they happened
    /// to be: it gets a team of its own.
    pub(super) fn of_this_process() -> &'static Self {
        static TEAM: AtomicPtr<Team> = AtomicPtr::new(null_mut());
        let found = TEAM.load(Acquire);
        // SAFETY: what is stored was leaked from a box, and is never freed.
        if let Some(team) = unsafe { found.as_ref() }
            && team.process == process::id()
        {
            return team;
        }
        let new = Box::into_raw(Box::new(Self::new(start)));
        match TEAM.compare_exchange(found, new, AcqRel, Acquire) {
            // SAFETY: as above.
            Ok(_) => unsafe { &*new },
            Err(other) => {
                // SAFETY: it comes from a box and nobody else has seen it.
                drop(unsafe { Box::from_raw(new) });
                // SAFETY: another thread of this process stored it, as above.
                unsafe { &*other }
            }
        }
    }

    /// Runs `work` on this thread while up to so many helpers run `help`, once each, if they come before `work` ends.
    /// Waits for those that came, and for nobody else. A panic of theirs goes on here.
    pub(super) fn share<T>(&'static self, helpers: usize, help: &(dyn Fn() + Sync), work: impl FnOnce() -> T) -> T {
        self.begin_to_want(helpers);
        self.run(helpers, false, help, work)
    }

    /// The same with so many helpers that come for certain, each while the others are at it: they may wait for one another.
    /// An error, and nothing was run, where the system refuses a thread.
    pub(super) fn share_at_once<T>(
        &'static self,
        helpers: usize,
        help: &(dyn Fn() + Sync),
        work: impl FnOnce() -> T,
    ) -> io::Result<T> {
        self.promise(helpers)?;
        Ok(self.run(helpers, true, help, work))
    }

    fn run<T>(&'static self, places: usize, promised: bool, help: &(dyn Fn() + Sync), work: impl FnOnce() -> T) -> T {
        if places == 0 {
            return work(); // an offer has a place
        }
        let job = Job { help, running: AtomicUsize::new(0), panic: Mutex::new(None) };
        let offered = Offered { team: self, job: NonNull::from(&job).cast() };
        self.offer(Offer { job: offered.job, places, promised });
        let done = work();
        drop(offered);
        if let Some(panic) = lock(&job.panic).take() {
            resume_unwind(panic);
        }
        done
    }

    fn offer(&self, offer: Offer) {
        let places = offer.places;
        let mut state = lock(&self.state);
        if offer.promised {
            state.offers.push_front(offer);
        } else {
            state.offers.push_back(offer);
        }
        self.places.fetch_add(places, Relaxed);
        let sleeping = state.sleeping;
        drop(state);
        (0..places.min(sleeping)).for_each(|_| self.offered.notify_one());
    }

    /// Starts helpers until there are so many, unless the system refused one a moment ago: whoever gets fewer does more
    /// alone.
    fn begin_to_want(&'static self, helpers: usize) {
        let mut state = lock(&self.state);
        let mut may_ask = state.refused.is_none_or(|at| at.elapsed() >= PAUSE);
        while may_ask && state.helpers < helpers {
            may_ask = self.start_helper(&mut state).is_ok();
        }
    }

    /// Keeps so many idle helpers for an offer to come; starts what is missing.
    fn promise(&'static self, helpers: usize) -> io::Result<()> {
        let mut state = lock(&self.state);
        while state.idle < state.promised + helpers {
            self.start_helper(&mut state)?;
        }
        state.promised += helpers;
        Ok(())
    }

    fn start_helper(&'static self, state: &mut State) -> io::Result<()> {
        (self.start)(self, state.helpers).inspect_err(|_| state.refused = Some(Instant::now()))?;
        (state.helpers, state.idle) = (state.helpers + 1, state.idle + 1);
        Ok(())
    }

    /// What a helper does, for ever.
    fn help(&self) {
        let _guard = TaskGuard::begin(1);
        // A layer may use rayon. On a helper such work is done by the helper itself: were it left to the global pool, it
        // would never be done where every thread of that pool waits for a helper.
        let _own = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
        loop {
            let job = self.begin();
            // SAFETY: this thread is counted in `running`, so that the job is there until the count goes down below.
            let job = unsafe { job.as_ref() };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(job.help)) {
                lock(&job.panic).get_or_insert(panic);
            }
            let mut state = lock(&self.state);
            state.idle += 1;
            // The job's owner takes this lock before it lets go of the job.
            if job.running.fetch_sub(1, Release) == 1 {
                self.ended.notify_all();
            }
        }
    }

    /// Waits for a place in a job and takes it.
    fn begin(&self) -> NonNull<Job<'static>> {
        for _ in 0..ROUNDS {
            if self.places.load(Relaxed) > 0 {
                break;
            }
            thread::yield_now();
        }
        let mut state = lock(&self.state);
        loop {
            let has_time = state.idle > state.promised;
            if let Some(offer) = state.offers.front_mut().filter(|offer| offer.promised || has_time) {
                let (job, promised) = (offer.job, offer.promised);
                // SAFETY: a job is not dropped while it is offered, and it is while the lock is held.
                unsafe { job.as_ref() }.running.fetch_add(1, Relaxed);
                self.places.fetch_sub(1, Relaxed);
                offer.places -= 1;
                if offer.places == 0 {
                    state.offers.pop_front();
                }
                state.idle -= 1;
                state.promised -= usize::from(promised);
                return job;
            }
            state.sleeping += 1;
            state = self.offered.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.sleeping -= 1;
        }
    }
}

/// Takes an offer back and waits for the helpers that came, also where the work of the thread that offered it panics.
struct Offered {
    team: &'static Team,
    job: NonNull<Job<'static>>,
}

impl Drop for Offered {
    fn drop(&mut self) {
        let mut state = lock(&self.team.state);
        if let Some(at) = state.offers.iter().position(|offer| offer.job == self.job) {
            let offer = state.offers.remove(at).expect("it is there");
            self.team.places.fetch_sub(offer.places, Relaxed);
            state.promised -= if offer.promised { offer.places } else { 0 };
        }
        // SAFETY: `share` keeps the job longer than this.
        let job = unsafe { self.job.as_ref() };
        if job.running.load(Relaxed) > 0 {
            drop(state);
            for _ in 0..ROUNDS {
                if job.running.load(Acquire) == 0 {
                    break;
                }
                thread::yield_now();
            }
            state = lock(&self.team.state);
        }
        while job.running.load(Relaxed) > 0 {
            state = self.team.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;

    fn team(start: fn(&'static Team, usize) -> io::Result<()>) -> &'static Team {
        Box::leak(Box::new(Team::new(start)))
    }

    /// Waits until so many threads have come, and a minute, which is for ever, if they do not.
    fn meet(met: &AtomicUsize, threads: usize) {
        met.fetch_add(1, SeqCst);
        let until = Instant::now() + Duration::from_secs(60);
        while met.load(SeqCst) < threads {
            assert!(Instant::now() < until, "of {threads} threads {met:?} came");
            thread::yield_now();
        }
    }

    #[test]
    fn a_team_that_cannot_start_helpers_works_alone_and_does_not_ask_again_soon() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let team = team(|_, _| {
            ASKED.fetch_add(1, SeqCst);
            Err(io::ErrorKind::WouldBlock.into())
        });
        for i in 0..10 {
            assert_eq!(team.share(3, &|| unreachable!(), || i), i);
        }
        // More than once only if the test took longer than the pause.
        assert!(ASKED.load(SeqCst) < 10);
        assert_eq!((lock(&team.state).helpers, team.places.load(SeqCst)), (0, 0));
        lock(&team.state).refused = Instant::now().checked_sub(PAUSE);
        let before = ASKED.load(SeqCst);
        team.share(3, &|| unreachable!(), || ());
        assert_eq!(ASKED.load(SeqCst), before + 1);
    }

    /// A helper that is idle does not take what nobody offers.
    #[test]
    fn a_job_without_places_is_done_alone() {
        let team = team(start);
        let met = AtomicUsize::new(0);
        team.share(2, &|| meet(&met, 3), || meet(&met, 3));
        for _ in 0..1000 {
            team.share(0, &|| unreachable!(), || ());
            team.share_at_once(0, &|| unreachable!(), || ()).unwrap();
        }
    }

    #[test]
    fn a_job_at_once_needs_all_its_helpers() {
        let team = team(|team, number| match number {
            0 | 1 => start(team, number),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        });
        for _ in 0..10 {
            assert!(team.share_at_once(3, &|| unreachable!(), || unreachable!()).is_err());
            let met = AtomicUsize::new(0);
            team.share_at_once(2, &|| meet(&met, 3), || meet(&met, 3)).unwrap();
        }
        let state = lock(&team.state);
        assert_eq!((state.helpers, state.promised), (2, 0));
    }

    #[test]
    fn helpers_that_the_system_grants_are_used_where_it_refuses_more() {
        let team = team(|team, number| match number {
            0 => start(team, number),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        });
        for _ in 0..10 {
            let met = AtomicUsize::new(0);
            team.share(3, &|| meet(&met, 2), || meet(&met, 2));
        }
        assert_eq!(lock(&team.state).helpers, 1);
    }

    #[test]
    fn the_most_helpers_ever_wanted_serve_every_job() {
        let team = team(start);
        for helpers in [2, 4, 1, 3] {
            let met = AtomicUsize::new(0);
            team.share(helpers, &|| meet(&met, helpers + 1), || meet(&met, helpers + 1));
            assert_eq!(met.into_inner(), helpers + 1);
        }
        assert_eq!(lock(&team.state).helpers, 4);
    }

    /// Both panic: the caller's own panic goes on, once the helper has ended, and the team serves the next job.
    #[test]
    fn a_panic_waits_for_the_helpers_that_began() {
        let team = team(start);
        for _ in 0..100 {
            let (met, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let help = || {
                meet(&met, 2);
                thread::sleep(Duration::from_millis(1));
                ended.fetch_add(1, SeqCst);
                panic!("of the helper");
            };
            let work = || {
                meet(&met, 2);
                panic!("of the caller");
            };
            let panic = catch_unwind(AssertUnwindSafe(|| team.share(1, &help, work))).unwrap_err();
            assert_eq!((*panic.downcast::<&str>().unwrap(), ended.into_inner()), ("of the caller", 1));
        }
    }

    /// A job of one thread whose helpers do not end does not hold up that of another.
    #[test]
    fn a_job_does_not_wait_for_helpers_that_did_not_come() {
        let team = team(start);
        let (met, release) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let wait = || {
            meet(&met, 3);
            meet(&release, 4);
        };
        thread::scope(|scope| {
            scope.spawn(|| team.share(2, &wait, wait));
            meet(&AtomicUsize::new(0), 1);
            while met.load(SeqCst) < 3 {
                thread::yield_now();
            }
            team.share(2, &|| unreachable!(), || ());
            meet(&release, 4);
        });
    }

    /// A child that was forked has none of its parent's helpers.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_forked_process_starts_helpers_of_its_own() {
        unsafe extern "C" {
            fn fork() -> i32;
            fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
            fn kill(process: i32, signal: i32) -> i32;
            fn _exit(status: i32) -> !;
        }
        let two_meet = || {
            let met = AtomicUsize::new(0);
            Team::of_this_process().share(1, &|| meet(&met, 2), || meet(&met, 2));
        };
        two_meet();
        // SAFETY: the child calls what it needs of this module, and ends.
        let child = unsafe { fork() };
        if child == 0 {
            let done = catch_unwind(two_meet);
            // SAFETY: it ends the process.
            unsafe { _exit(if done.is_ok() { 7 } else { 1 }) };
        }
        assert!(child > 0);
        let (until, mut status) = (Instant::now() + Duration::from_secs(70), 0);
        // SAFETY: `status` is valid; 1 is WNOHANG.
        while unsafe { waitpid(child, &raw mut status, 1) } == 0 {
            if Instant::now() > until {
                // SAFETY: it ends the child; 9 is SIGKILL.
                unsafe { kill(child, 9) };
                panic!("the child hangs");
            }
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(status, 7 << 8);
    }
}

//! Running trials on several threads and beside other processes; errors and panics are recorded.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::log::{Claim, Log, other_study};
use super::progress::Progress;
use super::space::{Point, Value};
use super::trial::{Job, Key, Objective, Rule, State, Trial, TrialRecord};
use crate::error::Error;

/// How long to wait before looking again whether another process has finished its trials.
const POLL: Duration = Duration::from_millis(20);

/// What all trials of a run have in common.
pub(super) struct Runner<'a> {
    pub(super) seed: u64,
    pub(super) threads: usize,
    pub(super) rule: Option<Rule>,
    pub(super) progress: &'a Progress,
    pub(super) objective: &'a Objective<'a>,
}

/// The results of a run.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) records: Vec<TrialRecord>,
    /// What objectives kept, by trial.
    pub(super) states: HashMap<usize, State>,
    /// Why the run ended early, if it did. Then some trials have no record.
    pub(super) error: Option<Error>,
}

/// The trials of a run and their results, shared by its threads.
struct Queue<'a> {
    waiting: VecDeque<Job>,
    log: Option<&'a mut Log>,
    progress: &'a Progress,
    outcome: Outcome,
}

/// What a thread does next.
enum Next {
    Run(Job),
    Wait,
    Done,
}

impl Runner<'_> {
    /// Runs all jobs and returns when every one is finished, by this process or by another.
    pub(super) fn run(&self, jobs: Vec<Job>, log: Option<&mut Log>) -> Outcome {
        let threads = self.threads.min(jobs.len());
        let queue = Queue { waiting: jobs.into(), log, progress: self.progress, outcome: Outcome::default() };
        let queue = Mutex::new(queue);
        if threads <= 1 {
            self.work(&queue);
        } else {
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| on_one_thread(|| self.work(&queue)));
                }
            });
        }
        queue.into_inner().unwrap_or_else(PoisonError::into_inner).outcome
    }

    /// Runs jobs of the queue until all are finished.
    fn work(&self, queue: &Mutex<Queue<'_>>) {
        loop {
            let next = lock(queue).next();
            match next {
                Next::Run(job) => {
                    let (record, state) = self.evaluate(job);
                    lock(queue).finish(record, state);
                }
                Next::Wait => std::thread::sleep(POLL),
                Next::Done => return,
            }
        }
    }

    /// Runs one trial. An error or a panic of the objective becomes part of the record.
    fn evaluate(&self, job: Job) -> (TrialRecord, Option<State>) {
        let ((number, rung), round, budget, point) = (job.key, job.round, job.budget, job.point.clone());
        let mut trial = Trial::new(job, self.seed, self.rule.clone());
        let begun = Instant::now();
        // Unwind safe: after a panic only the trial's reports and tracks are read, which are always complete; and the
        // objective is shared among threads, so it protects its own data.
        let result = catch_unwind(AssertUnwindSafe(|| (self.objective)(&mut trial)));
        let seconds = begun.elapsed().as_secs_f64();
        let score = match result {
            Ok(Ok(score)) if score.is_finite() => Ok(score),
            Ok(Ok(score)) => Err(format!("the score is {score}")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(panic) => Err(format!("panicked: {}", panic_message(&*panic))),
        };
        let state = if score.is_ok() { trial.state.take() } else { None };
        let (stopped, reports, tracks) = (trial.stopped, trial.reports, trial.tracks);
        (TrialRecord { number, round, rung, budget, point, score, stopped, reports, tracks, seconds }, state)
    }
}

fn lock<'a, 'b>(queue: &'a Mutex<Queue<'b>>) -> MutexGuard<'a, Queue<'b>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let formatted = || panic.downcast_ref::<String>().map(String::as_str);
    panic.downcast_ref::<&str>().copied().or_else(formatted).unwrap_or("(no message)")
}

impl Queue<'_> {
    fn next(&mut self) -> Next {
        if self.outcome.error.is_some() || self.waiting.is_empty() {
            return Next::Done;
        }
        let Some(log) = &mut self.log else {
            return self.waiting.pop_front().map_or(Next::Done, Next::Run);
        };
        let keys: Vec<Key> = self.waiting.iter().map(|job| job.key).collect();
        let next = log.claim(&keys).and_then(|claim| self.update(claim));
        next.unwrap_or_else(|error| {
            self.outcome.error = Some(error);
            Next::Done
        })
    }

    /// Removes the finished trials and the claimed one from the waiting jobs.
    fn update(&mut self, claim: Claim) -> Result<Next, Error> {
        for record in claim.finished {
            if let Some(job) = self.take(record.key()) {
                self.check_same(&job, &record)?;
                self.add(record);
            }
        }
        Ok(match claim.claimed.and_then(|key| self.take(key)) {
            Some(job) => Next::Run(job),
            None if claim.others_running => Next::Wait,
            None => Next::Done,
        })
    }

    fn take(&mut self, key: Key) -> Option<Job> {
        let index = self.waiting.iter().position(|job| job.key == key)?;
        self.waiting.remove(index)
    }

    /// Checks that a trial in the log is the one that this program would run.
    fn check_same(&self, job: &Job, record: &TrialRecord) -> Result<(), Error> {
        if is_close(&job.point, &record.point) && job.budget == record.budget {
            return Ok(());
        }
        let text = |point: &Point, budget: Option<usize>| match budget {
            Some(budget) => format!("{point}, budget {budget}"),
            None => point.to_string(),
        };
        let path = self.log.as_ref().map_or(Path::new(""), |log| log.path());
        let (expected, found) = (text(&job.point, job.budget), text(&record.point, record.budget));
        Err(other_study(path, &format!("trial {}", record.number), &expected, &found))
    }

    fn finish(&mut self, record: TrialRecord, state: Option<State>) {
        let record = match &mut self.log {
            None => Ok(record),
            Some(log) => log.finish(record),
        };
        match record {
            Ok(record) => {
                if let Some(state) = state {
                    self.outcome.states.insert(record.number, state);
                }
                self.add(record);
            }
            Err(error) => drop(self.outcome.error.get_or_insert(error)),
        }
    }

    fn add(&mut self, record: TrialRecord) {
        self.progress.finished(&record);
        self.outcome.records.push(record);
    }
}

/// Equal but for the last digits of numbers: logarithms may differ in their last bit from one machine to another.
fn is_close(a: &Point, b: &Point) -> bool {
    let close = |a: &Value, b: &Value| match (a, b) {
        (Value::Float(a), Value::Float(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
        (a, b) => a == b,
    };
    a.values.len() == b.values.len() && a.values.iter().zip(&b.values).all(|(a, b)| a.0 == b.0 && close(&a.1, &b.1))
}

/// Calls a function whose kernels use this thread only, because the other processors run other trials.
#[cfg(feature = "parallel")]
fn on_one_thread(work: impl FnOnce() + Send) {
    match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(pool) => pool.install(work),
        // Without a pool of its own it is only slower.
        Err(_) => work(),
    }
}

#[cfg(not(feature = "parallel"))]
fn on_one_thread(work: impl FnOnce() + Send) {
    work();
}

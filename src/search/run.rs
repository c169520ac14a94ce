//! Running trials: on several threads, with other processes, through errors and panics.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::log::{Claim, Log};
use super::progress::Progress;
use super::space::{Point, Value};
use super::trial::{Failure, Job, Rule, State, Trial, TrialRecord};
use crate::error::Error;

/// How long to wait before asking again whether another process has finished.
const POLL: Duration = Duration::from_millis(20);

/// What all trials of a run have in common.
#[derive(Debug)]
pub(super) struct Runner<'a> {
    pub(super) seed: u64,
    pub(super) threads: usize,
    pub(super) rule: Option<Rule>,
    pub(super) progress: &'a Progress,
}

/// What came of a run.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) records: Vec<TrialRecord>,
    /// What objectives kept, by trial.
    pub(super) states: HashMap<usize, State>,
    /// Why the run ended early, if it did. Then not every trial has a record.
    pub(super) error: Option<Error>,
}

/// What the threads of a run share.
struct Board<'a> {
    waiting: VecDeque<Job>,
    log: Option<&'a mut Log>,
    outcome: Outcome,
}

enum Next {
    Run(Job),
    Wait,
    Done,
}

impl Runner<'_> {
    /// Runs all jobs and returns when every one is finished, by whomsoever.
    pub(super) fn run<O>(&self, jobs: Vec<Job>, log: Option<&mut Log>, objective: &O) -> Outcome
    where
        O: Fn(&mut Trial) -> Result<f64, Failure> + Sync,
    {
        let threads = self.threads.min(jobs.len());
        let board = Mutex::new(Board { waiting: jobs.into(), log, outcome: Outcome::default() });
        if threads <= 1 {
            self.work(&board, objective);
        } else {
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| alone(|| self.work(&board, objective)));
                }
            });
        }
        board.into_inner().unwrap_or_else(PoisonError::into_inner).outcome
    }

    fn work<O>(&self, board: &Mutex<Board<'_>>, objective: &O)
    where
        O: Fn(&mut Trial) -> Result<f64, Failure> + Sync,
    {
        let board = || board.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let next = board().next(self.progress);
            match next {
                Next::Run(job) => {
                    let (record, state) = self.evaluate(job, objective);
                    board().finish(record, state, self.progress);
                }
                Next::Wait => std::thread::sleep(POLL),
                Next::Done => return,
            }
        }
    }

    /// One trial, whatever happens in it.
    fn evaluate<O>(&self, job: Job, objective: &O) -> (TrialRecord, Option<State>)
    where
        O: Fn(&mut Trial) -> Result<f64, Failure>,
    {
        let ((number, rung), round, budget, point) = (job.key, job.round, job.budget, job.point.clone());
        let mut trial = Trial::new(job, self.seed, self.rule.clone());
        let begun = Instant::now();
        // A panic leaves nothing half done that anyone sees again: the trial's reports so far are whole, its state is
        // dropped, and the objective, being shared among threads, guards what it shares.
        let result = catch_unwind(AssertUnwindSafe(|| objective(&mut trial)));
        let seconds = begun.elapsed().as_secs_f64();
        let score = match result {
            Ok(Ok(score)) if score.is_finite() => Ok(score),
            Ok(Ok(score)) => Err(format!("the score is {score}")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(panic) => {
                let message = panic.downcast_ref::<&str>().map(ToString::to_string);
                let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
                Err(format!("panicked: {}", message.unwrap_or_else(|| "(no message)".into())))
            }
        };
        let state = if score.is_ok() { trial.state.take() } else { None };
        let (stopped, reports, tracks) = (trial.stopped, trial.reports, trial.tracks);
        (TrialRecord { number, round, rung, budget, point, score, stopped, reports, tracks, seconds }, state)
    }
}

impl Board<'_> {
    fn next(&mut self, progress: &Progress) -> Next {
        if self.outcome.error.is_some() {
            return Next::Done;
        }
        let keys: Vec<_> = self.waiting.iter().map(|job| job.key).collect();
        let Some(log) = &mut self.log else {
            return self.waiting.pop_front().map_or(Next::Done, Next::Run);
        };
        if keys.is_empty() {
            return Next::Done;
        }
        match log.claim(&keys).and_then(|claim| self.settle(claim, progress)) {
            Ok(next) => next,
            Err(error) => {
                self.outcome.error = Some(error);
                Next::Done
            }
        }
    }

    /// Takes from the queue what is finished and what was claimed.
    fn settle(&mut self, claim: Claim, progress: &Progress) -> Result<Next, Error> {
        for record in claim.finished {
            let place = self.waiting.iter().position(|job| job.key == record.key());
            if let Some(job) = place.and_then(|place| self.waiting.remove(place)) {
                require_same(&job, &record, self.log.as_ref().map_or(Path::new(""), |log| log.path()))?;
                progress.finished(&record);
                self.outcome.records.push(record);
            }
        }
        let place = claim.key.and_then(|key| self.waiting.iter().position(|job| job.key == key));
        Ok(match place.and_then(|place| self.waiting.remove(place)) {
            Some(job) => Next::Run(job),
            None if claim.wait => Next::Wait,
            None => Next::Done,
        })
    }

    fn finish(&mut self, record: TrialRecord, state: Option<State>, progress: &Progress) {
        let record = match &mut self.log {
            None => Ok(record),
            Some(log) => log.finish(record),
        };
        match record {
            Ok(record) => {
                if let Some(state) = state {
                    self.outcome.states.insert(record.number, state);
                }
                progress.finished(&record);
                self.outcome.records.push(record);
            }
            Err(error) => drop(self.outcome.error.get_or_insert(error)),
        }
    }
}

/// A logged trial has to be the one that this program would run now.
fn require_same(job: &Job, record: &TrialRecord, path: &Path) -> Result<(), Error> {
    // Logarithms may differ in their last bit from one machine to another.
    let same = |a: &Value, b: &Value| match (a, b) {
        (Value::Float(a), Value::Float(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
        (a, b) => a == b,
    };
    let same_point = |a: &Point, b: &Point| {
        a.values.len() == b.values.len() && a.values.iter().zip(&b.values).all(|(a, b)| a.0 == b.0 && same(&a.1, &b.1))
    };
    if same_point(&job.point, &record.point) && job.budget == record.budget {
        return Ok(());
    }
    let show = |point: &Point, budget: Option<usize>| match budget {
        Some(budget) => format!("{point}, budget {budget}"),
        None => point.to_string(),
    };
    Err(Error::Study {
        path: path.into(),
        what: format!("trial {}", record.number),
        expected: show(&job.point, job.budget),
        found: show(&record.point, record.budget),
    })
}

/// Runs something with kernels that use this thread only, since its neighbours are busy with trials of their own.
#[cfg(feature = "parallel")]
fn alone(work: impl FnOnce() + Send) {
    match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(pool) => pool.install(work),
        // Without a pool of its own it is only slower.
        Err(_) => work(),
    }
}

#[cfg(not(feature = "parallel"))]
fn alone(work: impl FnOnce() + Send) {
    work();
}

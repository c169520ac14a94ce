//! A trial as its objective sees it, and its record.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{ControlFlow, Deref};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::space::Point;
use crate::rng::{Generator, stream, stream_seed};

/// Why a trial failed: any error, converted by `?`.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Values over steps, such as an accuracy over epochs.
pub type Curve = Vec<(usize, f64)>;

/// What an objective keeps of a trial for the trial's next, larger budget.
pub(super) type State = Box<dyn Any + Send>;

/// A function that runs a trial and returns its score.
pub(super) type Objective<'a> = dyn Fn(&mut Trial) -> Result<f64, Failure> + Sync + 'a;

/// One trial as its objective sees it: a [`Point`] (by dereference), a seed, and methods to report scores.
#[derive(Debug)]
pub struct Trial {
    number: usize,
    round: usize,
    budget: Option<usize>,
    point: Point,
    seed: u64,
    rng: Generator,
    rule: Option<Rule>,
    pub(super) state: Option<State>,
    pub(super) reports: Curve,
    pub(super) tracks: BTreeMap<String, Curve>,
    pub(super) stopped: bool,
}

/// A rule that decides from a trial's own reports whether to stop it.
#[derive(Clone)]
pub(super) struct Rule(pub(super) Arc<RuleFn>);

type RuleFn = dyn Fn(&[(usize, f64)]) -> bool + Send + Sync;

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rule")
    }
}

impl Trial {
    pub(super) fn new(job: Job, seed: u64, rule: Option<Rule>) -> Self {
        let number = job.key.0;
        Self {
            number,
            round: job.round,
            budget: job.budget,
            point: job.point,
            // With a leading space, so that these are not the names of dimensions that a user is likely to choose.
            seed: stream_seed(seed, number as u64, " seed"),
            rng: stream(seed, number as u64, " rng"),
            rule,
            state: job.state,
            reports: Curve::new(),
            tracks: BTreeMap::new(),
            stopped: false,
        }
    }

    /// The trial's number, counted from 0 over the whole study.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The trial's round, from 1; [`Study::narrow`](super::Study::narrow) starts the next.
    pub fn round(&self) -> usize {
        self.round
    }

    /// The values to try.
    pub fn point(&self) -> &Point {
        &self.point
    }

    /// How many steps (usually epochs) the trial may train in all, if its budget is limited.
    pub fn budget(&self) -> Option<usize> {
        self.budget
    }

    /// The trial's own generator. It depends on the study's seed and the trial's number only.
    pub fn rng(&mut self) -> &mut Generator {
        &mut self.rng
    }

    /// The trial's own seed, for [`Trainer::seed`](crate::Trainer::seed) and the like. It is independent of
    /// [`rng`](Self::rng).
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Records the score after a step (usually an epoch) and decides whether to go on. The answer is `Break` if the
    /// budget is used up, if the score is NaN or infinite, or if the rule of
    /// [`Study::stop_when`](super::Study::stop_when) stops the trial. The objective then returns its latest score.
    pub fn report(&mut self, step: usize, score: f64) -> ControlFlow<()> {
        self.reports.push((step, score));
        let ruled_out = self.rule.as_ref().is_some_and(|rule| rule.0(&self.reports));
        self.stopped |= ruled_out || !score.is_finite();
        let used_up = self.budget.is_some_and(|budget| step >= budget);
        if self.stopped || used_up { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Records another value after a step, such as the training accuracy or the loss, to be kept in the record.
    pub fn track(&mut self, name: &str, step: usize, value: f64) {
        match self.tracks.get_mut(name) {
            Some(curve) => curve.push((step, value)),
            None => drop(self.tracks.insert(name.into(), vec![(step, value)])),
        }
    }

    /// Keeps a value, such as the network and its trainer, until the same trial runs with its next budget.
    pub fn keep(&mut self, state: impl Any + Send) {
        self.state = Some(Box::new(state));
    }

    /// Takes what the same trial kept under its previous budget. It is `None` at the first budget, after a restart, if
    /// another process ran the trial, or if the kept value has another type; the objective then starts from scratch.
    /// See [`Study::successive_halving`](super::Study::successive_halving).
    pub fn resume<T: Any>(&mut self) -> Option<T> {
        self.state.take()?.downcast().ok().map(|state| *state)
    }
}

impl Deref for Trial {
    type Target = Point;

    fn deref(&self) -> &Point {
        &self.point
    }
}

/// A finished trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrialRecord {
    /// The trial's number, counted from 0 over the whole study.
    #[serde(rename = "trial")]
    pub number: usize,
    /// The trial's round, from 1.
    pub round: usize,
    /// The rung of successive halving: how often the budget was raised before.
    pub rung: usize,
    /// How many steps the trial could train in all, if its budget was limited.
    pub budget: Option<usize>,
    /// The point that was tried.
    pub point: Point,
    /// The score, which is finite, or why there is none: the objective's error, its panic, or a score that is NaN or
    /// infinite.
    #[serde(flatten, with = "Score")]
    pub score: Result<f64, String>,
    /// Whether [`Trial::report`] stopped the trial before its budget was used up.
    pub stopped: bool,
    /// The scores that the objective reported.
    #[serde(with = "crate::json::exact")]
    pub reports: Curve,
    /// The values that the objective tracked, by name.
    #[serde(with = "crate::json::exact")]
    pub tracks: BTreeMap<String, Curve>,
    /// The time the objective took.
    pub seconds: f64,
}

/// How serde writes the score of a record: as a field `score` or a field `error`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Result<f64, String>")]
enum Score {
    #[serde(rename = "score")]
    Ok(f64),
    #[serde(rename = "error")]
    Err(String),
}

impl TrialRecord {
    pub(super) fn key(&self) -> Key {
        (self.number, self.rung)
    }
}

/// A trial's number and its rung, which together identify a record.
pub(super) type Key = (usize, usize);

/// A trial to run.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) key: Key,
    pub(super) round: usize,
    pub(super) budget: Option<usize>,
    pub(super) point: Point,
    pub(super) state: Option<State>,
}

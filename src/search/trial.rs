//! A trial: what an objective sees of it, and what is kept.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{ControlFlow, Deref};
use std::sync::Arc;

use super::space::{Point, stream, stream_seed};
use crate::rng::Generator;

/// Why a trial failed: any error, through `?`.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Values over steps, such as an accuracy over epochs.
pub type Curve = Vec<(usize, f64)>;

/// What an objective keeps of a trial for its next, larger budget.
pub(super) type State = Box<dyn Any + Send>;

/// One trial as its objective sees it: a [`Point`] (by dereference), a seed, and somewhere to report to.
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

/// A rule that says from a trial's own reports whether it should stop.
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
            // The space in the purpose's name keeps it apart from the dimensions.
            seed: stream_seed(seed, number, " seed"),
            rng: stream(seed, number, " rng"),
            rule,
            state: job.state,
            reports: Curve::new(),
            tracks: BTreeMap::new(),
            stopped: false,
        }
    }

    /// Its number, from 0, over the whole study.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The round it belongs to, from 1; [`Study::narrow`](super::Study::narrow) begins another.
    pub fn round(&self) -> usize {
        self.round
    }

    /// The values to try.
    pub fn point(&self) -> &Point {
        &self.point
    }

    /// How many steps (mostly epochs) it may take in all, if its budget is limited.
    pub fn budget(&self) -> Option<usize> {
        self.budget
    }

    /// The trial's own generator: the same numbers for the same trial of the same seed, whatever else runs.
    pub fn rng(&mut self) -> &mut Generator {
        &mut self.rng
    }

    /// The trial's own seed, such as for [`Trainer::seed`](crate::Trainer::seed). It has nothing in common with
    /// [`rng`](Self::rng).
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Records the score after a step (mostly an epoch), and says whether to go on: not once the budget is used
    /// up, the score is NaN or infinite, or the rule of [`Study::stop_when`](super::Study::stop_when) says so.
    /// The objective then returns the score it has.
    pub fn report(&mut self, step: usize, score: f64) -> ControlFlow<()> {
        self.reports.push((step, score));
        let ruled_out = self.rule.as_ref().is_some_and(|rule| rule.0(&self.reports));
        self.stopped |= ruled_out || !score.is_finite();
        let used_up = self.budget.is_some_and(|budget| step >= budget);
        if self.stopped || used_up { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Records another value over steps, to be kept and plotted: a training accuracy, a loss.
    pub fn track(&mut self, name: &str, step: usize, value: f64) {
        match self.tracks.get_mut(name) {
            Some(curve) => curve.push((step, value)),
            None => drop(self.tracks.insert(name.into(), vec![(step, value)])),
        }
    }

    /// Keeps something, such as the network and its trainer, for the same trial's next budget.
    pub fn keep(&mut self, state: impl Any + Send) {
        self.state = Some(Box::new(state));
    }

    /// What the same trial kept under its last budget. `None` at the first, after a restart, when another process ran
    /// it, or if something of another type was kept: then begin anew. See
    /// [`Study::successive_halving`](super::Study::successive_halving).
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
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TrialRecord {
    /// Its number, from 0, over the whole study.
    pub number: usize,
    /// The round it belongs to, from 1.
    pub round: usize,
    /// How often its budget had been raised, from 0.
    pub rung: usize,
    /// How many steps it was allowed in all, if they were limited.
    pub budget: Option<usize>,
    /// What was tried.
    pub point: Point,
    /// The score, which is finite, or why there is none: the objective's error, its panic, or a score that is no
    /// number.
    pub score: Result<f64, String>,
    /// Whether it was told to stop before its budget was used up.
    pub stopped: bool,
    /// What it reported.
    pub reports: Curve,
    /// What it tracked, by name.
    pub tracks: BTreeMap<String, Curve>,
    /// How long it took.
    pub seconds: f64,
}

impl TrialRecord {
    pub(super) fn key(&self) -> Key {
        (self.number, self.rung)
    }
}

/// A trial's number and its rung: what is run, claimed and logged as one.
pub(super) type Key = (usize, usize);

/// A trial that is to be run.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) key: Key,
    pub(super) round: usize,
    pub(super) budget: Option<usize>,
    pub(super) point: Point,
    pub(super) state: Option<State>,
}

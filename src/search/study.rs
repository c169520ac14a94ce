//! A study: trials of points, one round after another.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::Direction;
use super::json::Header;
use super::log::Log;
use super::progress::Progress;
use super::run::Runner;
use super::space::{Point, Space};
use super::trial::{Failure, Job, Key, Rule, State, Trial, TrialRecord};
use crate::error::Error;

/// A search for the best point of a [`Space`]: its trials, and how to run more. See [the module](super).
#[derive(Debug)]
pub struct Study {
    pub(super) direction: Direction,
    pub(super) seed: u64,
    about: String,
    /// As it was given.
    pub(super) whole: Space,
    /// As it is now.
    pub(super) space: Space,
    /// From 1; every narrowing begins another.
    pub(super) round: usize,
    /// The number of the next trial.
    pub(super) next: usize,
    pub(super) records: BTreeMap<Key, TrialRecord>,
    log: Option<Log>,
    notes: Vec<String>,
    threads: usize,
    rule: Option<Rule>,
    progress: bool,
}

impl Study {
    /// A search for the largest score, such as a validation accuracy.
    ///
    /// # Errors
    /// A space without dimensions, or with one that cannot be searched (it is named): an empty or inverted range, a
    /// logarithmic one that is not positive, two dimensions of one name.
    pub fn maximize(space: Space, seed: u64) -> Result<Self, Error> {
        Self::new(space, seed, Direction::Maximize)
    }

    /// A search for the smallest score, such as a validation loss.
    ///
    /// # Errors
    /// As [`maximize`](Self::maximize).
    pub fn minimize(space: Space, seed: u64) -> Result<Self, Error> {
        Self::new(space, seed, Direction::Minimize)
    }

    fn new(space: Space, seed: u64, direction: Direction) -> Result<Self, Error> {
        space.check()?;
        Ok(Self {
            direction,
            seed,
            about: String::new(),
            whole: space.clone(),
            space,
            round: 1,
            next: 0,
            records: BTreeMap::new(),
            log: None,
            notes: Vec::new(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            rule: None,
            progress: true,
        })
    }

    /// What else the scores hang on: the data, the length of training. It is written in the log, and a log that
    /// says otherwise is refused: nothing else would tell a study from one with another objective.
    ///
    /// # Panics
    /// The study has its log already.
    #[track_caller]
    pub fn about(mut self, about: impl Into<String>) -> Self {
        assert!(self.log.is_none(), "a study says what it is about before it opens its log");
        self.about = about.into();
        self
    }

    /// Keeps every finished trial in this file, and takes from it those that are there already: run the same program
    /// again after a kill, and it ends like one that was never stopped. Run it several times at once, and they
    /// share the work.
    ///
    /// A line of JSON a trial, on the disk before the next one begins. Processes share a log by the locks of the
    /// operating system, on one machine or on a network file system that has them; a process that
    /// dies gives up the trials it was at, and the others run them. Where trials are *kept* for a larger
    /// budget ([`Trial::keep`]), that is in memory only: the log has no networks.
    ///
    /// ```
    /// # use gradus::search::{Space, Study};
    /// # let path = std::env::temp_dir().join(format!("gradus-log-{}.jsonl", std::process::id()));
    /// let objective = |trial: &mut gradus::search::Trial| Ok(-trial.f64("x").powi(2));
    /// let program = |trials| {
    ///     let space = Space::new().uniform("x", -1.0..1.0);
    ///     let mut study = Study::maximize(space, 1)?.about("a parabola").log(&path)?;
    ///     study.random(trials, objective)?;
    ///     Ok::<_, gradus::Error>(study)
    /// };
    /// program(3)?; // and then it is killed
    /// let resumed = program(10)?; // runs the other seven
    ///
    /// let mut at_once = Study::maximize(Space::new().uniform("x", -1.0..1.0), 1)?;
    /// at_once.random(10, objective)?;
    /// let scores = |study: &Study| study.trials().iter().map(|trial| trial.score.clone()).collect::<Vec<_>>();
    /// assert_eq!(scores(&resumed), scores(&at_once));
    ///
    /// let other = Study::maximize(Space::new().uniform("x", -1.0..1.0), 2)?.about("a parabola").log(&path);
    /// assert!(other.unwrap_err().to_string().ends_with("they differ in the seed: expected 2, found 1"));
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// A file that cannot be opened, locked or written, or is no such log; the log of another study: another
    /// direction, seed, space or [`about`](Self::about), and what differs is named.
    pub fn log(mut self, path: impl AsRef<Path>) -> Result<Self, Error> {
        let (direction, seed, about, space) = (self.direction, self.seed, self.about.clone(), self.whole.clone());
        let header = Header { direction, seed, about, space };
        self.log = Some(Log::open(path.as_ref(), header)?);
        Ok(self)
    }

    /// What a log holds, to look at: all its finished trials. More trials can be run, but are not written down.
    ///
    /// # Errors
    /// A file that cannot be read, or is no log of a study.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let (header, records, notes) = Log::read(path.as_ref())?;
        let mut study = Self::new(header.space, header.seed, header.direction)?.about(header.about);
        study.next = records.iter().map(|record| record.number + 1).max().unwrap_or(0);
        study.round = records.iter().map(|record| record.round).max().unwrap_or(1);
        study.records = records.into_iter().map(|record| (record.key(), record)).collect();
        study.notes = notes;
        Ok(study)
    }

    /// How many trials run at once: as many as there are processors, unless this says otherwise. It changes no
    /// result, only the time.
    ///
    /// With one, a trial's own kernels may use several threads (for networks so large that it pays); with more,
    /// each trial keeps to one.
    ///
    /// ```
    /// # use gradus::search::{Space, Study};
    /// let best = |threads| {
    ///     let mut study = Study::minimize(Space::new().uniform("x", -1.0..1.0), 1)?.threads(threads);
    ///     study.tpe(40, |trial| Ok((trial.f64("x") - 0.3).abs()))?;
    ///     Ok::<_, gradus::Error>(study.best().unwrap().point.clone())
    /// };
    /// assert_eq!(best(1)?, best(3)?);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// A rule that stops a trial early, from what it has reported so far: pairs of a step and a score, in order. It
    /// sees one trial only, so that results depend neither on threads nor on what ran before.
    ///
    /// ```
    /// # use gradus::search::{Space, Study};
    /// # let study = Study::maximize(Space::new().uniform("x", 0.0..0.11), 1)?;
    /// // No better than chance after five epochs.
    /// let mut study = study.stop_when(|curve| curve.iter().any(|&(epoch, accuracy)| epoch >= 5 && accuracy < 0.12));
    /// study.random(3, |trial| {
    ///     let accuracy = trial.f64("x"); // as if learnt
    ///     for epoch in 1..=100 {
    ///         if trial.report(epoch, accuracy).is_break() {
    ///             break;
    ///         }
    ///     }
    ///     Ok(accuracy)
    /// })?;
    /// assert!(study.trials().iter().all(|trial| trial.stopped && trial.reports.len() == 5));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn stop_when(mut self, rule: impl Fn(&[(usize, f64)]) -> bool + Send + Sync + 'static) -> Self {
        self.rule = Some(Rule(Arc::new(rule)));
        self
    }

    /// Whether a progress bar may be shown (on standard error, with the feature `progress`, at a terminal).
    pub fn progress(mut self, shown: bool) -> Self {
        self.progress = shown;
        self
    }

    /// Random search: this many more points, each drawn from the space as it is now.
    ///
    /// An objective that fails or panics, or whose score is NaN or infinite, makes a failed trial; the others go on.
    ///
    /// ```
    /// # use gradus::search::{Space, Study};
    /// let mut study = Study::minimize(Space::new().uniform("x", 0.0..1.0), 1)?;
    /// study.random(4, |trial| match trial.number() {
    ///     1 => Err("no such file".into()),
    ///     2 => Ok(f64::NAN),
    ///     _ => Ok(trial.f64("x")),
    /// })?;
    /// assert_eq!(study.trials()[1].score, Err("no such file".to_string()));
    /// assert_eq!(study.trials()[2].score, Err("the score is NaN".to_string()));
    /// assert_eq!(study.ranking().len(), 2);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Only what has to do with the log: a file that cannot be written, a trial in it that this program would not have
    /// run.
    pub fn random<O>(&mut self, trials: usize, objective: O) -> Result<(), Error>
    where
        O: Fn(&mut Trial) -> Result<f64, Failure> + Sync,
    {
        let progress = self.bar(trials);
        let jobs = (self.next..self.next + trials).map(|number| self.job(number, self.space.sample(self.seed, number)));
        self.run(jobs.collect(), &progress, &objective)?;
        self.next += trials;
        Ok(())
    }

    pub(super) fn bar(&self, trials: usize) -> Progress {
        Progress::new(self.progress, trials, self.direction)
    }

    pub(super) fn job(&self, number: usize, point: Point) -> Job {
        Job { key: (number, 0), round: self.round, budget: None, point, state: None }
    }

    /// Runs what has not been run; gives what objectives kept, by trial.
    pub(super) fn run<O>(
        &mut self,
        mut jobs: Vec<Job>,
        progress: &Progress,
        objective: &O,
    ) -> Result<BTreeMap<usize, State>, Error>
    where
        O: Fn(&mut Trial) -> Result<f64, Failure> + Sync,
    {
        // After a run that ended in an error, some are there.
        jobs.retain(|job| !self.records.contains_key(&job.key));
        let runner = Runner { seed: self.seed, threads: self.threads, rule: self.rule.clone(), progress };
        let outcome = runner.run(jobs, self.log.as_mut(), objective);
        self.records.extend(outcome.records.into_iter().map(|record| (record.key(), record)));
        outcome.error.map_or(Ok(outcome.states.into_iter().collect()), Err)
    }

    /// The finished trials by number, each under its largest budget.
    pub fn trials(&self) -> Vec<&TrialRecord> {
        let mut trials: Vec<&TrialRecord> = Vec::new();
        for record in self.records.values() {
            // Of one trial, the records come in the order of their rungs.
            match trials.last_mut().filter(|last| last.number == record.number) {
                Some(last) => *last = record,
                None => trials.push(record),
            }
        }
        trials
    }

    /// The trials that have a score, the best first; of equal ones the one with the smaller number first. Under
    /// limited budgets a trial that came further is ahead of any that was left behind.
    pub fn ranking(&self) -> Vec<&TrialRecord> {
        rank(self.trials(), self.direction)
    }

    /// The trial with the best score, if any has one.
    pub fn best(&self) -> Option<&TrialRecord> {
        self.ranking().first().copied()
    }

    /// The space as it is now: narrowed by [`narrow`](Self::narrow).
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The round that is going on, from 1.
    pub fn round(&self) -> usize {
        self.round
    }

    /// Whether large scores are good or small ones.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// What its user may want to know about the log: a torn last line, left by a kill, that was dropped.
    pub fn notes(&self) -> &[String] {
        self.log.as_ref().map_or(&self.notes, Log::notes)
    }
}

/// Those with a score, best first.
pub(super) fn rank(mut trials: Vec<&TrialRecord>, direction: Direction) -> Vec<&TrialRecord> {
    trials.retain(|trial| trial.score.is_ok());
    let key = |trial: &TrialRecord| (trial.budget.unwrap_or(usize::MAX), trial.score.clone().unwrap_or(f64::NAN));
    trials.sort_by(|a, b| {
        let ((budget_a, a), (budget_b, b)) = (key(a), key(b));
        budget_b.cmp(&budget_a).then(match direction {
            Direction::Maximize => b.total_cmp(&a),
            Direction::Minimize => a.total_cmp(&b),
        })
    });
    trials
}

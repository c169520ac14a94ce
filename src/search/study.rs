//! A study: trials of points, one round after another.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::Direction;
use super::lines::Header;
use super::log::Log;
use super::progress::Progress;
use super::ranks;
use super::run::Runner;
use super::space::{Point, Space};
use super::trial::{Failure, Job, Key, Objective, Rule, State, Trial, TrialRecord};
use crate::array::fits;
use crate::collective::{Collective, agree};
use crate::error::Error;

/// A search for the best point of a [`Space`]: its trials, and how to run more. See [the module](super).
#[derive(Debug)]
pub struct Study {
    pub(super) direction: Direction,
    pub(super) seed: u64,
    about: String,
    /// The space that the study was created with.
    pub(super) full_space: Space,
    /// The narrowed space of the current round.
    pub(super) space: Space,
    /// From 1; every narrowing starts the next.
    pub(super) round: usize,
    /// The number of the next trial.
    pub(super) next: usize,
    pub(super) records: BTreeMap<Key, TrialRecord>,
    log: Option<Log>,
    notes: Vec<String>,
    threads: usize,
    rule: Option<Rule>,
    progress: bool,
    pub(super) ranks: Option<Arc<dyn Collective>>,
}

impl Study {
    /// A search for the largest score, such as a validation accuracy.
    ///
    /// # Errors
    /// The space has no dimensions, or one that cannot be searched: an empty or inverted range, a logarithmic range
    /// that is not positive, a name that occurs twice. The error names the dimension.
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
            full_space: space.clone(),
            space,
            round: 1,
            next: 0,
            records: BTreeMap::new(),
            log: None,
            notes: Vec::new(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            rule: None,
            progress: true,
            ranks: None,
        })
    }

    /// Describes what else the scores depend on: the data, the length of training. The text is written to the log, and
    /// [`log`](Self::log) refuses a file with another text. Nothing else distinguishes the logs of two studies that
    /// differ in their objectives only.
    ///
    /// # Panics
    /// The study already has a log.
    #[track_caller]
    pub fn about(mut self, about: impl Into<String>) -> Self {
        assert!(self.log.is_none(), "call `about` before `log`: the log's first line contains the text");
        self.about = about.into();
        self
    }

    /// Writes every finished trial to this file, and does not run those again that it already contains. After a kill,
    /// start the same program again, and its results are those of a program that was never stopped. Start it several
    /// times at once, and the processes share the work.
    ///
    /// Each trial is a line of JSON, on the disk before the thread that ran it starts another. Processes share a log by
    /// the file locks of the operating system, on one machine or on a network file system that supports them. If a
    /// process dies, the others run the trials it had started. The log has no networks: what an objective keeps
    /// for a larger budget ([`Trial::keep`]) is in memory only.
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
    /// program(3)?; // as if killed after three trials
    /// let resumed = program(10)?; // runs the other seven
    ///
    /// let mut at_once = Study::maximize(Space::new().uniform("x", -1.0..1.0), 1)?;
    /// at_once.random(10, objective)?;
    /// let scores = |study: &Study| study.trials().iter().map(|trial| trial.score.clone()).collect::<Vec<_>>();
    /// assert_eq!(scores(&resumed), scores(&at_once));
    ///
    /// let other = Study::maximize(Space::new().uniform("x", -1.0..1.0), 2)?.about("a parabola").log(&path);
    /// assert!(other.unwrap_err().to_string().ends_with("this is the log of another study: expected 2, found 1"));
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// The file cannot be opened, locked or written, or it is not a log; or it is the log of a study with another
    /// direction, seed, space or [`about`](Self::about): the error says what differs.
    pub fn log(mut self, path: impl AsRef<Path>) -> Result<Self, Error> {
        self.log = Some(Log::open(path.as_ref(), self.header())?);
        Ok(self)
    }

    fn header(&self) -> Header {
        let (about, space) = (self.about.clone(), self.full_space.clone());
        Header { direction: self.direction, seed: self.seed, about, space }
    }

    /// A study with all finished trials of a log. The file is not changed, even if this study runs more trials.
    ///
    /// # Errors
    /// The file cannot be read, or is not the log of a study.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let (header, records, notes) = Log::read(path.as_ref())?;
        let mut study = Self::new(header.space, header.seed, header.direction)?.about(header.about);
        study.next = records.iter().map(|record| record.number.saturating_add(1)).max().unwrap_or(0);
        study.round = records.iter().map(|record| record.round).max().unwrap_or(1);
        study.records = records.into_iter().map(|record| (record.key(), record)).collect();
        study.notes = notes;
        Ok(study)
    }

    /// Sets how many trials run at once; the default is the number of processors. The results do not depend on it.
    ///
    /// With 1, the trial's own kernels may use several threads, as they do for large networks. With more, each trial
    /// uses one thread.
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

    /// Sets a rule that stops a trial early. The rule gets the trial's reports so far, pairs of a step and a score in
    /// order. It sees one trial only, so results depend neither on the number of threads nor on earlier trials.
    ///
    /// ```
    /// # use gradus::search::{Space, Study};
    /// # let study = Study::maximize(Space::new().uniform("x", 0.0..0.11), 1)?;
    /// // No better than chance after five epochs.
    /// let mut study = study.stop_when(|curve| curve.iter().any(|&(epoch, accuracy)| epoch >= 5 && accuracy < 0.12));
    /// study.random(3, |trial| {
    ///     let accuracy = trial.f64("x"); // in place of training
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

    /// Whether to show a progress bar, which is the default. It needs the feature `progress` and a terminal as standard
    /// error.
    pub fn progress(mut self, shown: bool) -> Self {
        self.progress = shown;
        self
    }

    /// Random search: runs this many more trials, each at a point drawn from the current space.
    ///
    /// If the objective fails or panics, or its score is NaN or infinite, the trial is recorded as failed, and the
    /// others go on.
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
    /// More trials than memory has room for; and errors of the log: the file cannot be read or written, it was removed, cut
    /// or replaced in the meantime, or it contains a trial that this program would not have run. The study keeps all trials
    /// that were finished until then, and the next run writes those that are not in the file yet.
    pub fn random<O>(&mut self, trials: usize, objective: O) -> Result<(), Error>
    where
        O: Fn(&mut Trial) -> Result<f64, Failure> + Sync,
    {
        let end = self.end(trials)?;
        let progress = self.new_progress(trials);
        let jobs = (self.next..end).map(|number| self.job(number, self.space.sample(self.seed, number)));
        self.run(jobs.collect(), &progress, &objective)?;
        self.next = end;
        Ok(())
    }

    pub(super) fn new_progress(&self, trials: usize) -> Progress {
        let is_first = self.ranks.as_ref().is_none_or(|ranks| ranks.rank() == 0);
        Progress::new(self.progress && is_first, trials, self.direction)
    }

    /// The number after the last of so many more trials.
    pub(super) fn end(&self, trials: usize) -> Result<usize, Error> {
        let end = self.next.checked_add(trials).filter(|_| fits::<Job>(&[trials]));
        end.ok_or_else(|| Error::invalid("trials", "a number that fits into memory", trials))
    }

    pub(super) fn job(&self, number: usize, point: Point) -> Job {
        Job { key: (number, 0), round: self.round, budget: None, point, state: None }
    }

    /// Runs the jobs that have no record yet. Returns what objectives kept, by trial.
    pub(super) fn run(
        &mut self,
        mut jobs: Vec<Job>,
        progress: &Progress,
        objective: &Objective<'_>,
    ) -> Result<HashMap<usize, State>, Error> {
        // If an earlier run ended in an error, some of its trials have records, and some may not be in the log.
        let written = self.log.as_mut().map_or(Ok(()), Log::write_rest);
        jobs.retain(|job| !self.records.contains_key(&job.key));
        let group = self.ranks.clone().map(|ranks| (ranks, self.header()));
        match &group {
            None => written?,
            Some((ranks, header)) => {
                agree(&**ranks, written)?;
                jobs = ranks::own(&**ranks, header, jobs)?;
            }
        }
        let runner = Runner { seed: self.seed, threads: self.threads, rule: self.rule.clone(), progress, objective };
        let mut outcome = runner.run(jobs, self.log.as_mut());
        if let Some((ranks, header)) = &group {
            outcome = ranks::exchange(&**ranks, header, outcome);
        }
        // Of trials that could not be written, nothing is lost but the file's line.
        let unwritten = self.log.iter().flat_map(Log::unwritten).cloned();
        let records = unwritten.chain(outcome.records);
        self.records.extend(records.map(|record| (record.key(), record)));
        outcome.error.map_or(Ok(outcome.states), Err)
    }

    /// The finished trials by number, each with its record of the largest budget.
    pub fn trials(&self) -> Vec<&TrialRecord> {
        let mut trials: Vec<&TrialRecord> = Vec::new();
        for record in self.records.values() {
            // The records of one trial are in the order of their rungs.
            match trials.last_mut().filter(|last| last.number == record.number) {
                Some(last) => *last = record,
                None => trials.push(record),
            }
        }
        trials
    }

    /// The trials that have a score, the best first; of equal scores, the smaller number first. With limited budgets, a
    /// trial with a larger budget comes before all trials with smaller ones.
    pub fn ranking(&self) -> Vec<&TrialRecord> {
        rank(self.trials(), self.direction)
    }

    /// The first trial of the [`ranking`](Self::ranking), if any has a score.
    pub fn best(&self) -> Option<&TrialRecord> {
        self.ranking().first().copied()
    }

    /// The current space, which [`narrow`](Self::narrow) changes.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The current round, from 1.
    pub fn round(&self) -> usize {
        self.round
    }

    /// Whether a large score is good or a small one.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Repairs of the log: a note for each torn last line, left by a process that was killed, that was dropped.
    pub fn notes(&self) -> &[String] {
        self.log.as_ref().map_or(&self.notes, Log::notes)
    }
}

/// The trials with a score, as in [`Study::ranking`].
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

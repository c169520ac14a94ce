//! Trials on the ranks of a group: each runs some of them, and all get every result.

use std::sync::Arc;

use super::lines::{self, Header, Line};
use super::run::Outcome;
use super::study::Study;
use super::trial::{Job, TrialRecord};
use crate::collective::{Collective, agree, expect_same};
use crate::error::Error;

impl Study {
    /// Gives the trials to all ranks of a group, on several machines say: every rank runs the same program, runs some of the
    /// trials, on [`threads`](Self::threads) of its own, and ends with the records of all.
    ///
    /// The results do not depend on the number of ranks. All rungs of a trial are run by one rank, which finds what
    /// [`Trial::keep`](super::Trial::keep) kept. Ranks may write one [`log`](Self::log) in a folder that they share, or each
    /// its own. An error of one rank's log is an error of all ([`Error::Rank`]); the records of a run that failed stay with
    /// the ranks that have them.
    ///
    /// ```
    /// use gradus::{collective::threads, search::{Space, Study}};
    /// use std::sync::Arc;
    /// let search = |rank| {
    ///     let mut study = Study::minimize(Space::new().uniform("x", -1.0..1.0), 1)?.across(Arc::new(rank));
    ///     study.random(20, |trial| Ok((trial.f64("x") - 0.3).abs()))?;
    ///     Ok::<_, gradus::Error>(study.best().unwrap().number)
    /// };
    /// let best = std::thread::scope(|scope| {
    ///     let ranks: Vec<_> = threads(3).into_iter().map(|rank| scope.spawn(move || search(rank))).collect();
    ///     ranks.into_iter().map(|rank| rank.join().unwrap()).collect::<Result<Vec<_>, _>>()
    /// })?;
    /// assert!(best[0] == best[1] && best[0] == best[2]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn across(mut self, ranks: Arc<dyn Collective>) -> Self {
        self.ranks = Some(ranks);
        self
    }
}

/// The jobs of this rank, of those that all ranks are about to run.
pub(super) fn own(ranks: &dyn Collective, header: &Header, mut jobs: Vec<Job>) -> Result<Vec<Job>, Error> {
    let job =
        |job: &Job| (format!("trial {}, rung {}", job.key.0, job.key.1), format!("{}, {:?}", job.point, job.budget));
    let study = ("study".to_string(), lines::first_line(header));
    let all: Vec<_> = std::iter::once(study).chain(jobs.iter().map(job)).collect();
    expect_same(ranks, &all)?;
    jobs.retain(|job| job.key.0 % ranks.size() == ranks.rank());
    Ok(jobs)
}

/// Adds the records of the other ranks.
pub(super) fn exchange(ranks: &dyn Collective, header: &Header, mut outcome: Outcome) -> Outcome {
    let own: String = outcome.records.iter().map(lines::line).collect();
    if let Err(error) = agree(ranks, outcome.error.take().map_or(Ok(()), Err)) {
        return Outcome { error: Some(error), ..outcome };
    }
    for root in 0..ranks.size() {
        let mut text = own.clone().into_bytes();
        ranks.broadcast(root, &mut text);
        if root != ranks.rank() {
            outcome.records.extend(text.split_inclusive(|&byte| byte == b'\n').map(|line| record(line, header)));
        }
    }
    outcome
}

fn record(line: &[u8], header: &Header) -> TrialRecord {
    match lines::parse(line, &header.space) {
        Ok(Line::Finished(record)) => *record,
        other => unreachable!("a rank has sent {other:?} for a trial of this study"),
    }
}

//! Successive halving and Hyperband: many points get a small budget, and the best of them a larger one.

use std::collections::HashMap;

use super::Study;
use super::study::rank;
use super::trial::{Failure, Objective, State, Trial, TrialRecord};
use crate::error::{Error, require};

/// Budgets that grow by a factor: `min`, `min · factor`, … `max`, in steps of training (usually epochs).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// The budget of every trial at first.
    pub min: usize,
    /// The budget of the last trials.
    pub max: usize,
    /// The factor by which the budget grows and the number of trials shrinks at each rung.
    pub factor: usize,
}

impl Default for Budgets {
    /// 1, 3, 9, 27, 81.
    fn default() -> Self {
        Self { min: 1, max: 81, factor: 3 }
    }
}

impl Budgets {
    /// The budgets in order. The last is `max`, even if that is less than `factor` times the one before. A factor that
    /// does not grow gives the first and the last.
    ///
    /// ```
    /// # use gradus::search::Budgets;
    /// assert_eq!(Budgets { min: 2, max: 50, factor: 4 }.rungs(), [2, 8, 32, 50]);
    /// ```
    pub fn rungs(&self) -> Vec<usize> {
        let mut rungs = vec![];
        let mut budget = self.min;
        while budget < self.max {
            rungs.push(budget);
            let next = budget.saturating_mul(self.factor);
            if next <= budget {
                break;
            }
            budget = next;
        }
        rungs.push(self.max);
        rungs
    }

    fn check(&self) -> Result<(), Error> {
        require(self.min >= 1, "the smallest budget", "at least 1", self.min)?;
        let expected = format!("at least the smallest, {}", self.min);
        require(self.max >= self.min, "the largest budget", &expected, self.max)?;
        require(self.factor >= 2, "the factor between budgets", "at least 2", self.factor)
    }
}

impl Study {
    /// Successive halving (Jamieson and Talwalkar 2016): `trials` random points get the smallest budget, the best
    /// `1 / factor` of them `factor` times as much, and so on to the largest budget. A rung starts when the one before
    /// is finished, so the results do not depend on the number of threads and processes.
    ///
    /// The objective is called once for each rung of a trial; [`Trial::budget`] is the budget in all, not that of the
    /// rung alone. To continue the training of the rung before, it [`keep`](Trial::keep)s its network and trainer and
    /// [`resume`](Trial::resume)s them. If there is nothing to resume, it starts from scratch and trains for the whole
    /// budget. The trial's seed and generator are the same each time, so the network becomes the same.
    ///
    /// ```
    /// use gradus::prelude::*;
    /// use gradus::search::{Budgets, Space, Study};
    ///
    /// let (train, validation) = Digits::load::<f32>()?.shuffle(&mut gradus::rng(1)).take(300)?.split(0.3)?;
    /// let mut study = Study::maximize(Space::new().log_uniform("learning_rate", 1e-5..1e-1), 42)?;
    /// study.successive_halving(9, Budgets { min: 1, max: 9, factor: 3 }, |trial| {
    ///     let (mut net, mut trainer, done) = match trial.resume() {
    ///         Some(state) => state,
    ///         None => {
    ///             let net = Sequential::mlp(train.width(), &[20], train.classes()).build(trial.rng())?;
    ///             let adam = Adam { learning_rate: trial.f64("learning_rate"), ..Adam::default() };
    ///             (net, Trainer::new(SoftmaxCrossEntropy, adam).seed(trial.seed()), 0)
    ///         }
    ///     };
    ///     let budget = trial.budget().unwrap_or(9);
    ///     trainer = trainer.epochs(budget - done);
    ///     trainer.fit(&mut net, &train)?;
    ///     let accuracy = net.accuracy(&validation)?;
    ///     trial.keep((net, trainer, budget));
    ///     Ok(accuracy)
    /// })?;
    /// assert_eq!(study.best().unwrap().budget, Some(9));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// The budgets do not grow from at least 1; and as for [`random`](Self::random).
    pub fn successive_halving<O>(&mut self, trials: usize, budgets: Budgets, objective: O) -> Result<(), Error>
    where
        O: Fn(&mut Trial) -> Result<f64, Failure> + Sync,
    {
        budgets.check()?;
        self.run_bracket(trials, &budgets.rungs(), budgets.factor, &objective)
    }

    /// Hyperband (Li et al. 2018): several brackets of successive halving, from many trials that start at the smallest
    /// budget to few that start at the largest. All brackets cost about the same. So the result does not depend on
    /// whether short training can distinguish good points from bad ones.
    ///
    /// With `s + 1` budgets there are the brackets `b = s … 0`. Bracket `b` has `⌈(s + 1) / (b + 1) · factor^b⌉` trials
    /// and starts `b` budgets below the largest.
    ///
    /// ```
    /// # use gradus::search::{Budgets, Space, Study};
    /// let mut study = Study::maximize(Space::new().uniform("x", 0.0..1.0), 1)?;
    /// study.hyperband(Budgets { min: 1, max: 9, factor: 3 }, |trial| Ok(trial.f64("x")))?;
    /// assert_eq!(study.trials().len(), 9 + 5 + 3);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`successive_halving`](Self::successive_halving).
    pub fn hyperband<O>(&mut self, budgets: Budgets, objective: O) -> Result<(), Error>
    where
        O: Fn(&mut Trial) -> Result<f64, Failure> + Sync,
    {
        budgets.check()?;
        let rungs = budgets.rungs();
        let trials = |first: usize| {
            let bracket = rungs.len() - 1 - first;
            let growth = budgets.factor.checked_pow(bracket as u32)?;
            Some(rungs.len().checked_mul(growth)?.div_ceil(bracket + 1))
        };
        let brackets = (0..rungs.len()).map(trials).collect::<Option<Vec<usize>>>().unwrap_or(vec![usize::MAX]);
        self.end(brackets.iter().fold(0, |sum: usize, &trials| sum.saturating_add(trials)))?;
        for (first, trials) in brackets.into_iter().enumerate() {
            self.run_bracket(trials, &rungs[first..], budgets.factor, &objective)?;
        }
        Ok(())
    }

    /// One run of successive halving over these budgets.
    fn run_bracket(
        &mut self,
        trials: usize,
        budgets: &[usize],
        factor: usize,
        objective: &Objective<'_>,
    ) -> Result<(), Error> {
        let end = self.end(trials)?;
        let sizes = budgets.iter().scan(trials, |left, _| Some(std::mem::replace(left, (*left / factor).max(1))));
        let progress = self.new_progress(sizes.clone().sum());
        let mut numbers: Vec<usize> = (self.next..end).collect();
        let mut states: HashMap<usize, State> = HashMap::new();
        for ((rung, &budget), size) in budgets.iter().enumerate().zip(sizes) {
            if rung > 0 {
                numbers = self.best_on_rung(&numbers, rung - 1, size);
            }
            let jobs = numbers.iter().map(|&number| {
                let mut job = self.job(number, self.space.sample(self.seed, number));
                (job.key, job.budget, job.state) = ((number, rung), Some(budget), states.remove(&number));
                job
            });
            states = self.run(jobs.collect(), &progress, objective)?;
        }
        self.next = end;
        Ok(())
    }

    /// The best `count` of these trials on one rung, in the order of their numbers.
    fn best_on_rung(&self, numbers: &[usize], rung: usize, count: usize) -> Vec<usize> {
        let records = numbers.iter().filter_map(|&number| self.records.get(&(number, rung)));
        let ranked = rank(records.collect(), self.direction);
        let mut best: Vec<usize> = ranked.iter().take(count).map(|record: &&TrialRecord| record.number).collect();
        best.sort_unstable();
        best
    }
}

#[cfg(test)]
mod tests {
    use super::Budgets;

    #[test]
    fn rungs_grow_to_the_largest_budget() {
        assert_eq!(Budgets::default().rungs(), [1, 3, 9, 27, 81]);
        assert_eq!(Budgets { min: 2, max: 50, factor: 4 }.rungs(), [2, 8, 32, 50]);
        assert_eq!(Budgets { min: 5, max: 5, factor: 2 }.rungs(), [5]);
    }
}

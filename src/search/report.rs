//! The results of a study: table, CSV, importance of the dimensions.

use std::fmt;
use std::path::Path;

use super::Study;
use super::space::Value;
use super::trial::TrialRecord;
use crate::error::Error;

/// The best trials of a study; prints as a table.
#[derive(Debug, Clone)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    last_line: String,
}

impl Study {
    /// The best `count` trials, as a table.
    pub fn table(&self, count: usize) -> Table {
        let names = self.full_space.dimensions().map(|(name, _)| name.to_string());
        let header = ["", "trial", "round", "score"].map(String::from).into_iter().chain(names).collect();
        let trials = self.trials();
        let failed = trials.iter().filter(|trial| trial.score.is_err()).count();
        let stopped = trials.iter().filter(|trial| trial.stopped).count();
        let last_line = format!("{} trials, {failed} failed, {stopped} stopped early", trials.len());
        let rows = self.ranking().into_iter().take(count).enumerate().map(|(place, trial)| {
            let score = trial.score.as_ref().map_or(String::new(), |&score| Value::Float(score).to_string());
            let start = [(place + 1).to_string(), trial.number.to_string(), trial.round.to_string(), score];
            start.into_iter().chain(trial.point.values().map(|(_, value)| value.to_string())).collect()
        });
        Table { header, rows: rows.collect(), last_line }
    }

    /// Every finished trial as a row: `trial,round,budget,score,error,stopped,seconds`, then a column for each
    /// dimension. Numbers read back exactly.
    pub fn to_csv(&self) -> String {
        let names = self.full_space.dimensions().map(|(name, _)| name);
        let header = ["trial", "round", "budget", "score", "error", "stopped", "seconds"].into_iter().chain(names);
        let rows = self.trials().into_iter().map(|trial| {
            let (score, error) = match &trial.score {
                Ok(score) => (score.to_string(), String::new()),
                Err(error) => (String::new(), error.clone()),
            };
            let budget = trial.budget.map_or(String::new(), |budget| budget.to_string());
            let (number, round, stopped) = (trial.number.to_string(), trial.round.to_string(), trial.stopped);
            let seconds = trial.seconds.to_string();
            let start = [number, round, budget, score, error, stopped.to_string(), seconds];
            start.into_iter().chain(trial.point.values().map(|(_, value)| exact_text(value))).collect()
        });
        csv(std::iter::once(header.map(String::from).collect()).chain(rows))
    }

    /// Writes [`to_csv`](Self::to_csv) to a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_csv(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        std::fs::write(path.as_ref(), self.to_csv()).map_err(Error::io("write", path.as_ref()))
    }

    /// How important each dimension was in a round, from 0 to 1: the share of the variance of the scores' ranks that
    /// this dimension alone explains. The most important comes first; the list is empty for a round with fewer than 20
    /// scores.
    ///
    /// The `n` trials with a score are divided by the dimension's value into `b` bins of equal count, `b = √n` rounded
    /// down and at most 10 (each option of a choice is a bin). With `η²`, the variance between the mean ranks of the
    /// bins divided by the variance of all ranks, the importance is `1 - (1 - η²) (n - 1) / (n - b)`, at least 0. This
    /// is Kelley's `ε²`: `η²` without the part that is expected by chance. Ranks are used because a few very large
    /// losses would dominate the variance of the scores. An effect that a dimension has only together with another one
    /// does not show.
    ///
    /// The ranges of a later round are narrowed, and a dimension that was important in round 1 may not be so within
    /// them. In most cases round 1 is the one to look at.
    ///
    /// ```
    /// # use gradus::search::{Space, Study};
    /// let space = Space::new().log_uniform("decay", 1e-8..1e-4).log_uniform("rate", 1e-6..1e-2);
    /// let mut study = Study::minimize(space, 1)?;
    /// study.random(100, |trial| Ok((trial.f64("rate").log10() + 3.0).abs()))?;
    /// let importance = study.importance(1);
    /// assert!(importance[0].0 == "rate" && importance[0].1 > 0.8);
    /// assert!(importance[1].0 == "decay" && importance[1].1 < 0.3);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn importance(&self, round: usize) -> Vec<(&str, f64)> {
        let trials = self.trials().into_iter().filter(|trial| trial.round == round && trial.score.is_ok());
        let trials: Vec<&TrialRecord> = trials.collect();
        if trials.len() < 20 {
            return Vec::new();
        }
        let ranks = ranks(&trials.iter().map(|trial| trial.score.clone().unwrap_or(0.0)).collect::<Vec<_>>());
        let importance = |(name, _)| {
            let values: Vec<&Value> = trials.iter().filter_map(|trial| trial.point.get(name)).collect();
            (name, epsilon_squared(&bins(&values), &ranks))
        };
        let mut all: Vec<(&str, f64)> = self.full_space.dimensions().map(importance).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all
    }
}

/// The rank of each value, from 0; equal values share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let count = |holds: &dyn Fn(f64) -> bool| values.iter().filter(|&&value| holds(value)).count() as f64;
    values.iter().map(|&own| count(&|value| value < own) + (count(&|value| value == own) - 1.0) / 2.0).collect()
}

/// The bin of each value. Bins of numbers have equal counts; other bins are the values themselves.
fn bins(values: &[&Value]) -> Vec<usize> {
    let numbers: Option<Vec<f64>> = values
        .iter()
        .map(|value| match value {
            Value::Float(value) => Some(*value),
            Value::Int(value) => Some(*value as f64),
            Value::Choice(_) => None,
        })
        .collect();
    match numbers {
        Some(numbers) => {
            let count = ((numbers.len() as f64).sqrt() as usize).min(10);
            let bin = |rank: f64| (rank * count as f64 / numbers.len() as f64) as usize;
            ranks(&numbers).into_iter().map(bin).collect()
        }
        // The number of a bin is the index of the first value in it.
        None => values.iter().map(|own| values.iter().position(|value| value == own).unwrap_or(0)).collect(),
    }
}

/// Kelley's `ε²` of ranks in bins.
fn epsilon_squared(bins: &[usize], ranks: &[f64]) -> f64 {
    let n = ranks.len() as f64;
    let mean = ranks.iter().sum::<f64>() / n;
    let total: f64 = ranks.iter().map(|rank| (rank - mean).powi(2)).sum();
    let (mut between, mut used) = (0.0, 0.0);
    for bin in 0..ranks.len() {
        let members = || bins.iter().zip(ranks).filter(|(own, _)| **own == bin).map(|(_, rank)| rank);
        let count = members().count() as f64;
        if count > 0.0 {
            between += count * (members().sum::<f64>() / count - mean).powi(2);
            used += 1.0;
        }
    }
    if total == 0.0 || n <= used {
        return 0.0;
    }
    (1.0 - (1.0 - between / total) * (n - 1.0) / (n - used)).max(0.0)
}

/// The shortest text that reads back as the same value.
fn exact_text(value: &Value) -> String {
    match value {
        Value::Float(value) => format!("{value:?}"),
        Value::Int(value) => value.to_string(),
        Value::Choice(value) => value.clone(),
    }
}

/// Rows of fields, with quotes where RFC 4180 requires them.
fn csv(rows: impl Iterator<Item = Vec<String>>) -> String {
    let quoted = |field: &String| match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.clone(),
    };
    rows.map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n").collect()
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = || std::iter::once(&self.header).chain(&self.rows);
        let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        for row in all() {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        f.write_str(&self.last_line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_share_ties() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [2.5, 0.0, 2.5, 1.0]);
    }

    #[test]
    fn bins_hold_equal_counts_and_are_at_most_ten() {
        let sizes = |n: i32| {
            let values: Vec<Value> = (0..n).map(|i| Value::Float(f64::from(i).exp2())).collect();
            let bins = bins(&values.iter().collect::<Vec<_>>());
            let size = |bin: usize| bins.iter().filter(|&&own| own == bin).count();
            (0..bins.len()).map(size).take_while(|&size| size > 0).collect::<Vec<_>>()
        };
        assert_eq!(sizes(36), [6; 6]);
        assert_eq!(sizes(200), [20; 10]);
    }

    #[test]
    fn epsilon_squared_by_hand() {
        // The bins' means are 1 and 4, the mean of all is 2.5: 3 · 2.25 · 2 = 13.5 of 17.5; 1 - (4 / 17.5) · 5 / 4.
        let found = epsilon_squared(&[0, 0, 0, 1, 1, 1], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!((found - (1.0 - 4.0 / 17.5 * 5.0 / 4.0)).abs() < 1e-12, "{found}");
    }

    #[test]
    fn fields_are_quoted() {
        let rows = vec![vec!["a".to_string(), "b,\"c\"".into()], vec!["1".into(), "2".into()]];
        assert_eq!(csv(rows.into_iter()), "a,\"b,\"\"c\"\"\"\n1,2\n");
    }
}

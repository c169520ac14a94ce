//! Narrowing: the next round searches where the best trials of this one lie.

use std::fmt;

use super::Study;
use super::space::{Dimension, Space, Value};
use super::study::rank;
use super::trial::TrialRecord;
use crate::error::{Error, require};

/// The smallest length of a new range, as a share of the old one.
const MIN_LENGTH: f64 = 0.1;

/// An option is dropped if none of the best trials has it, although this many or more of them would have it on average
/// if the option made no difference. The probability of dropping such an option is at most `e⁻³`, 5 %.
const MIN_EXPECTED: f64 = 3.0;

/// The result of [`Study::narrow`]; prints as a table.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Narrowing {
    /// The round that ended, from 1.
    pub round: usize,
    /// The number of its trials with a score.
    pub trials: usize,
    /// How many of them, the best ones, determine the new ranges.
    pub kept: usize,
    /// The space of the round that ended.
    pub before: Space,
    /// The space of the next round.
    pub after: Space,
}

impl Study {
    /// Ends the round: shrinks each range to what the best `share` of the round's trials cover, plus a margin. The next
    /// trials are drawn from the narrowed space.
    ///
    /// Of these trials, only those count whose scores are at least as near to the best score as to the round's median
    /// (but at least two): if most trials do not learn at all, some of those are among the best by chance, and their
    /// points mean nothing.
    ///
    /// If the values of the remaining `m` trials span `[a, b]` (on the range's own scale, linear or logarithmic), the
    /// new range is `[a - g, b + g]`, with `g = (b - a) / (m - 1)`, the mean gap between neighbours. It lies within the
    /// old range and has at least a tenth of its length (for whole numbers, at least two values). An option of a choice
    /// is dropped if none of the `m` trials has it, although at least three would have it on average if the option made
    /// no difference. So at least one option stays.
    ///
    /// ```
    /// # use gradus::search::{Space, Study};
    /// # let mut study = Study::maximize(Space::new().uniform("x", 0.0..1.0), 1)?;
    /// # study.random(20, |trial| Ok(-(trial.f64("x") - 0.3).powi(2)))?;
    /// println!("{}", study.narrow(0.2)?);
    /// study.random(20, |trial| Ok(-(trial.f64("x") - 0.3).powi(2)))?;
    /// let near = |trial: &&gradus::search::TrialRecord| (trial.point.f64("x") - 0.3).abs() < 0.25;
    /// assert!(study.trials()[20..].iter().all(near));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// The share is not above 0 and at most 1, or no trial of the round has a score.
    pub fn narrow(&mut self, share: f64) -> Result<Narrowing, Error> {
        require(share > 0.0 && share <= 1.0, "share of trials to keep", "above 0 and at most 1", share)?;
        let trials = self.trials().into_iter().filter(|trial| trial.round == self.round).collect();
        let ranked = rank(trials, self.direction);
        if ranked.is_empty() {
            return Err(Error::empty(format!("trials with a score in round {}", self.round)));
        }
        let best = ((share * ranked.len() as f64).ceil() as usize).clamp(1, ranked.len());
        let kept = best.min(near_the_best(&scores(&ranked)).max(2));
        let dimensions = self.space.dimensions().map(|(name, dimension)| {
            let narrowed = narrowed(dimension, &values(&ranked[..kept], name), &values(&ranked, name));
            (name.to_string(), narrowed)
        });
        let after = Space::from_dimensions(dimensions.collect());
        let (round, trials) = (self.round, ranked.len());
        let before = std::mem::replace(&mut self.space, after.clone());
        self.round += 1;
        Ok(Narrowing { round, trials, kept, before, after })
    }
}

fn scores(trials: &[&TrialRecord]) -> Vec<f64> {
    trials.iter().filter_map(|trial| trial.score.clone().ok()).collect()
}

/// How many of these scores, the best first, are at least as near to the best as to the median.
fn near_the_best(ranked: &[f64]) -> usize {
    let (best, median) = (ranked[0], ranked[ranked.len() / 2]);
    ranked.iter().take_while(|score| (*score - best).abs() <= (*score - median).abs()).count()
}

fn values<'a>(trials: &[&'a TrialRecord], name: &str) -> Vec<&'a Value> {
    trials.iter().filter_map(|trial| trial.point.get(name)).collect()
}

fn narrowed(dimension: &Dimension, best: &[&Value], all: &[&Value]) -> Dimension {
    match dimension {
        Dimension::Choice(options) => {
            let count = |values: &[&Value], option: &str| {
                values.iter().filter(|value| matches!(value, Value::Choice(own) if own == option)).count() as f64
            };
            let expected = |option: &str| count(all, option) * best.len() as f64 / all.len() as f64;
            let stays = |option: &&String| count(best, option) > 0.0 || expected(option) < MIN_EXPECTED;
            Dimension::Choice(options.iter().filter(stays).cloned().collect())
        }
        _ => {
            let positions: Vec<f64> = best.iter().filter_map(|value| dimension.position(value)).collect();
            part(dimension, covered(&positions))
        }
    }
}

/// The part of `[0, 1]` that these positions cover, with the margin.
fn covered(positions: &[f64]) -> (f64, f64) {
    let (low, high) = positions.iter().fold((1.0f64, 0.0f64), |(low, high), &u| (low.min(u), high.max(u)));
    if low > high {
        return (0.0, 1.0); // there are no positions
    }
    let gap = (high - low) / (positions.len() as f64 - 1.0).max(1.0);
    let (low, high) = (low - gap, high + gap);
    let missing = (MIN_LENGTH - (high - low)).max(0.0) / 2.0;
    let (low, high) = (low - missing, high + missing);
    // Cut off at the ends of the old range, but still of the smallest length.
    let (low, high) = if high > 1.0 { (low.min(1.0 - MIN_LENGTH), 1.0) } else { (low, high) };
    if low < 0.0 { (0.0, high.max(MIN_LENGTH)) } else { (low, high) }
}

/// The part of a range from the position `low` to the position `high`.
fn part(dimension: &Dimension, (low, high): (f64, f64)) -> Dimension {
    match (dimension, dimension.value_at(low), dimension.value_at(high)) {
        // An end that does not move keeps its bits.
        (Dimension::Float { low: from, high: to, log }, Value::Float(a), Value::Float(b)) => Dimension::Float {
            low: if low <= 0.0 { *from } else { a },
            high: if high >= 1.0 { *to } else { b },
            log: *log,
        },
        (Dimension::Int { low: from, high: to, log }, Value::Int(a), Value::Int(b)) => {
            let b = if a == b && b < *to { b + 1 } else { b };
            let a = if a == b && a > *from { a - 1 } else { a };
            Dimension::Int { low: a, high: b, log: *log }
        }
        _ => dimension.clone(),
    }
}

impl fmt::Display for Narrowing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { round, trials, kept, .. } = self;
        write!(f, "round {round}: the best {kept} of {trials} trials cover")?;
        let text = |dimension: &Dimension| match dimension {
            Dimension::Float { low, high, .. } => format!("{}..{}", Value::Float(*low), Value::Float(*high)),
            Dimension::Int { low, high, .. } => format!("{low}..={high}"),
            Dimension::Choice(options) => format!("[{}]", options.join(", ")),
        };
        let pairs = || self.before.dimensions().zip(self.after.dimensions());
        let name_width = pairs().map(|((name, _), _)| name.chars().count()).max().unwrap_or(0);
        let width = pairs().map(|((_, before), _)| text(before).chars().count()).max().unwrap_or(0);
        for ((name, before), (_, after)) in pairs() {
            let share = 100.0 * share_left(before, after);
            let (before, after) = (text(before), text(after));
            write!(f, "\n  {name:<name_width$}  {before:<width$} -> {after} ({share:.0} %)")?;
        }
        Ok(())
    }
}

/// The length of the new range as a share of the old one, on the range's own scale.
fn share_left(before: &Dimension, after: &Dimension) -> f64 {
    let position = |value: f64| before.position(&Value::Float(value)).unwrap_or(0.0);
    match (before, after) {
        (_, Dimension::Float { low, high, .. }) => position(*high) - position(*low),
        (Dimension::Int { low: from, high: to, .. }, Dimension::Int { low, high, .. }) => {
            (*high as f64 - *low as f64 + 1.0) / (*to as f64 - *from as f64 + 1.0)
        }
        (Dimension::Choice(all), Dimension::Choice(left)) => left.len() as f64 / all.len() as f64,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_gets_a_margin_of_the_mean_gap_within_the_old_one() {
        let close = |(a, b): (f64, f64), (c, d): (f64, f64)| (a - c).abs() < 1e-12 && (b - d).abs() < 1e-12;
        assert!(close(covered(&[0.3, 0.4, 0.5]), (0.2, 0.6)));
        assert!(close(covered(&[0.5]), (0.45, 0.55)), "{:?}", covered(&[0.5]));
        assert!(close(covered(&[1.0]), (0.9, 1.0)));
        assert!(close(covered(&[0.0, 0.001]), (0.0, 0.1)));
        assert!(close(covered(&[0.1, 0.9]), (0.0, 1.0)));
        assert!(close(covered(&[0.98, 0.99]), (0.9, 1.0)));
    }

    #[test]
    fn scores_near_the_median_do_not_count() {
        assert_eq!(near_the_best(&[0.8, 0.7, 0.46, 0.44, 0.12, 0.11, 0.1, 0.1, 0.1]), 3);
        assert_eq!(near_the_best(&[0.1, 0.2, 2.3, 2.3, 2.3]), 2);
        assert_eq!(near_the_best(&[0.8]), 1);
        assert_eq!(near_the_best(&[0.5; 4]), 4);
    }

    #[test]
    fn whole_numbers_keep_two_values() {
        let range = Dimension::Int { low: 1, high: 5, log: false };
        let five = Value::Int(5);
        assert_eq!(narrowed(&range, &[&five], &[&five]), Dimension::Int { low: 4, high: 5, log: false });
        let one = Dimension::Int { low: 3, high: 3, log: false };
        assert_eq!(narrowed(&one, &[&Value::Int(3)], &[&Value::Int(3)]), one);
    }

    #[test]
    fn an_option_goes_only_when_chance_does_not_explain_its_absence() {
        let options = Dimension::Choice(["good", "bad", "rare"].map(String::from).into());
        let value = |name: &str| Value::Choice(name.into());
        let (good, bad, rare) = (value("good"), value("bad"), value("rare"));
        let all: Vec<&Value> = [vec![&good; 20], vec![&bad; 19], vec![&rare; 1]].concat();
        assert_eq!(narrowed(&options, &[&good; 8], &all), Dimension::Choice(vec!["good".into(), "rare".into()]));
        assert_eq!(narrowed(&options, &[&good; 4], &all), options);
    }
}

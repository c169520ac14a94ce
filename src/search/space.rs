//! The search space: named dimensions, and points with a value for each.

use std::collections::HashSet;
use std::fmt;
use std::ops::{Range, RangeInclusive};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::rng::{stream, unit};

/// The ranges to search, a list of named dimensions.
///
/// ```
/// use gradus::search::Space;
/// let space = Space::new()
///     .log_uniform("learning_rate", 1e-6..1e-2)
///     .uniform("dropout", 0.0..0.5)
///     .int("layers", 1..=4)
///     .log_int("hidden", 16..=512)
///     .choice("activation", ["relu", "tanh"]);
///
/// let point = space.sample(42, 7);
/// assert!((1e-6..1e-2).contains(&point.f64("learning_rate")));
/// assert!(["relu", "tanh"].contains(&point.choice("activation")));
/// assert_eq!(space.sample(42, 7), point); // trial 7 of seed 42 never changes
/// ```
///
/// [`Study::maximize`](super::Study::maximize) and [`Study::minimize`](super::Study::minimize) check the ranges.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Space {
    dimensions: Vec<(String, Dimension)>,
}

/// The values one hyper-parameter may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Dimension {
    /// Numbers from `low` to `high`.
    Float {
        /// The smallest.
        low: f64,
        /// The largest.
        high: f64,
        /// Whether the logarithm is drawn evenly: every factor of 10 gets the same share.
        log: bool,
    },
    /// Whole numbers, from `low` to `high`, both included.
    Int {
        /// The smallest.
        low: i64,
        /// The largest.
        high: i64,
        /// Whether the logarithm is drawn evenly.
        log: bool,
    },
    /// One of these options.
    Choice(Vec<String>),
}

/// A hyper-parameter's value.
// Read from JSON as the first variant that fits. serde_json writes an `f64` with a decimal point or an exponent, so it
// is never read as an `Int`; but an integer would be read as a `Float` if that came first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Value {
    /// A value of a [`Dimension::Int`].
    Int(i64),
    /// A value of a [`Dimension::Float`].
    Float(f64),
    /// A value of a [`Dimension::Choice`].
    Choice(String),
}

/// A value for every dimension of a [`Space`].
///
/// To convert it into a struct of your own, implement the standard library's `From`:
///
/// ```
/// use gradus::search::{Point, Space};
///
/// struct Settings { learning_rate: f64, hidden: usize }
///
/// impl From<&Point> for Settings {
///     fn from(point: &Point) -> Self {
///         Self { learning_rate: point.f64("learning_rate"), hidden: point.usize("hidden") }
///     }
/// }
///
/// let space = Space::new().log_uniform("learning_rate", 1e-6..1e-2).int("hidden", 20..=200);
/// let settings = Settings::from(&space.sample(1, 0));
/// assert!(settings.learning_rate < 1e-2 && settings.hidden >= 20);
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Point {
    pub(super) values: Vec<(String, Value)>,
}

impl Space {
    /// A space without dimensions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Numbers drawn evenly from a range.
    pub fn uniform(self, name: impl Into<String>, range: Range<f64>) -> Self {
        self.with(name, Dimension::Float { low: range.start, high: range.end, log: false })
    }

    /// Numbers whose logarithm is drawn evenly: `10^u`, with `u` drawn evenly between the logarithms of both ends,
    /// which have to be positive. For learning rates, weight decays and all that is searched by orders of magnitude.
    pub fn log_uniform(self, name: impl Into<String>, range: Range<f64>) -> Self {
        self.with(name, Dimension::Float { low: range.start, high: range.end, log: true })
    }

    /// Whole numbers, each as likely as any other.
    pub fn int(self, name: impl Into<String>, range: RangeInclusive<i64>) -> Self {
        self.with(name, Dimension::Int { low: *range.start(), high: *range.end(), log: false })
    }

    /// Whole numbers of at least 1 whose logarithm is drawn evenly. For widths and batch sizes.
    pub fn log_int(self, name: impl Into<String>, range: RangeInclusive<i64>) -> Self {
        self.with(name, Dimension::Int { low: *range.start(), high: *range.end(), log: true })
    }

    /// One of several options, each as likely as any other.
    pub fn choice<T: Into<String>>(self, name: impl Into<String>, options: impl IntoIterator<Item = T>) -> Self {
        self.with(name, Dimension::Choice(options.into_iter().map(Into::into).collect()))
    }

    fn with(mut self, name: impl Into<String>, dimension: Dimension) -> Self {
        self.dimensions.push((name.into(), dimension));
        self
    }

    /// The names and ranges, in order.
    pub fn dimensions(&self) -> impl ExactSizeIterator<Item = (&str, &Dimension)> {
        self.dimensions.iter().map(|(name, dimension)| (name.as_str(), dimension))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Dimension> {
        self.dimensions().find(|(own, _)| *own == name).map(|(_, dimension)| dimension)
    }

    pub(super) fn from_dimensions(dimensions: Vec<(String, Dimension)>) -> Self {
        Self { dimensions }
    }

    /// The point of trial `number` under this seed. It depends on nothing else, and each value depends on its own
    /// dimension only.
    pub fn sample(&self, seed: u64, number: usize) -> Point {
        self.point(|name, dimension| dimension.value_at(unit(&mut stream(seed, number as u64, name))))
    }

    pub(super) fn point(&self, mut value: impl FnMut(&str, &Dimension) -> Value) -> Point {
        let values = self.dimensions.iter().map(|(name, dimension)| (name.clone(), value(name, dimension)));
        Point { values: values.collect() }
    }

    /// The same values in the order of the dimensions; `None` if one is missing or out of its dimension's range. A log
    /// may have the dimensions in another order.
    pub(super) fn checked(&self, point: &Point) -> Option<Point> {
        let value = |(name, dimension): &(String, Dimension)| {
            let value = point.get(name).filter(|value| dimension.contains(value))?;
            Some((name.clone(), value.clone()))
        };
        Some(Point { values: self.dimensions.iter().map(value).collect::<Option<_>>()? })
    }

    /// The error names the dimension whose name is not unique or whose range cannot be searched.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.dimensions.is_empty() {
            return Err(Error::empty("dimensions of a search space"));
        }
        let mut names = HashSet::new();
        for (name, dimension) in &self.dimensions {
            let problem = if names.insert(name) { dimension.problem() } else { Some("a name of its own") };
            if let Some(expected) = problem {
                return Err(Error::invalid(format!("dimension {name}"), expected, dimension));
            }
        }
        Ok(())
    }
}

impl Dimension {
    /// What is expected of the range, if it cannot be searched.
    fn problem(&self) -> Option<&'static str> {
        match self {
            Self::Float { low, high, .. } if !(low.is_finite() && high.is_finite()) => Some("finite ends"),
            Self::Float { low, high, .. } if low >= high => Some("a lower end below the upper one"),
            Self::Float { low, log: true, .. } if *low <= 0.0 => Some("positive ends (the scale is logarithmic)"),
            Self::Int { low, high, .. } if low > high => Some("a lower end not above the upper one"),
            Self::Int { low, log: true, .. } if *low < 1 => Some("ends of at least 1 (the scale is logarithmic)"),
            Self::Choice(options) if options.is_empty() => Some("at least one option"),
            Self::Choice(options) if options.iter().collect::<HashSet<_>>().len() < options.len() => {
                Some("options that differ")
            }
            _ => None,
        }
    }

    fn contains(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Float { low, high, .. }, Value::Float(value)) => (low..=high).contains(&value),
            (Self::Int { low, high, .. }, Value::Int(value)) => (low..=high).contains(&value),
            (Self::Choice(options), Value::Choice(value)) => options.contains(value),
            _ => false,
        }
    }

    /// The value at the position `u` of the range, scaled to `[0, 1]`.
    pub(super) fn value_at(&self, u: f64) -> Value {
        match self {
            Self::Float { low, high, log } => {
                let (from, to) = (scaled(*low, *log), scaled(*high, *log));
                Value::Float(unscaled(from * (1.0 - u) + to * u, *log).clamp(*low, *high))
            }
            Self::Int { low, high, log } => {
                let (from, to) = int_ends(*low, *high, *log);
                let value = unscaled(from * (1.0 - u) + to * u, *log).round();
                Value::Int((value as i64).clamp(*low, *high))
            }
            Self::Choice(options) => {
                let index = (u * options.len() as f64) as usize;
                Value::Choice(options[index.min(options.len() - 1)].clone())
            }
        }
    }

    /// The position of a value in the range, scaled to `[0, 1]`; `None` for a value out of the range or of another
    /// kind.
    pub(super) fn position(&self, value: &Value) -> Option<f64> {
        let within = |u: f64| (0.0..=1.0).contains(&u).then_some(u);
        match (self, value) {
            (Self::Float { low, high, log }, Value::Float(value)) => {
                let (from, to) = (scaled(*low, *log), scaled(*high, *log));
                within((scaled(*value, *log) - from) / (to - from))
            }
            (Self::Int { low, high, log }, Value::Int(value)) => {
                let (from, to) = int_ends(*low, *high, *log);
                within((scaled(*value as f64, *log) - from) / (to - from))
            }
            (Self::Choice(options), Value::Choice(value)) => {
                let index = options.iter().position(|option| option == value)?;
                Some((index as f64 + 0.5) / options.len() as f64)
            }
            _ => None,
        }
    }
}

fn scaled(value: f64, log: bool) -> f64 {
    if log { value.ln() } else { value }
}

fn unscaled(value: f64, log: bool) -> f64 {
    if log { value.exp() } else { value }
}

/// A number is rounded to the nearest whole number, so the interval to draw from extends by 1/2 at both ends.
fn int_ends(low: i64, high: i64, log: bool) -> (f64, f64) {
    (scaled(low as f64 - 0.5, log), scaled(high as f64 + 0.5, log))
}

impl Point {
    /// The names and values, in the order of the space.
    pub fn values(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of the dimension of this name, if there is one.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// The value of a `uniform` or `log_uniform` dimension.
    ///
    /// # Panics
    /// There is no such dimension of this name.
    #[track_caller]
    pub fn f64(&self, name: &str) -> f64 {
        match self.get(name) {
            Some(Value::Float(value)) => *value,
            other => self.missing(name, "number", other),
        }
    }

    /// The value of an `int` or `log_int` dimension.
    ///
    /// # Panics
    /// There is no such dimension of this name.
    #[track_caller]
    pub fn int(&self, name: &str) -> i64 {
        match self.get(name) {
            Some(Value::Int(value)) => *value,
            other => self.missing(name, "whole number", other),
        }
    }

    /// The value of an `int` or `log_int` dimension, as a count.
    ///
    /// # Panics
    /// There is no such dimension of this name, or the value is negative.
    #[track_caller]
    pub fn usize(&self, name: &str) -> usize {
        let value = self.int(name);
        usize::try_from(value).unwrap_or_else(|_| panic!("{name} is {value}, which is no count"))
    }

    /// The value of a `choice` dimension.
    ///
    /// # Panics
    /// There is no such dimension of this name.
    #[track_caller]
    pub fn choice(&self, name: &str) -> &str {
        match self.get(name) {
            Some(Value::Choice(value)) => value,
            other => self.missing(name, "choice", other),
        }
    }

    #[track_caller]
    fn missing(&self, name: &str, kind: &str, found: Option<&Value>) -> ! {
        match found {
            Some(value) => panic!("the dimension {name} is no {kind}: its value is {value}"),
            None => {
                let names: Vec<_> = self.values.iter().map(|(name, _)| name.as_str()).collect();
                panic!("there is no dimension {name}, only {}", names.join(", "))
            }
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float { low, high, log: true } => write!(f, "log_uniform {low:e}..{high:e}"),
            Self::Float { low, high, log: false } => write!(f, "uniform {low}..{high}"),
            Self::Int { low, high, log: true } => write!(f, "log_int {low}..={high}"),
            Self::Int { low, high, log: false } => write!(f, "int {low}..={high}"),
            Self::Choice(options) => write!(f, "choice [{}]", options.join(", ")),
        }
    }
}

impl fmt::Display for Value {
    /// Four significant digits where it is a number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(value) if *value == 0.0 || (1e-2..1e4).contains(&value.abs()) => {
                let digits = if *value == 0.0 { 0 } else { (3 - value.abs().log10().floor() as i32).max(0) };
                f.pad(&format!("{value:.0$}", digits as usize))
            }
            Self::Float(value) => f.pad(&format!("{value:.3e}")),
            Self::Int(value) => f.pad(&value.to_string()),
            Self::Choice(value) => f.pad(value),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, value)) in self.values.iter().enumerate() {
            write!(f, "{}{name} {value}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

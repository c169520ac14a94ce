//! What is searched: named dimensions, and points in them.

use std::collections::HashSet;
use std::fmt;
use std::ops::{Range, RangeInclusive};

use crate::error::Error;
use crate::rng::{Generator, rng};
use rand::Rng;

/// The ranges to search, one named dimension after another.
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
/// assert_eq!(space.sample(42, 7), point); // trial 7 of seed 42, now and always
/// ```
///
/// Ranges are checked when a [`Study`](super::Study) is made of the space.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Space {
    dimensions: Vec<(String, Dimension)>,
}

/// The values one hyper-parameter may take.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Dimension {
    /// Numbers from `low` to `high`.
    Float {
        /// The smallest.
        low: f64,
        /// The largest.
        high: f64,
        /// Drawn evenly in their logarithm: every factor of 10 gets the same share.
        log: bool,
    },
    /// Whole numbers, both ends included.
    Int {
        /// The smallest.
        low: i64,
        /// The largest.
        high: i64,
        /// Drawn evenly in their logarithm.
        log: bool,
    },
    /// One of these.
    Choice(Vec<String>),
}

/// A hyper-parameter's value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Of [`Dimension::Float`].
    Float(f64),
    /// Of [`Dimension::Int`].
    Int(i64),
    /// Of [`Dimension::Choice`].
    Choice(String),
}

/// A value for every dimension of a [`Space`].
///
/// Into a struct of your own with the standard library's `From`:
///
/// ```
/// use gradus::search::{Point, Space};
///
/// struct Settings { learning_rate: f32, hidden: usize }
///
/// impl From<&Point> for Settings {
///     fn from(point: &Point) -> Self {
///         Self { learning_rate: point.f64("learning_rate") as f32, hidden: point.usize("hidden") }
///     }
/// }
///
/// let space = Space::new().log_uniform("learning_rate", 1e-6..1e-2).int("hidden", 20..=200);
/// let settings = Settings::from(&space.sample(1, 0));
/// assert!(settings.learning_rate < 1e-2 && settings.hidden >= 20);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Point {
    pub(super) values: Vec<(String, Value)>,
}

impl Space {
    /// No dimension yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Numbers drawn evenly from a range.
    pub fn uniform(self, name: impl Into<String>, range: Range<f64>) -> Self {
        self.with(name, Dimension::Float { low: range.start, high: range.end, log: false })
    }

    /// Numbers drawn evenly in their logarithm: `10^u`, for `u` even between the logarithms of both ends, which have
    /// to be positive. For learning rates, decays, whatever is searched by orders of magnitude.
    pub fn log_uniform(self, name: impl Into<String>, range: Range<f64>) -> Self {
        self.with(name, Dimension::Float { low: range.start, high: range.end, log: true })
    }

    /// Whole numbers, each as likely as any other.
    pub fn int(self, name: impl Into<String>, range: RangeInclusive<i64>) -> Self {
        self.with(name, Dimension::Int { low: *range.start(), high: *range.end(), log: false })
    }

    /// Whole numbers from 1 on, drawn evenly in their logarithm. For widths and batch sizes.
    pub fn log_int(self, name: impl Into<String>, range: RangeInclusive<i64>) -> Self {
        self.with(name, Dimension::Int { low: *range.start(), high: *range.end(), log: true })
    }

    /// One of several, each as likely as any other.
    pub fn choice<T: Into<String>>(self, name: impl Into<String>, options: impl IntoIterator<Item = T>) -> Self {
        self.with(name, Dimension::Choice(options.into_iter().map(Into::into).collect()))
    }

    fn with(mut self, name: impl Into<String>, dimension: Dimension) -> Self {
        self.dimensions.push((name.into(), dimension));
        self
    }

    /// Names and ranges, in their order.
    pub fn dimensions(&self) -> impl ExactSizeIterator<Item = (&str, &Dimension)> {
        self.dimensions.iter().map(|(name, dimension)| (name.as_str(), dimension))
    }

    pub(super) fn from_dimensions(dimensions: Vec<(String, Dimension)>) -> Self {
        Self { dimensions }
    }

    /// The point of trial `number` under this seed. It depends on nothing else: not on other trials, and each
    /// dimension's place in its range not on the other dimensions.
    pub fn sample(&self, seed: u64, number: usize) -> Point {
        self.point(|name, dimension| dimension.value(unit(&mut stream(seed, number, name))))
    }

    pub(super) fn point(&self, mut value: impl FnMut(&str, &Dimension) -> Value) -> Point {
        let values = self.dimensions.iter().map(|(name, dimension)| (name.clone(), value(name, dimension)));
        Point { values: values.collect() }
    }

    /// An error for a space without dimensions, two of one name, or a range without values; it names the dimension.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.dimensions.is_empty() {
            return Err(Error::Empty { what: "dimensions of a search space".into() });
        }
        let mut names = HashSet::new();
        for (name, dimension) in &self.dimensions {
            let refused = if names.insert(name) { dimension.refused() } else { Some("a name of its own") };
            if let Some(expected) = refused {
                let (name, expected) = (name.clone(), expected.into());
                return Err(Error::Dimension { name, expected, found: dimension.to_string() });
            }
        }
        Ok(())
    }
}

impl Dimension {
    /// What the range should have been, if it cannot be searched.
    fn refused(&self) -> Option<&'static str> {
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

    /// The value at `u` in `[0, 1]` of the range.
    pub(super) fn value(&self, u: f64) -> Value {
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
                let place = (u * options.len() as f64) as usize;
                Value::Choice(options[place.min(options.len() - 1)].clone())
            }
        }
    }

    /// Where in the range a value is, the range being `[0, 1]`; `None` if it is not in it or of another kind.
    pub(super) fn place(&self, value: &Value) -> Option<f64> {
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
                let place = options.iter().position(|option| option == value)?;
                Some((place as f64 + 0.5) / options.len() as f64)
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

/// Every whole number owns what rounds to it, so the ends reach half a step further.
fn int_ends(low: i64, high: i64, log: bool) -> (f64, f64) {
    (scaled(low as f64 - 0.5, log), scaled(high as f64 + 0.5, log))
}

impl Point {
    /// Names and values, in the order of the space.
    pub fn values(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of a dimension, if there is one of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// The value of a `uniform` or `log_uniform` dimension.
    ///
    /// # Panics
    /// There is no such dimension of that name.
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
    /// There is no such dimension of that name.
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
    /// There is no such dimension of that name, or the value is negative.
    #[track_caller]
    pub fn usize(&self, name: &str) -> usize {
        let value = self.int(name);
        usize::try_from(value).unwrap_or_else(|_| panic!("{name} is {value}, which is no count"))
    }

    /// The value of a `choice` dimension.
    ///
    /// # Panics
    /// There is no such dimension of that name.
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

/// The generator of one purpose of one trial. Purposes and trials have nothing in common but the seed.
pub(super) fn stream(seed: u64, number: usize, purpose: &str) -> Generator {
    rng(stream_seed(seed, number, purpose))
}

pub(super) fn stream_seed(seed: u64, number: usize, purpose: &str) -> u64 {
    let hash = mixed(mixed(seed) ^ number as u64);
    purpose.bytes().fold(hash, |hash, byte| mixed(hash ^ u64::from(byte)))
}

/// One step of SplitMix64 (Steele, Lea and Flood 2014): a bijection whose every output bit hangs on every input bit.
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A number in `[0, 1)`, from the upper 53 bits: bound to the generator's own numbers, not to a version of `rand`.
pub(super) fn unit(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
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

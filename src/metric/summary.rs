//! How the outputs of a layer are distributed: what tells a good initial scale from a bad one.

use std::ops::{Range, RangeInclusive};

use ndarray::ArrayRef2;

use crate::scalar::Scalar;

/// Figures of a layer's outputs for a batch of rows, `(N, units)`; every share is between 0 and 1.
///
/// Outputs that sit at the flat ends of a sigmoid or tanh let no gradient through, outputs that are all alike make a
/// wide layer no better than a narrow one, and a ReLU that is zero for every row has stopped learning.
///
/// ```
/// use gradus::{Init, Sequential, metric::Summary, ndarray::Array2};
/// let mut rng = gradus::rng(1);
/// let rows: Array2<f32> = Init::Normal(1.0).sample(1000, 100, &mut rng)?;
/// let saturated = |init| {
///     let net = Sequential::input(100).affine(100, init).sigmoid().build(&mut gradus::rng(2))?;
///     let summary = Summary::of(net.activations(&rows)?.last().unwrap(), 0.05..=0.95);
///     Ok::<_, gradus::Error>(summary.low + summary.high)
/// };
/// assert!(saturated(Init::Normal(1.0))? > 0.7); // three values of four at the flat ends
/// assert!(saturated(Init::Xavier)? < 0.01);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Mean of all values.
    pub mean: f64,
    /// Standard deviation of all values, divided by their number.
    pub std: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// Share of values below the range that was given.
    pub low: f64,
    /// Share of values above it.
    pub high: f64,
    /// Share of values that are exactly 0.
    pub zero: f64,
    /// Share of units (columns) that are 0 for every row: dead, if they are ReLUs.
    pub dead: f64,
}

impl Summary {
    /// The figures of `activations`. `linear` is the range in which the activation is not saturated: `0.05..=0.95` for
    /// a sigmoid, `-0.95..=0.95` for tanh; for ReLU look at `zero` and `dead`.
    ///
    /// All are NaN where there is no value.
    pub fn of<F: Scalar>(activations: &ArrayRef2<F>, linear: RangeInclusive<f64>) -> Self {
        let count = activations.len() as f64;
        let share = |holds: &dyn Fn(f64) -> bool| {
            activations.iter().filter(|value| holds(value.as_f64())).count() as f64 / count
        };
        let mean = activations.iter().map(|value| value.as_f64()).sum::<f64>() / count;
        let variance = activations.iter().map(|value| (value.as_f64() - mean).powi(2)).sum::<f64>() / count;
        let dead = activations.columns().into_iter().filter(|unit| unit.iter().all(|value| value.is_zero())).count();
        Self {
            mean,
            std: variance.sqrt(),
            min: activations.iter().map(|value| value.as_f64()).fold(f64::NAN, f64::min),
            max: activations.iter().map(|value| value.as_f64()).fold(f64::NAN, f64::max),
            low: share(&|value| value < *linear.start()),
            high: share(&|value| value > *linear.end()),
            zero: share(&|value| value == 0.0),
            dead: dead as f64 / activations.ncols() as f64,
        }
    }
}

/// How many values fall into each of some bins of equal width.
///
/// ```
/// use gradus::{metric::Histogram, ndarray::array};
/// let histogram = Histogram::of(&array![[0.0, 0.1, 0.6], [1.0, 1.5, -2.0]], 0.0..1.0, 2);
/// assert_eq!(histogram.counts, [2, 2]); // the upper end belongs to the last bin
/// assert_eq!(histogram.outside, 2);
/// assert_eq!(histogram.centers().collect::<Vec<_>>(), [0.25, 0.75]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// From the lower end of the first bin to the upper end of the last.
    pub range: Range<f64>,
    /// Values in each bin.
    pub counts: Vec<usize>,
    /// Values in none of them, NaN among them.
    pub outside: usize,
}

impl Histogram {
    /// Counts `values` into `bins` bins over `range`; the upper end of the range belongs to the last bin.
    ///
    /// # Panics
    /// No bins; a range that is empty or not finite.
    #[track_caller]
    pub fn of<F: Scalar>(values: &ArrayRef2<F>, range: Range<f64>, bins: usize) -> Self {
        let width = range.end - range.start;
        assert!(bins > 0 && width > 0.0 && width.is_finite(), "Histogram: {bins} bins over {range:?}");
        let mut histogram = Self { range: range.clone(), counts: vec![0; bins], outside: 0 };
        for value in values {
            let value = value.as_f64();
            if (range.start..=range.end).contains(&value) {
                let bin = ((value - range.start) / width * bins as f64) as usize;
                histogram.counts[bin.min(bins - 1)] += 1;
            } else {
                histogram.outside += 1;
            }
        }
        histogram
    }

    /// The middle of each bin.
    pub fn centers(&self) -> impl Iterator<Item = f64> {
        let (start, width) = (self.range.start, (self.range.end - self.range.start) / self.counts.len() as f64);
        (0..self.counts.len()).map(move |bin| start + (bin as f64 + 0.5) * width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn figures_of_six_values() {
        let summary = Summary::of(&array![[0.0, 1.0, 0.0], [4.0, -1.0, 0.0]], -0.5..=3.0);
        assert!((summary.mean - 4.0 / 6.0).abs() < 1e-15);
        assert!((summary.std - (18.0 / 6.0 - 16.0 / 36.0_f64).sqrt()).abs() < 1e-15);
        assert_eq!((summary.min, summary.max), (-1.0, 4.0));
        assert_eq!((summary.low, summary.high), (1.0 / 6.0, 1.0 / 6.0));
        assert_eq!((summary.zero, summary.dead), (0.5, 1.0 / 3.0));
    }

    #[test]
    fn nothing_has_no_figures() {
        let summary = Summary::of(&Array2::<f32>::zeros((0, 3)), 0.0..=1.0);
        assert!(
            [summary.mean, summary.std, summary.min, summary.max, summary.low, summary.zero].iter().all(|x| x.is_nan())
        );
    }

    #[test]
    fn every_value_is_counted_once() {
        let values = Array2::from_shape_fn((10, 10), |(i, j)| (10 * i + j) as f32);
        let histogram = Histogram::of(&values, 10.0..90.0, 8);
        assert_eq!(histogram.counts, [10, 10, 10, 10, 10, 10, 10, 11]);
        assert_eq!(histogram.outside, 19);
        assert_eq!(Histogram::of(&array![[f64::NAN, f64::INFINITY]], 0.0..1.0, 1).outside, 2);
    }

    #[test]
    #[should_panic(expected = "0 bins")]
    fn no_bins() {
        Histogram::of(&array![[1.0]], 0.0..1.0, 0);
    }
}

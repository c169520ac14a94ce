//! Which classes are taken for which.

use std::fmt::{self, Display};

use ndarray::{Array2, Axis};

use super::{certain_classes, label_of};
use crate::data::{Targets, check_labels};
use crate::error::{Error, require};
use crate::loss::check_targets;
use crate::scalar::Scalar;

/// How often each class was taken for each: rows are what was right, columns what was answered, as in scikit-learn.
///
/// With `TP` a class's place on the diagonal, `FP` the rest of its column and `FN` the rest of its row:
///
/// ```text
/// precision = TP / (TP + FP)      recall = TP / (TP + FN)      F1 = 2 TP / (2 TP + FP + FN)
/// ```
///
/// A quotient with nothing below the line is 0, scikit-learn's default.
///
/// ```
/// use gradus::metric::{Average, ConfusionMatrix};
/// let matrix = ConfusionMatrix::of_classes(&[0, 1, 1, 1], &[0, 0, 1, 1], 2)?;
/// assert_eq!(matrix.counts(), gradus::ndarray::array![[1, 1], [0, 2]]);
/// assert_eq!(matrix.recall(Average::Class(0)), 0.5);
/// assert_eq!(matrix.precision(Average::Macro), (1.0 + 2.0 / 3.0) / 2.0);
/// assert_eq!(matrix.accuracy(), 0.75);
/// println!("{matrix}");
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionMatrix {
    counts: Array2<u64>,
    /// What the classes are called: their numbers, unless they were named.
    names: Vec<String>,
}

/// Over what a figure of single classes is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Average {
    /// The mean over the classes, each counting the same. As in scikit-learn, classes that neither occur nor are
    /// answered do not count.
    #[default]
    Macro,
    /// The mean over the classes, each counting by its rows.
    Weighted,
    /// Of all classes' `TP`, `FP` and `FN` added up. Where every row has one class, as here, that is the accuracy.
    Micro,
    /// This class alone, from 0.
    Class(usize),
}

impl ConfusionMatrix {
    /// The matrix of a network's outputs.
    ///
    /// # Errors
    /// Targets that are neither labels nor one-hot rows; outputs of another width or number, or a row of nothing but NaN.
    pub fn of<F: Scalar>(outputs: &Array2<F>, targets: &Targets<F>) -> Result<Self, Error> {
        let classes = if outputs.ncols() == 1 { 2 } else { outputs.ncols() };
        Self::of_classes(&certain_classes(outputs)?, &labels("a confusion matrix", outputs, targets)?, classes)
    }

    /// The matrix of classes that were answered and those that were right.
    ///
    /// # Errors
    /// More or fewer of one than of the other; a label that is no class.
    pub fn of_classes(answered: &[usize], right: &[usize], classes: usize) -> Result<Self, Error> {
        require(answered.len() == right.len(), "classes answered", &right.len().to_string(), answered.len())?;
        check_labels(answered, classes)?;
        check_labels(right, classes)?;
        let mut counts = Array2::zeros((classes, classes));
        right.iter().zip(answered).for_each(|(&right, &answered)| counts[[right, answered]] += 1);
        Ok(Self { counts, names: (0..classes).map(|class| class.to_string()).collect() })
    }

    /// The same with names for the classes, in order, for its table.
    ///
    /// ```
    /// use gradus::metric::ConfusionMatrix;
    /// let matrix = ConfusionMatrix::of_classes(&[0, 1], &[0, 1], 2)?.named(["ham", "spam"])?;
    /// assert!(matrix.to_string().lines().nth(1).unwrap().trim_start().starts_with("ham"));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// More or fewer names than classes.
    pub fn named<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        require(names.len() == self.names.len(), "names of classes", &self.names.len().to_string(), names.len())?;
        self.names = names;
        Ok(self)
    }

    /// `counts[[i, j]]` rows of class i were taken for class j.
    pub fn counts(&self) -> &Array2<u64> {
        &self.counts
    }

    /// The share of rows on the diagonal; NaN where there are no rows.
    pub fn accuracy(&self) -> f64 {
        self.counts.diag().sum() as f64 / self.counts.sum() as f64
    }

    /// Of the rows for which a class was answered, the share that are of it.
    ///
    /// # Panics
    /// There is no such [`Class`](Average::Class); so with the others.
    #[track_caller]
    pub fn precision(&self, average: Average) -> f64 {
        self.average(average, |tp, fp, _| (tp, tp + fp))
    }

    /// Of the rows of a class, the share for which it was answered.
    #[track_caller]
    pub fn recall(&self, average: Average) -> f64 {
        self.average(average, |tp, _, fn_| (tp, tp + fn_))
    }

    /// The harmonic mean of precision and recall.
    #[track_caller]
    pub fn f1(&self, average: Average) -> f64 {
        self.average(average, |tp, fp, fn_| (2 * tp, 2 * tp + fp + fn_))
    }

    /// A figure that is a quotient in terms of `TP`, `FP` and `FN`.
    #[track_caller]
    fn average(&self, average: Average, quotient: impl Fn(u64, u64, u64) -> (u64, u64)) -> f64 {
        let share = |(part, all)| if all == 0 { 0.0 } else { part as f64 / all as f64 };
        let (right, answered) = (self.counts.sum_axis(Axis(1)), self.counts.sum_axis(Axis(0)));
        let one = |class: usize| {
            let tp = self.counts[[class, class]];
            quotient(tp, answered[class] - tp, right[class] - tp)
        };
        let classes = 0..self.counts.nrows();
        match average {
            Average::Class(class) => {
                assert!(classes.contains(&class), "class {class} of {} was asked for", classes.len());
                share(one(class))
            }
            Average::Micro => share(classes.map(one).fold((0, 0), |(p, a), (part, all)| (p + part, a + all))),
            Average::Macro => {
                let there: Vec<f64> =
                    classes.filter(|&i| right[i] + answered[i] > 0).map(|class| share(one(class))).collect();
                there.iter().sum::<f64>() / there.len() as f64
            }
            Average::Weighted => {
                classes.map(|class| right[class] as f64 * share(one(class))).sum::<f64>() / right.sum() as f64
            }
        }
    }
}

impl Display for ConfusionMatrix {
    /// A line a class: how often it was taken for each, and its recall; below them the precisions and the accuracy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = self.names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let digits = self.counts.iter().max().map_or(1, |most| most.to_string().len());
        let (first, width) = (longest.max("precision".len()), longest.max(digits).max(5));
        write!(f, "{:>first$}", "")?;
        self.names.iter().try_for_each(|name| write!(f, " {name:>width$}"))?;
        writeln!(f, "  recall")?;
        for (class, (name, row)) in self.names.iter().zip(self.counts.rows()).enumerate() {
            write!(f, "{name:>first$}")?;
            row.iter().try_for_each(|count| write!(f, " {count:>width$}"))?;
            writeln!(f, "  {:>6.3}", self.recall(Average::Class(class)))?;
        }
        write!(f, "{:>first$}", "precision")?;
        let precision = |class| self.precision(Average::Class(class));
        (0..self.names.len()).try_for_each(|class| write!(f, " {:>width$.3}", precision(class)))?;
        write!(f, "  {:>6.3}", self.accuracy())
    }
}

/// The class of every target, for outputs that fit them.
pub(super) fn labels<F: Scalar>(what: &str, outputs: &Array2<F>, targets: &Targets<F>) -> Result<Vec<usize>, Error> {
    check_targets(outputs.ncols(), targets)?;
    require(targets.len() == outputs.nrows(), "targets", &outputs.nrows().to_string(), targets.len())?;
    let labels = (0..targets.len()).map(|row| label_of(targets, row));
    let labels: Option<Vec<usize>> = labels.collect();
    labels.ok_or_else(|| Error::invalid(what, "class labels or one-hot rows", targets.kind()))
}

/// [`ConfusionMatrix::precision`] of a network's outputs, over the classes ([`Average::Macro`]).
///
/// # Errors
/// As [`ConfusionMatrix::of`].
pub fn precision<F: Scalar>(outputs: &Array2<F>, targets: &Targets<F>) -> Result<f64, Error> {
    Ok(ConfusionMatrix::of(outputs, targets)?.precision(Average::Macro))
}

/// [`ConfusionMatrix::recall`] of a network's outputs, over the classes ([`Average::Macro`]): balanced accuracy.
///
/// # Errors
/// As [`ConfusionMatrix::of`].
pub fn recall<F: Scalar>(outputs: &Array2<F>, targets: &Targets<F>) -> Result<f64, Error> {
    Ok(ConfusionMatrix::of(outputs, targets)?.recall(Average::Macro))
}

/// [`ConfusionMatrix::f1`] of a network's outputs, over the classes ([`Average::Macro`]).
///
/// ```
/// use gradus::{data::Targets, metric, ndarray::array};
/// let targets = Targets::Labels { labels: vec![0, 1, 1], classes: 2 };
/// assert_eq!(metric::f1(&array![[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], &targets)?, 1.0);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// As [`ConfusionMatrix::of`].
pub fn f1<F: Scalar>(outputs: &Array2<F>, targets: &Targets<F>) -> Result<f64, Error> {
    Ok(ConfusionMatrix::of(outputs, targets)?.f1(Average::Macro))
}

//! Figures by which a network is judged, and how its activations are distributed (the book's section 6.2).
//!
//! ```
//! use gradus::{data::Targets, metric, ndarray::array};
//! let outputs = array![[0.1, 2.0], [3.0, -1.0], [0.0, 0.5]];
//! assert_eq!(metric::classes(&outputs), [1, 0, 1]);
//! let targets = Targets::Labels { labels: vec![1, 0, 0], classes: 2 };
//! assert_eq!(metric::accuracy(&outputs, &targets)?, 2.0 / 3.0);
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! A [`Metric`] is a function of a network's outputs and their targets: one of those here, a closure around one that takes
//! more, or your own. [`Sequential::measure`](crate::Sequential::measure) takes it, and so the objective of a
//! [`Study`](crate::search::Study) maximises any:
//!
//! ```
//! use gradus::{prelude::*, metric, search::{Space, Study}};
//! let (train, validation) = Digits::load::<f32>()?.take(300)?.split(0.5)?;
//! let mut study = Study::maximize(Space::new().log_uniform("rate", 1e-3..1e-1), 1)?;
//! study.random(3, |trial| {
//!     let mut net = Sequential::mlp(64, &[20], 10).build(trial.rng())?;
//!     let adam = Adam { learning_rate: trial.f64("rate"), ..Adam::default() };
//!     Trainer::new(SoftmaxCrossEntropy, adam).epochs(3).progress(false).fit(&mut net, &train)?;
//!     Ok(net.measure(metric::f1, &validation)?)
//! })?;
//! assert!(study.best().is_some_and(|trial| trial.score > Ok(0.3)));
//! # Ok::<(), Error>(())
//! ```
//!
//! # Recipes
//!
//! How much a column matters: what is lost where its values are shuffled (permutation importance, Breiman 2001). And
//! whether probabilities can be believed: of the rows to which one of them is given, how many are right.
//!
//! ```
//! use gradus::{prelude::*, metric, ndarray::{Array1, s}};
//! let (train, test) = Digits::load::<f32>()?.shuffle(&mut rng(1)).split(0.3)?;
//! let mut net = Sequential::mlp(64, &[30], 10).build(&mut rng(1))?;
//! Trainer::new(SoftmaxCrossEntropy, Adam { learning_rate: 0.01, ..Adam::default() }).fit(&mut net, &train)?;
//!
//! let order = test.clone().shuffle(&mut rng(2)); // another row's value for each
//! let importance = (0..test.width()).map(|column| {
//!     let (mut rows, targets) = test.clone().into_parts();
//!     rows.column_mut(column).assign(&order.rows().column(column));
//!     Ok(net.accuracy(&test)? - metric::accuracy(&net.predict(&rows)?, &targets)?)
//! });
//! let importance: Array1<f64> = importance.collect::<Result<_, Error>>()?;
//! assert_eq!(importance[0], 0.0); // a corner of the picture, always white
//! assert!(importance.iter().any(|&loss| loss > 0.02));
//!
//! let (probabilities, classes) = (net.predict_probabilities(test.rows())?, net.classify(test.rows())?);
//! let mut table = [(0, 0); 10]; // for each tenth of probability: right, all
//! for ((row, &class), &label) in probabilities.rows().into_iter().zip(&classes).zip(test.labels().unwrap()) {
//!     let (right, all) = &mut table[((10.0 * row[class]) as usize).min(9)];
//!     (*right, *all) = (*right + usize::from(class == label), *all + 1);
//! }
//! let (right, all) = table[9];
//! assert!(right as f64 / all as f64 > 0.9); // of answers with 90 % and more
//! # Ok::<(), Error>(())
//! ```

mod confusion;
mod multi_label;
mod ranking;
mod regression;
mod summary;

use ndarray::Array2;

use crate::data::Targets;
use crate::error::Error;
use crate::scalar::Scalar;

pub use confusion::{Average, ConfusionMatrix, f1, precision, recall};
pub use multi_label::{exact_match, multi_label_accuracy};
pub use ranking::{log_loss, roc_auc, roc_auc_classes, top_k_accuracy};
pub use regression::{
    mean_absolute_error, mean_absolute_error_columns, r2, r2_columns, root_mean_squared_error,
    root_mean_squared_error_columns,
};
pub use summary::{Histogram, Summary};

/// A figure of a network's outputs, `(N, out)`, and their targets. Whether more or less of it is better is for whoever asks
/// to say.
///
/// ```
/// use gradus::{prelude::*, metric::{self, Metric}};
/// let digits = Digits::load::<f32>()?.take(200)?;
/// let net = Sequential::mlp(64, &[20], 10).build(&mut rng(1))?;
/// let metrics: [(&str, &Metric<f32>); 3] = [
///     ("F1", &metric::f1),
///     ("area under the ROC curve", &metric::roc_auc),
///     ("top 3", &|outputs, targets| metric::top_k_accuracy(outputs, targets, 3)),
/// ];
/// for (name, metric) in metrics {
///     println!("{name}: {:.3}", net.measure(metric, &digits)?);
/// }
/// # Ok::<(), Error>(())
/// ```
pub type Metric<F = f32> = dyn Fn(&Array2<F>, &Targets<F>) -> Result<f64, Error> + Send + Sync;

/// The class of every row of outputs: the largest output, the first of equals; with a single output column class 1 where
/// it is positive. NaN is nobody's class: among numbers it is ignored. A row of nothing but NaN has no class; it is given
/// as 0 here, and is right for no label in [`accuracy`].
///
/// ```
/// use gradus::{metric, ndarray::array};
/// assert_eq!(metric::classes(&array![[f64::NAN, -1.0, 2.0], [f64::NAN, f64::NAN, f64::NAN]]), [2, 0]);
/// ```
pub fn classes<F: Scalar>(output: &Array2<F>) -> Vec<usize> {
    let class = |row: ndarray::ArrayView1<'_, F>| class(row.as_slice().unwrap_or(&row.to_vec()));
    output.rows().into_iter().map(class).collect()
}

/// The class of every row of outputs, where every row has one.
pub(crate) fn certain_classes<F: Scalar>(output: &Array2<F>) -> Result<Vec<usize>, Error> {
    match output.rows().into_iter().position(|row| row.iter().all(|x| x.is_nan())) {
        Some(row) => Err(Error::invalid(format!("outputs, row {row}"), "a number, to have a class", "NaN")),
        None => Ok(classes(output)),
    }
}

/// The share of rows whose class, as [`classes`] gives it, is the right one. A row of nothing but NaN is right for no
/// label.
///
/// # Errors
/// Targets that are neither labels nor one-hot rows.
pub fn accuracy<F: Scalar>(output: &Array2<F>, targets: &Targets<F>) -> Result<f64, Error> {
    let right = correct(output, targets)
        .ok_or_else(|| Error::invalid("accuracy", "class labels or one-hot rows", targets.kind()))?;
    Ok(right as f64 / targets.len() as f64)
}

/// How many rows of outputs have their largest value at the right class; `None` where a target is no class.
pub(crate) fn correct<F: Scalar>(output: &Array2<F>, targets: &Targets<F>) -> Option<usize> {
    let output = output.as_standard_layout();
    let output = output.as_slice().expect("just made so").chunks_exact(output.ncols().max(1));
    match targets {
        Targets::Labels { labels, .. } => {
            Some(output.zip(labels).filter(|(row, label)| is_class(row, **label)).count())
        }
        Targets::Dense(t) => output.zip(t.rows()).try_fold(0, |right, (row, t)| {
            let label = one_hot(t.as_slice()?)?;
            Some(right + usize::from(is_class(row, label)))
        }),
    }
}

/// The class that a target is, if it is one.
fn label_of<F: Scalar>(targets: &Targets<F>, row: usize) -> Option<usize> {
    match targets {
        Targets::Labels { labels, .. } => labels.get(row).copied(),
        Targets::Dense(t) => one_hot(&t.row(row).to_vec()),
    }
}

/// `class(row) == label`, without a branch for each element; false where all outputs are NaN or there is no such class.
fn is_class<F: Scalar>(row: &[F], label: usize) -> bool {
    if let [logit] = row {
        return !logit.is_nan() && class(row) == label;
    }
    let Some((before, after @ [largest, ..])) = row.split_at_checked(label) else { return false };
    let largest = *largest;
    let (smaller, not_larger) = (|x: F| (x < largest) | x.is_nan(), |x: F| (x <= largest) | x.is_nan());
    !largest.is_nan()
        & before.iter().fold(true, |all, &x| all & smaller(x))
        & after.iter().fold(true, |all, &x| all & not_larger(x))
}

fn class<F: Scalar>(row: &[F]) -> usize {
    match row {
        [logit] => usize::from(*logit > F::zero()),
        _ => (1..row.len()).fold(0, |best, j| {
            let is_larger = row[j] > row[best] || (row[best].is_nan() && !row[j].is_nan());
            if is_larger { j } else { best }
        }),
    }
}

/// The place of the one in a row of zeros; of a single column, its 0 or 1.
fn one_hot<F: Scalar>(row: &[F]) -> Option<usize> {
    let (zero, one) = (F::zero(), F::one());
    match row {
        [t] if *t == zero || *t == one => Some(usize::from(*t == one)),
        [_] => None,
        _ => {
            let place = row.iter().position(|&t| t == one)?;
            row.iter().enumerate().all(|(j, &t)| j == place || t == zero).then_some(place)
        }
    }
}

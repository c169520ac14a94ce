//! Figures of what a network holds likely, not of its answers alone.

use ndarray::Array2;

use super::confusion::labels;
use crate::data::{Targets, check_finite};
use crate::error::{Error, require};
use crate::scalar::Scalar;

/// The share of rows whose right class is among the `k` largest outputs; of equals the first are the larger, so that
/// with `k = 1` it is [`accuracy`](super::accuracy). (In scikit-learn the last of equals come first.) NaN is smaller than
/// any number and right for no label.
///
/// ```
/// use gradus::{data::Targets, metric, ndarray::array};
/// let targets = Targets::Labels { labels: vec![2, 0], classes: 3 };
/// assert_eq!(metric::top_k_accuracy(&array![[0.1, 0.5, 0.4], [0.1, 0.2, 0.3]], &targets, 2)?, 0.5);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// Targets that are neither labels nor one-hot rows; outputs of a single column, or that do not fit the targets; a `k` of 0.
pub fn top_k_accuracy<F: Scalar>(outputs: &Array2<F>, targets: &Targets<F>, k: usize) -> Result<f64, Error> {
    require(k > 0, "k", "at least 1", k)?;
    require(outputs.ncols() > 1, "columns of the outputs", "one for each class", outputs.ncols())?;
    let labels = labels("top-k accuracy", outputs, targets)?;
    let is_among = |row: usize, label: usize| {
        let x = outputs[[row, label]];
        let is_before = |(j, &y): (usize, &F)| y > x || y == x && j < label;
        !x.is_nan() && outputs.row(row).iter().enumerate().filter(|place| is_before(*place)).count() < k
    };
    let right = labels.iter().enumerate().filter(|&(row, &label)| is_among(row, label)).count();
    Ok(right as f64 / labels.len() as f64)
}

/// The mean of `-ln p` over the rows, `p` the probability of the right class: the softmax of the outputs, of a single
/// column the sigmoid. In natural units; the cross-entropy of the training, without penalty. scikit-learn's `log_loss` is
/// given probabilities, and takes none below its epsilon; here a row can be as wrong as its logits say.
///
/// # Errors
/// Targets that are neither labels nor one-hot rows; outputs that do not fit them or are not finite.
pub fn log_loss<F: Scalar>(outputs: &Array2<F>, targets: &Targets<F>) -> Result<f64, Error> {
    let labels = labels("log loss", outputs, targets)?;
    check_finite("outputs", outputs)?;
    let total: f64 = labels.iter().enumerate().map(|(row, &label)| -log_probability(outputs, row, label)).sum();
    Ok(total / labels.len() as f64)
}

/// ln of the probability of a class: `xᵢ - ln Σ eˣ`.
fn log_probability<F: Scalar>(outputs: &Array2<F>, row: usize, class: usize) -> f64 {
    let row: Vec<f64> = outputs.row(row).iter().map(|x| x.as_f64()).collect();
    let row = if let [logit] = row[..] { vec![0.0, logit] } else { row };
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row[class] - largest - row.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
}

/// The area under the ROC curve: the share of pairs, one row of the class and one of another, of which the first has the
/// larger probability; a pair of equals counts half. 0.5 is a guess.
///
/// Of two classes (or a single column) it is that of class 1; of more the mean over the classes, each against the rest,
/// scikit-learn's `multi_class="ovr"`. NaN where a class has no row or every row: there is no pair. (scikit-learn gives
/// NaN with a warning for two classes, and refuses more.)
///
/// ```
/// use gradus::{data::Targets, metric, ndarray::array};
/// let targets = Targets::Labels { labels: vec![0, 0, 1, 1], classes: 2 };
/// assert_eq!(metric::roc_auc(&array![[0.1], [0.4], [0.35], [0.8]], &targets)?, 0.75);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// Targets that are neither labels nor one-hot rows; outputs that do not fit them or are not finite.
pub fn roc_auc<F: Scalar>(outputs: &Array2<F>, targets: &Targets<F>) -> Result<f64, Error> {
    let areas = roc_auc_classes(outputs, targets)?;
    Ok(if let [_, second] = areas[..] { second } else { areas.iter().sum::<f64>() / areas.len() as f64 })
}

/// The area under the ROC curve of each class against the rest.
///
/// # Errors
/// As [`roc_auc`].
pub fn roc_auc_classes<F: Scalar>(outputs: &Array2<F>, targets: &Targets<F>) -> Result<Vec<f64>, Error> {
    let labels = labels("the area under the ROC curve", outputs, targets)?;
    check_finite("outputs", outputs)?;
    let area = |class: usize| {
        // Log-odds, which keep apart what a probability rounds to 1.
        let scores = (0..labels.len()).map(|row| log_odds(outputs, row, class));
        area(scores.zip(&labels).map(|(score, &label)| (score, label == class)).collect())
    };
    Ok((0..outputs.ncols().max(2)).map(area).collect())
}

/// `xᵢ - ln Σ eˣ` over the others: it grows with the probability of class i.
fn log_odds<F: Scalar>(outputs: &Array2<F>, row: usize, class: usize) -> f64 {
    let row = outputs.row(row);
    if row.len() == 1 {
        return if class == 1 { row[0].as_f64() } else { -row[0].as_f64() };
    }
    let others = row.iter().enumerate().filter(|(j, _)| *j != class).map(|(_, x)| x.as_f64());
    let mut others: Vec<f64> = others.collect();
    // So that rows of the same numbers in another order are equal.
    others.sort_by(f64::total_cmp);
    let largest = others[others.len() - 1];
    row[class].as_f64() - largest - others.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
}

/// The area of scores, each with whether its row is of the class.
fn area(mut scores: Vec<(f64, bool)>) -> f64 {
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut pairs, mut count) = (0_u64, 0.0, 0_u64);
    for equals in scores.chunk_by(|a, b| a.0 == b.0) {
        let of_class = equals.iter().filter(|(_, is_of_class)| *is_of_class).count() as u64;
        let others = equals.len() as u64 - of_class;
        pairs += of_class as f64 * (below as f64 + 0.5 * others as f64);
        (below, count) = (below + others, count + of_class);
    }
    pairs / (below as f64 * count as f64)
}

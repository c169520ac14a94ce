use crate::data::Batch;
use crate::layer::{Layer, Pass};
use crate::loss::Loss;
use crate::metric;
use crate::scalar::Scalar;
use crate::sequential::Sequential;

/// What the forward pass of a batch, or of a part of it, tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// The mean over the rows.
    pub(super) loss: f64,
    /// What the mean was divided by: [`Loss::weight`].
    pub(super) weight: f64,
    /// How many rows were classified correctly; `None` where targets are no classes.
    pub(super) right: Option<usize>,
}

impl Outcome {
    /// Of no rows.
    pub(super) const NONE: Self = Self { loss: 0.0, weight: 0.0, right: Some(0) };

    /// Of these rows and those.
    pub(super) fn and(self, other: Self) -> Self {
        let weight = self.weight + other.weight;
        let loss = (self.loss * self.weight + other.loss * other.weight) / weight;
        let right = self.right.zip(other.right).map(|(a, b)| a + b);
        match (self.weight == 0.0, other.weight == 0.0) {
            (true, _) => Self { right, ..other },
            (_, true) => Self { right, ..self },
            _ => Self { loss, weight, right },
        }
    }
}

/// Forward, loss, backward: leaves the gradients in the network, and in the batch's rows a buffer.
pub(super) fn pass<F: Scalar>(
    net: &mut Sequential<F>,
    loss: &impl Loss<F>,
    batch: &mut Batch<F>,
    pass: &mut Pass<'_>,
) -> Outcome {
    let rows = batch.rows.nrows();
    let batch_rows = pass.batch_rows(rows);
    let output = net.forward(std::mem::take(&mut batch.rows), pass);
    if rows == 0 {
        batch.rows = net.backward_params(output);
        return Outcome::NONE;
    }
    let right = metric::correct(&output, &batch.targets);
    let weight = loss.weight(&batch.targets);
    let (loss, mut grad) = loss.value_and_grad(output, &batch.targets);
    if pass.is_part() {
        // Of the sum over these rows the share that makes the gradients of all parts add up to the batch's.
        let share = F::of(weight / batch_rows as f64);
        grad.mapv_inplace(|g| g * share);
    }
    batch.rows = net.backward_params(grad);
    Outcome { loss, weight, right }
}

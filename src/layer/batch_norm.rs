use ndarray::Array2;

use super::{Attribute, BatchSum, Description, Graph, Layer, Param, Pass, Role};
use super::{expect_columns, expect_inputs, expect_shape, parts};
use crate::array::{fits, resize, values, values_mut};
use crate::error::{Error, require};
use crate::kernel;
use crate::scalar::Scalar;

/// Batch normalisation: every column to mean 0 and variance 1 over the mini-batch, then scaled and shifted.
///
/// For a batch `x: (N, D)`, column by column:
///
/// ```text
/// μ  = Σₙ xₙ / N        σ² = Σₙ (xₙ - μ)² / N        x̂ = (x - μ) / √(σ² + ε)        y = γ x̂ + β
/// ```
///
/// The variance of the pass is the biased one (divided by N); ε stands inside the root. Backward, with
/// `g = dL/dy` and means over the batch: `dL/dγ = Σ g x̂`, `dL/dβ = Σ g`,
/// `dL/dx = γ / √(σ² + ε) · (g - mean(g) - x̂ mean(g x̂))`.
///
/// Means are over the whole batch, also where it is cut into parts ([`Pass`]).
///
/// Inference uses the running statistics in place of μ and σ². A `forward` computes what they become, and the step of an
/// [`Updater`](crate::optim::Updater) that follows gives them that value ([`Param::commit`]): a step that fails leaves
/// them as they were. Names, values and defaults are those of
/// PyTorch's `BatchNorm1d`. The book's code differs: its ε is 1e-6, its running variance starts at 0 and
/// averages the biased variance, and its `momentum` 0.9 is the share *kept*.
///
/// A batch of one row normalises to `y = β`, and its unbiased variance, which would divide by zero, is
/// taken as the biased one, 0.
///
/// Ioffe & Szegedy, *Batch Normalization*, 2015.
///
/// ```
/// use gradus::{layer::{BatchNorm, Layer, Param, Pass}, ndarray::array};
/// let mut norm = BatchNorm::<f64>::new(1)?;
/// let y = norm.forward(array![[1.0], [3.0]], &mut Pass::new(&mut gradus::rng(1)));
/// assert!((y[[0, 0]] + 1.0).abs() < 1e-5 && (y[[1, 0]] - 1.0).abs() < 1e-5);
/// norm.params_mut(&mut Param::commit);
/// assert_eq!(norm.running_mean.value[[0, 0]], 0.1 * 2.0); // of 0 and the batch's mean, 2
/// assert_eq!(norm.running_var.value[[0, 0]], 1.0 + 0.1 * (2.0 - 1.0)); // of 1 and the unbiased variance, 2
/// # Ok::<(), gradus::Error>(())
/// ```
#[doc(alias = "BatchNorm1d")]
#[derive(Debug, Clone)]
pub struct BatchNorm<F = f32> {
    /// γ, `(1, D)`, from 1.
    pub gamma: Param<F>,
    /// β, `(1, D)`, from 0.
    pub beta: Param<F>,
    /// `running_mean += momentum * (mean - running_mean)` with every step, from 0.
    pub running_mean: Param<F>,
    /// `running_var += momentum * (unbiased_variance - running_var)` with every step, from 1.
    pub running_var: Param<F>,
    /// How many batches there were, [`Param::count`].
    pub batches: Param<F>,
    /// ε, 1e-5 unless set.
    epsilon: F,
    /// The share of a new batch in the running statistics, 0.1 unless set.
    momentum: F,
    /// x̂ of the last batch.
    normalized: Array2<F>,
    /// 1 / √(σ² + ε) of the last batch.
    inverse_std: Vec<F>,
    /// Two sums a column over the batch, and room to take them.
    sums: [Vec<F>; 3],
    /// How the last batch takes them.
    batch_sum: BatchSum,
    batch_rows: usize,
}

/// As many `f32` as hold any count up to 2⁶³.
const COUNT_PARTS: usize = 3;

impl<F: Scalar> BatchNorm<F> {
    /// A layer for rows of `width` values.
    ///
    /// # Errors
    /// A width of 0, or more columns than memory has room for.
    pub fn new(width: usize) -> Result<Self, Error> {
        if width == 0 {
            return Err(Error::empty("BatchNorm(0), columns"));
        }
        require(fits::<F>(&[width]), "BatchNorm columns", "a number that fits into memory", width)?;
        let row = |value: f64| Array2::from_elem((1, width), F::of(value));
        Ok(Self {
            gamma: Param::new("weight", Role::Scale, row(1.0)),
            beta: Param::new("bias", Role::Shift, row(0.0)),
            running_mean: Param::new("running_mean", Role::Buffer, row(0.0)),
            running_var: Param::new("running_var", Role::Buffer, row(1.0)),
            batches: Param::new("num_batches_tracked", Role::Counter, Array2::zeros((1, COUNT_PARTS))),
            epsilon: F::of(1e-5),
            momentum: F::of(0.1),
            normalized: Array2::default((0, 0)),
            inverse_std: vec![F::zero(); width],
            sums: std::array::from_fn(|_| vec![F::zero(); width]),
            batch_sum: BatchSum::default(),
            batch_rows: 0,
        })
    }

    /// The same layer with this ε, added to the variance under the root.
    ///
    /// ```
    /// use gradus::layer::BatchNorm;
    /// // The book's: ε = 1e-6, a running variance that starts at 0.
    /// let mut norm = BatchNorm::<f64>::new(100)?.with_epsilon(1e-6)?;
    /// norm.running_var.value.fill(0.0);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Not positive, or not finite, as a number of the layer's type: 1e-46 is 0 in `f32`.
    pub fn with_epsilon(mut self, epsilon: f64) -> Result<Self, Error> {
        let value = F::of(epsilon);
        let is_right = value > F::zero() && value.is_finite();
        require(is_right, "BatchNorm epsilon", "a positive finite value", epsilon)?;
        self.epsilon = value;
        Ok(self)
    }

    /// The same layer with this share of a new batch in the running statistics:
    /// `running += momentum * (batch - running)`.
    ///
    /// # Errors
    /// Outside `[0, 1]`.
    pub fn with_momentum(mut self, momentum: f64) -> Result<Self, Error> {
        require((0.0..=1.0).contains(&momentum), "BatchNorm momentum", "a share in [0, 1]", momentum)?;
        self.momentum = F::of(momentum);
        Ok(self)
    }

    /// ε, under the root.
    pub fn epsilon(&self) -> F {
        self.epsilon
    }

    /// The share of a new batch in the running statistics.
    pub fn momentum(&self) -> F {
        self.momentum
    }

    fn columns(&self) -> usize {
        self.gamma.value.ncols()
    }

    /// Leaves the next running statistics for the step that follows, unless they are frozen or there are no rows.
    fn track(&mut self) {
        if self.batch_rows == 0 || self.running_mean.frozen {
            return;
        }
        let n = F::of(self.batch_rows as f64);
        let unbiased = if self.batch_rows > 1 { n / (n - F::one()) } else { F::one() };
        let m = self.momentum;
        let [mean, variance, _] = &self.sums;
        for (param, batch, scale) in
            [(&mut self.running_mean, mean, F::one()), (&mut self.running_var, variance, unbiased)]
        {
            resize(&mut param.grad, param.value.dim());
            let running = values(&param.value).iter().zip(batch);
            for (next, (&running, &batch)) in values_mut(&mut param.grad).iter_mut().zip(running) {
                *next = running + m * (batch * scale - running);
            }
        }
        resize(&mut self.batches.grad, self.batches.value.dim());
        parts(self.batches.count().saturating_add(1), values_mut(&mut self.batches.grad));
    }
}

impl<F: Scalar> Layer<F> for BatchNorm<F> {
    crate::params!(F: gamma, beta, running_mean, running_var, batches);

    #[track_caller]
    fn forward(&mut self, mut input: Array2<F>, pass: &mut Pass<'_>) -> Array2<F> {
        expect_columns("BatchNorm", self.columns(), input.dim());
        (self.batch_sum, self.batch_rows) = (pass.sum(), pass.batch_rows(input.nrows()));
        let [mean, variance, room] = &mut self.sums;
        kernel::column_means(&input, self.batch_rows, mean);
        self.batch_sum.over(mean, room);
        kernel::column_variances(&input, self.batch_rows, mean, variance);
        self.batch_sum.over(variance, room);
        for (inverse, &variance) in self.inverse_std.iter_mut().zip(variance.iter()) {
            *inverse = F::one() / (variance + self.epsilon).sqrt();
        }
        resize(&mut self.normalized, input.dim());
        let (gamma, beta) = (values(&self.gamma.value), values(&self.beta.value));
        let width = gamma.len();
        let (mean, inverse, beta) = (&mean[..width], &self.inverse_std[..width], &beta[..width]);
        let (x, normalized) = (values_mut(&mut input), values_mut(&mut self.normalized));
        kernel::vectorize(
            #[inline(always)]
            move || {
                for (x, hat) in x.chunks_exact_mut(width).zip(normalized.chunks_exact_mut(width)) {
                    for j in 0..width {
                        hat[j] = (x[j] - mean[j]) * inverse[j];
                        x[j] = gamma[j] * hat[j] + beta[j];
                    }
                }
            },
        );
        self.track();
        input
    }

    #[track_caller]
    fn backward(&mut self, mut grad: Array2<F>) -> Array2<F> {
        expect_shape("BatchNorm", self.normalized.dim(), grad.dim());
        kernel::column_sums(&grad, &mut self.beta.grad);
        kernel::column_products(&grad, &self.normalized, &mut self.gamma.grad);
        let [dgamma, dbeta, room] = &mut self.sums;
        for (sums, param) in [(&mut *dgamma, &self.gamma), (&mut *dbeta, &self.beta)] {
            sums.copy_from_slice(values(&param.grad));
            self.batch_sum.over(sums, room);
        }
        let share = F::one() / F::of(self.batch_rows as f64);
        let gamma = values(&self.gamma.value);
        let width = gamma.len();
        let (inverse, dgamma, dbeta) = (&self.inverse_std[..width], &dgamma[..width], &dbeta[..width]);
        let (g, hat) = (values_mut(&mut grad), values(&self.normalized));
        kernel::vectorize(
            #[inline(always)]
            move || {
                for (g, hat) in g.chunks_exact_mut(width).zip(hat.chunks_exact(width)) {
                    for j in 0..width {
                        g[j] = gamma[j] * inverse[j] * (g[j] - share * dbeta[j] - hat[j] * (share * dgamma[j]));
                    }
                }
            },
        );
        grad
    }

    #[track_caller]
    fn infer(&self, mut input: Array2<F>) -> Array2<F> {
        expect_columns("BatchNorm", self.columns(), input.dim());
        let (gamma, beta) = (values(&self.gamma.value), values(&self.beta.value));
        let (mean, variance) = (values(&self.running_mean.value), values(&self.running_var.value));
        let (width, epsilon) = (gamma.len(), self.epsilon);
        let (beta, mean, variance) = (&beta[..width], &mean[..width], &variance[..width]);
        let x = values_mut(&mut input);
        kernel::vectorize(
            #[inline(always)]
            move || {
                for x in x.chunks_exact_mut(width) {
                    for j in 0..width {
                        x[j] = (x[j] - mean[j]) / (variance[j] + epsilon).sqrt() * gamma[j] + beta[j];
                    }
                }
            },
        );
        input
    }

    fn width(&self, input: usize) -> Result<usize, Error> {
        expect_inputs(self, self.columns(), input)?;
        Ok(input)
    }

    fn export(&self, graph: &mut Graph<F>) -> Result<(), Error> {
        // An attribute is an f32: the largest below ε, and what ε is more goes to the variance.
        let epsilon = self.epsilon.as_f64();
        let nearest = epsilon as f32;
        let attribute = if f64::from(nearest) > epsilon { nearest.next_down() } else { nearest };
        let mut variance = self.running_var.clone();
        let rest = F::of(epsilon - f64::from(attribute));
        variance.value.mapv_inplace(|variance| variance + rest);
        let parameters = [&self.gamma, &self.beta, &self.running_mean, &variance];
        let constants = parameters.map(|param| graph.parameter(param));
        graph.node("BatchNormalization", &constants, &[("epsilon", Attribute::Float(attribute))]);
        Ok(())
    }

    fn describe(&self) -> Result<Description, Error> {
        let (epsilon, momentum) = (self.epsilon.as_f64(), self.momentum.as_f64());
        Ok(Description::new("BatchNorm").with("epsilon", epsilon).with("momentum", momentum))
    }
}

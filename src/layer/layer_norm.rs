use ndarray::Array2;

use super::{Attribute, Description, Graph, Layer, Param, Pass, Role, expect_columns, expect_inputs, expect_shape};
use crate::array::{fits, resize, values, values_mut};
use crate::error::{Error, require};
use crate::kernel;
use crate::scalar::Scalar;

/// Layer normalisation: every row to mean 0 and variance 1, then its columns scaled and shifted.
///
/// For a row `x: (D)`, with means over its columns:
///
/// ```text
/// μ  = Σⱼ xⱼ / D        σ² = Σⱼ (xⱼ - μ)² / D        x̂ = (x - μ) / √(σ² + ε)        y = γ x̂ + β
/// ```
///
/// The variance is the biased one; ε stands inside the root. Backward, with `g = dL/dy`: `dL/dγ = Σₙ g x̂`,
/// `dL/dβ = Σₙ g`, and row by row `dL/dx = (γ g - mean(γ g) - x̂ mean(γ g x̂)) / √(σ² + ε)`.
///
/// A row does not see the others of its batch: training and inference are the same, and a batch of one is as good as any.
/// Names, values and defaults are those of PyTorch's `LayerNorm(D)`.
///
/// In an ONNX file ε is an `f32`.
///
/// Ba, Kiros & Hinton, *Layer Normalization*, 2016.
///
/// ```
/// use gradus::{layer::{Layer, LayerNorm}, ndarray::array};
/// let y = LayerNorm::<f64>::new(2)?.infer(array![[1.0, 3.0], [100.0, 0.0]]);
/// assert!((&y - &array![[-1.0, 1.0], [1.0, -1.0]]).iter().all(|difference| difference.abs() < 1e-5));
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LayerNorm<F = f32> {
    /// γ, `(1, D)`, from 1.
    pub gamma: Param<F>,
    /// β, `(1, D)`, from 0.
    pub beta: Param<F>,
    /// ε, 1e-5 unless set.
    epsilon: F,
    /// x̂ of the last batch.
    normalized: Array2<F>,
    /// 1 / √(σ² + ε) of every row of it.
    inverse_std: Vec<F>,
}

impl<F: Scalar> LayerNorm<F> {
    /// A layer for rows of `width` values.
    ///
    /// # Errors
    /// A width of 0, or more columns than memory has room for.
    pub fn new(width: usize) -> Result<Self, Error> {
        if width == 0 {
            return Err(Error::empty("LayerNorm(0), columns"));
        }
        require(fits::<F>(&[width]), "LayerNorm columns", "a number that fits into memory", width)?;
        Ok(Self {
            gamma: Param::new("weight", Role::Scale, Array2::ones((1, width))),
            beta: Param::new("bias", Role::Shift, Array2::zeros((1, width))),
            epsilon: F::of(1e-5),
            normalized: Array2::default((0, 0)),
            inverse_std: Vec::new(),
        })
    }

    /// The same layer with this ε, added to the variance under the root.
    ///
    /// # Errors
    /// Not positive, or not finite, as a number of the layer's type: 1e-46 is 0 in `f32`.
    pub fn with_epsilon(mut self, epsilon: f64) -> Result<Self, Error> {
        let value = F::of(epsilon);
        let is_right = value > F::zero() && value.is_finite();
        require(is_right, "LayerNorm epsilon", "a positive finite value", epsilon)?;
        self.epsilon = value;
        Ok(self)
    }

    /// ε, under the root.
    pub fn epsilon(&self) -> F {
        self.epsilon
    }

    fn columns(&self) -> usize {
        self.gamma.value.ncols()
    }
}

/// `x ← x̂`, of one row; gives `1 / √(σ² + ε)`.
#[inline(always)]
fn normalize<F: Scalar>(x: &mut [F], epsilon: F) -> F {
    let share = F::one() / F::of(x.len() as f64);
    let mean = kernel::sum(x) * share;
    x.iter_mut().for_each(|x| *x -= mean);
    let inverse = F::one() / (kernel::dot(x, x) * share + epsilon).sqrt();
    x.iter_mut().for_each(|x| *x *= inverse);
    inverse
}

impl<F: Scalar> Layer<F> for LayerNorm<F> {
    crate::params!(F: gamma, beta);

    #[track_caller]
    fn forward(&mut self, mut input: Array2<F>, _pass: &mut Pass<'_>) -> Array2<F> {
        expect_columns("LayerNorm", self.columns(), input.dim());
        resize(&mut self.normalized, input.dim());
        self.inverse_std.resize(input.nrows(), F::zero());
        let (gamma, beta, epsilon) = (values(&self.gamma.value), values(&self.beta.value), self.epsilon);
        let (x, normalized, inverse) =
            (values_mut(&mut input), values_mut(&mut self.normalized), &mut self.inverse_std);
        let width = gamma.len();
        kernel::vectorize(
            #[inline(always)]
            move || {
                let rows = x.chunks_exact_mut(width).zip(normalized.chunks_exact_mut(width)).zip(inverse);
                for ((x, hat), inverse) in rows {
                    *inverse = normalize(x, epsilon);
                    hat.copy_from_slice(x);
                    scale_and_shift(x, gamma, beta);
                }
            },
        );
        input
    }

    #[track_caller]
    fn backward(&mut self, mut grad: Array2<F>) -> Array2<F> {
        expect_shape("LayerNorm", self.normalized.dim(), grad.dim());
        kernel::column_sums(&grad, &mut self.beta.grad);
        kernel::column_products(&grad, &self.normalized, &mut self.gamma.grad);
        let gamma = values(&self.gamma.value);
        let (g, normalized, inverse) = (values_mut(&mut grad), values(&self.normalized), &self.inverse_std);
        let (width, share) = (gamma.len(), F::one() / F::of(gamma.len() as f64));
        kernel::vectorize(
            #[inline(always)]
            move || {
                let rows = g.chunks_exact_mut(width).zip(normalized.chunks_exact(width)).zip(inverse);
                for ((g, hat), &inverse) in rows {
                    g.iter_mut().zip(gamma).for_each(|(g, &gamma)| *g *= gamma);
                    let (mean, product) = (kernel::sum(g) * share, kernel::dot(g, hat) * share);
                    g.iter_mut().zip(hat).for_each(|(g, &hat)| *g = inverse * (*g - mean - hat * product));
                }
            },
        );
        grad
    }

    #[track_caller]
    fn infer(&self, mut input: Array2<F>) -> Array2<F> {
        expect_columns("LayerNorm", self.columns(), input.dim());
        let (gamma, beta, epsilon) = (values(&self.gamma.value), values(&self.beta.value), self.epsilon);
        let x = values_mut(&mut input);
        kernel::vectorize(
            #[inline(always)]
            move || {
                for x in x.chunks_exact_mut(gamma.len()) {
                    normalize(x, epsilon);
                    scale_and_shift(x, gamma, beta);
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
        let constants = [&self.gamma, &self.beta].map(|param| graph.parameter(param));
        let epsilon = Attribute::Float(self.epsilon.as_f64() as f32);
        graph.node("LayerNormalization", &constants, &[("axis", Attribute::Int(-1)), ("epsilon", epsilon)]);
        Ok(())
    }

    fn describe(&self) -> Result<Description, Error> {
        Ok(Description::new("LayerNorm").with("epsilon", self.epsilon.as_f64()))
    }
}

/// `x ← γ x + β`, of one row.
#[inline(always)]
fn scale_and_shift<F: Scalar>(x: &mut [F], gamma: &[F], beta: &[F]) {
    x.iter_mut().zip(gamma).zip(beta).for_each(|((x, &gamma), &beta)| *x = gamma * *x + beta);
}

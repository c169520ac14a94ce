use std::fmt::{self, Debug};

use ndarray::Array2;

use super::{Graph, Layer, Pass, expect_shape};
use crate::array::{resize, values_mut};
use crate::error::Error;
use crate::kernel;
use crate::scalar::Scalar;

/// dy/dx of an element-wise layer, kept by `forward` for `backward`: `dL/dx = dL/dy ⊙ slope`.
///
/// The slope and not the output, because the output moves on to the next layer, which works in its buffer.
#[derive(Debug, Clone, Default)]
pub(super) struct Slope<F>(Array2<F>);

impl<F: Scalar> Slope<F> {
    /// Applies `f: x -> (y, dy/dx)` to every element in place and keeps the slopes.
    #[inline(always)]
    pub(super) fn forward(&mut self, mut input: Array2<F>, f: impl Fn(F) -> (F, F) + Sync) -> Array2<F> {
        resize(&mut self.0, input.dim());
        kernel::zip_mut(
            values_mut(&mut input),
            values_mut(&mut self.0),
            #[inline(always)]
            |x, slope| (*x, *slope) = f(*x),
        );
        input
    }

    /// The slopes, to be filled for a batch of this shape.
    pub(super) fn reset(&mut self, shape: (usize, usize)) -> &mut [F] {
        resize(&mut self.0, shape);
        values_mut(&mut self.0)
    }

    /// `dL/dy -> dL/dx`, in place.
    #[track_caller]
    pub(super) fn backward(&mut self, layer: &str, mut grad: Array2<F>) -> Array2<F> {
        expect_shape(layer, self.0.dim(), grad.dim());
        self.multiply(&mut grad);
        grad
    }

    /// `x ⊙= slope`.
    pub(super) fn multiply(&mut self, x: &mut Array2<F>) {
        kernel::zip_mut(values_mut(x), values_mut(&mut self.0), |x, slope| *x *= *slope);
    }
}

/// An element-wise layer: its formula is `y` and `dy/dx` in terms of `y` alone or of `x`.
macro_rules! activation {
    ($(#[$doc:meta])* $name:ident, $operator:literal, $function:expr, $with_slope:expr) => {
        $(#[$doc])*
        #[derive(Clone, Default)]
        pub struct $name<F = f32> {
            slope: Slope<F>,
        }

        impl<F: Scalar> $name<F> {
            /// The layer; it takes any width.
            pub fn new() -> Self {
                Self::default()
            }
        }

        impl<F> Debug for $name<F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }

        impl<F: Scalar> Layer<F> for $name<F> {
            fn forward(&mut self, input: Array2<F>, _pass: &mut Pass<'_>) -> Array2<F> {
                self.slope.forward(input, $with_slope)
            }

            #[track_caller]
            fn backward(&mut self, grad: Array2<F>) -> Array2<F> {
                self.slope.backward(stringify!($name), grad)
            }

            fn infer(&self, mut input: Array2<F>) -> Array2<F> {
                let x = values_mut(&mut input);
                kernel::vectorize(move || x.iter_mut().for_each(|x| *x = $function(*x)));
                input
            }

            fn export(&self, graph: &mut Graph<F>) -> Result<(), Error> {
                graph.node($operator, &[], &[]);
                Ok(())
            }
        }
    };
}

activation!(
    /// The rectified linear unit, `y = max(x, 0)`; `dy/dx = 1` where `x > 0`, else 0 (also at 0 itself).
    /// NaN stays NaN.
    ///
    /// ```
    /// use gradus::{layer::{Layer, Pass, ReLU}, ndarray::array};
    /// let mut rng = gradus::rng(1);
    /// let mut relu = ReLU::new();
    /// assert_eq!(relu.forward(array![[-1.0, 0.0, 2.0]], &mut Pass::new(&mut rng)), array![[0.0, 0.0, 2.0]]);
    /// assert_eq!(relu.backward(array![[5.0, 5.0, 5.0]]), array![[0.0, 0.0, 5.0]]);
    /// ```
    ReLU,
    "Relu",
    relu,
    |x| (relu(x), if x > F::zero() { F::one() } else { F::zero() })
);

activation!(
    /// The logistic sigmoid, `y = 1 / (1 + e⁻ˣ)`; `dy/dx = y (1 - y)`.
    ///
    /// ```
    /// use gradus::{layer::{Layer, Pass, Sigmoid}, ndarray::array};
    /// let mut rng = gradus::rng(1);
    /// let mut sigmoid = Sigmoid::new();
    /// assert_eq!(sigmoid.forward(array![[0.0, 1e4, -1e4]], &mut Pass::new(&mut rng)), array![[0.5, 1.0, 0.0]]);
    /// assert_eq!(sigmoid.backward(array![[1.0, 1.0, 1.0]]), array![[0.25, 0.0, 0.0]]);
    /// ```
    Sigmoid,
    "Sigmoid",
    kernel::sigmoid,
    |x| {
        let y = kernel::sigmoid(x);
        (y, y * (F::one() - y))
    }
);

activation!(
    /// The hyperbolic tangent, `y = tanh x`; `dy/dx = 1 - y²`.
    ///
    /// ```
    /// use gradus::{layer::{Layer, Pass, Tanh}, ndarray::array};
    /// let mut rng = gradus::rng(1);
    /// let mut tanh = Tanh::new();
    /// assert_eq!(tanh.forward(array![[0.0, 1e4, -1e4]], &mut Pass::new(&mut rng)), array![[0.0, 1.0, -1.0]]);
    /// assert_eq!(tanh.backward(array![[1.0, 1.0, 1.0]]), array![[1.0, 0.0, 0.0]]);
    /// ```
    Tanh,
    "Tanh",
    kernel::tanh,
    |x| {
        let y = kernel::tanh(x);
        (y, F::one() - y * y)
    }
);

/// max(x, 0), and NaN for NaN.
#[inline(always)]
fn relu<F: Scalar>(x: F) -> F {
    if x <= F::zero() { F::zero() } else { x }
}

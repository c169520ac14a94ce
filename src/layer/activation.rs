//! Layers that work on every element by itself.

mod elu;
mod gelu;
mod leaky_relu;
mod prelu;
mod relu;
mod sigmoid;
mod silu;
mod softplus;
mod tanh;

use ndarray::Array2;

use super::{Description, Graph, expect_shape};
use crate::array::{resize, values_mut};
use crate::kernel;
use crate::scalar::Scalar;

pub use elu::ELU;
pub use gelu::{GELU, GELUForm};
pub use leaky_relu::LeakyReLU;
pub use prelu::PReLU;
pub use relu::ReLU;
pub use sigmoid::Sigmoid;
pub use silu::SiLU;
pub use softplus::Softplus;
pub use tanh::Tanh;

/// What an activation is: a formula. [`element_wise!`] makes a layer of it.
trait Activation<F: Scalar> {
    /// `x -> (y, dy/dx)`, compiled into the loop over all elements.
    fn formula(&self) -> impl Fn(F) -> (F, F) + Sync + use<Self, F>;

    /// The same as operators of the standard set.
    fn operators(&self, graph: &mut Graph<F>);

    /// Its kind and its settings.
    fn description(&self) -> Description;
}

/// Writes `Layer` for an [`Activation`] whose field `slope` is a [`Slope`].
macro_rules! element_wise {
    ($name:ident) => {
        impl<F> std::fmt::Debug for $name<F> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }

        impl<F: $crate::Scalar> $crate::layer::Layer<F> for $name<F> {
            fn forward(
                &mut self,
                input: ndarray::Array2<F>,
                _pass: &mut $crate::layer::Pass<'_>,
            ) -> ndarray::Array2<F> {
                let formula = self.formula();
                self.slope.forward(input, formula)
            }

            #[track_caller]
            fn backward(&mut self, grad: ndarray::Array2<F>) -> ndarray::Array2<F> {
                self.slope.backward(stringify!($name), grad)
            }

            fn infer(&self, input: ndarray::Array2<F>) -> ndarray::Array2<F> {
                $crate::layer::activation::apply(input, self.formula())
            }

            fn export(&self, graph: &mut $crate::layer::Graph<F>) -> Result<(), $crate::Error> {
                self.operators(graph);
                Ok(())
            }

            fn describe(&self) -> Result<$crate::layer::Description, $crate::Error> {
                Ok(self.description())
            }
        }
    };
}
use element_wise;

/// The formula's `y` of every element, in place; the compiler leaves the slope out.
#[inline(always)]
fn apply<F: Scalar>(mut input: Array2<F>, formula: impl Fn(F) -> (F, F)) -> Array2<F> {
    let x = values_mut(&mut input);
    kernel::vectorize(
        #[inline(always)]
        move || x.iter_mut().for_each(|x| *x = formula(*x).0),
    );
    input
}

/// dy/dx of an element-wise layer, kept by `forward` for `backward`: `dL/dx = dL/dy ⊙ slope`.
///
/// The slope and not the output, because the output moves on to the next layer, which works in its buffer.
#[derive(Debug, Clone, Default)]
pub(super) struct Slope<F>(Array2<F>);

impl<F: Scalar> Slope<F> {
    /// Applies `f: x -> (y, dy/dx)` to every element in place and keeps the slopes.
    #[inline(always)]
    fn forward(&mut self, mut input: Array2<F>, f: impl Fn(F) -> (F, F) + Sync) -> Array2<F> {
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

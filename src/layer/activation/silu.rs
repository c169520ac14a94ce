use super::{Activation, Slope, element_wise};
use crate::kernel;
use crate::layer::{Description, Graph};
use crate::scalar::Scalar;

/// The sigmoid linear unit, `y = x σ(x)`, σ the logistic sigmoid; `dy/dx = σ(x) (1 + x (1 - σ(x)))`.
///
/// Elfwing, Uchibe & Doya, *Sigmoid-weighted linear units for neural network function approximation in reinforcement
/// learning*, 2018. Ramachandran, Zoph & Le, *Searching for Activation Functions*, 2017, call it Swish.
///
/// ```
/// use gradus::{layer::{Layer, SiLU}, ndarray::array};
/// let y = SiLU::<f64>::new().infer(array![[0.0, 1.0, 1e4, -1e4]]);
/// assert_eq!(y, array![[0.0, 1.0 / (1.0 + (-1.0_f64).exp()), 1e4, 0.0]]);
/// ```
#[doc(alias = "Swish")]
#[derive(Clone, Default)]
pub struct SiLU<F = f32> {
    slope: Slope<F>,
}

impl<F: Scalar> SiLU<F> {
    /// The layer; it takes any width.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<F: Scalar> Activation<F> for SiLU<F> {
    fn formula(&self) -> impl Fn(F) -> (F, F) + Sync + use<F> {
        #[inline(always)]
        |x| {
            let s = kernel::sigmoid(x);
            (x * s, s * (F::one() + x * (F::one() - s)))
        }
    }

    fn operators(&self, graph: &mut Graph<F>) {
        let x = graph.value();
        graph.node("Sigmoid", &[], &[]);
        graph.node("Mul", &[x], &[]);
    }

    fn description(&self) -> Description {
        Description::new("SiLU")
    }
}

element_wise!(SiLU);

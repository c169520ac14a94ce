use super::{Activation, Slope, element_wise};
use crate::kernel;
use crate::layer::{Description, Graph};
use crate::scalar::Scalar;

/// The logistic sigmoid, `y = 1 / (1 + e⁻ˣ)`; `dy/dx = y (1 - y)`.
///
/// ```
/// use gradus::{layer::{Layer, Pass, Sigmoid}, ndarray::array};
/// let mut rng = gradus::rng(1);
/// let mut sigmoid = Sigmoid::new();
/// assert_eq!(sigmoid.forward(array![[0.0, 1e4, -1e4]], &mut Pass::new(&mut rng)), array![[0.5, 1.0, 0.0]]);
/// assert_eq!(sigmoid.backward(array![[1.0, 1.0, 1.0]]), array![[0.25, 0.0, 0.0]]);
/// ```
#[derive(Clone, Default)]
pub struct Sigmoid<F = f32> {
    slope: Slope<F>,
}

impl<F: Scalar> Sigmoid<F> {
    /// The layer; it takes any width.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<F: Scalar> Activation<F> for Sigmoid<F> {
    fn formula(&self) -> impl Fn(F) -> (F, F) + Sync + use<F> {
        #[inline(always)]
        |x| {
            let y = kernel::sigmoid(x);
            (y, y * (F::one() - y))
        }
    }

    fn operators(&self, graph: &mut Graph<F>) {
        graph.node("Sigmoid", &[], &[]);
    }

    fn description(&self) -> Description {
        Description::new("Sigmoid")
    }
}

element_wise!(Sigmoid);

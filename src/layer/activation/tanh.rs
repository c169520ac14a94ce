use super::{Activation, Slope, element_wise};
use crate::kernel;
use crate::layer::{Description, Graph};
use crate::scalar::Scalar;

/// The hyperbolic tangent, `y = tanh x`; `dy/dx = 1 - y²`.
///
/// ```
/// use gradus::{layer::{Layer, Pass, Tanh}, ndarray::array};
/// let mut rng = gradus::rng(1);
/// let mut tanh = Tanh::new();
/// assert_eq!(tanh.forward(array![[0.0, 1e4, -1e4]], &mut Pass::new(&mut rng)), array![[0.0, 1.0, -1.0]]);
/// assert_eq!(tanh.backward(array![[1.0, 1.0, 1.0]]), array![[1.0, 0.0, 0.0]]);
/// ```
#[derive(Clone, Default)]
pub struct Tanh<F = f32> {
    slope: Slope<F>,
}

impl<F: Scalar> Tanh<F> {
    /// The layer; it takes any width.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<F: Scalar> Activation<F> for Tanh<F> {
    fn formula(&self) -> impl Fn(F) -> (F, F) + Sync + use<F> {
        #[inline(always)]
        |x| {
            let y = kernel::tanh(x);
            (y, F::one() - y * y)
        }
    }

    fn operators(&self, graph: &mut Graph<F>) {
        graph.node("Tanh", &[], &[]);
    }

    fn description(&self) -> Description {
        Description::new("Tanh")
    }
}

element_wise!(Tanh);

use super::{Activation, Slope, element_wise};
use crate::layer::{Description, Graph};
use crate::scalar::Scalar;

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
#[derive(Clone, Default)]
pub struct ReLU<F = f32> {
    slope: Slope<F>,
}

impl<F: Scalar> ReLU<F> {
    /// The layer; it takes any width.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<F: Scalar> Activation<F> for ReLU<F> {
    fn formula(&self) -> impl Fn(F) -> (F, F) + Sync + use<F> {
        #[inline(always)]
        |x| (if x <= F::zero() { F::zero() } else { x }, if x > F::zero() { F::one() } else { F::zero() })
    }

    fn operators(&self, graph: &mut Graph<F>) {
        graph.node("Relu", &[], &[]);
    }

    fn description(&self) -> Description {
        Description::new("ReLU")
    }
}

element_wise!(ReLU);

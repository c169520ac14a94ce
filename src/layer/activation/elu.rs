use super::{Activation, Slope, element_wise};
use crate::error::{Error, require};
use crate::kernel;
use crate::layer::{Attribute, Description, Graph};
use crate::scalar::Scalar;

/// The exponential linear unit, `y = x` where `x > 0`, else `y = α (eˣ - 1)`; `dy/dx = 1` and `α eˣ`.
///
/// Clevert, Unterthiner & Hochreiter, *Fast and Accurate Deep Network Learning by Exponential Linear Units*, 2016.
///
/// ```
/// use gradus::{layer::{ELU, Layer, Pass}, ndarray::array};
/// let mut rng = gradus::rng(1);
/// let mut elu = ELU::new(2.0)?;
/// assert_eq!(elu.forward(array![[-1e4, 0.0, 3.0]], &mut Pass::new(&mut rng)), array![[-2.0, 0.0, 3.0]]);
/// assert_eq!(elu.backward(array![[1.0, 1.0, 1.0]]), array![[0.0, 2.0, 1.0]]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone)]
pub struct ELU<F = f32> {
    alpha: F,
    slope: Slope<F>,
}

impl<F: Scalar> ELU<F> {
    /// The layer with this α, what it gives at -∞ without its sign; it takes any width.
    ///
    /// # Errors
    /// α below 0 or not finite.
    pub fn new(alpha: f64) -> Result<Self, Error> {
        let value = F::of(alpha);
        let is_right = value >= F::zero() && value.is_finite();
        require(is_right, "ELU alpha", "a finite value of at least 0", alpha)?;
        Ok(Self { alpha: value, slope: Slope::default() })
    }
}

impl<F: Scalar> Default for ELU<F> {
    /// α = 1, as in PyTorch.
    fn default() -> Self {
        Self { alpha: F::one(), slope: Slope::default() }
    }
}

impl<F: Scalar> Activation<F> for ELU<F> {
    fn formula(&self) -> impl Fn(F) -> (F, F) + Sync + use<F> {
        let alpha = self.alpha;
        #[inline(always)]
        move |x| if x > F::zero() { (x, F::one()) } else { (alpha * kernel::exp_m1(x), alpha * kernel::exp(x)) }
    }

    fn operators(&self, graph: &mut Graph<F>) {
        graph.node("Elu", &[], &[("alpha", Attribute::Float(self.alpha.as_f64() as f32))]);
    }

    fn description(&self) -> Description {
        Description::new("ELU").with("alpha", self.alpha.as_f64())
    }
}

element_wise!(ELU);

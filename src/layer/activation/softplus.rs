use super::{Activation, Slope, element_wise};
use crate::error::{Error, require};
use crate::kernel;
use crate::layer::{Description, Graph};
use crate::scalar::Scalar;

/// A smooth rectifier, `y = ln(1 + e^(β x)) / β`; `dy/dx = σ(β x)`, σ the logistic sigmoid.
///
/// Computed as `(max(β x, 0) + ln(1 + e^(-|β x|))) / β`, finite for every finite β x. PyTorch goes over to `y = x` where
/// `β x > 20`; what it leaves out there is below 2.1e-9 / β.
///
/// Dugas et al., *Incorporating Second-Order Functional Knowledge for Better Option Pricing*, 2001.
///
/// ```
/// use gradus::{layer::{Layer, Softplus}, ndarray::array};
/// let y = Softplus::new(1.0)?.infer(array![[0.0, 1e4, -1e4]]);
/// assert_eq!(y, array![[2.0_f64.ln(), 1e4, 0.0]]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone)]
pub struct Softplus<F = f32> {
    beta: F,
    slope: Slope<F>,
}

impl<F: Scalar> Softplus<F> {
    /// The layer with this β, the larger the sharper; it takes any width.
    ///
    /// # Errors
    /// β that is not above 0, or not finite.
    pub fn new(beta: f64) -> Result<Self, Error> {
        let value = F::of(beta);
        let is_right = value.is_normal() && value > F::zero();
        require(is_right, "Softplus beta", "a positive finite value", beta)?;
        Ok(Self { beta: value, slope: Slope::default() })
    }
}

impl<F: Scalar> Default for Softplus<F> {
    /// β = 1, as in PyTorch.
    fn default() -> Self {
        Self { beta: F::one(), slope: Slope::default() }
    }
}

impl<F: Scalar> Activation<F> for Softplus<F> {
    fn formula(&self) -> impl Fn(F) -> (F, F) + Sync + use<F> {
        let beta = self.beta;
        #[inline(always)]
        move |x| (kernel::softplus(beta * x) / beta, kernel::sigmoid(beta * x))
    }

    fn operators(&self, graph: &mut Graph<F>) {
        let beta = graph.constant(&[], &[self.beta]);
        graph.node("Mul", std::slice::from_ref(&beta), &[]);
        graph.node("Softplus", &[], &[]);
        graph.node("Div", &[beta], &[]);
    }

    fn description(&self) -> Description {
        Description::new("Softplus").with("beta", self.beta.as_f64())
    }
}

element_wise!(Softplus);

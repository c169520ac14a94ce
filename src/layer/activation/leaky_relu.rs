use super::{Activation, Slope, element_wise};
use crate::error::{Error, require};
use crate::layer::{Description, Graph};
use crate::scalar::Scalar;

/// The leaky rectified linear unit, `y = x` where `x > 0`, else `y = a x`; `dy/dx = 1` and `a` (a at 0 itself).
///
/// Maas, Hannun & Ng, *Rectifier Nonlinearities Improve Neural Network Acoustic Models*, 2013. A slope that is learned:
/// [`PReLU`](super::PReLU).
///
/// ```
/// use gradus::{layer::{Layer, LeakyReLU, Pass}, ndarray::array};
/// let mut rng = gradus::rng(1);
/// let mut leaky = LeakyReLU::new(0.5)?;
/// assert_eq!(leaky.forward(array![[-1.0, 0.0, 2.0]], &mut Pass::new(&mut rng)), array![[-0.5, 0.0, 2.0]]);
/// assert_eq!(leaky.backward(array![[5.0, 5.0, 5.0]]), array![[2.5, 2.5, 5.0]]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone)]
pub struct LeakyReLU<F = f32> {
    negative_slope: F,
    slope: Slope<F>,
}

impl<F: Scalar> LeakyReLU<F> {
    /// The layer with this slope `a` below 0; it takes any width.
    ///
    /// # Errors
    /// A slope that is not finite.
    pub fn new(negative_slope: f64) -> Result<Self, Error> {
        let a = F::of(negative_slope);
        require(a.is_finite(), "LeakyReLU slope", "a finite value", negative_slope)?;
        Ok(Self { negative_slope: a, slope: Slope::default() })
    }
}

impl<F: Scalar> Default for LeakyReLU<F> {
    /// A slope of 0.01, as in PyTorch.
    fn default() -> Self {
        Self { negative_slope: F::of(0.01), slope: Slope::default() }
    }
}

impl<F: Scalar> Activation<F> for LeakyReLU<F> {
    fn formula(&self) -> impl Fn(F) -> (F, F) + Sync + use<F> {
        let a = self.negative_slope;
        #[inline(always)]
        move |x| if x > F::zero() { (x, F::one()) } else { (a * x, a) }
    }

    /// PRelu, whose slope has the type of the numbers; that of LeakyRelu is an `f32`.
    fn operators(&self, graph: &mut Graph<F>) {
        let a = graph.constant(&[1], &[self.negative_slope]);
        graph.node("PRelu", &[a], &[]);
    }

    fn description(&self) -> Description {
        Description::new("LeakyReLU").with("negative_slope", self.negative_slope.as_f64())
    }
}

element_wise!(LeakyReLU);

use std::f64::consts::FRAC_1_SQRT_2;
use std::fmt::{self, Debug};
use std::slice;

use ndarray::Array2;

use super::{Slope, apply};
use crate::error::Error;
use crate::kernel;
use crate::layer::{Description, Graph, Layer, Pass};
use crate::scalar::Scalar;

/// Which of its two forms a [`GELU`] has.
///
/// ```
/// use gradus::{layer::{GELU, GELUForm, Layer}, ndarray::array};
/// let x = array![[1.0]];
/// let [exact, tanh] = [GELUForm::Erf, GELUForm::Tanh].map(|form| GELU::<f64>::with_form(form).infer(x.clone())[[0, 0]]);
/// assert!((exact - 0.841_344_746).abs() < 1e-9 && (tanh - 0.841_191_991).abs() < 1e-9);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum GELUForm {
    /// The definition; PyTorch's default.
    #[default]
    Erf,
    /// The approximation of the paper, by tanh, up to 5e-4 off: PyTorch's `approximate='tanh'`, what GPT-2 and BERT were
    /// trained with.
    Tanh,
}

/// The Gaussian error linear unit: x times the share of a standard normal distribution below x.
///
/// | form | y | dy/dx |
/// |---|---|---|
/// | [`Erf`](GELUForm::Erf), the default | `x Φ(x)`, `Φ(x) = ½ (1 + erf(x / √2))` | `Φ(x) + x φ(x)`, `φ(x) = e^(-x²/2) / √(2π)` |
/// | [`Tanh`](GELUForm::Tanh) | `½ x (1 + tanh u) = x σ(2u)`, `u = √(2/π) (x + 0.044715 x³)` | `σ(2u) + x σ(2u) (1 - σ(2u)) 2 du/dx` |
///
/// Hendrycks & Gimpel, *Gaussian Error Linear Units (GELUs)*, 2016.
///
/// ```
/// use gradus::{layer::{GELU, Layer, Pass}, ndarray::array};
/// let mut rng = gradus::rng(1);
/// let mut gelu = GELU::new();
/// assert_eq!(gelu.forward(array![[-1e4, 0.0, 1e4]], &mut Pass::new(&mut rng)), array![[0.0, 0.0, 1e4]]);
/// assert_eq!(gelu.backward(array![[1.0, 1.0, 1.0]]), array![[0.0, 0.5, 1.0]]);
/// ```
#[derive(Clone, Default)]
pub struct GELU<F = f32> {
    form: GELUForm,
    slope: Slope<F>,
}

impl<F: Scalar> GELU<F> {
    /// The layer as it is defined; it takes any width.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same in the form asked for.
    pub fn with_form(form: GELUForm) -> Self {
        Self { form, slope: Slope::default() }
    }
}

impl<F> Debug for GELU<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GELU")
    }
}

impl<F: Scalar> Layer<F> for GELU<F> {
    fn forward(&mut self, input: Array2<F>, _pass: &mut Pass<'_>) -> Array2<F> {
        match self.form {
            GELUForm::Erf => self.slope.forward(input, by_erf),
            GELUForm::Tanh => self.slope.forward(input, by_tanh),
        }
    }

    #[track_caller]
    fn backward(&mut self, grad: Array2<F>) -> Array2<F> {
        self.slope.backward("GELU", grad)
    }

    fn infer(&self, input: Array2<F>) -> Array2<F> {
        match self.form {
            GELUForm::Erf => apply(input, by_erf),
            GELUForm::Tanh => apply(input, by_tanh),
        }
    }

    fn export(&self, graph: &mut Graph<F>) -> Result<(), Error> {
        let x = graph.value();
        let mut number = |value: f64| graph.constant(&[], &[F::of(value)]);
        let (one, half) = (number(1.0), number(0.5));
        match self.form {
            GELUForm::Erf => {
                let scale = number(FRAC_1_SQRT_2);
                graph.node("Mul", &[scale], &[]);
                graph.node("Erf", &[], &[]);
            }
            GELUForm::Tanh => {
                let (linear, cubic) = (number(SQRT_2_OVER_PI), number(SQRT_2_OVER_PI * CUBE));
                graph.node("Mul", slice::from_ref(&x), &[]);
                graph.node("Mul", &[cubic], &[]);
                graph.node("Add", &[linear], &[]);
                graph.node("Mul", slice::from_ref(&x), &[]);
                graph.node("Tanh", &[], &[]);
            }
        }
        graph.node("Add", &[one], &[]);
        graph.node("Mul", &[half], &[]);
        graph.node("Mul", &[x], &[]);
        Ok(())
    }

    fn describe(&self) -> Result<Description, Error> {
        Ok(Description::new("GELU").with_form(self.form))
    }
}

/// √(2/π).
const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
/// The share of x³ in u.
const CUBE: f64 = 0.044_715;

#[inline(always)]
fn by_erf<F: Scalar>(x: F) -> (F, F) {
    let (share, density) = kernel::normal(x);
    (x * share, share + x * density)
}

#[inline(always)]
fn by_tanh<F: Scalar>(x: F) -> (F, F) {
    let (double, cube) = (F::of(2.0 * SQRT_2_OVER_PI), F::of(CUBE));
    // Beyond these σ(2u) is 0 and 1, and x³ may be infinite.
    let (low, high) = (F::of(-30.0), F::of(30.0));
    let c = if x < low { low } else { x };
    let c = if c > high { high } else { c };
    let square = c * c;
    let s = kernel::sigmoid(double * c * (F::one() + cube * square));
    let slope = double * (F::one() + F::of(3.0) * cube * square);
    (x * s, s + c * s * (F::one() - s) * slope)
}

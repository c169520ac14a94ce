//! How weights begin.

use ndarray::Array2;
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

use crate::array::fits;
use crate::error::{Error, require};
use crate::scalar::Scalar;

/// The distribution of a layer's initial weights `W: (n_in, n_out)`. Biases begin at zero.
///
/// | variant | distribution | for | source |
/// |---|---|---|---|
/// | `Zeros` | 0 | showing why not: every unit of a layer stays the same | |
/// | `Constant(c)` | c | the same | |
/// | `Normal(std)` | N(0, std²) | std 1 and 0.01, the book's two bad examples | |
/// | `Xavier` | N(0, 1/n_in) | sigmoid, tanh | the book's form of Glorot & Bengio 2010 (as in Caffe) |
/// | `He` | N(0, 2/n_in) | ReLU | He et al. 2015, fan-in |
/// | `Glorot` | N(0, 2/(n_in+n_out)) | sigmoid, tanh | Glorot & Bengio 2010, eq. 12 |
/// | `…Uniform` | U(−√3 std, √3 std) with the same std | as above | |
///
/// PyTorch's `xavier_normal_` is [`Glorot`](Self::Glorot) here, its `kaiming_normal_` is [`He`](Self::He).
///
/// ```
/// use gradus::Init;
/// let weights = Init::He.sample::<f64>(800, 50, &mut gradus::rng(1))?;
/// assert!((weights.std(0.0) - 0.05).abs() < 0.001); // √(2 / 800)
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Init {
    /// All zero.
    Zeros,
    /// All the same.
    Constant(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// Normal with standard deviation `√(1/n_in)`.
    Xavier,
    /// Normal with standard deviation `√(2/n_in)`.
    #[doc(alias = "Kaiming")]
    He,
    /// Normal with standard deviation `√(2/(n_in+n_out))`.
    Glorot,
    /// Uniform with standard deviation `√(1/n_in)`.
    XavierUniform,
    /// Uniform with standard deviation `√(2/n_in)`.
    HeUniform,
    /// Uniform with standard deviation `√(2/(n_in+n_out))`.
    GlorotUniform,
}

impl Init {
    /// The standard deviation of the weights of a layer with these widths.
    ///
    /// ```
    /// use gradus::Init;
    /// assert_eq!(Init::Xavier.std(100, 50), 0.1);
    /// assert_eq!(Init::Glorot.std(150, 50), 0.1);
    /// ```
    pub fn std(self, inputs: usize, outputs: usize) -> f64 {
        let (n_in, n_out) = (inputs as f64, outputs as f64);
        match self {
            Self::Zeros | Self::Constant(_) => 0.0,
            Self::Normal(std) => std,
            Self::Xavier | Self::XavierUniform => (1.0 / n_in).sqrt(),
            Self::He | Self::HeUniform => (2.0 / n_in).sqrt(),
            Self::Glorot | Self::GlorotUniform => (2.0 / (n_in + n_out)).sqrt(),
        }
    }

    /// Weights `(inputs, outputs)` drawn from the distribution.
    ///
    /// # Errors
    /// A standard deviation that is negative or not finite, a constant that is not finite; more weights than
    /// memory has room for.
    pub fn sample<F: Scalar>(
        self,
        inputs: usize,
        outputs: usize,
        rng: &mut (impl Rng + ?Sized),
    ) -> Result<Array2<F>, Error> {
        self.check::<F>()?;
        let found = format!("{inputs} x {outputs}");
        require(fits::<F>(&[inputs, outputs]), "shape of the weights", "a matrix that fits into memory", found)?;
        let shape = (inputs, outputs);
        let std = self.std(inputs, outputs);
        Ok(match self {
            Self::Zeros => Array2::zeros(shape),
            Self::Constant(c) => Array2::from_elem(shape, F::of(c)),
            Self::Normal(_) | Self::Xavier | Self::He | Self::Glorot => {
                Array2::from_shape_simple_fn(shape, || F::of(std * rng.sample::<f64, _>(StandardNormal)))
            }
            Self::XavierUniform | Self::HeUniform | Self::GlorotUniform => {
                let limit = std * 3.0_f64.sqrt();
                Array2::from_shape_simple_fn(shape, || F::of(limit * (2.0 * rng.random::<f64>() - 1.0)))
            }
        })
    }

    fn check<F: Scalar>(self) -> Result<(), Error> {
        let finite = |x| F::of(x).is_finite();
        match self {
            Self::Normal(std) => {
                require(std >= 0.0 && finite(std), "Init::Normal std", "a finite std of at least 0", std)
            }
            Self::Constant(c) => require(finite(c), "Init::Constant", "a finite value", c),
            _ => Ok(()),
        }
    }
}

//! How weights begin.

use ndarray::Array2;
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

use crate::array::{fits, values_mut};
use crate::error::{Error, require};
use crate::kernel;
use crate::scalar::Scalar;

/// The distribution of a layer's initial weights `W: (n_in, n_out)`. Biases begin at zero.
///
/// | variant | distribution | for | source |
/// |---|---|---|---|
/// | `Zeros` | 0 | showing why not: every unit of a layer stays the same | |
/// | `Constant(c)` | c | the same | |
/// | `Uniform(limit)` | U(−limit, limit) | | |
/// | `Normal(std)` | N(0, std²) | std 1 and 0.01, the book's two bad examples | |
/// | `Xavier` | N(0, 1/n_in) | sigmoid, tanh | the book's form of Glorot & Bengio 2010 (as in Caffe) |
/// | `He` | N(0, 2/n_in) | ReLU | He et al. 2015, fan-in |
/// | `Glorot` | N(0, 2/(n_in+n_out)) | sigmoid, tanh | Glorot & Bengio 2010, eq. 12 |
/// | `…Uniform` | U(−√3 std, √3 std) with the same std | as above | |
/// | `Orthogonal(gain)` | gain times a random matrix with orthonormal columns, or rows where these are fewer | deep networks; gain 1, or √2 for ReLU | Saxe et al. 2014 |
///
/// PyTorch's `xavier_normal_` is [`Glorot`](Self::Glorot) here, its `kaiming_normal_` is [`He`](Self::He).
///
/// ```
/// use gradus::Init;
/// let weights = Init::He.sample::<f64>(800, 50, &mut gradus::rng(1))?;
/// assert!((weights.std(0.0) - 0.05).abs() < 0.001); // √(2 / 800)
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// Weights from elsewhere: [`Affine::from_parts`](crate::layer::Affine::from_parts), in a network with
/// [`layer_with`](crate::Builder::layer_with).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Init {
    /// All zero.
    Zeros,
    /// All the same.
    Constant(f64),
    /// Uniform from minus this to this.
    Uniform(f64),
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
    /// This gain times orthonormal columns or rows, whichever are fewer; every such matrix is as likely as any other. Takes
    /// time with the square of their number.
    Orthogonal(f64),
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
            Self::Uniform(limit) => limit / 3.0_f64.sqrt(),
            Self::Orthogonal(gain) => gain / n_in.max(n_out).sqrt(),
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
            Self::Uniform(limit) => uniform(shape, limit, rng),
            Self::XavierUniform | Self::HeUniform | Self::GlorotUniform => uniform(shape, std * 3.0_f64.sqrt(), rng),
            Self::Orthogonal(gain) => {
                let rows = orthonormal_rows(inputs.min(outputs), inputs.max(outputs), rng);
                let rows = if inputs < outputs { rows } else { rows.reversed_axes() };
                Array2::from_shape_fn(shape, |place| F::of(gain * rows[place]))
            }
        })
    }

    fn check<F: Scalar>(self) -> Result<(), Error> {
        let finite = |x| F::of(x).is_finite();
        match self {
            Self::Normal(std) => {
                require(std >= 0.0 && finite(std), "Init::Normal std", "a finite std of at least 0", std)
            }
            Self::Uniform(limit) => {
                require(limit >= 0.0 && finite(limit), "Init::Uniform limit", "a finite limit of at least 0", limit)
            }
            Self::Orthogonal(gain) => {
                require(gain >= 0.0 && finite(gain), "Init::Orthogonal gain", "a finite gain of at least 0", gain)
            }
            Self::Constant(c) => require(finite(c), "Init::Constant", "a finite value", c),
            _ => Ok(()),
        }
    }
}

fn uniform<F: Scalar>(shape: (usize, usize), limit: f64, rng: &mut (impl Rng + ?Sized)) -> Array2<F> {
    Array2::from_shape_simple_fn(shape, || F::of(limit * (2.0 * rng.random::<f64>() - 1.0)))
}

/// So many orthonormal rows of this length, by Gram and Schmidt from normal ones. Each row is made orthogonal to those before
/// it twice, which leaves no more than rounding (Giraud et al., "Rounding error analysis of the classical Gram-Schmidt
/// orthogonalization process", 2005).
fn orthonormal_rows(count: usize, length: usize, rng: &mut (impl Rng + ?Sized)) -> Array2<f64> {
    let mut rows = Array2::from_shape_simple_fn((count, length), || rng.sample::<f64, _>(StandardNormal));
    let all = values_mut(&mut rows);
    kernel::vectorize(
        #[inline(always)]
        move || {
            for i in 0..count {
                let (done, rest) = all.split_at_mut(i * length);
                let row = &mut rest[..length];
                for other in done.chunks_exact(length).chain(done.chunks_exact(length)) {
                    let share = kernel::dot(row, other);
                    row.iter_mut().zip(other).for_each(|(x, &o)| *x -= share * o);
                }
                let norm = kernel::dot(row, row).sqrt();
                row.iter_mut().for_each(|x| *x /= norm);
            }
        },
    );
    rows
}

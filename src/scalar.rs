//! The number type of a network: [`f32`] or [`f64`].

use std::fmt::{Debug, Display, LowerExp};
use std::iter::Sum;

use ndarray::ScalarOperand;
use num_traits::{Float, NumAssign};

use crate::kernel::Kernel;

/// A floating-point number a network can be made of: `f32` (what you want) or `f64` (what a gradient
/// check wants).
///
/// Sealed: the compiled kernels exist for these two types only.
///
/// ```
/// use gradus::Scalar;
/// fn half<F: Scalar>(x: F) -> F {
///     x * F::of(0.5)
/// }
/// assert_eq!(half(3.0_f32), 1.5);
/// assert_eq!(half(3.0_f64), 1.5);
/// ```
pub trait Scalar:
    Float + NumAssign + ScalarOperand + Kernel + Sum + Debug + Display + LowerExp + Default + Send + Sync + 'static
{
    /// The nearest value to `x`.
    fn of(x: f64) -> Self;
    /// This value, exactly.
    fn as_f64(self) -> f64;
}

impl Scalar for f32 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x as f32
    }
    #[inline(always)]
    fn as_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Scalar for f64 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn as_f64(self) -> f64 {
        self
    }
}

//! The number type of a network: [`f32`] or [`f64`].

use std::fmt::{Debug, Display, LowerExp};
use std::iter::Sum;

use ndarray::ScalarOperand;
use num_traits::{Float, FromBytes, NumAssign, ToBytes};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

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
    sealed::Sealed
    + Float
    + NumAssign
    + ScalarOperand
    + ToBytes<Bytes: Default + IntoIterator<Item = u8>>
    + FromBytes<Bytes = <Self as ToBytes>::Bytes>
    + Sum
    + Debug
    + Display
    + LowerExp
    + Default
    + Send
    + Sync
    + 'static
{
    /// The nearest value to `x`.
    fn of(x: f64) -> Self;
    /// This value, exactly.
    fn as_f64(self) -> f64;

    // What `exp`, `sigmoid` and `tanh` of `kernel` need of the type: eˣ = 2ⁿ eʳ, n = round(x / ln 2).
    /// Below the first, eˣ is 0; above the second, it is infinite.
    #[doc(hidden)]
    const EXP_RANGE: (Self, Self);
    /// 1 / ln 2.
    #[doc(hidden)]
    const LOG2_E: Self;
    /// ln 2 as a sum; the first part times any n is exact.
    #[doc(hidden)]
    const LN_2_SPLIT: (Self, Self);
    /// 1.5 · 2ᵖ, p the number of stored bits: adding it rounds to an integer and leaves that in the low bits.
    #[doc(hidden)]
    const ROUND_TO_INTEGER: Self;
    /// q(r), so that eʳ = 1 + r + r² q(r) for |r| ≤ ln 2 / 2.
    #[doc(hidden)]
    fn exp_polynomial(r: Self) -> Self;
    /// 2ⁿ as a product of two factors that never overflow, n in the low bits of `rounded`.
    #[doc(hidden)]
    fn power_of_two_factors(rounded: Self) -> (Self, Self);
}

/// The polynomial with these coefficients, lowest first.
macro_rules! horner {
    ($x:ident, $c:literal) => { $c };
    ($x:ident, $c:literal, $($rest:literal),+) => { $c + $x * horner!($x, $($rest),+) };
}

// The coefficients interpolate (eʳ - 1 - r) / r² at Chebyshev points; largest error of r² q(r): 2⁻³².
impl Scalar for f32 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x as f32
    }
    #[inline(always)]
    fn as_f64(self) -> f64 {
        f64::from(self)
    }

    const EXP_RANGE: (f32, f32) = (-104.0, 89.0);
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN_2_SPLIT: (f32, f32) = (0.693_145_75, 1.428_606_8e-6);
    const ROUND_TO_INTEGER: f32 = 12_582_912.0;

    #[inline(always)]
    fn exp_polynomial(r: f32) -> f32 {
        horner!(r, 0.5, 0.166_666_67, 0.041_666_467, 0.008_333_31, 0.001_393_365, 0.000_198_909_91)
    }
    #[inline(always)]
    fn power_of_two_factors(rounded: f32) -> (f32, f32) {
        let n = rounded.to_bits().wrapping_sub(Self::ROUND_TO_INTEGER.to_bits() - 2 * 127);
        let half = n >> 1;
        (f32::from_bits(half << 23), f32::from_bits((n.wrapping_sub(half)) << 23))
    }
}

// As above; largest error of r² q(r): 2⁻⁵⁶·¹.
impl Scalar for f64 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn as_f64(self) -> f64 {
        self
    }

    const EXP_RANGE: (f64, f64) = (-746.0, 710.0);
    const LOG2_E: f64 = std::f64::consts::LOG2_E;
    const LN_2_SPLIT: (f64, f64) = (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10);
    const ROUND_TO_INTEGER: f64 = 6_755_399_441_055_744.0;

    #[inline(always)]
    fn exp_polynomial(r: f64) -> f64 {
        horner!(
            r,
            0.500_000_000_000_000_1,
            0.166_666_666_666_666_69,
            0.041_666_666_666_624_13,
            0.008_333_333_333_330_062,
            0.001_388_888_891_721_371_7,
            0.000_198_412_698_630_536_18,
            2.480_152_129_595_437_6e-5,
            2.755_726_845_999_706_4e-6,
            2.762_008_844_540_974_6e-7,
            2.510_038_549_551_032e-8
        )
    }
    #[inline(always)]
    fn power_of_two_factors(rounded: f64) -> (f64, f64) {
        let n = rounded.to_bits().wrapping_sub(Self::ROUND_TO_INTEGER.to_bits() - 2 * 1023);
        let half = n >> 1;
        (f64::from_bits(half << 52), f64::from_bits((n.wrapping_sub(half)) << 52))
    }
}

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

    /// A slice, for what has a method for each type.
    #[doc(hidden)]
    fn floats(x: &[Self]) -> Floats<'_>;
    /// The same to write to.
    #[doc(hidden)]
    fn floats_mut(x: &mut [Self]) -> FloatsMut<'_>;

    // What the functions of `kernel` need of the type: eˣ = 2ⁿ eʳ, n = round(x / ln 2).
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
    /// p(w), so that artanh s = s + s w p(w), w = s², for |s| ≤ 3 - 2√2.
    #[doc(hidden)]
    fn artanh_polynomial(w: Self) -> Self;
    /// 2ᵖ + 1, p half the number of bits: splits a number into two whose products are exact.
    #[doc(hidden)]
    const SPLITTER: Self;
    /// From here on Φ(-a) is 0.
    #[doc(hidden)]
    const NORMAL_RANGE: Self;
    /// k of [`normal_polynomial`](Self::normal_polynomial).
    #[doc(hidden)]
    const NORMAL_CENTRE: Self;
    /// p(t), so that Φ(-a) = e^(-a²/2) p(t) / (1 + 0.8 a), t = (a - k) / (a + k), for 0 ≤ a ≤ `NORMAL_RANGE`.
    #[doc(hidden)]
    fn normal_polynomial(t: Self) -> Self;
}

/// A slice of either type.
#[doc(hidden)]
#[derive(Debug)]
pub enum Floats<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
}

/// A slice of either type, to write to.
#[doc(hidden)]
#[derive(Debug)]
pub enum FloatsMut<'a> {
    F32(&'a mut [f32]),
    F64(&'a mut [f64]),
}

/// The polynomial with these coefficients, lowest first.
macro_rules! horner {
    ($x:ident, $c:literal) => { $c };
    ($x:ident, $c:literal, $($rest:literal),+) => { $c + $x * horner!($x, $($rest),+) };
}

// The coefficients interpolate at Chebyshev points: (eʳ - 1 - r) / r², largest error of r² q(r): 2⁻³²; the others relative
// to the whole: artanh 2⁻²⁸, Φ 2⁻²⁹.
impl Scalar for f32 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x as f32
    }
    #[inline(always)]
    fn as_f64(self) -> f64 {
        f64::from(self)
    }

    fn floats(x: &[Self]) -> Floats<'_> {
        Floats::F32(x)
    }
    fn floats_mut(x: &mut [Self]) -> FloatsMut<'_> {
        FloatsMut::F32(x)
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

    #[inline(always)]
    fn artanh_polynomial(w: f32) -> f32 {
        horner!(w, 0.333_333_43, 0.199_943_8, 0.147_904_93)
    }

    const SPLITTER: f32 = 4097.0;
    const NORMAL_RANGE: f32 = 14.5;
    const NORMAL_CENTRE: f32 = 4.0;

    #[inline(always)]
    fn normal_polynomial(t: f32) -> f32 {
        horner!(
            t,
            0.396_524_7,
            -0.111_442_32,
            0.036_075_555,
            0.008_538_6,
            -0.019_585_181,
            0.012_652_650_5,
            -0.003_901_054,
            -0.000_110_611_43,
            0.000_518_194_9,
            -6.383_667e-5,
            -5.772_685e-5
        )
    }
}

// As above; largest errors 2⁻⁵⁶·¹, 2⁻⁵⁷·⁵, 2⁻⁵⁷·⁷.
impl Scalar for f64 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn as_f64(self) -> f64 {
        self
    }

    fn floats(x: &[Self]) -> Floats<'_> {
        Floats::F64(x)
    }
    fn floats_mut(x: &mut [Self]) -> FloatsMut<'_> {
        FloatsMut::F64(x)
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

    #[inline(always)]
    fn artanh_polynomial(w: f64) -> f64 {
        horner!(
            w,
            0.333_333_333_333_333_5,
            0.199_999_999_999_494_44,
            0.142_857_143_131_269_18,
            0.111_111_055_446_897_48,
            0.090_914_462_162_684_35,
            0.076_658_058_610_275_04,
            0.073_089_035_767_086_63
        )
    }

    const SPLITTER: f64 = 134_217_729.0;
    const NORMAL_RANGE: f64 = 38.6;
    const NORMAL_CENTRE: f64 = 6.0;

    #[inline(always)]
    fn normal_polynomial(t: f64) -> f64 {
        horner!(
            t,
            0.375_720_023_081_791_7,
            -0.092_659_636_536_020_37,
            0.053_015_438_340_038_02,
            -0.019_879_917_383_514_52,
            -0.001_548_583_338_804_105_3,
            0.011_063_065_685_136_654,
            -0.012_015_647_580_412_23,
            0.008_828_204_136_729_061,
            -0.004_964_269_934_487_234_4,
            0.002_145_833_985_346_362,
            -0.000_659_121_144_279_003_5,
            9.806_655_414_097_062e-5,
            2.613_404_056_875_66e-5,
            -1.998_555_090_655_456e-5,
            3.625_300_345_496_535_5e-6,
            1.283_695_386_953_635e-6,
            -7.769_185_209_460_457e-7,
            1.211_156_459_660_711_7e-8,
            1.009_843_004_577_444_3e-7,
            -1.696_597_840_553_004_4e-8,
            -1.188_689_323_345_684_5e-8,
            2.436_433_702_599_663_6e-9,
            1.224_670_750_408_455_9e-9
        )
    }
}

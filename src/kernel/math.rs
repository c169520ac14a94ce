//! `exp`, `sigmoid` and `tanh` without a branch, for loops that [`vectorize`](super::vectorize) compiles.
//!
//! All three start from eˣ = 2ⁿ eʳ with n = round(x / ln 2) and |r| ≤ ln 2 / 2, and from
//! eʳ - 1 = r + r² q(r), q a polynomial. ln 2 is split into two parts, the first short enough that n times
//! it is exact, so no fused multiply-add is needed and every processor gives the same bits.
//!
//! Error over all arguments, in units in the last place: `f32` at most 2, `f64` at most 4. Results below the
//! smallest normal number are subnormal (underflow is gradual); NaN gives NaN.

use num_traits::Float;

/// What a number type gives the kernels: its constants and its bit tricks.
#[doc(hidden)]
#[allow(private_bounds)]
pub trait Kernel: Float + super::gemm::Engine {
    /// Where eˣ becomes 0 and infinite: anything beyond may be replaced by these.
    const EXP_RANGE: (Self, Self);
    /// 1 / ln 2.
    const LOG2_E: Self;
    /// ln 2 as a sum; the first part times any n is exact.
    const LN_2: (Self, Self);
    /// 1.5 · 2ᵖ, p the number of stored bits: adding it rounds to an integer and leaves that in the low bits.
    const ROUND: Self;
    /// q, so that eʳ = 1 + r + r² q(r) for |r| ≤ ln 2 / 2.
    fn exp_tail(r: Self) -> Self;
    /// 2ⁿ as a product of two factors that never overflow, n in the low bits of `rounded`.
    fn powers_of_two(rounded: Self) -> (Self, Self);
}

/// The polynomial with these coefficients, lowest first.
macro_rules! horner {
    ($x:ident, $c:literal) => { $c };
    ($x:ident, $c:literal, $($rest:literal),+) => { $c + $x * horner!($x, $($rest),+) };
}

// The coefficients interpolate (eʳ - 1 - r) / r² at Chebyshev points; largest error of r² q(r): 2⁻³².
impl Kernel for f32 {
    const EXP_RANGE: (f32, f32) = (-104.0, 89.0);
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN_2: (f32, f32) = (0.693_145_75, 1.428_606_8e-6);
    const ROUND: f32 = 12_582_912.0;

    #[inline(always)]
    fn exp_tail(r: f32) -> f32 {
        horner!(r, 0.5, 0.166_666_67, 0.041_666_467, 0.008_333_31, 0.001_393_365, 0.000_198_909_91)
    }

    #[inline(always)]
    fn powers_of_two(rounded: f32) -> (f32, f32) {
        let n = rounded.to_bits().wrapping_sub(Self::ROUND.to_bits() - 2 * 127);
        let half = n >> 1;
        (f32::from_bits(half << 23), f32::from_bits((n.wrapping_sub(half)) << 23))
    }
}

// As above; largest error of r² q(r): 2⁻⁵⁶·¹.
impl Kernel for f64 {
    const EXP_RANGE: (f64, f64) = (-746.0, 710.0);
    const LOG2_E: f64 = std::f64::consts::LOG2_E;
    const LN_2: (f64, f64) = (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10);
    const ROUND: f64 = 6_755_399_441_055_744.0;

    #[inline(always)]
    fn exp_tail(r: f64) -> f64 {
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
    fn powers_of_two(rounded: f64) -> (f64, f64) {
        let n = rounded.to_bits().wrapping_sub(Self::ROUND.to_bits() - 2 * 1023);
        let half = n >> 1;
        (f64::from_bits(half << 52), f64::from_bits((n.wrapping_sub(half)) << 52))
    }
}

/// r, r² q(r) and the two factors of 2ⁿ, for x = n ln 2 + r within [`Kernel::EXP_RANGE`].
#[inline(always)]
fn split<F: Kernel>(x: F) -> (F, F, (F, F)) {
    let rounded = x * F::LOG2_E + F::ROUND;
    let n = rounded - F::ROUND;
    let r = (x - n * F::LN_2.0) - n * F::LN_2.1;
    (r, r * r * F::exp_tail(r), F::powers_of_two(rounded))
}

/// eˣ for x within [`Kernel::EXP_RANGE`]: what 1 + r rounds away is added back.
#[inline(always)]
fn exp_within<F: Kernel>(x: F) -> F {
    let (r, tail, (a, b)) = split(x);
    let (high, low) = two_sum(F::one(), r);
    (high + (low + tail)) * a * b
}

// `if` and not `min`, `max`: the comparison is false for NaN, which therefore passes through.
#[inline(always)]
fn at_least<F: Kernel>(x: F, low: F) -> F {
    if x < low { low } else { x }
}

/// eˣ.
#[inline(always)]
pub fn exp<F: Kernel>(x: F) -> F {
    let (low, high) = F::EXP_RANGE;
    exp_within(at_least(if x > high { high } else { x }, low))
}

/// 1 / (1 + e⁻ˣ), by e⁻|ˣ|, which cannot overflow.
#[inline(always)]
pub fn sigmoid<F: Kernel>(x: F) -> F {
    let e = exp_within(at_least(-x.abs(), F::EXP_RANGE.0));
    over_sum(if x < F::zero() { e } else { F::one() }, F::one(), e)
}

/// The hyperbolic tangent, -m / (2 + m) with m = e⁻²|ˣ| - 1: accurate near 0, where m is -2|x|.
#[inline(always)]
pub fn tanh<F: Kernel>(x: F) -> F {
    let two = F::one() + F::one();
    let (r, tail, (a, b)) = split(at_least(-two * x.abs(), F::EXP_RANGE.0));
    let power = a * b;
    let (high, low) = two_sum(power - F::one(), power * r);
    let m = high + (low + power * tail);
    over_sum(-m, two, m).copysign(x)
}

/// `a / (b + c)` for b + c between 1 and 2, with most of what b + c rounds away put back.
#[inline(always)]
fn over_sum<F: Kernel>(a: F, b: F, c: F) -> F {
    let (sum, lost) = two_sum(b, c);
    let quotient = a / sum;
    let half = F::one() / (F::one() + F::one());
    let near_reciprocal = F::one() + half - half * sum;
    quotient - quotient * (lost * near_reciprocal)
}

/// `a + b` and what its rounding lost; |a| ≥ |b|, or a = 0.
#[inline(always)]
fn two_sum<F: Kernel>(a: F, b: F) -> (F, F) {
    let sum = a + b;
    (sum, b - (sum - a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::simd::{Level, vectorize_at};

    /// Every `STRIDE`th bit pattern of f32; prime, so that all exponents and signs see all kinds of mantissas.
    /// All of them (`STRIDE` 1, nine minutes) gave 0.776 for exp, 1.967 for sigmoid and 1.955 for tanh.
    const STRIDE: usize = if cfg!(debug_assertions) { 1009 } else { 61 };

    /// The distance of `found` from the true value in units in the last place of the `f32` nearest to it.
    fn ulps(found: f32, truth: f64) -> f64 {
        let nearest = truth as f32;
        if found.to_bits() == nearest.to_bits() || (nearest.is_infinite() && found == nearest) {
            return 0.0;
        }
        let exponent = nearest.abs().log2().floor().clamp(-126.0, 127.0);
        (f64::from(found) - truth).abs() / 2f64.powi(exponent as i32 - 23)
    }

    fn ulps_f64(found: f64, truth: f64) -> f64 {
        if found.to_bits() == truth.to_bits() {
            return 0.0;
        }
        found.to_bits().abs_diff(truth.to_bits()) as f64
    }

    fn worst_f32(f: impl Fn(f32) -> f32, truth: impl Fn(f64) -> f64) -> (f64, f32) {
        let mut worst = (0.0, 0.0);
        for bits in (0..=u32::MAX).step_by(STRIDE) {
            let x = f32::from_bits(bits);
            if x.is_nan() {
                assert!(f(x).is_nan());
                continue;
            }
            let error = ulps(f(x), truth(f64::from(x)));
            if error > worst.0 || error.is_nan() {
                worst = (error, x);
            }
        }
        worst
    }

    /// Arguments of both signs, from the smallest to the largest magnitude, and densely where the function moves.
    fn arguments_f64() -> impl Iterator<Item = f64> {
        let steps = if cfg!(debug_assertions) { 200_000 } else { 5_000_000 };
        let everywhere = (0..steps).map(move |i| f64::from_bits((0x7ff0_0000_0000_0000 / steps) * i + i * 7919));
        let dense = (0..steps).map(move |i| 750.0 * (i as f64 / steps as f64).powi(3));
        everywhere.chain(dense).flat_map(|x| [x, -x])
    }

    fn worst_f64(f: impl Fn(f64) -> f64, truth: impl Fn(f64) -> f64) -> (f64, f64) {
        let mut worst = (0.0, 0.0);
        for x in arguments_f64() {
            let error = ulps_f64(f(x), truth(x));
            if error > worst.0 || error.is_nan() {
                worst = (error, x);
            }
        }
        worst
    }

    /// 1 / (1 + e⁻ˣ) in f64, to better than 3 units in the last place of f64, also where it is tiny.
    fn logistic(x: f64) -> f64 {
        let e = libm::exp(-x.abs());
        (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
    }

    #[test]
    fn f32_is_within_two_ulps_everywhere() {
        for (name, worst) in [
            ("exp", worst_f32(exp, libm::exp)),
            ("sigmoid", worst_f32(sigmoid, logistic)),
            ("tanh", worst_f32(tanh, libm::tanh)),
        ] {
            println!("{name}: {:.3} ulp at {:e}", worst.0, worst.1);
            assert!(worst.0 <= 2.0, "{name}: {} ulp at {:e}", worst.0, worst.1);
        }
    }

    #[test]
    fn f64_is_within_four_ulps_everywhere() {
        for (name, worst) in [
            ("exp", worst_f64(exp, libm::exp)),
            ("sigmoid", worst_f64(sigmoid, logistic)),
            ("tanh", worst_f64(tanh, libm::tanh)),
        ] {
            println!("{name}: {:.3} ulp at {:e}", worst.0, worst.1);
            assert!(worst.0 <= 4.0, "{name}: {} ulp at {:e}", worst.0, worst.1);
        }
    }

    fn limits<F: Kernel + std::fmt::Debug + PartialEq>() {
        let (zero, one, infinity) = (F::zero(), F::one(), F::infinity());
        let far = F::from(1e4).unwrap();
        assert_eq!(
            [exp(-infinity), exp(-far), exp(zero), exp(far), exp(infinity)],
            [zero, zero, one, infinity, infinity]
        );
        assert_eq!([sigmoid(-infinity), sigmoid(-far), sigmoid(far), sigmoid(infinity)], [zero, zero, one, one]);
        assert_eq!(sigmoid(zero), F::from(0.5).unwrap());
        assert_eq!([tanh(-infinity), tanh(-far), tanh(far), tanh(infinity)], [-one, -one, one, one]);
        assert!(exp(F::nan()).is_nan() && sigmoid(F::nan()).is_nan() && tanh(F::nan()).is_nan());
        let least = F::min_positive_value();
        assert_eq!(
            [tanh(least), tanh(-least), tanh(least / F::from(1024).unwrap())],
            [least, -least, least / F::from(1024).unwrap()]
        );
        assert!(tanh(-zero).is_sign_negative() && tanh(zero).is_sign_positive());
        let small = F::EXP_RANGE.0 + one + one;
        assert!(exp(small) > zero && exp(small) < least, "underflow is gradual");
    }

    #[test]
    fn limits_are_right() {
        limits::<f32>();
        limits::<f64>();
    }

    #[test]
    fn tanh_is_odd() {
        for i in 0..100_000 {
            let x = i as f32 * 1e-4;
            assert_eq!(tanh(-x).to_bits(), (-tanh(x)).to_bits());
        }
    }

    /// A function that is compiled for the instructions of every level, not called by a pointer.
    fn same_bits<F: Kernel + std::fmt::Debug + PartialEq>(f: impl Fn(F) -> F + Copy) {
        let x: Vec<F> = (0..10_007).map(|i| F::from((f64::from(i) - 5000.0) * 0.021).unwrap()).collect();
        let plain: Vec<F> = x.iter().map(|&x| std::hint::black_box(f)(x)).collect();
        for level in Level::all() {
            let (from, mut y) = (&x, vec![F::zero(); x.len()]);
            let to = &mut y;
            vectorize_at(
                level,
                #[inline(always)]
                move || to.iter_mut().zip(from).for_each(|(y, &x)| *y = f(x)),
            );
            assert_eq!(y, plain, "{level:?}");
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        same_bits(|x: f32| exp(x));
        same_bits(|x: f32| sigmoid(x));
        same_bits(|x: f32| tanh(x));
        same_bits(|x: f64| exp(x));
        same_bits(|x: f64| sigmoid(x));
        same_bits(|x: f64| tanh(x));
    }
}

//! `exp` and what is made of it, without branches, for loops that [`vectorize`](super::vectorize) compiles.
//!
//! All start from eˣ = 2ⁿ eʳ with n = round(x / ln 2) and |r| ≤ ln 2 / 2, and from
//! eʳ - 1 = r + r² q(r), q a polynomial. ln 2 is split into two parts, the first short enough that n times
//! it is exact, so no fused multiply-add is needed and every processor gives the same bits.
//!
//! Error over all arguments, in units in the last place: `f32` at most 2, `f64` at most 4. Results below the
//! smallest normal number are subnormal (underflow is gradual); NaN gives NaN.

use crate::scalar::Scalar;

/// Range reduction: r, r² q(r) and the two factors of 2ⁿ, for x = n ln 2 + r within `EXP_RANGE`.
#[inline(always)]
fn reduce_range<F: Scalar>(x: F) -> (F, F, (F, F)) {
    let rounded = x * F::LOG2_E + F::ROUND_TO_INTEGER;
    let n = rounded - F::ROUND_TO_INTEGER;
    let r = (x - n * F::LN_2_SPLIT.0) - n * F::LN_2_SPLIT.1;
    (r, r * r * F::exp_polynomial(r), F::power_of_two_factors(rounded))
}

/// eˣ for x within `EXP_RANGE`; the rounding error of 1 + r is added back.
#[inline(always)]
fn exp_in_range<F: Scalar>(x: F) -> F {
    let (r, tail, (a, b)) = reduce_range(x);
    let (high, low) = two_sum(F::one(), r);
    (high + (low + tail)) * a * b
}

// `if` and not `min`, `max`: the comparison is false for NaN, which therefore passes through.
#[inline(always)]
fn clamp_below<F: Scalar>(x: F, low: F) -> F {
    if x < low { low } else { x }
}

/// eˣ.
///
/// Within 2 ulps for `f32` and 4 for `f64`, for every x. Below the smallest normal number the result is subnormal; NaN
/// gives NaN. Without branches and inlined, so that a loop over it inside [`vectorize`](super::vectorize) is compiled to
/// vector instructions, with the same bits on every processor.
///
/// ```
/// use gradus::kernel::{exp, vectorize};
/// let mut x = [0.0_f32, -1e4, 1e4];
/// let values = &mut x;
/// vectorize(move || values.iter_mut().for_each(|x| *x = exp(*x)));
/// assert_eq!(x, [1.0, 0.0, f32::INFINITY]);
/// ```
#[inline(always)]
pub fn exp<F: Scalar>(x: F) -> F {
    let (low, high) = F::EXP_RANGE;
    exp_in_range(clamp_below(if x > high { high } else { x }, low))
}

/// The logistic function 1 / (1 + e⁻ˣ), by e⁻|ˣ|, which cannot overflow.
///
/// Within 2 ulps for `f32` and 4 for `f64`, for every x, also where it is tiny; NaN gives NaN. To be vectorized like
/// [`exp`].
///
/// ```
/// use gradus::kernel::sigmoid;
/// assert_eq!([sigmoid(-1e4_f32), sigmoid(0.0), sigmoid(1e4)], [0.0, 0.5, 1.0]);
/// ```
#[inline(always)]
pub fn sigmoid<F: Scalar>(x: F) -> F {
    let e = exp_in_range(clamp_below(-x.abs(), F::EXP_RANGE.0));
    div_by_sum(if x < F::zero() { e } else { F::one() }, F::one(), e)
}

/// The hyperbolic tangent, -m / (2 + m) with m = e⁻²|ˣ| - 1, with the sign of x: accurate near 0, where m is -2|x|.
///
/// Within 2 ulps for `f32` and 4 for `f64`, for every x; NaN gives NaN. To be vectorized like [`exp`].
///
/// ```
/// use gradus::kernel::tanh;
/// assert_eq!([tanh(-1e4_f32), tanh(1e-20), tanh(1e4)], [-1.0, 1e-20, 1.0]);
/// ```
#[inline(always)]
pub fn tanh<F: Scalar>(x: F) -> F {
    let two = F::one() + F::one();
    let m = exp_m1(-two * x.abs());
    div_by_sum(-m, two, m).copysign(x)
}

/// eˣ - 1 of x ≤ 0, accurate near 0.
///
/// Within 2 ulps for `f32` and 4 for `f64`; NaN gives NaN.
#[inline(always)]
pub(crate) fn exp_m1<F: Scalar>(x: F) -> F {
    let (r, tail, (a, b)) = reduce_range(clamp_below(x, F::EXP_RANGE.0));
    let power = a * b;
    let (high, low) = two_sum(power - F::one(), power * r);
    high + (low + power * tail)
}

/// ln(1 + eˣ) = max(x, 0) + ln(1 + e⁻|ˣ|), which cannot overflow.
///
/// Within 4 ulps, for every x, also where it is tiny; NaN gives NaN.
#[inline(always)]
pub(crate) fn softplus<F: Scalar>(x: F) -> F {
    let rest = ln_1p(exp_in_range(clamp_below(-x.abs(), F::EXP_RANGE.0)));
    if x > F::zero() { x + rest } else { rest }
}

/// ln(1 + e) of 0 ≤ e ≤ 1: 2 artanh(e / (2 + e)), or for the larger half ln 2 + 2 artanh((e - 1) / (e + 3)).
#[inline(always)]
fn ln_1p<F: Scalar>(e: F) -> F {
    let (one, two) = (F::one(), F::one() + F::one());
    let is_large = e > F::of(std::f64::consts::SQRT_2 - 1.0);
    let (a, b) = if is_large { (e - one, e + two + one) } else { (e, e + two) };
    let start = if is_large { F::of(std::f64::consts::LN_2) } else { F::zero() };
    let s = a / b;
    let w = s * s;
    start + two * (s + s * (w * F::artanh_polynomial(w)))
}

/// `a / (b + c)` for b + c between 1 and 2, with most of the rounding error of b + c corrected.
#[inline(always)]
fn div_by_sum<F: Scalar>(a: F, b: F, c: F) -> F {
    let (sum, error) = two_sum(b, c);
    let quotient = a / sum;
    let half = F::one() / (F::one() + F::one());
    let near_reciprocal = F::one() + half - half * sum;
    quotient - quotient * (error * near_reciprocal)
}

/// `a + b` and its rounding error (Dekker's fast two-sum); |a| ≥ |b|, or a = 0.
#[inline(always)]
fn two_sum<F: Scalar>(a: F, b: F) -> (F, F) {
    let sum = a + b;
    (sum, b - (sum - a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::normal::normal;
    use crate::kernel::simd::{Level, vectorize_at};

    /// Every `STRIDE`th bit pattern of f32; prime, so that all exponents and signs see all kinds of mantissas.
    /// All of them (`STRIDE` 1, nine minutes for three) gave 0.776 for exp, 1.967 for sigmoid and 1.955 for tanh.
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
        if found == truth {
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

    /// ln(1 + eˣ) in f64.
    fn log_of_sum(x: f64) -> f64 {
        x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
    }

    /// ½ erfc(-x / √2) in f64, to better than 3 units in the last place: what x / √2 is rounded by is put back by the
    /// slope of erfc.
    fn share_below(x: f64) -> f64 {
        // 1 / √2 in two parts.
        let (high, low) = (std::f64::consts::FRAC_1_SQRT_2, -4.833_646_656_726_457e-17);
        let z = -x * high;
        let lost = libm::fma(-x, high, -z) - x * low;
        let slope = -std::f64::consts::FRAC_2_SQRT_PI * libm::exp(-z * z);
        0.5 * if slope == 0.0 { libm::erfc(z) } else { libm::erfc(z) + slope * lost }
    }

    #[test]
    fn f32_functions_are_as_near_as_they_say_everywhere() {
        for (name, allowed, worst) in [
            ("exp", 2.0, worst_f32(exp, libm::exp)),
            ("sigmoid", 2.0, worst_f32(sigmoid, logistic)),
            ("tanh", 2.0, worst_f32(tanh, libm::tanh)),
            ("exp_m1", 2.0, worst_f32(|x| exp_m1(-x.abs()), |x| libm::expm1(-x.abs()))),
            ("softplus", 4.0, worst_f32(softplus, log_of_sum)),
            ("normal", 4.0, worst_f32(|x| normal(x).0, share_below)),
        ] {
            println!("{name}: {:.3} ulp at {:e}", worst.0, worst.1);
            assert!(worst.0 <= allowed, "{name}: {} ulp at {:e}", worst.0, worst.1);
        }
    }

    #[test]
    fn f64_functions_are_as_near_as_they_say_everywhere() {
        for (name, allowed, worst) in [
            ("exp", 4.0, worst_f64(exp, libm::exp)),
            ("sigmoid", 4.0, worst_f64(sigmoid, logistic)),
            ("tanh", 4.0, worst_f64(tanh, libm::tanh)),
            ("exp_m1", 4.0, worst_f64(|x| exp_m1(-x.abs()), |x| libm::expm1(-x.abs()))),
            ("softplus", 4.0, worst_f64(softplus, log_of_sum)),
            ("normal", 8.0, worst_f64(|x| normal(x).0, share_below)),
        ] {
            println!("{name}: {:.3} ulp at {:e}", worst.0, worst.1);
            assert!(worst.0 <= allowed, "{name}: {} ulp at {:e}", worst.0, worst.1);
        }
    }

    fn limits<F: Scalar>() {
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
        assert_eq!([exp_m1(-infinity), exp_m1(-far), exp_m1(zero)], [-one, -one, zero]);
        assert_eq!(
            [softplus(-infinity), softplus(-far), softplus(far), softplus(infinity)],
            [zero, zero, far, infinity]
        );
        let shares = [-infinity, -far, zero, far, infinity].map(|x| normal(x).0);
        assert_eq!(shares, [zero, zero, F::from(0.5).unwrap(), one, one]);
        assert_eq!([-infinity, -far, far, infinity].map(|x| normal(x).1), [zero; 4]);
        assert!(exp_m1(F::nan()).is_nan() && softplus(F::nan()).is_nan() && normal(F::nan()).0.is_nan());
        let small = F::EXP_RANGE.0 + one + one;
        assert!(exp(small) > zero && exp(small) < least, "underflow is gradual");
    }

    #[test]
    fn functions_have_the_right_limits() {
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
    fn same_bits<F: Scalar>(f: impl Fn(F) -> F + Copy) {
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
        same_bits(|x: f32| exp_m1(-x.abs()));
        same_bits(|x: f64| exp_m1(-x.abs()));
        same_bits(|x: f32| softplus(x));
        same_bits(|x: f64| softplus(x));
        same_bits(|x: f32| normal(x).0 + normal(x).1);
        same_bits(|x: f64| normal(x).0 + normal(x).1);
    }
}

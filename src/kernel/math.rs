//! `exp`, `sigmoid` and `tanh`.

use num_traits::Float;

/// What a number type gives the kernels.
#[doc(hidden)]
pub trait Kernel: Copy {
    fn fast_exp(self) -> Self;
}

impl Kernel for f32 {
    #[inline(always)]
    fn fast_exp(self) -> Self {
        self.exp()
    }
}

impl Kernel for f64 {
    #[inline(always)]
    fn fast_exp(self) -> Self {
        self.exp()
    }
}

/// eˣ.
#[inline(always)]
pub(crate) fn exp<F: Kernel>(x: F) -> F {
    x.fast_exp()
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub(crate) fn sigmoid<F: Kernel + Float>(x: F) -> F {
    F::one() / (F::one() + exp(-x))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh<F: Kernel + Float>(x: F) -> F {
    x.tanh()
}

/// Fills `mask` with 0 with probability `ratio`, else with `scale`.
pub(crate) fn dropout_mask<F: crate::Scalar>(seed: u64, ratio: f64, scale: F, mask: &mut [F]) {
    use rand::RngExt;
    let mut rng = crate::rng(seed);
    mask.fill_with(|| if rng.random::<f64>() < ratio { F::zero() } else { scale });
}

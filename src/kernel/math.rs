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

//! Where speed lives: matrix products and element-wise passes, compiled for each instruction set and
//! chosen at run time. Everything `unsafe` of the crate is under this module.

mod gemm;
mod math;
mod simd;

pub(crate) use gemm::{affine, input_gradient, weight_gradient};
pub use math::Kernel;
pub(crate) use math::{exp, sigmoid, tanh};
pub use simd::vectorize;

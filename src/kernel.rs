//! Where speed lives: matrix products and element-wise passes, compiled for each instruction set and
//! chosen at run time. Everything `unsafe` of the crate is under this module.

mod blocks;
mod gemm;
mod mask;
mod math;
mod reduce;
pub(crate) mod simd;
mod sweep;
mod threads;

pub(crate) use blocks::{CACHE_BLOCK, GRAIN, MAX_SLOTS, ROW_CHUNK, for_each_block, for_each_row_chunk, zip_mut};
pub(crate) use gemm::affine_of;
pub use gemm::{affine, input_gradient, weight_gradient};
pub(crate) use mask::dropout_mask;
pub(crate) use math::Kernel;
pub use math::{exp, sigmoid, tanh};
pub(crate) use reduce::{all_finite, column_moments, column_products, column_sums, max, sum, sum_of_squares};
pub(crate) use simd::prefetch;
pub use simd::vectorize;
pub use sweep::sweep;
pub(crate) use threads::join;

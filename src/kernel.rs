//! The fast loops of this crate, for layers and update rules of your own: matrix products and element-wise passes,
//! compiled for each instruction set and chosen at run time. A plain `cargo build` has them all; no compiler flag is needed.
//!
//! | for | see |
//! |---|---|
//! | the products of a layer, `x W + b`, `xᵀ g` and `g Wᵀ` | [`affine`], [`weight_gradient`], [`input_gradient`] |
//! | any loop over slices | [`vectorize`] |
//! | functions that such a loop can be vectorized over | [`exp`], [`sigmoid`], [`tanh`] |
//! | an update rule over parameters, gradients and state | [`sweep`](fn@sweep) |
//!
//! ```
//! use gradus::kernel::{affine, sigmoid, vectorize};
//! use gradus::ndarray::{Array2, array};
//!
//! // y = z σ(z) with z = x W + b: an affine layer and the activation SiLU.
//! let (x, w, b) = (array![[1.0_f32, 2.0]], array![[1.0], [-0.5]], array![[0.5]]);
//! let mut y = Array2::zeros((1, 1));
//! affine(&x, &w, &b, &mut y);
//! let values = y.as_slice_mut().expect("standard layout");
//! vectorize(move || values.iter_mut().for_each(|z| *z *= sigmoid(*z)));
//! assert_eq!(y, array![[0.5 * sigmoid(0.5)]]);
//! ```
//!
//! With the feature `parallel` large products use several threads. The bits of a result depend neither on their number nor,
//! where the processor has a fused multiply-add, on the instruction set.
//
// All `unsafe` code of the crate is under this module.

mod blocks;
mod gemm;
mod mask;
mod math;
mod normal;
mod reduce;
pub(crate) mod simd;
mod sweep;
mod threads;

pub(crate) use blocks::{
    CACHE_BLOCK, GRAIN, MAX_SLOTS, ROW_CHUNK, SHARED_GRAIN, for_each_block, for_each_part, for_each_row_chunk, zip_mut,
};
pub use gemm::{affine, input_gradient, weight_gradient};
pub(crate) use gemm::{affine_of, linear};
pub(crate) use mask::dropout_mask;
pub use math::{exp, sigmoid, tanh};
pub(crate) use math::{exp_m1, softplus};
pub(crate) use normal::normal;
pub(crate) use reduce::{
    all_finite, all_finite_by, column_means, column_products, column_sums, column_variances, dot, max, sum,
    sum_of_squares,
};
pub(crate) use simd::prefetch;
pub use simd::vectorize;
pub use sweep::sweep;
pub(crate) use threads::{at_once, join};

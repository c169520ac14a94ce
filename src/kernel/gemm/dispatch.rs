//! Which micro-kernels run: those of the number type and of the instruction set.

use std::any::TypeId;

use super::Problem;
use super::blocking::{Blocks, MicroKernels, blocked_gemm};
use super::edge::with_transposed_edge;
use super::microkernel::{MicroKernel, MicroTile, ROW_REGISTERS, RowKernel, micro_kernel, row_kernel};
use super::registers::{Portable, Register};
use super::shared::{Shared, Task};
use crate::kernel::simd::Level;
use crate::scalar::Scalar;

/// A module with the code for one number type and one instruction set. The shape of the micro-tile is what the registers
/// hold: MR × NV = 6 × 2 of 16 registers, 8 × 3 of 32; a micro-tile one register wide is as tall as it takes to keep two
/// multipliers busy.
macro_rules! micro_kernels {
    ($name:ident, $f:ty, $register:ty, [$($mr:literal)*], $nv:tt, $tall:literal $(, $features:literal)?) => {
        mod $name {
            use super::*;

            $(#[target_feature(enable = $features)])?
            unsafe fn tile<const MR: usize, const NV: usize, const A_COLUMN_MAJOR: bool>(t: &MicroTile<$f>) {
                // SAFETY: the caller's promise.
                unsafe { micro_kernel::<$register, MR, NV, A_COLUMN_MAJOR>(t) }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn row<const NV: usize>(t: &MicroTile<$f>, last: usize) {
                // SAFETY: the caller's promise.
                unsafe { row_kernel::<$register, NV>(t, last) }
            }

            static ROWS: [RowKernel<$f>; ROW_REGISTERS] = [
                row::<1>, row::<2>, row::<3>, row::<4>, row::<5>, row::<6>, row::<7>,
                row::<8>, row::<9>, row::<10>, row::<11>, row::<12>, row::<13>, row::<14>,
            ];

            static KERNELS: MicroKernels<$f, { [$($mr),*].len() }, { $nv.len() }, $tall> = MicroKernels {
                tiles: [[$(tiles_of_height!($mr, $nv, false)),*], [$(tiles_of_height!($mr, $nv, true)),*]],
                tall: [tile::<$tall, 1, false>, tile::<$tall, 1, true>],
                rows: &ROWS,
            };

            $(#[target_feature(enable = $features)])?
            unsafe fn blocked(p: &Problem<$f>) {
                // SAFETY: the caller's promise.
                unsafe { blocked_gemm::<$register, _, _, _>(p, &KERNELS) }
            }

            unsafe fn gemm(p: &Problem<$f>) {
                // SAFETY: the caller's promise.
                unsafe { with_transposed_edge(p, <$register>::LANES, blocked) }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn task(shared: &Shared<$f>, task: Task) {
                // SAFETY: the caller's promise.
                unsafe { shared.run::<$register, _, _, _>(&KERNELS, task) }
            }

            pub(super) static CODE: Code<$f> =
                Code { gemm, task, blocks: Blocks::of::<$register, { [$($mr),*].len() }, { $nv.len() }> };
        }
    };
}

/// The code of products for one number type and one instruction set.
///
/// # Safety
/// Of its functions: the processor has the instruction set; the pointers are good for the problem's shape, which is not
/// empty; c overlaps nothing.
pub(super) struct Code<F> {
    /// `c = bias + a b` on this thread.
    pub gemm: unsafe fn(&Problem<F>),
    /// A part of a product that several threads share; for more see [`Shared::run`].
    pub task: unsafe fn(&Shared<F>, Task),
    /// The blocks of a product of depth k.
    pub blocks: fn(k: usize) -> Blocks,
}

macro_rules! tiles_of_height {
    ($mr:literal, [$($nv:literal),*], $a_column_major:literal) => {
        [$(tile::<$mr, $nv, $a_column_major> as MicroKernel<_>),*]
    };
}

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};

#[cfg(target_arch = "x86_64")]
micro_kernels!(avx512_f32, f32, __m512, [1 2 3 4 5 6 7 8], [1, 2, 3], 8, "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma");
#[cfg(target_arch = "x86_64")]
micro_kernels!(avx512_f64, f64, __m512d, [1 2 3 4 5 6 7 8], [1, 2, 3], 8, "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma");
#[cfg(target_arch = "x86_64")]
micro_kernels!(avx2_f32, f32, __m256, [1 2 3 4 5 6], [1, 2], 12, "avx2,fma");
#[cfg(target_arch = "x86_64")]
micro_kernels!(avx2_f64, f64, __m256d, [1 2 3 4 5 6], [1, 2], 12, "avx2,fma");
micro_kernels!(portable_f32, f32, Portable<f32>, [1 2 3 4 5 6], [1, 2], 12);
micro_kernels!(portable_f64, f64, Portable<f64>, [1 2 3 4 5 6], [1, 2], 12);

/// The code for an instruction set.
pub(super) fn code<F: Scalar>(level: Level) -> &'static Code<F> {
    macro_rules! choose {
        ($f:ty, $avx512:ident, $avx2:ident, $portable:ident) => {{
            assert_eq!(TypeId::of::<F>(), TypeId::of::<$f>());
            let code: &'static Code<$f> = match level {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => &$avx512::CODE,
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => &$avx2::CODE,
                Level::Baseline => &$portable::CODE,
            };
            // SAFETY: `F` is this type, so the cast changes nothing.
            unsafe { &*std::ptr::from_ref(code).cast() }
        }};
    }
    // Decided when this is compiled.
    if TypeId::of::<F>() == TypeId::of::<f32>() {
        choose!(f32, avx512_f32, avx2_f32, portable_f32)
    } else {
        choose!(f64, avx512_f64, avx2_f64, portable_f64)
    }
}

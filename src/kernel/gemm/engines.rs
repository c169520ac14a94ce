//! The tiles of each instruction set.

use super::drive::{Product, Tiles, drive, turn_rest};
use super::lanes::{Lanes, Portable};
use super::tile::{RowFn, Tile, TileFn, row, tile};
use crate::kernel::simd::Level;

/// Registers of a row: with the factor they fill the sixteen of AVX2.
const ROW: usize = 14;

/// A module with the code for one number type and one instruction set. The shape of its tile is what the registers
/// hold: 6 × 2 of 16, 8 × 3 of 32; the tile of one register is as tall as it takes to keep two multipliers busy.
macro_rules! engine {
    ($name:ident, $f:ty, $lanes:ty, [$($row:literal)*], $registers:tt, $tall:literal $(, $features:literal)?) => {
        mod $name {
            use super::*;

            $(#[target_feature(enable = $features)])?
            unsafe fn of<const R: usize, const V: usize, const BY_COLUMN: bool>(t: &Tile<$f>) {
                // SAFETY: the caller's promise.
                unsafe { tile::<$f, $lanes, R, V, BY_COLUMN>(t) }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn row_of<const V: usize>(t: &Tile<$f>, last: usize) {
                // SAFETY: the caller's promise.
                unsafe { row::<$f, $lanes, V>(t, last) }
            }

            static ROWS: [RowFn<$f>; ROW] = [
                row_of::<1>, row_of::<2>, row_of::<3>, row_of::<4>, row_of::<5>, row_of::<6>, row_of::<7>,
                row_of::<8>, row_of::<9>, row_of::<10>, row_of::<11>, row_of::<12>, row_of::<13>, row_of::<14>,
            ];

            static TILES: Tiles<$f, { [$($row),*].len() }, { $registers.len() }, $tall> =
                Tiles {
                    tiles: [
                        [$(tiles_of_row!($row, $registers, false)),*],
                        [$(tiles_of_row!($row, $registers, true)),*],
                    ],
                    tall: [of::<$tall, 1, false>, of::<$tall, 1, true>],
                    rows: &ROWS,
                };

            $(#[target_feature(enable = $features)])?
            unsafe fn plain(p: &Product<$f>) {
                // SAFETY: the caller's promise.
                unsafe { drive::<$f, $lanes, _, _, _>(p, &TILES) }
            }

            /// # Safety
            /// The processor has these features; otherwise as for [`drive`].
            pub(super) unsafe fn product(p: &Product<$f>) {
                // SAFETY: the caller's promise.
                unsafe { turn_rest(p, <$lanes as Lanes<$f>>::N, plain) }
            }
        }
    };
}

macro_rules! tiles_of_row {
    ($row:literal, [$($registers:literal),*], $packed:literal) => {
        [$(of::<$row, $registers, $packed> as TileFn<_>),*]
    };
}

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};

#[cfg(target_arch = "x86_64")]
engine!(avx512_f32, f32, __m512, [1 2 3 4 5 6 7 8], [1, 2, 3], 8, "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma");
#[cfg(target_arch = "x86_64")]
engine!(avx512_f64, f64, __m512d, [1 2 3 4 5 6 7 8], [1, 2, 3], 8, "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma");
#[cfg(target_arch = "x86_64")]
engine!(avx2_f32, f32, __m256, [1 2 3 4 5 6], [1, 2], 12, "avx2,fma");
#[cfg(target_arch = "x86_64")]
engine!(avx2_f64, f64, __m256d, [1 2 3 4 5 6], [1, 2], 12, "avx2,fma");
engine!(portable_f32, f32, Portable<f32>, [1 2 3 4 5 6], [1, 2], 12);
engine!(portable_f64, f64, Portable<f64>, [1 2 3 4 5 6], [1, 2], 12);

/// The matrix product of a number type.
pub(crate) trait Engine: Copy + Send + Sync + 'static {
    /// # Safety
    /// The processor has `level`; the pointers of `p` are good for its shape, which is not empty; c overlaps nothing.
    unsafe fn product(level: Level, p: &Product<Self>);
}

macro_rules! choose {
    ($f:ty, $avx512:ident, $avx2:ident, $portable:ident) => {
        impl Engine for $f {
            unsafe fn product(level: Level, p: &Product<$f>) {
                // SAFETY: the caller's promise.
                unsafe {
                    match level {
                        #[cfg(target_arch = "x86_64")]
                        Level::Avx512 => $avx512::product(p),
                        #[cfg(target_arch = "x86_64")]
                        Level::Avx2 => $avx2::product(p),
                        Level::Baseline => $portable::product(p),
                    }
                }
            }
        }
    };
}
choose!(f32, avx512_f32, avx2_f32, portable_f32);
choose!(f64, avx512_f64, avx2_f64, portable_f64);

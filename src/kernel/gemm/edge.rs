//! The edge of c: last columns that would leave most of a register empty.

use std::mem::MaybeUninit;

use super::Problem;
use crate::scalar::Scalar;

/// Columns of the transposed edge that are computed at a time: NC in `f32`.
const EDGE_COLUMNS: usize = 192;
/// Rows it has at most: the columns of the widest register and a quarter of it.
const EDGE_ROWS: usize = 20;

/// Calls `gemm` for all of c, or, where the last columns of c would leave most of a register of `lanes` elements empty,
/// once for the whole registers and for the edge `cᵀ = bᵀ aᵀ`. If a is column-major, this product fills its registers.
/// So it does for all columns where no more than one register is full.
///
/// # Safety
/// As for [`gemm`](super::dispatch::gemm); `lanes` are at most 16.
pub(super) unsafe fn with_transposed_edge<F: Scalar>(p: &Problem<F>, lanes: usize, gemm: unsafe fn(&Problem<F>)) {
    let edge = p.n % lanes;
    let transposes = p.rs_a == 1 && p.cs_a != 1 && p.bias.is_null() && edge > 0 && 4 * edge <= lanes;
    let columns = if p.n < 2 * lanes { 0 } else { p.n - edge };
    let edge = p.n - columns;
    // SAFETY: the caller's promise; columns `columns..` of c are rows of `transposed`.
    unsafe {
        if !transposes {
            return gemm(p);
        }
        if columns > 0 {
            gemm(&Problem { n: columns, ..*p });
        }
        let mut transposed = [const { MaybeUninit::uninit() }; EDGE_ROWS * EDGE_COLUMNS];
        for from in (0..p.m).step_by(EDGE_COLUMNS) {
            let m = EDGE_COLUMNS.min(p.m - from);
            let (a, b, c) = (p.b.offset(columns as isize * p.cs_b), p.a.add(from), transposed.as_mut_ptr().cast());
            let (rs_a, cs_a, rs_b, cs_b, ldc) = (p.cs_b, p.rs_b, p.cs_a, 1, m as isize);
            gemm(&Problem { m: edge, n: m, a, rs_a, cs_a, b, rs_b, cs_b, c, ldc, ..*p });
            for i in 0..m {
                let row = p.c.offset((from + i) as isize * p.ldc).add(columns);
                (0..edge).for_each(|j| *row.add(j) = transposed[j * m + i].assume_init());
            }
        }
    }
}

//! A product shared among threads: by columns of c, or by rows where rows of a have to be packed. Never over k, so
//! the sums are the same on any number of threads.

use super::drive::Product;
use super::engines::Engine;
use crate::kernel::simd::Level;
use crate::kernel::threads;

/// Multiplications from which a second thread pays.
const WORTH: usize = 4 << 20;
/// Rows or columns of a share: whole tiles and panels of every shape.
const UNIT: usize = 48;

/// # Safety
/// As for [`Engine::product`].
pub(super) unsafe fn product<F: Engine>(level: Level, p: &Product<F>) {
    let by_rows = p.a_col != 1 || p.n < 2 * UNIT;
    let length = if by_rows { p.m } else { p.n };
    if p.m * p.n * p.k < WORTH || length < 2 * UNIT {
        // SAFETY: the caller's promise.
        return unsafe { F::product(level, p) };
    }
    // Large shares waste less on packing, small ones less on waiting for the last.
    let count = (length / UNIT).min(12);
    let share = length.div_ceil(count).next_multiple_of(UNIT);
    let shares = (0..length).step_by(share).map(|from| part(p, by_rows, from, share.min(length - from)));
    // SAFETY: the shares lie within the product and their parts of c do not overlap.
    threads::each(shares, |share| unsafe { F::product(level, &share) });
}

/// Rows or columns `from..from + length` of c.
fn part<F: Copy>(p: &Product<F>, by_rows: bool, from: usize, length: usize) -> Product<F> {
    let rows = from as isize;
    if by_rows {
        let (a, c) = (p.a.wrapping_offset(rows * p.a_row), p.c.wrapping_offset(rows * p.c_row));
        return Product { m: length, a, c, ..*p };
    }
    let bias = if p.bias.is_null() { p.bias } else { p.bias.wrapping_add(from) };
    Product { n: length, b: p.b.wrapping_offset(rows * p.b_col), c: p.c.wrapping_add(from), bias, ..*p }
}

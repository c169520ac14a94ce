//! A product shared among threads: by rows of c or by columns. Never over k, so the sums are the same on any number of
//! threads.

use super::drive::Product;
use super::engines::Engine;
use crate::kernel::simd::Level;
use crate::kernel::threads;

/// Multiplications from which a second thread pays: some 200 µs of one, against waking the other and sharing caches.
const WORTH: usize = 16 << 20;
/// Rows and columns of the smallest share: whole tiles and panels of every shape.
const ROWS: usize = 16;
const COLUMNS: usize = 48;
/// Up to this many columns it is the rows that are shared.
const FEW_COLUMNS: usize = 256;

/// # Safety
/// As for [`Engine::product`].
pub(super) unsafe fn product<F: Engine>(level: Level, p: &Product<F>) {
    // What is not shared is packed for every share: rather the rows of a batch than wide weights. Of the two parts of a
    // weight gradient neither is the larger as a rule.
    let by_rows = p.a_col != 1 || p.n <= FEW_COLUMNS;
    let (length, unit) = if by_rows { (p.m, ROWS) } else { (p.n, COLUMNS) };
    // The threads last: to count them starts them.
    let worth = p.m.saturating_mul(p.n).saturating_mul(p.k) >= WORTH && length >= 2 * unit;
    if !worth || threads::count() < 2 {
        // SAFETY: the caller's promise.
        return unsafe { F::product(level, p) };
    }
    let share = length.div_ceil(threads::count()).next_multiple_of(unit);
    let shares = (0..length).step_by(share).map(|from| part(p, by_rows, from, share.min(length - from)));
    // SAFETY: the shares lie within the product and their parts of c do not overlap.
    threads::parallel_for(shares, |share| unsafe { F::product(level, &share) });
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

//! One product on several threads: each computes some rows or some columns of c. k is never split, so the sums are the
//! same on any number of threads.

use super::Problem;
use super::dispatch::gemm;
use crate::kernel::simd::Level;
use crate::kernel::threads;
use crate::scalar::Scalar;

/// Multiplications from which a second thread pays: some 200 µs of one, compared with waking the other and sharing
/// caches.
const PARALLEL_THRESHOLD: usize = 16 << 20;
/// The fewest rows and columns a thread takes: whole micro-tiles and micro-panels of every shape.
const MIN_ROWS: usize = 16;
const MIN_COLUMNS: usize = 48;
/// With up to this many columns c is split by rows.
const FEW_COLUMNS: usize = 256;

/// # Safety
/// As for [`gemm`].
pub(super) unsafe fn parallel_gemm<F: Scalar>(level: Level, p: &Problem<F>) {
    // The operand that is not split is packed by every thread: this should be the rows of a batch, not wide weights. In
    // a weight gradient neither operand is the larger one as a rule.
    let by_rows = p.cs_a != 1 || p.n <= FEW_COLUMNS;
    let (length, unit) = if by_rows { (p.m, MIN_ROWS) } else { (p.n, MIN_COLUMNS) };
    let pays = p.m.saturating_mul(p.n).saturating_mul(p.k) >= PARALLEL_THRESHOLD && length >= 2 * unit;
    let threads = if pays { threads::count() } else { 1 };
    if threads < 2 {
        // SAFETY: the caller's promise.
        return unsafe { gemm(level, p) };
    }
    let size = length.div_ceil(threads).next_multiple_of(unit);
    let tasks = (0..length).step_by(size).map(|from| {
        let size = size.min(length - from);
        if by_rows { p.rows(from, size) } else { p.columns(from, size) }
    });
    // SAFETY: the tasks lie within the problem and their parts of c do not overlap.
    threads::parallel_for(tasks, |task| unsafe { gemm(level, &task) });
}

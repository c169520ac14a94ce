//! Which products several threads share, and how: each computes some rows or some columns of c, or blocks of both. k is
//! never split, so the sums are the same on any number of threads.

use super::Problem;
use super::blocking::FEW_ROWS;
use super::dispatch::{Code, code};
use super::shared::shared_gemm;
use crate::kernel::simd::Level;
use crate::kernel::threads;
use crate::scalar::Scalar;

/// Multiplications from which a second thread pays: some 200 µs of one, compared with waking the other and sharing
/// caches.
const PARALLEL_THRESHOLD: usize = 16 << 20;
/// The fewest of a thread.
const GRAIN: usize = 4 << 20;
/// The fewest rows and columns a thread takes: whole micro-tiles and micro-panels of every shape.
const MIN_ROWS: usize = 16;
const MIN_COLUMNS: usize = 48;
/// With up to this many columns c is split by rows, and every thread packs b.
const FEW_COLUMNS: usize = 256;

/// `c = bias + a b`.
///
/// # Safety
/// As for [`Code`].
pub(super) unsafe fn parallel_gemm<F: Scalar>(level: Level, p: &Problem<F>) {
    let (code, work) = (code::<F>(level), p.m.saturating_mul(p.n).saturating_mul(p.k));
    let threads = if work < PARALLEL_THRESHOLD { 1 } else { threads::count().min(work / GRAIN) };
    // SAFETY: the caller's promise.
    unsafe {
        match threads {
            0..2 => (code.gemm)(p),
            _ if p.m <= FEW_ROWS => split(code, p.n, MIN_COLUMNS, threads, |from, size| p.columns(from, size)),
            _ if p.n <= FEW_COLUMNS => split(code, p.m, MIN_ROWS, threads, |from, size| p.rows(from, size)),
            _ => shared_gemm(code, p, threads),
        }
    }
}

/// Equal parts of a length, in multiples of `unit`, each a product of its own.
///
/// # Safety
/// As for [`Code`]: of every part, and no two overlap.
unsafe fn split<F: Scalar>(
    code: &'static Code<F>,
    length: usize,
    unit: usize,
    threads: usize,
    part: impl Fn(usize, usize) -> Problem<F> + Sync,
) {
    let size = length.div_ceil(threads).next_multiple_of(unit);
    let parts = (0..length).step_by(size).map(|from| part(from, size.min(length - from)));
    // SAFETY: the caller's promise.
    threads::parallel_for(parts, |part| unsafe { (code.gemm)(&part) });
}

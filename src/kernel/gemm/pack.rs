//! Packing: copies of a and b in the order in which the micro-kernel reads them. Source rows are read one after another,
//! whole cache lines at a time: rows that are a power of two apart share a cache set, which evicts the first before the
//! last is read.

use std::cell::Cell;
use std::thread::LocalKey;

use num_traits::Zero;

use super::registers::Register;

/// A cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[allow(dead_code)] [u8; 64]);

type Workspace = LocalKey<Cell<Vec<Line>>>;

thread_local! {
    /// The buffers of packed a and b, kept from call to call.
    static WORKSPACE: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
    /// Those of a product that this thread shares with others, while it works in the first one.
    static SHARED: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// Calls `f` with a buffer of `n` elements, aligned to cache lines; its content is unspecified.
#[inline(always)]
pub(super) fn with_workspace<F>(n: usize, f: impl FnOnce(*mut F)) {
    with(&WORKSPACE, n, f);
}

/// The same with another buffer.
pub(super) fn with_shared_workspace<F>(n: usize, f: impl FnOnce(*mut F)) {
    with(&SHARED, n, f);
}

#[inline(always)]
fn with<F>(workspace: &'static Workspace, n: usize, f: impl FnOnce(*mut F)) {
    let mut lines = workspace.take();
    let needed = (n * size_of::<F>()).div_ceil(64);
    if lines.len() < needed {
        lines.resize(needed, Line([0; 64]));
    }
    f(lines.as_mut_ptr().cast());
    workspace.set(lines);
}

/// Micro-panels that are packed in one pass over the rows of b: few, so that the loop over them is unrolled.
const PANELS_PER_PASS: usize = 4;

/// `k` rows of b in micro-panels of `NV` registers, one panel after another; the last one has as many registers as its
/// columns need, padded with zeros.
///
/// # Safety
/// The processor has the instruction set of `V`; `b` is good for the block, `to` for `k` rows of the micro-panels.
#[inline(always)]
pub(super) unsafe fn pack_b<V: Register, const NV: usize>(
    b: *const V::Elem,
    (rs_b, cs_b): (isize, isize),
    (k, columns): (usize, usize),
    to: *mut V::Elem,
) {
    let nr = NV * V::LANES;
    if cs_b != 1 {
        for j in (0..columns).step_by(nr) {
            let columns = nr.min(columns - j);
            // SAFETY: the caller's promise.
            unsafe { pack_b_strided::<V>(b.offset(j as isize * cs_b), (rs_b, cs_b), (k, columns), to.add(j * k)) };
        }
        return;
    }
    for j in (0..columns).step_by(PANELS_PER_PASS * nr) {
        let columns = (PANELS_PER_PASS * nr).min(columns - j);
        // SAFETY: the caller's promise.
        unsafe { pack_b_row_major::<V, NV>(b.add(j), rs_b, (k, columns), to.add(j * k)) };
    }
}

/// Up to [`PANELS_PER_PASS`] micro-panels of a row-major b.
///
/// # Safety
/// As for [`pack_b`].
#[inline(always)]
unsafe fn pack_b_row_major<V: Register, const NV: usize>(
    b: *const V::Elem,
    ldb: isize,
    (k, columns): (usize, usize),
    to: *mut V::Elem,
) {
    let nr = NV * V::LANES;
    let (whole, rest) = (columns / nr * nr, columns % nr);
    let padded = rest.next_multiple_of(V::LANES);
    // SAFETY: the caller's promise.
    unsafe {
        for p in 0..k {
            let from = b.offset(p as isize * ldb);
            for j in (0..whole).step_by(nr) {
                let to = to.add(j * k + p * nr);
                (0..NV).for_each(|v| V::load(from.add(j + v * V::LANES)).store(to.add(v * V::LANES)));
            }
            if rest > 0 {
                let (from, to) = (from.add(whole), to.add(whole * k + p * padded));
                let last = padded - V::LANES;
                (0..last).step_by(V::LANES).for_each(|v| V::load(from.add(v)).store(to.add(v)));
                let from = from.add(last);
                let part = if rest == padded { V::load(from) } else { V::load_partial(from, rest - last) };
                part.store(to.add(last));
            }
        }
    }
}

/// One micro-panel of a b that is not row-major: square by square where it is column-major.
///
/// # Safety
/// As for [`pack_b`].
#[inline(always)]
unsafe fn pack_b_strided<V: Register>(
    b: *const V::Elem,
    (rs_b, cs_b): (isize, isize),
    (k, columns): (usize, usize),
    to: *mut V::Elem,
) {
    let padded = columns.next_multiple_of(V::LANES);
    let in_squares = |n: usize| if rs_b == 1 { n / V::SQUARE * V::SQUARE } else { 0 };
    let (square_rows, square_columns) = (in_squares(k), in_squares(columns));
    // SAFETY: the caller's promise; every index is below `k` and `padded`.
    unsafe {
        for j in (0..square_columns).step_by(V::SQUARE) {
            for p in (0..square_rows).step_by(V::SQUARE) {
                V::transpose(b.offset(j as isize * cs_b).add(p), cs_b, to.add(p * padded + j), padded);
            }
        }
        let first = if square_columns == padded { square_rows } else { 0 };
        for p in first..k {
            let done = if p < square_rows { square_columns } else { 0 };
            for j in done..columns {
                *to.add(p * padded + j) = *b.offset(p as isize * rs_b + j as isize * cs_b);
            }
            (columns..padded).for_each(|j| *to.add(p * padded + j) = V::Elem::zero());
        }
    }
}

/// The leading dimension of packed a: eight rows are never a power of two of cache lines apart.
pub(super) fn packed_lda(kc: usize) -> usize {
    kc.next_multiple_of(4) + 2
}

/// `rows` rows of `k` elements of a row-major a, with the leading dimension `ld_to`.
///
/// # Safety
/// `a` is good for the block, `to` for `ld_to rows` elements.
#[inline(always)]
pub(super) unsafe fn pack_a_row_major<F: Copy>(
    a: *const F,
    lda: isize,
    (rows, k): (usize, usize),
    (to, ld_to): (*mut F, usize),
) {
    for i in 0..rows {
        // SAFETY: the caller's promise.
        unsafe { a.offset(i as isize * lda).copy_to_nonoverlapping(to.add(i * ld_to), k) };
    }
}

/// `rows` rows of `k` elements of a in micro-panels of `MR` rows, column after column, `ld_to MR` elements from panel to
/// panel. The rows that the last panel lacks are not written.
///
/// # Safety
/// `a` is good for the block, `to` for `ld_to` elements for every row of the micro-panels.
#[inline(always)]
pub(super) unsafe fn pack_a_panels<F: Copy, const MR: usize>(
    a: *const F,
    (rs_a, cs_a): (isize, isize),
    (rows, k): (usize, usize),
    (to, ld_to): (*mut F, usize),
) {
    let whole = if rs_a == 1 { rows / MR * MR } else { 0 };
    // SAFETY: the caller's promise.
    unsafe {
        for p in 0..k {
            let from = a.offset(p as isize * cs_a);
            for i in (0..whole).step_by(MR) {
                let column = from.add(i).cast::<[F; MR]>().read_unaligned();
                to.add(i * ld_to + p * MR).cast::<[F; MR]>().write_unaligned(column);
            }
            for panel in (whole..rows).step_by(MR) {
                for i in 0..MR.min(rows - panel) {
                    *to.add(panel * ld_to + p * MR + i) = *from.offset((panel + i) as isize * rs_a);
                }
            }
        }
    }
}

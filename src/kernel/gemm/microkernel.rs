//! The micro-kernel: the innermost loop over k, with a micro-tile of c in registers while a column of a and a row of b
//! pass by.

use num_traits::Zero;

use super::registers::Register;

/// What a micro-kernel computes: `c = init + a b` for one micro-tile. Leading dimensions are in elements.
pub(super) struct MicroTile<F> {
    /// Products each element sums.
    pub k: usize,
    /// Row-major with rows `lda` apart, or column-major with columns `lda` apart.
    pub a: *const F,
    pub lda: isize,
    /// Row-major, rows `ldb` apart.
    pub b: *const F,
    pub ldb: isize,
    /// What is added to; zero if null.
    pub init: *const F,
    pub ld_init: isize,
    pub c: *mut F,
    pub ldc: isize,
    /// Columns that the last register has in init and c; b has all.
    pub last_columns: usize,
}

pub(super) type MicroKernel<F> = unsafe fn(&MicroTile<F>);
/// For a single row, with the distance of its last register from the first.
pub(super) type RowKernel<F> = unsafe fn(&MicroTile<F>, usize);

/// The most registers of a row kernel: with the factor they fill the sixteen of AVX2.
pub(super) const ROW_REGISTERS: usize = 14;
/// Steps of k in one iteration of the loop.
const UNROLL: usize = 4;

/// A micro-tile of `MR` rows and `NV` registers of columns.
///
/// # Safety
/// The processor has the instruction set of `V`; a, b, init and c are good for the whole micro-tile; c overlaps neither a
/// nor b.
#[inline(always)]
pub(super) unsafe fn micro_kernel<V: Register, const MR: usize, const NV: usize, const A_COLUMN_MAJOR: bool>(
    t: &MicroTile<V::Elem>,
) {
    // SAFETY: the caller's promise; pointers past the end are made but not read.
    unsafe {
        let mut sums = [[V::splat(V::Elem::zero()); NV]; MR];
        if !t.init.is_null() {
            for (i, sums) in sums.iter_mut().enumerate() {
                let from = t.init.offset(i as isize * t.ld_init);
                for (j, sum) in sums.iter_mut().enumerate() {
                    let from = from.add(j * V::LANES);
                    let whole = j + 1 < NV || t.last_columns == V::LANES;
                    *sum = if whole { V::load(from) } else { V::load_partial(from, t.last_columns) };
                }
            }
        }
        let (rs_a, cs_a) = if A_COLUMN_MAJOR { (1, t.lda) } else { (t.lda, 1) };
        let mut rows: [*const V::Elem; MR] = std::array::from_fn(|i| t.a.wrapping_offset(i as isize * rs_a));
        let mut b = t.b;
        for _ in 0..t.k / UNROLL {
            for p in 0..UNROLL as isize {
                let column = rows.map(|row| row.wrapping_offset(p * cs_a));
                rank_one_update::<V, MR, NV, A_COLUMN_MAJOR>(&mut sums, &column, b.offset(p * t.ldb));
            }
            rows = rows.map(|row| row.wrapping_offset(UNROLL as isize * cs_a));
            b = b.wrapping_offset(UNROLL as isize * t.ldb);
        }
        for _ in 0..t.k % UNROLL {
            rank_one_update::<V, MR, NV, A_COLUMN_MAJOR>(&mut sums, &rows, b);
            rows = rows.map(|row| row.wrapping_offset(cs_a));
            b = b.wrapping_offset(t.ldb);
        }
        for (i, sums) in sums.iter().enumerate() {
            let to = t.c.offset(i as isize * t.ldc);
            for (j, sum) in sums.iter().enumerate() {
                let to = to.add(j * V::LANES);
                let whole = j + 1 < NV || t.last_columns == V::LANES;
                if whole { sum.store(to) } else { sum.store_partial(to, t.last_columns) }
            }
        }
    }
}

/// Adds the products of one column of a with one row of b.
///
/// # Safety
/// As for [`micro_kernel`].
#[inline(always)]
unsafe fn rank_one_update<V: Register, const MR: usize, const NV: usize, const A_COLUMN_MAJOR: bool>(
    sums: &mut [[V; NV]; MR],
    column: &[*const V::Elem; MR],
    b: *const V::Elem,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut row = [V::load(b); NV];
        for (j, part) in row.iter_mut().enumerate().skip(1) {
            *part = V::load(b.add(j * V::LANES));
        }
        for (i, sums) in sums.iter_mut().enumerate() {
            let factor = V::splat(if A_COLUMN_MAJOR { *column[0].add(i) } else { *column[i] });
            for (sum, part) in sums.iter_mut().zip(row) {
                *sum = sum.add_product(factor, part);
            }
        }
    }
}

/// One row of `NV` registers, the last of which begins `last` elements after the first: it may overlap the one before.
/// The elements of a are `lda` apart.
///
/// # Safety
/// As for [`micro_kernel`].
#[inline(always)]
pub(super) unsafe fn row_kernel<V: Register, const NV: usize>(t: &MicroTile<V::Elem>, last: usize) {
    let at = |j: usize| if j + 1 == NV { last } else { j * V::LANES };
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [V::splat(V::Elem::zero()); NV];
        if !t.init.is_null() {
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum = V::load(t.init.add(at(j)));
            }
        }
        let (mut a, mut b) = (t.a, t.b);
        for _ in 0..t.k {
            let factor = V::splat(*a);
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum = sum.add_product(factor, V::load(b.add(at(j))));
            }
            a = a.wrapping_offset(t.lda);
            b = b.wrapping_offset(t.ldb);
        }
        for (j, sum) in sums.iter().enumerate() {
            sum.store(t.c.add(at(j)));
        }
    }
}

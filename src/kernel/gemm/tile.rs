//! The innermost loop: a tile of c held in registers while a row of b and a column of a pass by.
//!
//! Every element is the chain `((start + a₀b₀) + a₁b₁) + …` in the order of k, whatever the tile, the blocks
//! and the threads: its bits depend on nothing but whether the processor fuses multiply and add.

use super::lanes::Lanes;

/// `c = start + a b` for one tile. Distances are in elements.
pub(super) struct Tile<F> {
    /// How many products each element sums.
    pub k: usize,
    /// Its rows and columns are `a_row` and `a_col` apart.
    pub a: *const F,
    pub a_row: isize,
    pub a_col: isize,
    /// Its rows are `b_row` apart, its columns side by side.
    pub b: *const F,
    pub b_row: isize,
    /// What is added to; nothing if null.
    pub start: *const F,
    pub start_row: isize,
    pub c: *mut F,
    pub c_row: isize,
}

/// The code of one shape of tile; of a row, with the distance of its last register from the first.
pub(super) type TileFn<F> = unsafe fn(&Tile<F>);
pub(super) type RowFn<F> = unsafe fn(&Tile<F>, usize);

/// A tile of `R` rows and `V` registers of columns.
///
/// # Safety
/// The processor has the instruction set of `L`; a, b, start and c are good for the whole tile; c overlaps
/// neither a nor b.
#[inline(always)]
pub(super) unsafe fn tile<F: Copy + num_traits::Zero, L: Lanes<F>, const R: usize, const V: usize>(t: &Tile<F>) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[L::splat(F::zero()); V]; R];
        if !t.start.is_null() {
            for (i, sums) in sums.iter_mut().enumerate() {
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = L::load(t.start.offset(i as isize * t.start_row).add(j * L::N));
                }
            }
        }
        let (mut a, mut b) = (t.a, t.b);
        for _ in 0..t.k {
            let mut row = [L::splat(F::zero()); V];
            for (j, part) in row.iter_mut().enumerate() {
                *part = L::load(b.add(j * L::N));
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let factor = L::splat(*a.offset(i as isize * t.a_row));
                for (sum, part) in sums.iter_mut().zip(row) {
                    *sum = sum.add_product(factor, part);
                }
            }
            a = a.wrapping_offset(t.a_col);
            b = b.wrapping_offset(t.b_row);
        }
        for (i, sums) in sums.iter().enumerate() {
            for (j, sum) in sums.iter().enumerate() {
                sum.store(t.c.offset(i as isize * t.c_row).add(j * L::N));
            }
        }
    }
}

/// A row of `V` registers, the last of which begins `last` elements after the first: it may overlap the one before.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
pub(super) unsafe fn row<F: Copy + num_traits::Zero, L: Lanes<F>, const V: usize>(t: &Tile<F>, last: usize) {
    let at = |j: usize| if j + 1 == V { last } else { j * L::N };
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [L::splat(F::zero()); V];
        if !t.start.is_null() {
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum = L::load(t.start.add(at(j)));
            }
        }
        let (mut a, mut b) = (t.a, t.b);
        for _ in 0..t.k {
            let factor = L::splat(*a);
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum = sum.add_product(factor, L::load(b.add(at(j))));
            }
            a = a.wrapping_offset(t.a_col);
            b = b.wrapping_offset(t.b_row);
        }
        for (j, sum) in sums.iter().enumerate() {
            sum.store(t.c.add(at(j)));
        }
    }
}

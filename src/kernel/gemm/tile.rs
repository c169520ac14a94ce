//! The innermost loop: a tile of c held in registers while a row of b and a column of a pass by.
//!
//! Every element is the chain `((start + a₀b₀) + a₁b₁) + …` in the order of k, whatever the tile, the blocks
//! and the threads: its bits depend on nothing but whether the processor fuses multiply and add.

use super::lanes::Lanes;

/// `c = start + a b` for one tile. Distances are in elements.
pub(super) struct Tile<F> {
    /// How many products each element sums.
    pub k: usize,
    /// Its columns are side by side and its rows `a_step` apart, or the other way round.
    pub a: *const F,
    pub a_step: isize,
    /// Its rows are `b_row` apart, its columns side by side.
    pub b: *const F,
    pub b_row: isize,
    /// What is added to; nothing if null.
    pub start: *const F,
    pub start_row: isize,
    pub c: *mut F,
    pub c_row: isize,
    /// How many columns the last register has in start and c; b has all.
    pub rest: usize,
}

/// The code of one shape of tile; of a row, with the distance of its last register from the first.
pub(super) type TileFn<F> = unsafe fn(&Tile<F>);
pub(super) type RowFn<F> = unsafe fn(&Tile<F>, usize);

/// Steps of k the loop takes at a time.
const STEPS: usize = 4;

/// A tile of `R` rows and `V` registers of columns. The rows of a are side by side (`BY_COLUMN`), or its columns are.
///
/// # Safety
/// The processor has the instruction set of `L`; a, b, start and c are good for the whole tile; c overlaps
/// neither a nor b.
#[inline(always)]
pub(super) unsafe fn tile<F, L, const R: usize, const V: usize, const BY_COLUMN: bool>(t: &Tile<F>)
where
    F: Copy + num_traits::Zero,
    L: Lanes<F>,
{
    // SAFETY: the caller's promise; pointers past the end are made but not read.
    unsafe {
        let mut sums = [[L::splat(F::zero()); V]; R];
        if !t.start.is_null() {
            for (i, sums) in sums.iter_mut().enumerate() {
                let from = t.start.offset(i as isize * t.start_row);
                for (j, sum) in sums.iter_mut().enumerate() {
                    let from = from.add(j * L::N);
                    *sum = if j + 1 < V || t.rest == L::N { L::load(from) } else { L::load_part(from, t.rest) };
                }
            }
        }
        let (a_row, a_col) = if BY_COLUMN { (1, t.a_step) } else { (t.a_step, 1) };
        let mut rows: [*const F; R] = std::array::from_fn(|i| t.a.wrapping_offset(i as isize * a_row));
        let mut b = t.b;
        for _ in 0..t.k / STEPS {
            for i in 0..STEPS as isize {
                let column = rows.map(|row| row.wrapping_offset(i * a_col));
                step::<F, L, R, V, BY_COLUMN>(&mut sums, &column, b.offset(i * t.b_row));
            }
            rows = rows.map(|row| row.wrapping_offset(STEPS as isize * a_col));
            b = b.wrapping_offset(STEPS as isize * t.b_row);
        }
        for _ in 0..t.k % STEPS {
            step::<F, L, R, V, BY_COLUMN>(&mut sums, &rows, b);
            rows = rows.map(|row| row.wrapping_offset(a_col));
            b = b.wrapping_offset(t.b_row);
        }
        for (i, sums) in sums.iter().enumerate() {
            let to = t.c.offset(i as isize * t.c_row);
            for (j, sum) in sums.iter().enumerate() {
                let to = to.add(j * L::N);
                if j + 1 < V || t.rest == L::N { sum.store(to) } else { sum.store_part(to, t.rest) }
            }
        }
    }
}

/// Adds the products of one row of b with one column of a.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn step<F: Copy, L: Lanes<F>, const R: usize, const V: usize, const BY_COLUMN: bool>(
    sums: &mut [[L; V]; R],
    column: &[*const F; R],
    b: *const F,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let row: [L; V] = load_row::<F, L, V>(b);
        for (r, sums) in sums.iter_mut().enumerate() {
            let factor = L::splat(if BY_COLUMN { *column[0].add(r) } else { *column[r] });
            for (sum, part) in sums.iter_mut().zip(row) {
                *sum = sum.add_product(factor, part);
            }
        }
    }
}

/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn load_row<F, L: Lanes<F>, const V: usize>(b: *const F) -> [L; V] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut row = [L::load(b); V];
        for (j, part) in row.iter_mut().enumerate().skip(1) {
            *part = L::load(b.add(j * L::N));
        }
        row
    }
}

/// A row of `V` registers, the last of which begins `last` elements after the first: it may overlap the one before.
/// The elements of a are `a_step` apart.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
pub(super) unsafe fn row<F, L, const V: usize>(t: &Tile<F>, last: usize)
where
    F: Copy + num_traits::Zero,
    L: Lanes<F>,
{
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
            a = a.wrapping_offset(t.a_step);
            b = b.wrapping_offset(t.b_row);
        }
        for (j, sum) in sums.iter().enumerate() {
            sum.store(t.c.add(at(j)));
        }
    }
}

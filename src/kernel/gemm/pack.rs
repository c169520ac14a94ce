//! Copies in the order in which the tiles read. Source rows are read one after another, whole cache lines at a time: rows
//! that are a power of two apart share a place in the cache, which forgets the first before it has read the last.

use num_traits::Zero;

use super::lanes::Lanes;

/// Panels that are packed side by side: so few that the loop over them is unrolled.
const BESIDE: usize = 4;

/// `k` rows of b in panels of `V` registers, one panel after the other; the last one has as many registers as its
/// columns need, padded with zeros.
///
/// # Safety
/// The processor has the instruction set of `L`; `b` is good for the block, `to` for `k` rows of the panels.
#[inline(always)]
pub(super) unsafe fn panels<F: Copy + Zero, L: Lanes<F>, const V: usize>(
    b: *const F,
    (b_row, b_col): (isize, isize),
    (k, columns): (usize, usize),
    to: *mut F,
) {
    let width = V * L::N;
    if b_col != 1 {
        for j in (0..columns).step_by(width) {
            let columns = width.min(columns - j);
            // SAFETY: the caller's promise.
            unsafe { turned::<F, L>(b.offset(j as isize * b_col), (b_row, b_col), (k, columns), to.add(j * k)) };
        }
        return;
    }
    for j in (0..columns).step_by(BESIDE * width) {
        let columns = (BESIDE * width).min(columns - j);
        // SAFETY: the caller's promise.
        unsafe { beside::<F, L, V>(b.add(j), b_row, (k, columns), to.add(j * k)) };
    }
}

/// Up to [`BESIDE`] panels of a b whose columns are side by side.
///
/// # Safety
/// As for [`panels`].
#[inline(always)]
unsafe fn beside<F: Copy + Zero, L: Lanes<F>, const V: usize>(
    b: *const F,
    b_row: isize,
    (k, columns): (usize, usize),
    to: *mut F,
) {
    let width = V * L::N;
    let (whole, rest) = (columns / width * width, columns % width);
    let padded = rest.next_multiple_of(L::N);
    // SAFETY: the caller's promise.
    unsafe {
        for p in 0..k {
            let from = b.offset(p as isize * b_row);
            for j in (0..whole).step_by(width) {
                let to = to.add(j * k + p * width);
                (0..V).for_each(|v| L::load(from.add(j + v * L::N)).store(to.add(v * L::N)));
            }
            if rest > 0 {
                let (from, to) = (from.add(whole), to.add(whole * k + p * padded));
                let last = padded - L::N;
                (0..last).step_by(L::N).for_each(|v| L::load(from.add(v)).store(to.add(v)));
                let part =
                    if rest == padded { L::load(from.add(last)) } else { L::load_part(from.add(last), rest - last) };
                part.store(to.add(last));
            }
        }
    }
}

/// A panel of a b whose columns are not side by side.
///
/// # Safety
/// As for [`panels`].
#[inline(always)]
unsafe fn turned<F: Copy + Zero, L: Lanes<F>>(
    b: *const F,
    (b_row, b_col): (isize, isize),
    (k, columns): (usize, usize),
    to: *mut F,
) {
    let padded = columns.next_multiple_of(L::N);
    let square = |n: usize| if b_row == 1 { n / L::SQUARE * L::SQUARE } else { 0 };
    let (squares_k, squares) = (square(k), square(columns));
    // SAFETY: the caller's promise; every index is below `k` and `padded`.
    unsafe {
        for j in (0..squares).step_by(L::SQUARE) {
            for p in (0..squares_k).step_by(L::SQUARE) {
                L::transpose(b.offset(j as isize * b_col).add(p), b_col, to.add(p * padded + j), padded);
            }
        }
        for p in 0..k {
            let done = if p < squares_k { squares } else { 0 };
            for j in done..columns {
                *to.add(p * padded + j) = *b.offset(p as isize * b_row + j as isize * b_col);
            }
            (columns..padded).for_each(|j| *to.add(p * padded + j) = F::zero());
        }
    }
}

/// `rows` rows of `k` elements of a, `apart` apart.
///
/// # Safety
/// `a`, whose columns are side by side, is good for the block, `to` for `apart rows` elements.
#[inline(always)]
pub(super) unsafe fn rows<F: Copy>(a: *const F, a_row: isize, (rows, k): (usize, usize), (to, apart): (*mut F, usize)) {
    for i in 0..rows {
        // SAFETY: the caller's promise.
        unsafe { a.offset(i as isize * a_row).copy_to_nonoverlapping(to.add(i * apart), k) };
    }
}

/// `rows` rows of `k` elements of a in strips of `R` rows, `apart R` elements apart; a strip column after column. What
/// the last strip lacks in rows is left as it was.
///
/// # Safety
/// `a` is good for the block, `to` for `apart` elements for every row of the strips.
#[inline(always)]
pub(super) unsafe fn columns<F: Copy, const R: usize>(
    a: *const F,
    (a_row, a_col): (isize, isize),
    (rows, k): (usize, usize),
    (to, apart): (*mut F, usize),
) {
    let whole = if a_row == 1 { rows / R * R } else { 0 };
    // SAFETY: the caller's promise.
    unsafe {
        for p in 0..k {
            let from = a.offset(p as isize * a_col);
            for i in (0..whole).step_by(R) {
                let column = from.add(i).cast::<[F; R]>().read_unaligned();
                to.add(i * apart + p * R).cast::<[F; R]>().write_unaligned(column);
            }
            for strip in (whole..rows).step_by(R) {
                let height = R.min(rows - strip);
                for i in 0..height {
                    *to.add(strip * apart + p * R + i) = *from.offset((strip + i) as isize * a_row);
                }
            }
        }
    }
}

//! Copies of blocks in the order in which the tiles read them.

use super::lanes::Lanes;

/// `k` rows of `width` columns of b, side by side, padded with zeros to `padded` columns.
///
/// # Safety
/// The processor has the instruction set of `L`; `b` is good for the block, `to` for `k padded` elements.
#[inline(always)]
pub(super) unsafe fn panel<F: Copy + num_traits::Zero, L: Lanes<F>, const V: usize>(
    b: *const F,
    (b_row, b_col): (isize, isize),
    (k, width, padded): (usize, usize, usize),
    to: *mut F,
) {
    // SAFETY: the caller's promise; every index is below `k` and `padded`.
    unsafe {
        if b_col == 1 {
            let (registers, rest) = (width / L::N, width % L::N);
            for p in 0..k {
                let (from, to) = (b.offset(p as isize * b_row), to.add(p * padded));
                // A constant number of registers where it matters.
                if registers == V {
                    (0..V).for_each(|v| L::load(from.add(v * L::N)).store(to.add(v * L::N)));
                } else {
                    (0..registers).for_each(|v| L::load(from.add(v * L::N)).store(to.add(v * L::N)));
                }
                if rest > 0 {
                    L::load_part(from.add(registers * L::N), rest).store(to.add(registers * L::N));
                }
            }
            return;
        }
        let mut turned = (0, 0);
        if b_row == 1 {
            turned = (k / L::SQUARE * L::SQUARE, width / L::SQUARE * L::SQUARE);
            for j in (0..turned.1).step_by(L::SQUARE) {
                for p in (0..turned.0).step_by(L::SQUARE) {
                    L::transpose(b.offset(j as isize * b_col).add(p), b_col, to.add(p * padded + j), padded);
                }
            }
        }
        for p in 0..k {
            let done = if p < turned.0 { turned.1 } else { 0 };
            for j in done..width {
                *to.add(p * padded + j) = *b.offset(p as isize * b_row + j as isize * b_col);
            }
            for j in width..padded {
                *to.add(p * padded + j) = F::zero();
            }
        }
    }
}

/// `k` columns of `rows` elements of a, one column after the other.
///
/// # Safety
/// `a` is good for the block, `to` for `k rows` elements.
#[inline(always)]
pub(super) unsafe fn columns<F: Copy, const R: usize>(
    a: *const F,
    (a_row, a_col): (isize, isize),
    (rows, k): (usize, usize),
    to: *mut F,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if a_row == 1 && rows == R {
            for p in 0..k {
                let column = a.offset(p as isize * a_col).cast::<[F; R]>().read_unaligned();
                to.add(p * R).cast::<[F; R]>().write_unaligned(column);
            }
            return;
        }
        for p in 0..k {
            for i in 0..rows {
                *to.add(p * rows + i) = *a.offset(p as isize * a_col + i as isize * a_row);
            }
        }
    }
}

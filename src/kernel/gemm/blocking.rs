//! The loops around the micro-kernel, as drawn in [`gemm`](super).

use std::ops::Range;
use std::ptr::null;

use super::Problem;
use super::microkernel::{MicroKernel, MicroTile, RowKernel};
use super::pack::{pack_a_panels, pack_a_row_major, pack_b, packed_lda, with_workspace};
use super::registers::Register;
use crate::scalar::Scalar;

/// The code of an instruction set: micro-tiles of up to `MR` rows and `NV` registers, micro-tiles of `TALL` rows and one
/// register, and single rows.
pub(super) struct MicroKernels<F: 'static, const MR: usize, const NV: usize, const TALL: usize> {
    /// `[whether a is column-major][rows - 1][registers - 1]`.
    pub tiles: [[[MicroKernel<F>; NV]; MR]; 2],
    pub tall: [MicroKernel<F>; 2],
    pub rows: &'static [RowKernel<F>],
}

/// Bytes of a micro-panel of b (KC × NR) and of a block of a (MC × KC), by the bytes of a register. Micro-panels stream
/// from the second-level cache; what a deep one saves is visits to c: KC is 512 for the widest, 1024 or 2048 for the
/// others. A micro-panel, a block and packed b share that cache, which is half as large or less where registers are
/// small.
const fn cache_budget(register: usize) -> (usize, usize) {
    if register >= 64 { (96 << 10, 272 << 10) } else { (64 << 10, 128 << 10) }
}
/// NC in bytes: whole cache lines of every row of b, and few passes over a.
const NC_BYTES: usize = 768;
/// MP: rows of a that are packed at a time.
pub(super) const MP: usize = 4096;
/// Up to this many rows, packing b costs more than it saves.
pub(super) const FEW_ROWS: usize = 16;
/// Up to this many bytes of a row of c, packing a or b costs more than it saves, unless their rows conflict in the cache.
const NARROW: usize = 512;

/// The blocks of a product whose operands are both packed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks {
    /// Rows and columns of a micro-tile.
    pub mr: usize,
    pub nr: usize,
    pub kc: usize,
    pub mc: usize,
    pub nc: usize,
}

impl Blocks {
    pub(super) fn of<V: Register, const MR: usize, const NV: usize>(k: usize) -> Self {
        let (bytes, nr) = (size_of::<V::Elem>(), NV * V::LANES);
        let (panel_bytes, block_bytes) = cache_budget(V::LANES * bytes);
        let kc = block_size(k, panel_bytes / (nr * bytes), 1);
        Self { mr: MR, nr, kc, mc: block_bytes / (kc * bytes) / MR * MR, nc: NC_BYTES / bytes }
    }
}

/// The size of a block when `n` is cut into the fewest nearly equal blocks of at most `most`, in multiples of `unit`.
pub(super) fn block_size(n: usize, most: usize, unit: usize) -> usize {
    n.div_ceil(n.div_ceil(most)).next_multiple_of(unit)
}

/// Whether rows with this stride share a few sets of the cache, rather than have places all over it.
fn conflicts<F>(stride: isize) -> bool {
    (stride.unsigned_abs() * size_of::<F>()).trailing_zeros() >= 8
}

/// `c = bias + a b`: loops 6 and 5.
///
/// # Safety
/// The processor has the instruction set of `V` and `kernels`; the pointers of `p` are good for its shape, which is not
/// empty; c overlaps nothing else.
#[inline(always)]
pub(super) unsafe fn blocked_gemm<V: Register, const MR: usize, const NV: usize, const TALL: usize>(
    p: &Problem<V::Elem>,
    kernels: &MicroKernels<V::Elem, MR, NV, TALL>,
) {
    let bytes = size_of::<V::Elem>();
    if p.m == 1 && p.cs_b == 1 && p.n >= V::LANES {
        // SAFETY: the caller's promise.
        return unsafe { one_row::<V>(p, kernels.rows) };
    }
    let nr = NV * V::LANES;
    let narrow = p.n * bytes <= NARROW;
    let a_by_column = p.cs_a != 1;
    let pack_a = !narrow || (a_by_column && (p.rs_a != 1 || conflicts::<V::Elem>(p.cs_a)));
    // In place, a row of a micro-panel touches one more cache line, which is little for a wide one.
    let wide = nr * bytes >= 3 * 64;
    let b_conflicts = p.m > MR && conflicts::<V::Elem>(p.rs_b);
    let pack_b = p.cs_b != 1 || b_conflicts || (p.m > FEW_ROWS && !(wide && narrow));
    let row_bytes = nr * bytes + if pack_b { 0 } else { 64 };
    const { assert!((NC_BYTES / size_of::<V::Elem>()).is_multiple_of(NV * V::LANES), "NC is whole micro-panels") };
    let (panel_bytes, _) = cache_budget(V::LANES * bytes);
    let kc = block_size(p.k, panel_bytes / row_bytes, 1);
    let b_length = if pack_b { NC_BYTES / bytes * kc } else { nr * kc };
    let a_length = if pack_a { p.m.min(MP).next_multiple_of(MR) * packed_lda(kc) } else { 0 };
    with_workspace(b_length + a_length, |packed_b: *mut V::Elem| {
        for i in (0..p.m).step_by(MP) {
            for pc in (0..p.k).step_by(kc) {
                let (rows, kc) = (MP.min(p.m - i), kc.min(p.k - pc));
                let update = RankUpdate { i, pc, rows, kc, a_by_column, pack_a, pack_b };
                // SAFETY: the caller's promise; the update lies within the problem.
                unsafe { update.run::<V, MR, NV, TALL>(p, kernels, packed_b, packed_b.add(b_length)) };
            }
        }
    });
}

/// A rank-kc update of up to MP rows: `c[i.., :] += a[i.., pc..] b[pc.., :]`.
pub(super) struct RankUpdate {
    pub i: usize,
    pub pc: usize,
    pub rows: usize,
    pub kc: usize,
    pub a_by_column: bool,
    pub pack_a: bool,
    pub pack_b: bool,
}

impl RankUpdate {
    /// Loops 4, 3 and 2.
    ///
    /// # Safety
    /// As for [`blocked_gemm`]; `packed_b` and `packed_a` have room for what is packed.
    #[inline(always)]
    unsafe fn run<V: Register, const MR: usize, const NV: usize, const TALL: usize>(
        &self,
        p: &Problem<V::Elem>,
        kernels: &MicroKernels<V::Elem, MR, NV, TALL>,
        packed_b: *mut V::Elem,
        packed_a: *mut V::Elem,
    ) {
        let bytes = size_of::<V::Elem>();
        let (nr, nc) = (NV * V::LANES, NC_BYTES / bytes);
        let (_, block_bytes) = cache_budget(V::LANES * bytes);
        let mc = block_size(self.rows, block_bytes / (self.kc * bytes), MR);
        // SAFETY: every offset below is within the update, and so within the arrays of `p` or the workspace.
        unsafe {
            let a = self.a_operand::<V::Elem, MR>(p, mc, packed_a);
            for jc in (0..p.n).step_by(nc) {
                let columns = nc.min(p.n - jc);
                let b = p.b.offset(self.pc as isize * p.rs_b + jc as isize * p.cs_b);
                let last = (columns - 1) / nr * nr;
                if self.pack_b {
                    pack_b::<V, NV>(b, (p.rs_b, p.cs_b), (self.kc, columns), packed_b);
                } else if !columns.is_multiple_of(V::LANES) {
                    // Micro-kernels read whole registers of b.
                    pack_b::<V, NV>(b.add(last), (p.rs_b, 1), (self.kc, columns - last), packed_b);
                }
                for ic in (0..self.rows).step_by(mc) {
                    for jr in (0..columns).step_by(nr) {
                        let columns = nr.min(columns - jr);
                        let padded = columns.next_multiple_of(V::LANES);
                        let b = if self.pack_b {
                            (packed_b.add(jr * self.kc).cast_const(), padded as isize)
                        } else if columns < padded {
                            (packed_b.cast_const(), padded as isize)
                        } else {
                            (b.add(jr), p.rs_b)
                        };
                        let rows = ic..self.rows.min(ic + mc);
                        self.micro_panel::<V, MR, NV, TALL>(p, kernels, a, b, rows, jc + jr..jc + jr + columns);
                    }
                }
            }
        }
    }

    /// Loops 3 and 2 for some rows and columns, of which packed b is in `b`.
    ///
    /// # Safety
    /// As for [`micro_panel`](Self::micro_panel).
    #[inline(always)]
    pub(super) unsafe fn block<V: Register, const MR: usize, const NV: usize, const TALL: usize>(
        &self,
        p: &Problem<V::Elem>,
        kernels: &MicroKernels<V::Elem, MR, NV, TALL>,
        a: (*const V::Elem, isize, isize),
        b: *const V::Elem,
        mc: usize,
        (rows, columns): (Range<usize>, Range<usize>),
    ) {
        let nr = NV * V::LANES;
        let mc = block_size(rows.len(), mc, MR);
        for ic in rows.clone().step_by(mc) {
            let rows = ic..rows.end.min(ic + mc);
            for jr in columns.clone().step_by(nr) {
                let panel = jr..columns.end.min(jr + nr);
                let padded = panel.len().next_multiple_of(V::LANES) as isize;
                // SAFETY: the caller's promise.
                unsafe {
                    let b = (b.add((jr - columns.start) * self.kc), padded);
                    self.micro_panel::<V, MR, NV, TALL>(p, kernels, a, b, rows.clone(), panel);
                }
            }
        }
    }

    /// Where the micro-kernels read a, packed or not: its address, the distance from row to row and the leading dimension
    /// within a micro-tile.
    ///
    /// # Safety
    /// As for [`run`](Self::run).
    #[inline(always)]
    unsafe fn a_operand<F: Scalar, const MR: usize>(
        &self,
        p: &Problem<F>,
        mc: usize,
        packed_a: *mut F,
    ) -> (*const F, isize, isize) {
        let lda = packed_lda(self.kc);
        // SAFETY: the caller's promise.
        unsafe {
            let a = p.a.offset(self.i as isize * p.rs_a + self.pc as isize * p.cs_a);
            match (self.pack_a, self.a_by_column) {
                (false, true) => (a, p.rs_a, p.cs_a),
                (false, false) => (a, p.rs_a, p.rs_a),
                (true, false) => {
                    pack_a_row_major(a, p.rs_a, (self.rows, self.kc), (packed_a, lda));
                    (packed_a, lda as isize, lda as isize)
                }
                (true, true) => {
                    // Block by block, so that few micro-panels are written at a time.
                    for ic in (0..self.rows).step_by(mc) {
                        let (a, to) = (a.offset(ic as isize * p.rs_a), packed_a.add(ic * lda));
                        let rows = mc.min(self.rows - ic);
                        pack_a_panels::<F, MR>(a, (p.rs_a, p.cs_a), (rows, self.kc), (to, lda));
                    }
                    (packed_a, lda as isize, MR as isize)
                }
            }
        }
    }

    /// Loop 1: the micro-tiles of some rows of the update and of the columns of one micro-panel of b.
    ///
    /// # Safety
    /// As for [`blocked_gemm`]; a and b are the update's and the micro-panel's, packed or not, with their strides.
    #[inline(always)]
    pub(super) unsafe fn micro_panel<V: Register, const MR: usize, const NV: usize, const TALL: usize>(
        &self,
        p: &Problem<V::Elem>,
        kernels: &MicroKernels<V::Elem, MR, NV, TALL>,
        (a, rs_a, lda): (*const V::Elem, isize, isize),
        (b, ldb): (*const V::Elem, isize),
        rows: Range<usize>,
        columns: Range<usize>,
    ) {
        let registers = columns.len().div_ceil(V::LANES);
        let last_columns = columns.len() - (registers - 1) * V::LANES;
        let a_by_column = usize::from(self.a_by_column);
        let a_in_panels = self.pack_a && self.a_by_column;
        let kernel = |height: usize| kernels.tiles[a_by_column][height - 1][registers - 1];
        // Each with a divisor that the compiler knows.
        let (height, main, (whole, low)) = match registers {
            _ if a_in_panels => (MR, kernel(MR), (rows.len() / MR, [rows.len() % MR, 0])),
            1 => (TALL, kernels.tall[a_by_column], tile_heights(rows.len(), TALL, MR)),
            _ => (MR, kernel(MR), tile_heights(rows.len(), MR, MR)),
        };
        let mut ir = rows.start;
        let mut tile = |height: usize, kernel: MicroKernel<V::Elem>| {
            // SAFETY: the micro-tile lies within the update.
            unsafe {
                let c = p.c.offset((self.i + ir) as isize * p.ldc).add(columns.start);
                let (init, ld_init) = match (self.pc, p.bias.is_null()) {
                    (0, true) => (null(), 0),
                    (0, false) => (p.bias.add(columns.start), 0),
                    _ => (c.cast_const(), p.ldc),
                };
                let a = a.offset(ir as isize * rs_a);
                kernel(&MicroTile { k: self.kc, a, lda, b, ldb, init, ld_init, c, ldc: p.ldc, last_columns });
            }
            ir += height;
        };
        (0..whole).for_each(|_| tile(height, main));
        low.into_iter().filter(|&height| height > 0).for_each(|height| tile(height, kernel(height)));
    }
}

/// `n` rows as micro-tiles of `most` rows and the heights of the last two, 0 where there is none. Two of nearly the same
/// height rather than a full and a low one, which would leave multipliers idle; neither is higher than `full`.
#[inline(always)]
fn tile_heights(n: usize, most: usize, full: usize) -> (usize, [usize; 2]) {
    let (mut whole, mut rest) = (n / most, n % most);
    if rest > 0 && most == full && whole > 0 {
        (whole, rest) = (whole - 1, rest + most);
    }
    if rest > full { (whole, [rest.div_ceil(2), rest / 2]) } else { (whole, [rest, 0]) }
}

/// One row of c, at least a register wide: b is read in place, all of k at once.
///
/// # Safety
/// As for [`blocked_gemm`].
#[inline(always)]
unsafe fn one_row<V: Register>(p: &Problem<V::Elem>, kernels: &[RowKernel<V::Elem>]) {
    let width = kernels.len() * V::LANES;
    for j in (0..p.n).step_by(width) {
        let columns = width.min(p.n - j);
        // The last register ends with the last column, so it may begin before this block.
        let from = if columns < V::LANES { p.n - V::LANES } else { j };
        let columns = p.n.min(j + width) - from;
        // SAFETY: columns `from..from + columns` are within the row.
        unsafe {
            let init = if p.bias.is_null() { null() } else { p.bias.add(from) };
            let (b, c, last_columns) = (p.b.add(from), p.c.add(from), V::LANES);
            let row =
                MicroTile { k: p.k, a: p.a, lda: p.cs_a, b, ldb: p.rs_b, init, ld_init: 0, c, ldc: 0, last_columns };
            kernels[columns.div_ceil(V::LANES) - 1](&row, columns - V::LANES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::tile_heights;

    #[test]
    fn micro_tiles_take_every_row_and_no_low_one_follows_a_full_one() {
        for (most, full) in [(6, 6), (8, 8), (12, 6)] {
            for n in 1..100 {
                let (whole, [a, b]) = tile_heights(n, most, full);
                assert_eq!(whole * most + a + b, n);
                assert!(a <= full && (b == 0 || a - b <= 1), "{n} of {most}: {whole}, {a}, {b}");
                assert!(a + b == 0 || a + b >= full || whole == 0 || most > full, "{n} of {most}: {whole}, {a}, {b}");
            }
        }
        assert_eq!(tile_heights(128, 6, 6), (20, [4, 4]));
        assert_eq!(tile_heights(128, 12, 6), (10, [4, 4]));
        assert_eq!(tile_heights(12, 6, 6), (2, [0, 0]));
        assert_eq!(tile_heights(5, 6, 6), (0, [5, 0]));
    }
}

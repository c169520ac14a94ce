//! Blocks around the tiles: b in panels that stay in the first-level cache, a in blocks that stay in the second.

use std::cell::Cell;
use std::ptr::null;

use num_traits::Zero;

use super::lanes::Lanes;
use super::pack;
use super::tile::{RowFn, Tile, TileFn};

/// `c = bias + a b`, `a: (m, k)`, `b: (k, n)`, `c: (m, n)`. Distances are in elements.
#[derive(Clone, Copy)]
pub(crate) struct Product<F> {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: *const F,
    pub a_row: isize,
    pub a_col: isize,
    pub b: *const F,
    pub b_row: isize,
    pub b_col: isize,
    /// Its columns are side by side.
    pub c: *mut F,
    pub c_row: isize,
    /// A row that is added to every row of c; nothing if null.
    pub bias: *const F,
}

// SAFETY: a product is a description; who uses its pointers promises that they are good, and that nobody else writes
// to c.
unsafe impl<F: Send> Send for Product<F> {}
// SAFETY: as above.
unsafe impl<F: Sync> Sync for Product<F> {}

/// The code of an instruction set: tiles of up to `R` rows and `V` registers of columns, and single rows.
pub(super) struct Tiles<F: 'static, const R: usize, const V: usize> {
    /// For a with its columns side by side, and for packed a.
    pub tiles: [[[TileFn<F>; V]; R]; 2],
    pub rows: &'static [RowFn<F>],
}

/// Bytes of a panel of b: the first-level cache has room for it next to a tile's part of a.
const fn panel_bytes(register: usize) -> usize {
    if register >= 64 { 40 << 10 } else { 25 << 10 }
}
/// Panels of b that are packed at a time: whole cache lines of every row, and few visits to its page.
const PANELS: usize = 4;
/// Bytes of a block of a, half of a small second-level cache.
const BLOCK: usize = 272 << 10;
/// Up to this many rows, packing b costs more than it saves.
const FEW_ROWS: usize = 16;

/// A cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[allow(dead_code)] [u8; 64]);

thread_local! {
    /// Room for packed blocks, kept from call to call.
    static ROOM: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// Calls `f` with room for `n` elements, aligned to cache lines; what is in it is unspecified.
#[inline(always)]
fn with_room<F>(n: usize, f: impl FnOnce(*mut F)) {
    let mut room = ROOM.take();
    let lines = (n * size_of::<F>()).div_ceil(64);
    if room.len() < lines {
        room.resize(lines, Line([0; 64]));
    }
    f(room.as_mut_ptr().cast());
    ROOM.set(room);
}

/// The size of a part when `n` is cut into the fewest nearly equal parts of at most `most`, in multiples of `unit`.
fn part(n: usize, most: usize, unit: usize) -> usize {
    n.div_ceil(n.div_ceil(most)).next_multiple_of(unit)
}

/// # Safety
/// The processor has the instruction set of `L` and `tiles`; the pointers of `p` are good for its shape, which is
/// not empty; c overlaps nothing else.
#[inline(always)]
pub(super) unsafe fn drive<F, L, const R: usize, const V: usize>(p: &Product<F>, tiles: &Tiles<F, R, V>)
where
    F: Copy + Zero,
    L: Lanes<F>,
{
    if p.m == 1 && p.b_col == 1 && p.n >= L::N {
        // SAFETY: the caller's promise.
        return unsafe { one_row::<F, L>(p, tiles.rows) };
    }
    let width = V * L::N;
    let k_part = part(p.k, panel_bytes(L::N * size_of::<F>()) / (width * size_of::<F>()), 1);
    let m_part = part(p.m, BLOCK / (k_part * size_of::<F>()), R);
    let (pack_a, pack_b) = (p.a_col != 1, p.b_col != 1 || p.m > FEW_ROWS);
    let room_b = if pack_b { PANELS * width * k_part } else { width * k_part };
    let room_a = if pack_a { m_part * k_part } else { 0 };
    with_room(room_b + room_a, |room: *mut F| {
        for i in (0..p.m).step_by(m_part) {
            for k in (0..p.k).step_by(k_part) {
                let block = Block { i, k, rows: m_part.min(p.m - i), depth: k_part.min(p.k - k), pack_a, pack_b };
                // SAFETY: the caller's promise; the block lies within the product.
                unsafe { block.multiply::<F, L, R, V>(p, tiles, room, room.add(room_b)) };
            }
        }
    });
}

/// Rows `i..` and depths `k..` of a product.
struct Block {
    i: usize,
    k: usize,
    rows: usize,
    depth: usize,
    pack_a: bool,
    pack_b: bool,
}

impl Block {
    /// # Safety
    /// As for [`drive`]; `room_b` and `room_a` have room for the packed panels.
    #[inline(always)]
    unsafe fn multiply<F: Copy + Zero, L: Lanes<F>, const R: usize, const V: usize>(
        &self,
        p: &Product<F>,
        tiles: &Tiles<F, R, V>,
        room_b: *mut F,
        room_a: *mut F,
    ) {
        let width = V * L::N;
        // SAFETY: every offset below is within the block, and so within the arrays of `p` or the room.
        unsafe {
            let a = p.a.offset(self.i as isize * p.a_row + self.k as isize * p.a_col);
            if self.pack_a {
                for r in (0..self.rows).step_by(R) {
                    let from = a.offset(r as isize * p.a_row);
                    let shape = (R.min(self.rows - r), self.depth);
                    pack::columns::<F, R>(from, (p.a_row, p.a_col), shape, room_a.add(r * self.depth));
                }
            }
            for group in (0..p.n).step_by(PANELS * width) {
                let panels = (group..p.n.min(group + PANELS * width)).step_by(width);
                let panel = |j: usize| {
                    let columns = width.min(p.n - j);
                    (columns, columns.div_ceil(L::N))
                };
                // A group is packed as a whole: its rows are neighbours in memory.
                for j in panels.clone() {
                    let (columns, registers) = panel(j);
                    if self.pack_b || columns < registers * L::N {
                        let from = p.b.offset(self.k as isize * p.b_row + j as isize * p.b_col);
                        let at = if self.pack_b { (j - group) * self.depth } else { 0 };
                        let shape = (self.depth, columns, registers * L::N);
                        pack::panel::<F, L, V>(from, (p.b_row, p.b_col), shape, room_b.add(at));
                    }
                }
                for j in panels {
                    let (columns, registers) = panel(j);
                    let rest = columns - (registers - 1) * L::N;
                    let (b, b_row) = if self.pack_b {
                        (room_b.add((j - group) * self.depth).cast_const(), (registers * L::N) as isize)
                    } else if columns < registers * L::N {
                        (room_b.cast_const(), (registers * L::N) as isize)
                    } else {
                        (p.b.offset(self.k as isize * p.b_row + j as isize), p.b_row)
                    };
                    for r in (0..self.rows).step_by(R) {
                        let rows = R.min(self.rows - r);
                        let a = if self.pack_a {
                            room_a.add(r * self.depth).cast_const()
                        } else {
                            a.offset(r as isize * p.a_row)
                        };
                        let c = p.c.offset((self.i + r) as isize * p.c_row).add(j);
                        let (start, start_row) = match (self.k, p.bias.is_null()) {
                            (0, true) => (null(), 0),
                            (0, false) => (p.bias.add(j), 0),
                            _ => (c.cast_const(), p.c_row),
                        };
                        let tile = Tile {
                            k: self.depth,
                            a,
                            a_row: p.a_row,
                            b,
                            b_row,
                            start,
                            start_row,
                            c,
                            c_row: p.c_row,
                            rest,
                        };
                        tiles.tiles[usize::from(self.pack_a)][rows - 1][registers - 1](&tile);
                    }
                }
            }
        }
    }
}

/// One row of c, at least a register wide: b is read where it is, all of k at once.
///
/// # Safety
/// As for [`drive`].
#[inline(always)]
unsafe fn one_row<F: Copy, L: Lanes<F>>(p: &Product<F>, codes: &[RowFn<F>]) {
    let width = codes.len() * L::N;
    for j in (0..p.n).step_by(width) {
        let columns = width.min(p.n - j);
        // The last register ends with the last column, so it may begin before this part.
        let from = if columns < L::N { p.n - L::N } else { j };
        let columns = p.n.min(j + width) - from;
        // SAFETY: columns `from..from + columns` are within the row.
        unsafe {
            let start = if p.bias.is_null() { null() } else { p.bias.add(from) };
            let (b, c) = (p.b.add(from), p.c.add(from));
            let (a_row, b_row) = (p.a_col, p.b_row);
            let tile = Tile { k: p.k, a: p.a, a_row, b, b_row, start, start_row: 0, c, c_row: 0, rest: L::N };
            codes[columns.div_ceil(L::N) - 1](&tile, columns - L::N);
        }
    }
}

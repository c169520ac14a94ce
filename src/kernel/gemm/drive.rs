//! Blocks around the tiles: b in panels and a in blocks that stay in the second-level cache.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;
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

/// The code of an instruction set: tiles of up to `R` rows and `V` registers of columns, tiles of `T` rows and one
/// register, and single rows.
pub(super) struct Tiles<F: 'static, const R: usize, const V: usize, const T: usize> {
    /// For a with its columns side by side, and with its rows side by side.
    pub tiles: [[[TileFn<F>; V]; R]; 2],
    pub tall: [TileFn<F>; 2],
    pub rows: &'static [RowFn<F>],
}

/// Bytes of a panel of b and of a block of a, by the size of a register. Panels stream from the second-level cache, and
/// what a deep one saves is visits to c: 512 rows of the widest, 1024 or 2048 of the others. Panel, block and the group of
/// panels share that cache, which is half as large or less where registers are small.
const fn sizes(register: usize) -> (usize, usize) {
    if register >= 64 { (96 << 10, 272 << 10) } else { (64 << 10, 128 << 10) }
}
/// Bytes of a row of b that are packed at a time: whole cache lines of every row, and few passes over a.
const GROUP: usize = 768;
/// Rows of a that are packed at a time.
const ROWS: usize = 4096;
/// Up to this many rows, packing b costs more than it saves.
const FEW_ROWS: usize = 16;
/// Up to this many bytes of a row of c, packing a or b costs more than it saves, unless their rows collide in the cache.
const NARROW: usize = 512;

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

/// How far apart packed rows of `depth` elements are: strips of eight of them never a power of two of cache lines.
fn apart(depth: usize) -> usize {
    depth.next_multiple_of(4) + 2
}

/// Whether rows this far apart have places all over the cache, rather than share a few.
fn spread<F>(distance: isize) -> bool {
    (distance.unsigned_abs() * size_of::<F>()).trailing_zeros() < 8
}

/// Columns of the transposed rest that are computed at a time: a group of panels in `f32`.
const STRIP: usize = 192;
/// Rows it has at most: a register of the widest and a quarter.
const TURNED: usize = 20;

/// Calls `product` once, or more often where the last columns of c would leave most of a register of `lanes` numbers
/// empty: where rows of a are side by side, they are the rows of the transposed product, which fills it. So are all
/// columns where no more than one register is full.
///
/// # Safety
/// As for [`drive`]; `lanes` are at most 16.
pub(super) unsafe fn turn_rest<F: Copy + Zero>(p: &Product<F>, lanes: usize, product: unsafe fn(&Product<F>)) {
    let rest = p.n % lanes;
    let turns = p.a_row == 1 && p.a_col != 1 && p.bias.is_null() && rest > 0 && 4 * rest <= lanes;
    let columns = if p.n < 2 * lanes { 0 } else { p.n - rest };
    let rest = p.n - columns;
    // SAFETY: the caller's promise; columns `columns..` of c are rows of `turned`.
    unsafe {
        if !turns {
            return product(p);
        }
        if columns > 0 {
            product(&Product { n: columns, ..*p });
        }
        let mut turned = [const { MaybeUninit::uninit() }; TURNED * STRIP];
        for from in (0..p.m).step_by(STRIP) {
            let m = STRIP.min(p.m - from);
            let (a, b, c) = (p.b.offset(columns as isize * p.b_col), p.a.add(from), turned.as_mut_ptr().cast());
            let (a_row, a_col, b_row, b_col, c_row) = (p.b_col, p.b_row, p.a_col, 1, m as isize);
            product(&Product { m: rest, n: m, a, a_row, a_col, b, b_row, b_col, c, c_row, ..*p });
            for i in 0..m {
                let row = p.c.offset((from + i) as isize * p.c_row).add(columns);
                (0..rest).for_each(|j| *row.add(j) = turned[j * m + i].assume_init());
            }
        }
    }
}

/// # Safety
/// The processor has the instruction set of `L` and `tiles`; the pointers of `p` are good for its shape, which is
/// not empty; c overlaps nothing else.
#[inline(always)]
pub(super) unsafe fn drive<F, L, const R: usize, const V: usize, const T: usize>(
    p: &Product<F>,
    tiles: &Tiles<F, R, V, T>,
) where
    F: Copy + Zero,
    L: Lanes<F>,
{
    if p.m == 1 && p.b_col == 1 && p.n >= L::N {
        // SAFETY: the caller's promise.
        return unsafe { one_row::<F, L>(p, tiles.rows) };
    }
    let width = V * L::N;
    let narrow = p.n * size_of::<F>() <= NARROW;
    let by_column = p.a_col != 1;
    let pack_a = !narrow || (by_column && !(p.a_row == 1 && spread::<F>(p.a_col)));
    // In place, a row of a panel touches one more cache line, which is little for a wide one.
    let wide = width * size_of::<F>() >= 3 * 64;
    let collides = p.m > R && !spread::<F>(p.b_row);
    let pack_b = p.b_col != 1 || collides || (p.m > FEW_ROWS && !(wide && narrow && spread::<F>(p.b_row)));
    let row_bytes = width * size_of::<F>() + if pack_b { 0 } else { 64 };
    const { assert!((GROUP / size_of::<F>()).is_multiple_of(V * L::N), "a group is whole panels") };
    let (panel, _) = sizes(L::N * size_of::<F>());
    let depth = part(p.k, panel / row_bytes, 1);
    let room_b = if pack_b { GROUP / size_of::<F>() * depth } else { width * depth };
    let room_a = if pack_a { p.m.min(ROWS).next_multiple_of(R) * apart(depth) } else { 0 };
    with_room(room_b + room_a, |room: *mut F| {
        for i in (0..p.m).step_by(ROWS) {
            for k in (0..p.k).step_by(depth) {
                let slab = Slab { i, k, rows: ROWS.min(p.m - i), depth: depth.min(p.k - k), by_column, pack_a, pack_b };
                // SAFETY: the caller's promise; the slab lies within the product.
                unsafe { slab.multiply::<F, L, R, V, T>(p, tiles, room, room.add(room_b)) };
            }
        }
    });
}

/// Rows `i..` and depths `k..` of a product.
struct Slab {
    i: usize,
    k: usize,
    rows: usize,
    depth: usize,
    by_column: bool,
    pack_a: bool,
    pack_b: bool,
}

impl Slab {
    /// # Safety
    /// As for [`drive`]; `room_b` and `room_a` have room for what is packed.
    #[inline(always)]
    unsafe fn multiply<F: Copy + Zero, L: Lanes<F>, const R: usize, const V: usize, const T: usize>(
        &self,
        p: &Product<F>,
        tiles: &Tiles<F, R, V, T>,
        room_b: *mut F,
        room_a: *mut F,
    ) {
        let (width, group) = (V * L::N, GROUP / size_of::<F>());
        let (_, block) = sizes(L::N * size_of::<F>());
        let block = part(self.rows, block / (self.depth * size_of::<F>()), R);
        // SAFETY: every offset below is within the slab, and so within the arrays of `p` or the room.
        unsafe {
            let a = self.rows_of_a::<F, R>(p, block, room_a);
            for first in (0..p.n).step_by(group) {
                let columns = group.min(p.n - first);
                let b = p.b.offset(self.k as isize * p.b_row + first as isize * p.b_col);
                let last = (columns - 1) / width * width;
                if self.pack_b {
                    pack::panels::<F, L, V>(b, (p.b_row, p.b_col), (self.depth, columns), room_b);
                } else if !columns.is_multiple_of(L::N) {
                    // Tiles read whole registers of b.
                    pack::panels::<F, L, V>(b.add(last), (p.b_row, 1), (self.depth, columns - last), room_b);
                }
                for from in (0..self.rows).step_by(block) {
                    for j in (0..columns).step_by(width) {
                        let columns = width.min(columns - j);
                        let padded = columns.next_multiple_of(L::N);
                        let b = if self.pack_b {
                            (room_b.add(j * self.depth).cast_const(), padded as isize)
                        } else if columns < padded {
                            (room_b.cast_const(), padded as isize)
                        } else {
                            (b.add(j), p.b_row)
                        };
                        let rows = from..self.rows.min(from + block);
                        self.panel::<F, L, R, V, T>(p, tiles, a, b, rows, first + j..first + j + columns);
                    }
                }
            }
        }
    }

    /// Where the tiles read a, packed or not, with the distance of its rows and that of what a tile reads one after
    /// another.
    ///
    /// # Safety
    /// As for [`multiply`](Self::multiply).
    #[inline(always)]
    unsafe fn rows_of_a<F: Copy, const R: usize>(
        &self,
        p: &Product<F>,
        block: usize,
        room: *mut F,
    ) -> (*const F, isize, isize) {
        let apart = apart(self.depth);
        // SAFETY: the caller's promise.
        unsafe {
            let a = p.a.offset(self.i as isize * p.a_row + self.k as isize * p.a_col);
            match (self.pack_a, self.by_column) {
                (false, true) => (a, p.a_row, p.a_col),
                (false, false) => (a, p.a_row, p.a_row),
                (true, false) => {
                    pack::rows(a, p.a_row, (self.rows, self.depth), (room, apart));
                    (room, apart as isize, apart as isize)
                }
                (true, true) => {
                    // Block by block, so that the strips that are written at a time are few.
                    for from in (0..self.rows).step_by(block) {
                        let (a, to) = (a.offset(from as isize * p.a_row), room.add(from * apart));
                        let rows = block.min(self.rows - from);
                        pack::columns::<F, R>(a, (p.a_row, p.a_col), (rows, self.depth), (to, apart));
                    }
                    (room, apart as isize, R as isize)
                }
            }
        }
    }

    /// The tiles of some rows of the slab and of the columns of a panel.
    ///
    /// # Safety
    /// As for [`drive`]; a and b are the slab's and the panel's, packed or not, with the distance of their rows.
    #[inline(always)]
    unsafe fn panel<F: Copy + Zero, L: Lanes<F>, const R: usize, const V: usize, const T: usize>(
        &self,
        p: &Product<F>,
        tiles: &Tiles<F, R, V, T>,
        (a, a_row, a_step): (*const F, isize, isize),
        (b, b_row): (*const F, isize),
        rows: Range<usize>,
        columns: Range<usize>,
    ) {
        let registers = columns.len().div_ceil(L::N);
        let rest = columns.len() - (registers - 1) * L::N;
        let by_column = usize::from(self.by_column);
        let strips = self.pack_a && self.by_column;
        let code = |height: usize| tiles.tiles[by_column][height - 1][registers - 1];
        // Each with a divisor that the compiler knows.
        let (most, main, (whole, low)) = match registers {
            _ if strips => (R, code(R), (rows.len() / R, [rows.len() % R, 0])),
            1 => (T, tiles.tall[by_column], heights(rows.len(), T, R)),
            _ => (R, code(R), heights(rows.len(), R, R)),
        };
        let mut r = rows.start;
        let mut tile = |height: usize, code: TileFn<F>| {
            // SAFETY: the tile lies within the slab.
            unsafe {
                let c = p.c.offset((self.i + r) as isize * p.c_row).add(columns.start);
                let (start, start_row) = match (self.k, p.bias.is_null()) {
                    (0, true) => (null(), 0),
                    (0, false) => (p.bias.add(columns.start), 0),
                    _ => (c.cast_const(), p.c_row),
                };
                let a = a.offset(r as isize * a_row);
                code(&Tile { k: self.depth, a, a_step, b, b_row, start, start_row, c, c_row: p.c_row, rest });
            }
            r += height;
        };
        (0..whole).for_each(|_| tile(most, main));
        low.into_iter().filter(|&height| height > 0).for_each(|height| tile(height, code(height)));
    }
}

/// `n` rows as tiles of `most` and the heights of the last two, 0 where there is none. Two of nearly the same height and
/// no low one, which would leave multipliers idle; none is higher than `full`.
#[inline(always)]
fn heights(n: usize, most: usize, full: usize) -> (usize, [usize; 2]) {
    let (mut whole, mut rest) = (n / most, n % most);
    if rest > 0 && most == full && whole > 0 {
        (whole, rest) = (whole - 1, rest + most);
    }
    if rest > full { (whole, [rest.div_ceil(2), rest / 2]) } else { (whole, [rest, 0]) }
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
            let (a_step, b_row) = (p.a_col, p.b_row);
            let tile = Tile { k: p.k, a: p.a, a_step, b, b_row, start, start_row: 0, c, c_row: 0, rest: L::N };
            codes[columns.div_ceil(L::N) - 1](&tile, columns - L::N);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::heights;

    #[test]
    fn tiles_take_every_row_and_none_is_low_beside_a_full_one() {
        for (most, full) in [(6, 6), (8, 8), (12, 6)] {
            for n in 1..100 {
                let (whole, [a, b]) = heights(n, most, full);
                assert_eq!(whole * most + a + b, n);
                assert!(a <= full && (b == 0 || a - b <= 1), "{n} of {most}: {whole}, {a}, {b}");
                assert!(a + b == 0 || a + b >= full || whole == 0 || most > full, "{n} of {most}: {whole}, {a}, {b}");
            }
        }
        assert_eq!(heights(128, 6, 6), (20, [4, 4]));
        assert_eq!(heights(128, 12, 6), (10, [4, 4]));
        assert_eq!(heights(12, 6, 6), (2, [0, 0]));
        assert_eq!(heights(5, 6, 6), (0, [5, 0]));
    }
}

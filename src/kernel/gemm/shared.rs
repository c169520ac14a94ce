//! One product whose operands several threads pack and multiply together.
//!
//! The threads take tasks from one queue, more than there are threads: to pack some rows of a or some columns of b for a
//! block of k, or to multiply a block of rows with a block of columns. What is packed is packed once and read by all; where
//! a block has all rows, the task packs its columns of b itself, in its own cache. There are two buffers, so that the next
//! block of k is packed while this one is multiplied:
//!
//! ```text
//! pack 0 | multiply 0, pack 1 in its middle | multiply 1, pack 2 in its middle | …
//! ```
//!
//! A task may need others that come before it in the queue. Whoever takes one waits for them: they have been taken, by
//! threads that wait for nothing later, so that somebody always goes on. In this order there is hardly ever a wait.

use std::hint::spin_loop;
use std::ops::Range;
use std::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::thread::yield_now;

use super::Problem;
use super::blocking::{Blocks, MP, MicroKernels, RankUpdate, block_size};
use super::dispatch::Code;
use super::pack::{pack_a_panels, pack_a_row_major, pack_b, packed_lda, with_shared_workspace, with_workspace};
use super::registers::Register;
use crate::kernel::threads;
use crate::scalar::Scalar;

/// NP: columns of b that are packed at a time.
const NP: usize = 4096;
/// Rows of a that a task packs.
const PACKED_ROWS: usize = 48;
/// The fewest rows that a task multiplies: they stand for the reading of a whole micro-panel of b.
const MIN_ROWS: usize = 32;
/// What a task reads costs as much as so many multiplications, for each element.
const READ: usize = 16;
/// How often a thread looks before it lets others run.
const LOOKS: usize = 200;

/// What one thread does at a time. Phases are blocks of k; the others are numbers of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    PackA { phase: usize, rows: usize },
    PackB { phase: usize, columns: usize },
    Multiply { phase: usize, rows: usize, columns: usize },
}

/// The tasks, and their order.
#[derive(Debug, Clone, Copy)]
struct Queue {
    phases: usize,
    /// Tasks that pack a and b for a phase. Where one task multiplies all rows of a block of columns, it packs b itself, in
    /// its own cache, and none does it here.
    packs_of_a: usize,
    packs_of_b: usize,
    /// Blocks of rows and of columns that are multiplied.
    row_blocks: usize,
    column_blocks: usize,
}

impl Queue {
    /// How many tasks pack a phase.
    fn packs(&self) -> usize {
        self.packs_of_a + self.packs_of_b
    }

    /// How many multiply it.
    fn tiles(&self) -> usize {
        self.row_blocks * self.column_blocks
    }

    fn get(&self, ticket: usize) -> Option<Task> {
        let (packs, tiles) = (self.packs(), self.tiles());
        let Some(ticket) = ticket.checked_sub(packs) else { return Some(self.pack(0, ticket)) };
        let (phase, ticket) = (ticket / (packs + tiles), ticket % (packs + tiles));
        let packs = if phase + 1 < self.phases { packs } else { 0 };
        if phase >= self.phases || ticket >= packs + tiles {
            return None;
        }
        Some(match ticket {
            tile if tile < tiles / 2 => self.multiply(phase, tile),
            pack if pack < tiles / 2 + packs => self.pack(phase + 1, pack - tiles / 2),
            tile => self.multiply(phase, tile - packs),
        })
    }

    fn pack(&self, phase: usize, number: usize) -> Task {
        match number.checked_sub(self.packs_of_a) {
            None => Task::PackA { phase, rows: number },
            Some(columns) => Task::PackB { phase, columns },
        }
    }

    fn multiply(&self, phase: usize, number: usize) -> Task {
        Task::Multiply { phase, rows: number / self.column_blocks, columns: number % self.column_blocks }
    }
}

/// A product, or as much of it as is packed at a time, that several threads share.
pub(super) struct Shared<F> {
    p: Problem<F>,
    blocks: Blocks,
    tile: Tile,
    /// Two buffers, with `a_length` elements for a and after them `b_length` for b.
    packed: *mut F,
    a_length: usize,
    b_length: usize,
}

// SAFETY: of the pointers only those to c and to what is packed are written to, by tasks of which no two at a time touch
// the same element.
unsafe impl<F: Sync> Sync for Shared<F> {}

/// `c = bias + a b` on so many threads.
///
/// # Safety
/// As for [`Code`].
pub(super) unsafe fn shared_gemm<F: Scalar>(code: &'static Code<F>, p: &Problem<F>, threads: usize) {
    for i in (0..p.m).step_by(MP) {
        for j in (0..p.n).step_by(NP) {
            let part = p.rows(i, MP.min(p.m - i)).columns(j, NP.min(p.n - j));
            // SAFETY: the caller's promise; the part lies within the problem.
            unsafe { Shared::multiply(code, &part, threads) };
        }
    }
}

impl<F: Scalar> Shared<F> {
    /// # Safety
    /// As for [`shared_gemm`].
    unsafe fn multiply(code: &'static Code<F>, p: &Problem<F>, threads: usize) {
        let blocks = (code.blocks)(p.k);
        let tile = Tile::of(&blocks, p, threads);
        let queue = tile.queue(&blocks, p);
        let a_length = p.m.next_multiple_of(blocks.mr) * packed_lda(blocks.kc);
        let b_length = if queue.packs_of_b > 0 { p.n.next_multiple_of(blocks.nr) * blocks.kc } else { 0 };
        let counters = (queue.tiles() * size_of::<AtomicU32>()).div_ceil(size_of::<F>());
        with_shared_workspace(2 * (a_length + b_length) + counters, |packed: *mut F| {
            // SAFETY: the workspace has room behind the buffers; an element is aligned as a counter is, or more.
            let tiles = unsafe {
                let counters = packed.add(2 * (a_length + b_length)).cast::<AtomicU32>();
                (0..queue.tiles()).for_each(|i| counters.add(i).write(AtomicU32::new(0)));
                std::slice::from_raw_parts(counters, queue.tiles())
            };
            let shared = Self { p: *p, blocks, tile, packed, a_length, b_length };
            let (next, progress) = (AtomicUsize::new(0), Progress { tiles, ..Progress::default() });
            threads::parallel_for(0..threads, |_| {
                while let Some(task) = queue.get(next.fetch_add(1, Relaxed)) {
                    progress.await_before(&queue, task);
                    // SAFETY: the caller's promise; what the task needs has been done.
                    unsafe { (code.task)(&shared, task) };
                    progress.done(&queue, task);
                }
            });
        });
    }

    /// Does a task.
    ///
    /// # Safety
    /// The processor has the instruction set of `V` and `kernels`, for which the blocks were made. What the task needs is
    /// done, and nobody else does it.
    #[inline(always)]
    pub(super) unsafe fn run<V: Register<Elem = F>, const MR: usize, const NV: usize, const TALL: usize>(
        &self,
        kernels: &MicroKernels<F, MR, NV, TALL>,
        task: Task,
    ) {
        let (p, lda) = (&self.p, packed_lda(self.blocks.kc));
        let (Task::PackA { phase, .. } | Task::PackB { phase, .. } | Task::Multiply { phase, .. }) = task;
        let pc = phase * self.blocks.kc;
        let kc = self.blocks.kc.min(p.k - pc);
        // SAFETY: rows, columns and phases are within the problem, and the buffers have room for all of them.
        unsafe {
            let packed_a = self.packed.add(phase % 2 * (self.a_length + self.b_length));
            let packed_b = packed_a.add(self.a_length);
            match task {
                Task::PackA { rows, .. } => {
                    let Range { start, end } = block(rows, self.tile.packed_rows, p.m);
                    let a = p.a.offset(start as isize * p.rs_a + pc as isize * p.cs_a);
                    let (size, to) = ((end - start, kc), (packed_a.add(start * lda), lda));
                    if p.cs_a == 1 {
                        pack_a_row_major(a, p.rs_a, size, to);
                    } else {
                        pack_a_panels::<F, MR>(a, (p.rs_a, p.cs_a), size, to);
                    }
                }
                Task::PackB { columns, .. } => {
                    let columns = block(columns, self.tile.columns, p.n);
                    self.pack_b::<V, NV>(pc, kc, &columns, packed_b.add(columns.start * kc));
                }
                Task::Multiply { rows, columns, .. } => {
                    let a_by_column = p.cs_a != 1;
                    let update = RankUpdate { i: 0, pc, rows: p.m, kc, a_by_column, pack_a: true, pack_b: true };
                    let a = (packed_a.cast_const(), lda as isize, if a_by_column { MR } else { lda } as isize);
                    let (rows, columns) = (block(rows, self.tile.rows, p.m), block(columns, self.tile.columns, p.n));
                    if self.b_length > 0 {
                        let b = packed_b.add(columns.start * kc).cast_const();
                        update.block::<V, MR, NV, TALL>(p, kernels, a, b, self.blocks.mc, (rows, columns));
                    } else {
                        with_workspace(self.tile.columns * kc, |packed_b: *mut F| {
                            self.pack_b::<V, NV>(pc, kc, &columns, packed_b);
                            update.block::<V, MR, NV, TALL>(p, kernels, a, packed_b, self.blocks.mc, (rows, columns));
                        });
                    }
                }
            }
        }
    }

    /// # Safety
    /// As for [`run`](Self::run); `to` has room.
    #[inline(always)]
    unsafe fn pack_b<V: Register<Elem = F>, const NV: usize>(
        &self,
        pc: usize,
        kc: usize,
        columns: &Range<usize>,
        to: *mut F,
    ) {
        let p = &self.p;
        // SAFETY: the caller's promise.
        unsafe {
            let b = p.b.offset(pc as isize * p.rs_b + columns.start as isize * p.cs_b);
            pack_b::<V, NV>(b, (p.rs_b, p.cs_b), (kc, columns.len()), to);
        }
    }
}

/// Block `number` of a length.
fn block(number: usize, size: usize, length: usize) -> Range<usize> {
    number * size..length.min((number + 1) * size)
}

/// How many rows and columns a task multiplies, and how many rows it packs.
#[derive(Debug, Clone, Copy)]
struct Tile {
    rows: usize,
    columns: usize,
    packed_rows: usize,
}

impl Tile {
    /// The one with which so many threads are ready first. The last tasks end half a task apart.
    fn of<F>(blocks: &Blocks, p: &Problem<F>, threads: usize) -> Self {
        let &Blocks { mr, nr, kc, nc, .. } = blocks;
        let phases = p.k.div_ceil(kc);
        let most = (p.m / MIN_ROWS).clamp(1, 2 * threads);
        let rows = (1..=most).map(|count| p.m.div_ceil(count).next_multiple_of(mr));
        let all = rows.flat_map(|rows| (nr..=nc).step_by(nr).map(move |columns| (rows, columns)));
        let time = |&(rows, columns): &(usize, usize)| {
            let tasks = p.m.div_ceil(rows) * p.n.div_ceil(columns) * phases;
            (2 * tasks.div_ceil(threads) + 1) * (rows * columns + READ * (rows + columns))
        };
        let (rows, columns) = all.min_by_key(time).expect("there is at least one");
        Self { rows, columns: block_size(p.n, columns, nr), packed_rows: PACKED_ROWS.next_multiple_of(mr) }
    }

    fn queue<F>(&self, blocks: &Blocks, p: &Problem<F>) -> Queue {
        let (row_blocks, column_blocks) = (p.m.div_ceil(self.rows), p.n.div_ceil(self.columns));
        Queue {
            phases: p.k.div_ceil(blocks.kc),
            packs_of_a: p.m.div_ceil(self.packed_rows),
            packs_of_b: if row_blocks > 1 { column_blocks } else { 0 },
            row_blocks,
            column_blocks,
        }
    }
}

/// What has been done of a queue.
#[derive(Default)]
struct Progress<'a> {
    /// Tasks that packed, of all phases: no phase begins before the one before it is packed.
    packed: AtomicUsize,
    /// Tasks that multiplied in even and in odd phases: none begins before the phase two before it is done.
    multiplied: [AtomicUsize; 2],
    /// How many phases each block of c has.
    tiles: &'a [AtomicU32],
}

impl Progress<'_> {
    /// Waits for what `task` needs.
    fn await_before(&self, queue: &Queue, task: Task) {
        match task {
            Task::PackA { phase, .. } | Task::PackB { phase, .. } => {
                wait(&self.packed, phase * queue.packs());
                // Its buffer is that of the phase two before it.
                wait(&self.multiplied[phase % 2], phase / 2 * queue.tiles());
            }
            Task::Multiply { phase, rows, columns } => {
                wait(&self.packed, (phase + 1) * queue.packs());
                let tile = &self.tiles[rows * queue.column_blocks + columns];
                wait_until(|| tile.load(Acquire) as usize == phase);
            }
        }
    }

    fn done(&self, queue: &Queue, task: Task) {
        match task {
            Task::PackA { .. } | Task::PackB { .. } => _ = self.packed.fetch_add(1, Release),
            Task::Multiply { phase, rows, columns } => {
                self.tiles[rows * queue.column_blocks + columns].store(phase as u32 + 1, Release);
                self.multiplied[phase % 2].fetch_add(1, Release);
            }
        }
    }
}

fn wait(count: &AtomicUsize, least: usize) {
    wait_until(|| count.load(Acquire) >= least);
}

fn wait_until(is_so: impl Fn() -> bool) {
    let mut looks = 0;
    while !is_so() {
        looks += 1;
        if looks < LOOKS { spin_loop() } else { yield_now() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ndarray::{Array, Array2};

    use super::*;
    use crate::kernel::gemm::dispatch::code;
    use crate::kernel::gemm::{Problem, product_at};
    use crate::kernel::simd::Level;
    use crate::kernel::threads::on_three_threads;

    #[test]
    fn every_task_comes_once_and_after_what_it_needs() {
        for (phases, row_blocks, column_blocks) in [(1, 1, 1), (2, 1, 1), (3, 1, 2), (5, 3, 4), (4, 7, 1)] {
            let (packs_of_a, packs_of_b) = (row_blocks + 2, if row_blocks > 1 { column_blocks } else { 0 });
            let queue = Queue { phases, packs_of_a, packs_of_b, row_blocks, column_blocks };
            let tasks: Vec<_> = (0..).map_while(|ticket| queue.get(ticket)).collect();
            assert_eq!(tasks.len(), phases * (queue.packs() + queue.tiles()));
            assert!((0..9).all(|more| queue.get(tasks.len() + more).is_none()));
            let at =
                |task| tasks.iter().position(|&other| other == task).unwrap_or_else(|| panic!("{task:?} is missing"));
            for (here, &task) in tasks.iter().enumerate() {
                let earlier: Vec<Task> = match task {
                    Task::PackA { phase, .. } | Task::PackB { phase, .. } => {
                        let packs = (phase > 0).then(|| (0..queue.packs()).map(|i| queue.pack(phase - 1, i)));
                        let tiles = (phase > 1).then(|| (0..queue.tiles()).map(|i| queue.multiply(phase - 2, i)));
                        packs.into_iter().flatten().chain(tiles.into_iter().flatten()).collect()
                    }
                    Task::Multiply { phase, rows, columns } => {
                        let same = (phase > 0).then(|| Task::Multiply { phase: phase - 1, rows, columns });
                        (0..queue.packs()).map(|i| queue.pack(phase, i)).chain(same).collect()
                    }
                };
                assert!(earlier.into_iter().all(|task| at(task) < here), "{task:?}");
            }
            let different: HashSet<_> = tasks.iter().map(|task| format!("{task:?}")).collect();
            assert_eq!(different.len(), tasks.len());
        }
    }

    fn numbers<F: Scalar>(shape: (usize, usize), seed: usize) -> Array2<F> {
        Array::from_shape_fn(shape, |(i, j)| F::of(((i * 7919 + j * 127 + seed) % 2003) as f64 / 1000.0 - 1.0))
    }

    /// Several phases, and blocks of c that are cut at both edges; more threads than there are processors.
    fn shares_like_one<F: Scalar>(level: Level) {
        for (m, k, n) in [(1, 1, 1), (45, 1100, 61), (140, 90, 300), (70, 4200, 50), (4100, 3, 4120)] {
            let (a, b, bias) = (numbers::<F>((m, k), 1), numbers::<F>((k, n), 2), numbers::<F>((1, n), 3));
            let column_major = |x: &Array2<F>| x.t().as_standard_layout().into_owned();
            let (a_t, b_t) = (column_major(&a), column_major(&b));
            for (a, b) in [(a.view(), b.view()), (a_t.t(), b.view()), (a.view(), b_t.t())] {
                let (mut one, mut shared) = (Array2::zeros((m, n)), Array2::from_elem((m, n), F::nan()));
                product_at(level, &a, &b, bias.as_slice(), &mut one);
                let (rs_a, cs_a, rs_b, cs_b) = (a.strides()[0], a.strides()[1], b.strides()[0], b.strides()[1]);
                let (a, b, c, bias, ldc) = (a.as_ptr(), b.as_ptr(), shared.as_mut_ptr(), bias.as_ptr(), n as isize);
                let p = Problem { m, n, k, a, rs_a, cs_a, b, rs_b, cs_b, c, ldc, bias };
                // SAFETY: the arrays live, and their shapes fit.
                on_three_threads(|| unsafe { shared_gemm(code(level), &p, 3) });
                assert_eq!(shared, one, "{level:?} {m} {k} {n} {rs_a} {cs_a} {rs_b} {cs_b}");
            }
        }
    }

    #[test]
    fn a_shared_product_has_the_bits_of_one_thread() {
        for level in Level::all() {
            shares_like_one::<f32>(level);
            shares_like_one::<f64>(level);
        }
    }
}

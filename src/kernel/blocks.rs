//! Long arrays in blocks: small ones that stay in the cache, larger ones for the threads.

use ndarray::{ArrayRef2, ArrayView2, ArrayViewMut2, Axis};

use super::{threads, vectorize};
use crate::scalar::Scalar;

/// Elements of a block: a block of everything a rule touches stays in the cache.
pub(crate) const CACHE_BLOCK: usize = 2048;
/// Elements a thread takes at a time; twice as many pay for a second thread.
pub(crate) const GRAIN: usize = 32 * CACHE_BLOCK;
/// The same for arrays that several threads have just written, each some of it.
pub(crate) const SHARED_GRAIN: usize = 8 * CACHE_BLOCK;
/// Elements from which a second thread pays.
pub(super) const PARALLEL_THRESHOLD: usize = 2 * GRAIN;
/// The most slots an update rule may have.
pub(crate) const MAX_SLOTS: usize = 8;

/// The same range of a parameter, of its gradient and of its slots.
struct Block<'a, F> {
    param: &'a mut [F],
    grad: &'a [F],
    slots: [&'a mut [F]; MAX_SLOTS],
}

impl<'a, F> Block<'a, F> {
    /// Splits off the first `length` elements, or all there are; `None` where nothing is left.
    fn split_off(&mut self, length: usize) -> Option<Self> {
        let length = length.min(self.param.len());
        let grad = self.grad.split_off(..length)?;
        let slots = self.slots.each_mut().map(|slot| slot.split_off_mut(..length.min(slot.len())).unwrap_or_default());
        (length > 0).then_some(Self { param: self.param.split_off_mut(..length)?, grad, slots })
    }

    fn for_each_block(mut self, size: usize, count: usize, pass: impl Fn(&mut [F], &[F], &mut [&mut [F]])) {
        while let Some(mut block) = self.split_off(size) {
            pass(block.param, block.grad, &mut block.slots[..count]);
        }
    }
}

/// The blocks of at most so many elements, from either end.
struct Parts<'a, F> {
    rest: Block<'a, F>,
    grain: usize,
}

impl<'a, F> Iterator for Parts<'a, F> {
    type Item = Block<'a, F>;

    fn next(&mut self) -> Option<Block<'a, F>> {
        self.rest.split_off(self.grain)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let parts = self.rest.param.len().div_ceil(self.grain);
        (parts, Some(parts))
    }
}

impl<F> DoubleEndedIterator for Parts<'_, F> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let last = self.rest.param.len().checked_sub(1)? / self.grain * self.grain;
        if last == 0 {
            return self.next();
        }
        let before = self.rest.split_off(last)?;
        Some(std::mem::replace(&mut self.rest, before))
    }
}

/// Runs `pass(param, grad, slots)` on blocks of at most `size` elements, of which a thread takes `grain` at a time; `slots`
/// holds `count` slots as long as the parameter, one after another.
pub(crate) fn for_each_block<F: Scalar>(
    (size, grain): (usize, usize),
    param: &mut [F],
    grad: &[F],
    slots: &mut [F],
    count: usize,
    pass: impl Fn(&mut [F], &[F], &mut [&mut [F]]) + Sync,
) {
    let length = param.len();
    assert_eq!(
        (grad.len(), slots.len()),
        (length, count * length),
        "a parameter, its gradient and slots differ in length"
    );
    let mut all = Block { param, grad, slots: Default::default() };
    for (all, slot) in all.slots.iter_mut().zip(slots.chunks_exact_mut(length.max(1))) {
        *all = slot;
    }
    if length < 2 * grain {
        all.for_each_block(size, count, pass);
    } else {
        // What comes after the head is aligned to a cache line.
        if let Some(head) = all.split_off(all.param.as_ptr().align_offset(64)) {
            head.for_each_block(size, count, &pass);
        }
        let parts = Parts { rest: all, grain };
        threads::parallel_for_from_both_ends(parts, |part| part.for_each_block(size, count, &pass));
    }
}

/// Runs `f` on every `(a[i], b[i])`, with the best instruction set this processor has.
#[inline(always)]
pub(crate) fn zip_mut<F: Scalar>(a: &mut [F], b: &mut [F], f: impl Fn(&mut F, &mut F) + Sync) {
    let pass = |a: &mut [F], b: &mut [F]| {
        let f = &f;
        vectorize(
            #[inline(always)]
            move || a.iter_mut().zip(b).for_each(|(a, b)| f(a, b)),
        );
    };
    if a.len() < PARALLEL_THRESHOLD {
        pass(a, b);
    } else {
        threads::parallel_for(a.chunks_mut(GRAIN).zip(b.chunks_mut(GRAIN)), |(a, b)| pass(a, b));
    }
}

/// Runs `pass(i, from, part)` on every part of several arrays that other threads have just written: the elements from `from`
/// on of array number `i`.
pub(crate) fn for_each_part<'a, F: Scalar>(
    arrays: impl DoubleEndedIterator<Item = &'a mut [F]> + ExactSizeIterator + Send,
    pass: impl Fn(usize, usize, &mut [F]) + Sync,
) {
    let parts = arrays.enumerate().flat_map(|(i, array)| {
        let parts = array.chunks_mut(SHARED_GRAIN).enumerate();
        parts.map(move |(part, elements)| (i, part * SHARED_GRAIN, elements))
    });
    threads::parallel_for_from_both_ends(parts, |(i, from, part)| pass(i, from, part));
}

/// Rows of a chunk in prediction: its activations stay in the cache.
pub(crate) const ROW_CHUNK: usize = 256;

/// Numbers in and out from which other threads take chunks. With fewer only wide layers are worth a second thread, and
/// their products are shared within each chunk.
const SHARED_ROWS: usize = 16 << 10;

/// Runs `pass(rows, output)` on chunks of rows. The chunks do not depend on the number of threads.
pub(crate) fn for_each_row_chunk<F: Scalar>(
    rows: &ArrayRef2<F>,
    output: &mut ArrayRef2<F>,
    pass: &(dyn Fn(ArrayView2<'_, F>, ArrayViewMut2<'_, F>) + Sync),
) {
    let numbers = rows.len() + output.len();
    let chunks = rows.axis_chunks_iter(Axis(0), ROW_CHUNK).zip(output.axis_chunks_iter_mut(Axis(0), ROW_CHUNK));
    if chunks.len() > 1 && numbers >= SHARED_ROWS {
        threads::parallel_for(chunks, |(rows, output)| pass(rows, output));
    } else {
        chunks.for_each(|(rows, output)| pass(rows, output));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::threads::on_three_threads;

    #[test]
    fn for_each_part_passes_every_element_of_every_array_once() {
        let mut arrays = [0, 1, SHARED_GRAIN, 2 * SHARED_GRAIN + 5].map(|length| vec![0.0_f64; length]);
        on_three_threads(|| {
            for_each_part(arrays.iter_mut().map(Vec::as_mut_slice), |i, from, part| {
                part.iter_mut().enumerate().for_each(|(j, x)| *x += (i * 1_000_000 + from + j) as f64);
            });
        });
        for (i, array) in arrays.iter().enumerate() {
            assert!(array.iter().enumerate().all(|(j, &x)| x == (i * 1_000_000 + j) as f64), "array {i}");
        }
    }

    #[test]
    fn for_each_block_passes_every_element_once_with_its_gradient_and_slots() {
        for length in [
            0,
            1,
            CACHE_BLOCK - 1,
            CACHE_BLOCK,
            CACHE_BLOCK + 1,
            PARALLEL_THRESHOLD - 1,
            PARALLEL_THRESHOLD,
            5 * GRAIN + 3,
        ] {
            let mut param = vec![0.0; length];
            let grad: Vec<f64> = (0..length).map(|i| i as f64).collect();
            let mut slots: Vec<f64> = (0..2 * length).map(|i| i as f64).collect();
            for_each_block((CACHE_BLOCK, GRAIN), &mut param, &grad, &mut slots, 2, |param, grad, slots| {
                assert!(param.len() <= CACHE_BLOCK && slots.len() == 2);
                for i in 0..param.len() {
                    param[i] += grad[i] + slots[0][i] + slots[1][i];
                    slots[1][i] = -1.0;
                }
            });
            for (i, p) in param.iter().enumerate() {
                assert_eq!(*p, (3 * i + length) as f64);
            }
            assert!(slots[length..].iter().all(|&s| s == -1.0));
            assert!(slots[..length].iter().zip(&grad).all(|(s, g)| s == g));
        }
    }

    #[test]
    fn a_rule_without_slots_gets_none() {
        for_each_block((CACHE_BLOCK, GRAIN), &mut [1.0_f32], &[2.0], &mut [], 0, |_, _, slots| {
            assert!(slots.is_empty())
        });
    }

    #[test]
    fn zip_mut_passes_every_pair_once() {
        for length in [0, 1, PARALLEL_THRESHOLD - 1, PARALLEL_THRESHOLD, 5 * GRAIN + 3] {
            let (mut a, mut b): (Vec<f64>, Vec<f64>) = (0..length).map(|i| (i as f64, 0.5)).unzip();
            on_three_threads(|| zip_mut(&mut a, &mut b, |a, b| (*a, *b) = (*a + *b, *b + *a)));
            assert!(a.iter().zip(&b).enumerate().all(|(i, (a, b))| *a == i as f64 + 0.5 && a == b), "{length}");
        }
    }

    #[test]
    fn for_each_row_chunk_passes_every_row_once() {
        for rows in [0, 1, ROW_CHUNK, ROW_CHUNK + 1, 5 * ROW_CHUNK + 7, SHARED_ROWS / 6, SHARED_ROWS] {
            let input = ndarray::Array2::from_shape_fn((rows, 3), |(i, j)| (3 * i + j) as f64);
            let mut output = ndarray::Array2::zeros((rows, 3));
            for_each_row_chunk(&input, &mut output, &|rows, mut output| output += &rows);
            assert_eq!(output, input);
        }
    }
}

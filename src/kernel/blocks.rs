//! One pass over memory: a parameter, its gradient and its state, block by block.

use crate::scalar::Scalar;

/// Elements a block: a block of everything a rule touches stays in the cache.
pub(crate) const BLOCK: usize = 2048;

/// Runs `pass(param, grad, slots)` on every block; `slots` holds `count` slots of `length` elements, one after another.
pub(crate) fn blocks<F: Scalar>(
    param: &mut [F],
    grad: &[F],
    slots: &mut [F],
    count: usize,
    length: usize,
    pass: impl Fn(&mut [F], &[F], &mut [&mut [F]]) + Sync,
) {
    let mut rest: [&mut [F]; 8] = Default::default();
    for (rest, slot) in rest.iter_mut().zip(slots.chunks_exact_mut(length.max(1))) {
        *rest = slot;
    }
    for (param, grad) in param.chunks_mut(BLOCK).zip(grad.chunks(BLOCK)) {
        let mut block: [&mut [F]; 8] = Default::default();
        for (block, rest) in block.iter_mut().zip(&mut rest).take(count) {
            let (head, tail) = std::mem::take(rest).split_at_mut(param.len());
            (*block, *rest) = (head, tail);
        }
        pass(param, grad, &mut block[..count]);
    }
}

use ndarray::{ArrayRef2, ArrayView2, ArrayViewMut2, Axis};

/// Rows of a chunk in prediction: its activations stay in the cache.
const ROWS: usize = 256;

/// Runs `pass(rows, output)` on chunks of rows. The chunks do not depend on the number of threads.
pub(crate) fn row_chunks<F: Scalar>(
    rows: &ArrayRef2<F>,
    output: &mut ArrayRef2<F>,
    pass: &(dyn Fn(ArrayView2<'_, F>, ArrayViewMut2<'_, F>) + Sync),
) {
    let chunks = rows.axis_chunks_iter(Axis(0), ROWS).zip(output.axis_chunks_iter_mut(Axis(0), ROWS));
    chunks.for_each(|(rows, output)| pass(rows, output));
}

//! An update rule on every element of parameters, gradients and state, in one pass over memory.

use super::simd::{has_wide_registers, prefetch_at, vectorize};
use crate::scalar::Scalar;

/// Elements that are computed before any of them is written, so that the compiler knows that no result is an operand.
const UNROLL: usize = 16;
/// Bytes from what is computed to what is prefetched. Used where registers have 512 bits: on the one processor with
/// narrower ones that was measured (Zen 3) prefetching costs up to a fifth.
const PREFETCH_DISTANCE: usize = 4096;

/// `(pᵢ, sᵢ) ← rule(pᵢ, gᵢ, sᵢ)` for every element of `param`, `grad` and the N `slots`, compiled for the best
/// instruction set this processor has.
///
/// The body of an [`Optimizer`](crate::Optimizer): an update rule in one pass over memory. Every function that the rule
/// calls has to be inlined into it, as with [`vectorize`].
///
/// ```
/// let (mut p, mut h) = ([1.0, 1.0], [9.0, 0.0]);
/// // AdaGrad: h ← h + g², p ← p - η g / √h
/// gradus::kernel::sweep(&mut p, &[4.0, 2.0], &mut [&mut h], |p, g, [h]| {
///     let h: f64 = h + g * g;
///     (p - 0.1 * g / h.sqrt(), [h])
/// });
/// assert_eq!((p, h), ([0.92, 0.9], [25.0, 4.0]));
/// ```
///
/// # Panics
/// If there are not N slots, or `param`, `grad` and the slots differ in length.
#[inline(always)]
#[track_caller]
pub fn sweep<F: Scalar, const N: usize>(
    param: &mut [F],
    grad: &[F],
    slots: &mut [&mut [F]],
    rule: impl Fn(F, F, [F; N]) -> (F, [F; N]),
) {
    let count = slots.len();
    let Ok(slots) = <&mut [&mut [F]; N]>::try_from(slots) else {
        panic!("the rule takes {N} slots, its `slots()` made {count}")
    };
    let length = param.len();
    assert!(
        grad.len() == length && slots.iter().all(|slot| slot.len() == length),
        "sweep: param, grad and slots differ in length"
    );
    let prefetches = has_wide_registers();
    vectorize(
        #[inline(always)]
        move || {
            let (params, param_rest) = param.as_chunks_mut::<UNROLL>();
            let (grads, grad_rest) = grad.as_chunks::<UNROLL>();
            let mut slots = slots.each_mut().map(|slot| slot.as_chunks_mut::<UNROLL>());
            for (i, (param, grad)) in params.iter_mut().zip(grads).enumerate() {
                if prefetches {
                    prefetch_after(param);
                    prefetch_after(grad);
                    slots.iter().for_each(|(chunks, _)| prefetch_after(&chunks[i]));
                }
                let kept;
                (*param, kept) = apply(&rule, param, grad, slots.each_ref().map(|(chunks, _)| &chunks[i]));
                slots.iter_mut().zip(kept).for_each(|((chunks, _), kept)| chunks[i] = kept);
            }
            for (j, (param, &grad)) in param_rest.iter_mut().zip(grad_rest).enumerate() {
                let kept;
                (*param, kept) = rule(*param, grad, slots.each_ref().map(|(_, rest)| rest[j]));
                slots.iter_mut().zip(kept).for_each(|((_, rest), kept)| rest[j] = kept);
            }
        },
    );
}

/// The rule on [`UNROLL`] elements.
#[inline(always)]
fn apply<F: Scalar, const N: usize>(
    rule: &impl Fn(F, F, [F; N]) -> (F, [F; N]),
    param: &[F; UNROLL],
    grad: &[F; UNROLL],
    slots: [&[F; UNROLL]; N],
) -> ([F; UNROLL], [[F; UNROLL]; N]) {
    let (mut stepped, mut kept) = ([F::zero(); UNROLL], [[F::zero(); UNROLL]; N]);
    for j in 0..UNROLL {
        let (p, new) = rule(param[j], grad[j], slots.map(|slot| slot[j]));
        stepped[j] = p;
        kept.iter_mut().zip(new).for_each(|(kept, new)| kept[j] = new);
    }
    (stepped, kept)
}

/// Prefetches what is [`PREFETCH_DISTANCE`] after these elements.
#[inline(always)]
fn prefetch_after<F>(chunk: &[F; UNROLL]) {
    prefetch_at(chunk.as_ptr().cast::<u8>().wrapping_add(PREFETCH_DISTANCE), size_of_val(chunk));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweep_takes_every_element_once() {
        for length in [0, 1, UNROLL - 1, UNROLL, UNROLL + 1, 5 * UNROLL + 3] {
            let numbers = |from: usize| (from..from + length).map(|i| i as f64).collect::<Vec<_>>();
            let (mut p, g, mut a, mut b) = (numbers(0), numbers(1000), numbers(2000), numbers(3000));
            sweep(&mut p, &g, &mut [&mut a, &mut b], |p, g, [a, b]| (p + 2.0 * g, [b, a + 1.0]));
            assert!(p.iter().enumerate().all(|(i, p)| *p == (3 * i + 2000) as f64));
            assert_eq!(a, numbers(3000));
            assert_eq!(b, numbers(2001));
        }
    }

    #[test]
    #[should_panic(expected = "the rule takes 1 slots, its `slots()` made 0")]
    fn sweep_counts_the_slots() {
        sweep(&mut [0.0_f32], &[0.0], &mut [], |p, _, [h]| (p, [h]));
    }

    #[test]
    #[should_panic(expected = "differ in length")]
    fn sweep_compares_the_lengths() {
        sweep(&mut [0.0_f32; 2], &[0.0; 2], &mut [&mut [0.0; 3]], |p, _, [h]| (p, [h]));
    }
}

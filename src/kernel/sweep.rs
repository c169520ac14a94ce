//! A formula on every element of parameters, gradients and state, in one pass over memory.

use super::simd::{prefetch_at, vectorize, wide};
use crate::scalar::Scalar;

/// Elements that are computed before any of them is written, so that the compiler knows that no result is an operand.
const RUN: usize = 16;
/// Bytes from what is computed to what is asked for: memory takes that long. Only where registers are wide: on the
/// one processor with narrow ones that was measured (Zen 3) asking costs up to a fifth.
const AHEAD: usize = 4096;

/// `(param, slots) ← rule(param, grad, slots)`, element by element, with the best instruction set this processor has.
///
/// What an [`Optimizer`](crate::Optimizer) does to a block, in one pass over memory. What the rule calls has to be
/// inlined into it, as with [`vectorize`].
///
/// ```
/// let (mut p, mut h) = ([1.0, 1.0], [9.0, 0.0]);
/// // AdaGrad: h ← h + g², p ← p - η g / √h
/// gradus::sweep(&mut p, &[4.0, 2.0], &mut [&mut h], |p, g, [h]| {
///     let h: f64 = h + g * g;
///     (p - 0.1 * g / h.sqrt(), [h])
/// });
/// assert_eq!((p, h), ([0.92, 0.9], [25.0, 4.0]));
/// ```
///
/// # Panics
/// There are not as many slots as the rule takes, or not everything is of one length.
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
    assert!(grad.len() == length && slots.iter().all(|slot| slot.len() == length), "all of a sweep has one length");
    let wide = wide();
    vectorize(
        #[inline(always)]
        move || {
            let (params, param_rest) = param.as_chunks_mut::<RUN>();
            let (grads, grad_rest) = grad.as_chunks::<RUN>();
            let mut slots = slots.each_mut().map(|slot| slot.as_chunks_mut::<RUN>());
            for (i, (param, grad)) in params.iter_mut().zip(grads).enumerate() {
                if wide {
                    ahead(param);
                    ahead(grad);
                    slots.iter().for_each(|(runs, _)| ahead(&runs[i]));
                }
                let kept;
                (*param, kept) = run(&rule, param, grad, slots.each_ref().map(|(runs, _)| &runs[i]));
                slots.iter_mut().zip(kept).for_each(|((runs, _), kept)| runs[i] = kept);
            }
            for (j, (param, &grad)) in param_rest.iter_mut().zip(grad_rest).enumerate() {
                let kept;
                (*param, kept) = rule(*param, grad, slots.each_ref().map(|(_, rest)| rest[j]));
                slots.iter_mut().zip(kept).for_each(|((_, rest), kept)| rest[j] = kept);
            }
        },
    );
}

/// The rule on a run.
#[inline(always)]
fn run<F: Scalar, const N: usize>(
    rule: &impl Fn(F, F, [F; N]) -> (F, [F; N]),
    param: &[F; RUN],
    grad: &[F; RUN],
    slots: [&[F; RUN]; N],
) -> ([F; RUN], [[F; RUN]; N]) {
    let (mut stepped, mut kept) = ([F::zero(); RUN], [[F::zero(); RUN]; N]);
    for j in 0..RUN {
        let (p, new) = rule(param[j], grad[j], slots.map(|slot| slot[j]));
        stepped[j] = p;
        kept.iter_mut().zip(new).for_each(|(kept, new)| kept[j] = new);
    }
    (stepped, kept)
}

/// Asks for what will be computed soon.
#[inline(always)]
fn ahead<F>(run: &[F; RUN]) {
    prefetch_at(run.as_ptr().cast::<u8>().wrapping_add(AHEAD), size_of_val(run));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_taken_once() {
        for length in [0, 1, RUN - 1, RUN, RUN + 1, 5 * RUN + 3] {
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
    fn slots_are_counted() {
        sweep(&mut [0.0_f32], &[0.0], &mut [], |p, _, [h]| (p, [h]));
    }

    #[test]
    #[should_panic(expected = "one length")]
    fn lengths_are_compared() {
        sweep(&mut [0.0_f32; 2], &[0.0; 2], &mut [&mut [0.0; 3]], |p, _, [h]| (p, [h]));
    }
}

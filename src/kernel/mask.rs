//! Random masks: sixteen generators side by side, so that a draw costs a fraction of a nanosecond, seeded anew for every
//! block, so that a mask can begin anywhere.

use super::vectorize;
use crate::rng::{SPLIT_MIX_GAMMA, split_mix};
use crate::scalar::Scalar;

/// Generators side by side: one 512-bit register of `u32`, two of 256, four of 128.
const STREAMS: usize = 16;
/// Elements that are drawn from one seeding of the streams.
const BLOCK: usize = 8192;

/// Sixteen xoshiro128+ generators (Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", 2018).
/// Their arrangement is fixed, so the draws are the same on every processor.
struct Streams([[u32; STREAMS]; 4]);

impl Streams {
    /// The state of a block: the next 32 outputs of SplitMix64 from `seed` on, after those of the blocks before it.
    #[inline(always)]
    fn new(seed: u64, block: usize) -> Self {
        let mut words = [[0; STREAMS]; 4];
        let pairs = words.as_flattened().len() as u64 / 2;
        for (i, pair) in words.as_flattened_mut().as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let n = (block as u64).wrapping_mul(pairs).wrapping_add(i as u64);
            let output = split_mix(seed.wrapping_add(n.wrapping_mul(SPLIT_MIX_GAMMA)));
            *pair = [output as u32, (output >> 32) as u32];
        }
        Self(words)
    }

    #[inline(always)]
    fn draw(&mut self) -> [u32; STREAMS] {
        let [mut a, mut b, mut c, mut d] = self.0;
        let mut drawn = [0; STREAMS];
        for i in 0..STREAMS {
            drawn[i] = a[i].wrapping_add(d[i]);
            let shifted = b[i] << 9;
            c[i] ^= a[i];
            d[i] ^= b[i];
            b[i] ^= c[i];
            a[i] ^= d[i];
            c[i] ^= shifted;
            d[i] = d[i].rotate_left(11);
        }
        self.0 = [a, b, c, d];
        drawn
    }
}

/// Fills `mask` with elements `first..` of a longer mask: 0 with probability `ratio`, else `scale`. The longer mask is
/// the same for the same seed.
///
/// `ratio` is below 1 and rounded to a multiple of 2⁻³². At most one block is drawn and not used.
pub(crate) fn dropout_mask<F: Scalar>(seed: u64, first: usize, ratio: f64, scale: F, mask: &mut [F]) {
    debug_assert!((0.0..1.0).contains(&ratio));
    let dropped = (ratio * 2f64.powi(32)).round() as u32;
    vectorize(
        #[inline(always)]
        move || {
            let value = move |drawn: u32| if drawn < dropped { F::zero() } else { scale };
            let (mut block, mut skip, mut rest) = (first / BLOCK, first % BLOCK, mask);
            while !rest.is_empty() {
                let mut streams = Streams::new(seed, block);
                (0..skip / STREAMS).for_each(|_| _ = streams.draw());
                let mut values = rest.split_off_mut(..rest.len().min(BLOCK - skip)).expect("no longer than the rest");
                let lane = skip % STREAMS;
                if lane > 0 {
                    let head = values.split_off_mut(..values.len().min(STREAMS - lane)).expect("no longer than it is");
                    head.iter_mut().zip(&streams.draw()[lane..]).for_each(|(x, &drawn)| *x = value(drawn));
                }
                let (whole, tail) = values.as_chunks_mut::<STREAMS>();
                for values in whole {
                    *values = streams.draw().map(value);
                }
                tail.iter_mut().zip(streams.draw()).for_each(|(x, drawn)| *x = value(drawn));
                (block, skip) = (block + 1, 0);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 1 << 20;

    fn kept(seed: u64, ratio: f64, n: usize) -> Vec<bool> {
        let mut mask = vec![f32::NAN; n];
        dropout_mask(seed, 0, ratio, 1.25, &mut mask);
        mask.iter().for_each(|&x| assert!(x == 0.0 || x == 1.25));
        mask.iter().map(|&x| x != 0.0).collect()
    }

    /// The share of `true`, as a number of standard deviations away from `p`.
    fn deviations(hits: impl Iterator<Item = bool>, p: f64) -> f64 {
        let (mut n, mut count) = (0.0, 0.0);
        for hit in hits {
            n += 1.0;
            count += f64::from(u8::from(hit));
        }
        (count - n * p) / (n * p * (1.0 - p)).sqrt()
    }

    #[test]
    fn a_mask_drops_the_ratio_asked_for() {
        for ratio in [0.001, 0.2, 0.5, 0.8, 0.999] {
            let z = deviations(kept(7, ratio, N).into_iter(), 1.0 - ratio);
            assert!(z.abs() < 4.0, "ratio {ratio}: {z} standard deviations off");
        }
        assert!(kept(7, 0.0, 1000).into_iter().all(|kept| kept));
    }

    /// Neighbours in a row, in a stream, in the same stream's next draw, across streams and across blocks are independent.
    #[test]
    fn the_draws_of_a_mask_are_independent() {
        let mask = kept(3, 0.5, N);
        for lag in [1, 2, 3, 8, 15, 16, 17, 32, 48, 64, 100, 128, 256, BLOCK, 2 * BLOCK] {
            let z = deviations(mask.iter().zip(&mask[lag..]).map(|(a, b)| a == b), 0.5);
            assert!(z.abs() < 4.5, "lag {lag}: {z} standard deviations off");
        }
        for lane in 0..STREAMS {
            let z = deviations(mask.iter().skip(lane).step_by(STREAMS).copied(), 0.5);
            assert!(z.abs() < 4.5, "stream {lane}: {z} standard deviations off");
        }
    }

    #[test]
    fn neighbouring_seeds_give_unrelated_masks() {
        let (a, b) = (kept(1, 0.5, N), kept(2, 0.5, N));
        let z = deviations(a.iter().zip(&b).map(|(a, b)| a == b), 0.5);
        assert!(z.abs() < 4.5, "{z} standard deviations off");
    }

    /// A longer mask begins with the shorter one, in either number type, on any processor.
    #[test]
    fn the_bits_of_a_mask_are_pinned() {
        let long = kept(42, 0.2, 100);
        assert_eq!(kept(42, 0.2, 37), long[..37]);
        let mut mask = [0.0_f64; 100];
        dropout_mask(42, 0, 0.2, 1.0, &mut mask);
        assert_eq!(mask.map(|x| x != 0.0).as_slice(), long);
        let mut streams = Streams::new(42, 0);
        let first = streams.draw();
        let second = streams.draw();
        // From SplitMix64 and xoshiro128+ as their authors publish them, seed 42, stream k taking word k of each row.
        let pinned = (1_503_864_805, 2_753_711_232, 1_669_714_724, 4_059_115_730);
        assert_eq!((first[0], first[15], second[0], second[15]), pinned);
    }

    #[test]
    fn a_mask_from_any_element_is_a_slice_of_the_whole_mask() {
        let whole = kept(9, 0.5, 3 * BLOCK + 100);
        let borders = [0, 1, 15, 16, 17, 333, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 37, whole.len()];
        for from in borders {
            for to in borders.into_iter().filter(|&to| to >= from) {
                let mut part = vec![f32::NAN; to - from];
                dropout_mask(9, from, 0.5, 1.0, &mut part);
                let kept: Vec<_> = part.iter().map(|&x| x == 1.0).collect();
                assert_eq!(kept, whole[from..to], "{from}..{to}");
            }
        }
    }
}

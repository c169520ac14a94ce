//! Random masks: sixteen generators side by side, so that a draw costs a fraction of a nanosecond.

use super::vectorize;
use crate::scalar::Scalar;

/// Generators side by side: one 512-bit register of `u32`, two of 256, four of 128.
const STREAMS: usize = 16;

/// Sixteen xoshiro128+ generators (Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", 2018).
/// Their arrangement is fixed, so the draws are the same on every processor.
struct Streams([[u32; STREAMS]; 4]);

impl Streams {
    /// Seeds all of them from one number by SplitMix64.
    fn new(seed: u64) -> Self {
        let mut state = seed;
        let mut words = [[0; STREAMS]; 4];
        for pair in words.as_flattened_mut().chunks_exact_mut(2) {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            pair[0] = z as u32;
            pair[1] = (z >> 32) as u32;
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

/// Fills `mask` with 0 with probability `ratio`, else with `scale`; the same for the same seed.
///
/// `ratio` is below 1 and rounded to a multiple of 2⁻³².
pub(crate) fn dropout_mask<F: Scalar>(seed: u64, ratio: f64, scale: F, mask: &mut [F]) {
    debug_assert!((0.0..1.0).contains(&ratio));
    let dropped = (ratio * 2f64.powi(32)).round() as u32;
    let mut streams = Streams::new(seed);
    vectorize(
        #[inline(always)]
        move || {
            let (blocks, rest) = mask.as_chunks_mut::<STREAMS>();
            for block in blocks {
                let drawn = streams.draw();
                for i in 0..STREAMS {
                    block[i] = if drawn[i] < dropped { F::zero() } else { scale };
                }
            }
            let drawn = streams.draw();
            for (value, drawn) in rest.iter_mut().zip(drawn) {
                *value = if drawn < dropped { F::zero() } else { scale };
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
        dropout_mask(seed, ratio, 1.25, &mut mask);
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
    fn the_share_dropped_is_the_one_asked_for() {
        for ratio in [0.001, 0.2, 0.5, 0.8, 0.999] {
            let z = deviations(kept(7, ratio, N).into_iter(), 1.0 - ratio);
            assert!(z.abs() < 4.0, "ratio {ratio}: {z} standard deviations off");
        }
        assert!(kept(7, 0.0, 1000).into_iter().all(|kept| kept));
    }

    /// Neighbours in a row, in a stream, in the same stream's next draw and across streams are independent.
    #[test]
    fn draws_do_not_depend_on_one_another() {
        let mask = kept(3, 0.5, N);
        for lag in [1, 2, 3, 8, 15, 16, 17, 32, 48, 64, 100, 128, 256] {
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
    fn the_stream_is_pinned() {
        let long = kept(42, 0.2, 100);
        assert_eq!(kept(42, 0.2, 37), long[..37]);
        let mut mask = [0.0_f64; 100];
        dropout_mask(42, 0.2, 1.0, &mut mask);
        assert_eq!(mask.map(|x| x != 0.0).as_slice(), long);
        let mut streams = Streams::new(42);
        let first = streams.draw();
        let second = streams.draw();
        // From SplitMix64 and xoshiro128+ as their authors publish them, seed 42, stream k taking word k of each row.
        let pinned = (1_503_864_805, 2_753_711_232, 1_669_714_724, 4_059_115_730);
        assert_eq!((first[0], first[15], second[0], second[15]), pinned);
    }
}

//! Randomness is an argument: the one room where numbers are drawn, each bound to a seed and to nothing else.

use rand::{Rng, SeedableRng};

/// The generator of every seeded stream in this crate: xoshiro256++, named, so that the same seed gives the
/// same numbers on every platform and in every later version.
pub type Generator = rand::rngs::Xoshiro256PlusPlus;

/// A portable generator with this seed.
///
/// ```
/// use gradus::rand::RngExt;
/// let (mut a, mut b) = (gradus::rng(42), gradus::rng(42));
/// assert_eq!(a.random::<u64>(), b.random::<u64>());
/// assert_eq!(gradus::rng(7).random::<u64>(), 1_021_219_803_524_665_661);
/// ```
pub fn rng(seed: u64) -> Generator {
    Generator::seed_from_u64(seed)
}

/// An independent generator whose seed comes from `rng`.
pub(crate) fn fork<R: Rng + ?Sized>(rng: &mut R) -> Generator {
    Generator::seed_from_u64(rng.next_u64())
}

/// The generator of one purpose of one trial, epoch or step: two of them share nothing but the seed.
pub(crate) fn stream(seed: u64, number: u64, purpose: &str) -> Generator {
    rng(stream_seed(seed, number, purpose))
}

/// The seed of [`stream`].
pub(crate) fn stream_seed(seed: u64, number: u64, purpose: &str) -> u64 {
    let hash = split_mix(split_mix(seed) ^ number);
    purpose.bytes().fold(hash, |hash, byte| split_mix(hash ^ u64::from(byte)))
}

/// One step of SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014): the output at
/// `state`. A bijection in which every output bit depends on every input bit.
#[inline(always)]
pub(crate) fn split_mix(state: u64) -> u64 {
    let x = state.wrapping_add(SPLIT_MIX_GAMMA);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// What SplitMix64 adds to its state in every step: the output number n after a seed is
/// `split_mix(seed + n * SPLIT_MIX_GAMMA)`.
pub(crate) const SPLIT_MIX_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number in `[0, 1)`, from the upper 53 bits.
pub(crate) fn unit<R: Rng + ?Sized>(rng: &mut R) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

// `rand` has the following two, but what they give for a seed may change with its next version, or when anything else
// in a build turns on its feature `unbiased`. A seed is a promise here.

/// A random order, each as likely as any other: Fisher–Yates.
pub(crate) fn shuffle<R: Rng + ?Sized>(items: &mut [usize], rng: &mut R) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1, rng));
    }
}

/// A whole number from 0 to `bound - 1`, each as likely as any other: the high half of a product,
/// the few products that would favour some numbers drawn again (Lemire 2019, arXiv:1805.10941).
///
/// # Panics
/// If `bound` is 0.
pub(crate) fn below<R: Rng + ?Sized>(bound: usize, rng: &mut R) -> usize {
    assert!(bound > 0, "no whole number is below 0");
    let bound = bound as u64;
    let mut product = u128::from(rng.next_u64()) * u128::from(bound);
    if (product as u64) < bound {
        let unfair = bound.wrapping_neg() % bound;
        while (product as u64) < unfair {
            product = u128::from(rng.next_u64()) * u128::from(bound);
        }
    }
    (product >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A generator that gives what it is told to.
    struct Told(Vec<u64>);

    impl rand::rand_core::TryRng for Told {
        type Error = std::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            unreachable!()
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(self.0.remove(0))
        }
        fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Self::Error> {
            unreachable!()
        }
    }

    #[test]
    fn split_mix_gives_the_numbers_its_authors_publish() {
        // The first outputs for the seed 1234567 of https://prng.di.unimi.it/splitmix64.c.
        let outputs = [0, 1, 2].map(|n: u64| split_mix(1_234_567_u64.wrapping_add(n.wrapping_mul(SPLIT_MIX_GAMMA))));
        assert_eq!(outputs, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn unfair_products_are_drawn_again() {
        // 2^64 = 1 (mod 3): one product of the 2^64 is too many for 0, that of the number 0.
        assert_eq!(below(3, &mut Told(vec![0, u64::MAX])), 2);
        // 2^64 = 0 (mod 4): none is.
        assert_eq!(below(4, &mut Told(vec![0])), 0);
        assert_eq!(below(4, &mut Told(vec![u64::MAX / 4 + 1])), 1);
    }

    #[test]
    fn every_order_is_as_likely() {
        let mut rng = rng(1);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..24_000 {
            let mut items = [0, 1, 2, 3];
            shuffle(&mut items, &mut rng);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 24);
        // 1000 expected each; five standard deviations are 155.
        assert!(counts.values().all(|&n| (845..1155).contains(&n)), "{counts:?}");
    }

    #[test]
    fn the_order_of_a_seed_never_changes() {
        let mut items: Vec<usize> = (0..10).collect();
        shuffle(&mut items, &mut rng(42));
        // Worked out apart from `rand`, from the published SplitMix64 and xoshiro256++.
        assert_eq!(items, [5, 3, 1, 0, 9, 6, 4, 7, 2, 8]);
    }
}

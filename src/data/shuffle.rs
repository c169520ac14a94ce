//! Random order, bound to nothing but the generator's own numbers.
//!
//! `rand` has both of these, but what they give for a seed may change with its next version, or when
//! anything else in a build turns on its feature `unbiased`. A seed is a promise here.

use rand::Rng;

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
    use crate::rng;

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

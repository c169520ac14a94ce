//! Randomness is an argument.

use rand::{Rng, SeedableRng};

/// The generator of every seeded stream in this crate: xoshiro256++, named, so the same seed gives the
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

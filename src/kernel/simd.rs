//! One plain loop, compiled for every instruction set.

/// Runs `pass`, a plain loop over slices, compiled for the best instruction set this processor has.
///
/// What the closure calls has to be inlined into it to be compiled with it: mark small functions
/// `#[inline(always)]`. The arithmetic stays what it says: nothing is reordered or fused, so the result
/// has the same bits on every processor.
///
/// ```
/// let (x, mut y) = ([1.0_f32, 2.0, 3.0], [10.0, 20.0, 30.0]);
/// gradus::vectorize(|| {
///     for (y, x) in y.iter_mut().zip(&x) {
///         *y += 0.5 * x;
///     }
/// });
/// assert_eq!(y, [10.5, 21.0, 31.5]);
/// ```
#[inline(always)]
pub fn vectorize<R>(pass: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(pass)
}

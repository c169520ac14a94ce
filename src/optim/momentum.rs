use super::{Optimizer, check_beta, check_rate};
use crate::error::Error;
use crate::kernel;
use crate::scalar::Scalar;

/// Momentum: a ball rolling down a slope, with velocity v and friction.
///
/// ```text
/// v ← μ v - η g
/// p ← p + v
/// ```
///
/// The book's form. PyTorch keeps `v ← μ v + g` and steps by `p ← p - η v`: the same path as long as η stays
/// the same; when a schedule changes η, here the velocity keeps the rate it was gathered with.
/// Polyak, *Some methods of speeding up the convergence of iteration methods*, 1964.
///
/// ```
/// use gradus::{Momentum, Updater};
/// let mut updater = Updater::new(Momentum { learning_rate: 0.1, momentum: 0.9 });
/// let mut p = [1.0];
/// updater.step_slice(&mut p, &[1.0])?; // v = -0.1
/// updater.step_slice(&mut p, &[1.0])?; // v = -0.19
/// assert!((p[0] - 0.71_f64).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Momentum<F = f32> {
    /// η, 0.01 by default.
    pub learning_rate: F,
    /// μ, the share of the velocity that is kept: 0.9 by default.
    pub momentum: F,
}

impl<F: Scalar> Default for Momentum<F> {
    fn default() -> Self {
        Self { learning_rate: F::of(0.01), momentum: F::of(0.9) }
    }
}

impl<F: Scalar> Optimizer<F> for Momentum<F> {
    fn slots(&self) -> usize {
        1
    }

    fn update(&self, _step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let [v] = slots else { unreachable!("one slot") };
        let (lr, momentum) = (self.learning_rate, self.momentum);
        kernel::vectorize(|| {
            for ((p, &g), v) in param.iter_mut().zip(grad).zip(v.iter_mut()) {
                *v = momentum * *v - lr * g;
                *p += *v;
            }
        });
    }

    fn learning_rate(&self) -> F {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, rate: F) {
        self.learning_rate = rate;
    }

    fn check(&self) -> Result<(), Error> {
        check_rate(self.learning_rate)?;
        check_beta("momentum", self.momentum)
    }
}

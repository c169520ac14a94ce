use super::rule::clamp;
use crate::error::{Error, require};
use crate::kernel;
use crate::scalar::Scalar;

/// Keeps single gradients from throwing a network far off.
///
/// | variant | what a rule sees |
/// |---|---|
/// | `None` | `g` |
/// | `Norm(c)` | `g · min(1, c / ‖g‖)`, ‖g‖ the 2-norm over all trained parameters together: the direction stays |
/// | `Value(c)` | every element of g limited to `[-c, c]` |
///
/// The gradient of the loss is clipped, then [`WeightDecay::L2`](super::WeightDecay::L2) adds its `λ W`: the order
/// of PyTorch, where decay is the optimizer's. PyTorch divides by `‖g‖ + 1e-6`; here the clipped norm is c exactly.
/// The norm is summed in one fixed order, and neither overflows nor underflows.
///
/// ```
/// use gradus::optim::{Clip, SGD, Updater};
/// let mut updater = Updater::new(SGD { learning_rate: 1.0 }).clip(Clip::Norm(1.0));
/// let mut p = [0.0_f64, 0.0];
/// updater.step_slice(&mut p, &[3.0, 4.0])?;
/// assert!((p[0] + 0.6).abs() < 1e-15 && (p[1] + 0.8).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Clip {
    /// No clipping.
    #[default]
    None,
    /// The global norm is at most this.
    Norm(f64),
    /// The size of each element is at most this.
    Value(f64),
}

impl Clip {
    pub(super) fn check(self) -> Result<(), Error> {
        match self {
            Self::None => Ok(()),
            Self::Norm(most) | Self::Value(most) => require(most > 0.0, "clip", "a value above 0", most),
        }
    }

    /// What is done to every element of a step's gradients whose global norm is `norm`.
    pub(super) fn action(self, norm: f64) -> Action {
        match self {
            Self::None => Action::Keep,
            Self::Value(most) => Action::Limit(most),
            Self::Norm(most) if norm > most => Action::Scale(most / norm),
            Self::Norm(_) => Action::Keep,
        }
    }
}

/// Clipping, once the norm is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Action {
    Keep,
    Scale(f64),
    Limit(f64),
}

impl Action {
    /// `out ← clipped g`.
    pub(super) fn apply<F: Scalar>(self, grad: &[F], out: &mut [F]) {
        match self {
            Self::Keep => out.copy_from_slice(grad),
            Self::Scale(factor) => {
                let factor = F::of(factor);
                kernel::vectorize(move || out.iter_mut().zip(grad).for_each(|(out, &g)| *out = factor * g));
            }
            Self::Limit(most) => {
                let most = F::of(most);
                kernel::vectorize(move || out.iter_mut().zip(grad).for_each(|(out, &g)| *out = clamp(g, most)));
            }
        }
    }
}

/// `√Σ x²`, block by block; where squares overflow or vanish, in units of the largest element.
pub(super) fn norm<F: Scalar>(x: &[F]) -> f64 {
    let squares = kernel::sum_of_squares(x);
    let smallest = F::min_positive_value().as_f64() / F::epsilon().as_f64().powi(2);
    if squares.is_nan() || (squares.is_finite() && squares > smallest) {
        return squares.sqrt();
    }
    let largest = x.iter().fold(0.0, |most: f64, x| most.max(x.as_f64().abs()));
    if largest == 0.0 || largest.is_infinite() {
        return largest;
    }
    largest * x.iter().map(|x| (x.as_f64() / largest).powi(2)).sum::<f64>().sqrt()
}

/// `√(a² + b²)`, of operations that have the same bits everywhere: `hypot` has other ones in other mathematics libraries.
pub(super) fn joined(a: f64, b: f64) -> f64 {
    let (small, large) = if a > b { (b, a) } else { (a, b) };
    if small == 0.0 || large.is_infinite() && !small.is_nan() {
        return large;
    }
    large * (1.0 + (small / large) * (small / large)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::{joined, norm};

    #[test]
    fn joined_norms_are_those_of_all_numbers() {
        for scale in [1e-300, 1e-30, 1.0, 1e300] {
            for (a, b) in [(3.0, 4.0), (4.0, 3.0)] {
                assert!((joined(a * scale, b * scale) / (5.0 * scale) - 1.0).abs() < 1e-15, "{scale}");
            }
        }
        assert_eq!((joined(0.0, 0.0), joined(0.0, 2.0), joined(2.0, 0.0)), (0.0, 2.0, 2.0));
        assert_eq!((joined(1.0, f64::INFINITY), joined(f64::INFINITY, f64::INFINITY)), (f64::INFINITY, f64::INFINITY));
        assert!([joined(f64::NAN, 1.0), joined(1.0, f64::NAN), joined(f64::NAN, 0.0)].iter().all(|norm| norm.is_nan()));
    }

    #[test]
    fn norms_neither_overflow_nor_vanish() {
        for scale in [1e-300, 1e-30, 1e-8, 1.0, 1e30, 1e300] {
            assert!((norm(&[3.0 * scale, -4.0 * scale]) / (5.0 * scale) - 1.0).abs() < 1e-15, "{scale}");
        }
        for scale in [1e-36_f32, 1e-20, 1.0, 1e36] {
            assert!((norm(&[3.0 * scale, -4.0 * scale]) / (5.0 * f64::from(scale)) - 1.0).abs() < 1e-6, "{scale}");
        }
        assert_eq!(norm(&[0.0_f32; 5]), 0.0);
        assert_eq!(norm::<f64>(&[]), 0.0);
        assert_eq!(norm(&[f32::INFINITY, 1.0]), f64::INFINITY);
        assert!(norm(&[f32::NAN, 1.0]).is_nan());
        let long: Vec<f32> = (0..100_000).map(|i| (i % 7) as f32).collect();
        let exact = long.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        assert!((norm(&long) / exact - 1.0).abs() < 1e-6);
    }
}

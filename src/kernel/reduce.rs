//! Sums in a fixed order.

use ndarray::Array2;

use super::vectorize;
use crate::scalar::Scalar;

/// Column sums of `g: (N, out)`, `out: (1, out)`.
pub(crate) fn column_sums<F: Scalar>(g: &Array2<F>, out: &mut Array2<F>) {
    let width = g.ncols();
    let (g, out) = (g.as_slice().expect("standard layout"), out.as_slice_mut().expect("standard layout"));
    out.fill(F::zero());
    vectorize(|| {
        for row in g.chunks_exact(width) {
            for (out, &g) in out.iter_mut().zip(row) {
                *out += g;
            }
        }
    });
}

/// Mean and biased variance of every column of `x: (N, D)`, in two passes: no cancellation.
pub(crate) fn column_moments<F: Scalar>(x: &Array2<F>, mean: &mut [F], variance: &mut [F]) {
    let (rows, width) = x.dim();
    let share = F::one() / F::of(rows as f64);
    let x = x.as_slice().expect("standard layout");
    mean.fill(F::zero());
    variance.fill(F::zero());
    vectorize(|| {
        for row in x.chunks_exact(width) {
            for (mean, &x) in mean.iter_mut().zip(row) {
                *mean += x;
            }
        }
        mean.iter_mut().for_each(|mean| *mean *= share);
        for row in x.chunks_exact(width) {
            for ((variance, &mean), &x) in variance.iter_mut().zip(mean.iter()).zip(row) {
                *variance += (x - mean) * (x - mean);
            }
        }
        variance.iter_mut().for_each(|variance| *variance *= share);
    });
}

/// Σ x², in eight interleaved sums.
pub(crate) fn sum_of_squares<F: Scalar>(x: &[F]) -> f64 {
    let mut lanes = [F::zero(); 8];
    vectorize(|| {
        let mut chunks = x.chunks_exact(8);
        for chunk in &mut chunks {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane += x * x;
            }
        }
        for (lane, &x) in lanes.iter_mut().zip(chunks.remainder()) {
            *lane += x * x;
        }
    });
    lanes.iter().map(|lane| lane.as_f64()).sum()
}

/// Whether no element is NaN or infinite: `0 x` is zero for finite x only.
pub(crate) fn all_finite<F: Scalar>(x: &[F]) -> bool {
    let mut lanes = [F::zero(); 32];
    vectorize(|| {
        let mut chunks = x.chunks_exact(32);
        for chunk in &mut chunks {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane += x * F::zero();
            }
        }
        for (lane, &x) in lanes.iter_mut().zip(chunks.remainder()) {
            *lane += x * F::zero();
        }
    });
    lanes.iter().all(|&lane| lane == F::zero())
}

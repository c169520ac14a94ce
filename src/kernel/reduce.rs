//! Sums in a fixed order, so that their bits depend on the elements alone.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ndarray::Array2;

use super::blocks::{CACHE_BLOCK, GRAIN};
use super::{threads, vectorize};
use crate::scalar::Scalar;

/// Partial results side by side: enough to fill the widest registers twice.
const LANES: usize = 32;

/// The elements of x reduced from `start` on, `x[i]` into lane `i mod 32`.
#[inline(always)]
fn reduce_lanes<F: Scalar>(x: &[F], start: F, op: impl Fn(F, F) -> F) -> [F; LANES] {
    vectorize(
        #[inline(always)]
        move || {
            let mut lanes = [start; LANES];
            let (chunks, rest) = x.as_chunks::<LANES>();
            for chunk in chunks {
                for (lane, &x) in lanes.iter_mut().zip(chunk) {
                    *lane = op(*lane, x);
                }
            }
            for (lane, &x) in lanes.iter_mut().zip(rest) {
                *lane = op(*lane, x);
            }
            lanes
        },
    )
}

/// Σ x²; the sums of blocks are added in f64, so that a long sum does not absorb small terms.
pub(crate) fn sum_of_squares<F: Scalar>(x: &[F]) -> f64 {
    let block = |x| reduce_lanes(x, F::zero(), |sum, x| sum + x * x).iter().map(|lane| lane.as_f64()).sum::<f64>();
    x.chunks(CACHE_BLOCK).map(block).sum()
}

/// Whether no element is NaN or infinite: `0 x` is zero for finite x only.
pub(crate) fn all_finite<F: Scalar>(x: &[F]) -> bool {
    all_finite_by(GRAIN, x)
}

/// The same; a thread takes `grain` elements at a time.
pub(crate) fn all_finite_by<F: Scalar>(grain: usize, x: &[F]) -> bool {
    let finite = |x| reduce_lanes(x, F::zero(), |sum, x| sum + x * F::zero()).iter().all(|&lane| lane == F::zero());
    if x.len() < 2 * grain {
        return finite(x);
    }
    let all = AtomicBool::new(true);
    threads::parallel_for_from_both_ends(x.chunks(grain), |part| _ = all.fetch_and(finite(part), Relaxed));
    all.into_inner()
}

/// All elements reduced to one, one after another where they are few.
#[inline(always)]
fn reduce<F: Scalar>(x: &[F], start: F, op: impl Fn(F, F) -> F) -> F {
    if x.len() < 2 * LANES {
        return x.iter().fold(start, |all, &x| op(all, x));
    }
    reduce_lanes(x, start, &op).into_iter().fold(start, op)
}

/// Σ x.
#[inline(always)]
pub(crate) fn sum<F: Scalar>(x: &[F]) -> F {
    reduce(x, F::zero(), |sum, x| sum + x)
}

/// Σ a b, of two slices of one length.
#[inline(always)]
pub(crate) fn dot<F: Scalar>(a: &[F], b: &[F]) -> F {
    if a.len() < 2 * LANES {
        return a.iter().zip(b).fold(F::zero(), |sum, (&a, &b)| sum + a * b);
    }
    let lanes = vectorize(
        #[inline(always)]
        move || {
            let mut lanes = [F::zero(); LANES];
            let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
            for (a, b) in a.iter().zip(b) {
                lanes.iter_mut().zip(a).zip(b).for_each(|((sum, &a), &b)| *sum += a * b);
            }
            lanes.iter_mut().zip(a_rest).zip(b_rest).for_each(|((sum, &a), &b)| *sum += a * b);
            lanes
        },
    );
    lanes.into_iter().fold(F::zero(), |sum, lane| sum + lane)
}

/// The largest element; ignores NaN.
#[inline(always)]
pub(crate) fn max<F: Scalar>(x: &[F]) -> F {
    reduce(x, F::neg_infinity(), |max, x| if x > max { x } else { max })
}

/// Elements from which a second thread pays for column sums, and how many columns each takes at a time.
const COLUMNS_THRESHOLD: usize = 4 * GRAIN;
const STRIP: usize = 64;

/// Runs `pass(first, out)` on all columns of `x: (N, width)`, or on strips of them where other threads pay: every column is
/// summed by one, from the first row to the last.
fn for_each_strip<F: Scalar>(elements: usize, out: &mut [F], pass: impl Fn(usize, &mut [F]) + Sync) {
    if elements < COLUMNS_THRESHOLD || threads::count() < 2 {
        return pass(0, out);
    }
    threads::parallel_for(out.chunks_mut(STRIP).enumerate(), |(strip, out)| pass(strip * STRIP, out));
}

/// `out[j] = scale Σᵢ f(x[i, first + j], first + j)` of rows of `width` elements; the sums stay in registers.
#[inline(always)]
fn column_pass<F: Scalar>(x: &[F], (width, first): (usize, usize), scale: F, out: &mut [F], f: impl Fn(F, usize) -> F) {
    if width == 0 {
        return;
    }
    let (blocks, rest) = out.as_chunks_mut::<LANES>();
    let mut from = first;
    for block in blocks {
        let mut sums = [F::zero(); LANES];
        for row in x.chunks_exact(width) {
            for (lane, (sum, &x)) in sums.iter_mut().zip(&row[from..from + LANES]).enumerate() {
                *sum += f(x, from + lane);
            }
        }
        *block = sums.map(|sum| sum * scale);
        from += LANES;
    }
    rest.fill(F::zero());
    for row in x.chunks_exact(width) {
        for (lane, (sum, &x)) in rest.iter_mut().zip(&row[from..]).enumerate() {
            *sum += f(x, from + lane);
        }
    }
    rest.iter_mut().for_each(|sum| *sum *= scale);
}

/// From this many rows on column sums are taken in f64: in `f32` the sum of 60,000 equal numbers is off by 6e-4 of itself.
const MANY_ROWS: usize = 512;

/// So many f64 of a long sum stay in the first cache.
const LONG_LANES: usize = 512;

/// `out[j] = scale Σᵢ f(a[i, k], b[i, k], c[k])`, `k = first + j`, for many rows of `width` elements, in f64.
#[inline(always)]
fn long_column_pass<F: Scalar>(
    (a, b, c): (&[F], &[F], &[F]),
    (width, first): (usize, usize),
    scale: f64,
    out: &mut [F],
    f: impl Fn(f64, f64, f64) -> f64,
) {
    for (from, out) in (first..width).step_by(LONG_LANES).zip(out.chunks_mut(LONG_LANES)) {
        let (lanes, mut sums) = (from..from + out.len(), [0.0; LONG_LANES]);
        let (sums, c) = (&mut sums[..out.len()], &c[lanes.clone()]);
        for (a, b) in a.chunks_exact(width).zip(b.chunks_exact(width)) {
            for (((sum, a), b), c) in sums.iter_mut().zip(&a[lanes.clone()]).zip(&b[lanes.clone()]).zip(c) {
                *sum += f(a.as_f64(), b.as_f64(), c.as_f64());
            }
        }
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = F::of(*sum * scale));
    }
}

/// Column sums of `g: (N, out)`, `out: (1, out)`.
pub(crate) fn column_sums<F: Scalar>(g: &Array2<F>, out: &mut Array2<F>) {
    assert_eq!(out.len(), g.ncols(), "column sums: shapes do not fit");
    let (is_long, width) = (g.nrows() >= MANY_ROWS, g.ncols());
    let (g, out) = (g.as_slice().expect("standard layout"), out.as_slice_mut().expect("standard layout"));
    for_each_strip(g.len(), out, |first, out| {
        if is_long {
            return vectorize(
                #[inline(always)]
                move || long_column_pass((g, g, &g[..width]), (width, first), 1.0, out, |g, _, _| g),
            );
        }
        vectorize(
            #[inline(always)]
            move || column_pass(g, (width, first), F::one(), out, |g, _| g),
        );
    });
}

/// `out[0, j] = Σᵢ a[i, j] b[i, j]`, `a, b: (N, out)`, `out: (1, out)`.
pub(crate) fn column_products<F: Scalar>(a: &Array2<F>, b: &Array2<F>, out: &mut Array2<F>) {
    assert_eq!((a.dim(), out.len()), (b.dim(), b.ncols()), "column products: shapes do not fit");
    let (is_long, width) = (a.nrows() >= MANY_ROWS, a.ncols());
    let (a, b) = (a.as_slice().expect("standard layout"), b.as_slice().expect("standard layout"));
    let out = out.as_slice_mut().expect("standard layout");
    for_each_strip(a.len(), out, |first, out| {
        if is_long {
            return vectorize(
                #[inline(always)]
                move || long_column_pass((a, b, &a[..width]), (width, first), 1.0, out, |a, b, _| a * b),
            );
        }
        vectorize(
            #[inline(always)]
            move || {
                out.fill(F::zero());
                for (a, b) in a.chunks_exact(width.max(1)).zip(b.chunks_exact(width.max(1))) {
                    for ((out, &a), &b) in out.iter_mut().zip(&a[first..]).zip(&b[first..]) {
                        *out += a * b;
                    }
                }
            },
        );
    });
}

/// What the rows of `x: (N, D)` add to the mean of every column of a batch that has `batch_rows`.
pub(crate) fn column_means<F: Scalar>(x: &Array2<F>, batch_rows: usize, mean: &mut [F]) {
    assert_eq!(mean.len(), x.ncols(), "column means: shapes do not fit");
    let (is_long, width) = (x.nrows() >= MANY_ROWS, x.ncols());
    let x = x.as_slice().expect("standard layout");
    for_each_strip(x.len(), mean, |first, mean| {
        if is_long {
            let share = 1.0 / batch_rows as f64;
            return vectorize(
                #[inline(always)]
                move || long_column_pass((x, x, &x[..width]), (width, first), share, mean, |x, _, _| x),
            );
        }
        let share = F::one() / F::of(batch_rows as f64);
        vectorize(
            #[inline(always)]
            move || column_pass(x, (width, first), share, mean, |x, _| x),
        );
    });
}

/// What they add to its biased variance, given the mean of the whole batch: a second pass, so that nothing cancels.
pub(crate) fn column_variances<F: Scalar>(x: &Array2<F>, batch_rows: usize, mean: &[F], variance: &mut [F]) {
    assert_eq!((mean.len(), variance.len()), (x.ncols(), x.ncols()), "column variances: shapes do not fit");
    let (is_long, width) = (x.nrows() >= MANY_ROWS, x.ncols());
    let x = x.as_slice().expect("standard layout");
    for_each_strip(x.len(), variance, |first, variance| {
        if is_long {
            let (share, square) = (1.0 / batch_rows as f64, |x: f64, _: f64, mean: f64| (x - mean) * (x - mean));
            return vectorize(
                #[inline(always)]
                move || long_column_pass((x, x, mean), (width, first), share, variance, square),
            );
        }
        let share = F::one() / F::of(batch_rows as f64);
        vectorize(
            #[inline(always)]
            move || column_pass(x, (width, first), share, variance, |x, j| (x - mean[j]) * (x - mean[j])),
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::threads::on_three_threads;

    const SHAPES: [(usize, usize); 14] = [
        (1, 1),
        (3, 31),
        (7, 32),
        (5, 100),
        (128, 33),
        (4, 0),
        (2, 64),
        (100, 10),
        (MANY_ROWS - 1, 3),
        (MANY_ROWS, 70),
        (MANY_ROWS, 0),
        (MANY_ROWS + 1, LONG_LANES + 3),
        // For several threads.
        (300, 1003),
        (MANY_ROWS + 1, 577),
    ];

    fn numbers(n: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7919 + 13) % 2003) as f64 / 1000.0 - 1.0).collect()
    }

    fn matrix((rows, columns): (usize, usize)) -> Array2<f64> {
        Array2::from_shape_vec((rows, columns), numbers(rows * columns)).unwrap()
    }

    #[test]
    fn sum_of_squares_takes_every_element() {
        for n in [0, 1, 31, 32, 33, 64, 1000, 1023] {
            let x = numbers(n);
            let plain = x.iter().map(|x| x * x).sum::<f64>();
            assert!((sum_of_squares(&x) - plain).abs() <= 1e-13 * plain, "{n}");
        }
    }

    #[test]
    fn dot_takes_every_pair() {
        for n in [0, 1, 31, 63, 64, 65, 1000, 1023] {
            let (a, b) = (numbers(n), numbers(n + 5).split_off(5));
            let plain = a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>();
            assert!((dot(&a, &b) - plain).abs() <= 1e-13 * n as f64, "{n}");
        }
    }

    #[test]
    fn sum_and_max_take_every_element() {
        for n in [0, 1, 10, 63, 64, 65, 1000] {
            let mut x = numbers(n);
            let plain = x.iter().sum::<f64>();
            assert!((sum(&x) - plain).abs() <= 1e-13 * n as f64, "{n}");
            assert_eq!(max(&x), x.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            for at in 0..n {
                let kept = std::mem::replace(&mut x[at], 5.0);
                assert_eq!(max(&x), 5.0);
                x[at] = 1e9;
                assert!((sum(&x) - plain - 1e9).abs() < 4.0, "{at} of {n}");
                x[at] = f64::NAN;
                assert!(max(&x) < 5.0 && sum(&x).is_nan());
                x[at] = kept;
            }
        }
    }

    #[test]
    fn all_finite_finds_nan_and_infinity_at_every_index() {
        for n in [1, 31, 32, 33, 100] {
            let mut x = vec![f32::MAX; n];
            assert!(all_finite(&x));
            for at in 0..n {
                for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    x[at] = bad;
                    assert!(!all_finite(&x), "{bad} at {at} of {n}");
                }
                x[at] = -0.0;
            }
        }
        assert!(all_finite::<f64>(&[]));
        let mut x = vec![1.0_f32; 3 * GRAIN];
        assert!(all_finite(&x));
        for at in [0, GRAIN, 3 * GRAIN - 1] {
            x[at] = f32::NAN;
            assert!(!all_finite(&x), "NaN at {at}");
            x[at] = 0.0;
        }
    }

    #[test]
    fn column_sums_take_every_row_of_every_column() {
        for shape in SHAPES {
            let (g, mut out) = (matrix(shape), Array2::from_elem((1, shape.1), f64::NAN));
            on_three_threads(|| column_sums(&g, &mut out));
            for (j, column) in g.columns().into_iter().enumerate() {
                assert_eq!(out[[0, j]], column.iter().fold(0.0, |a, b| a + b));
            }
        }
    }

    #[test]
    fn column_products_take_every_row_of_every_column() {
        for shape in SHAPES {
            let (a, b, mut out) = (matrix(shape), matrix(shape) + 0.5, Array2::from_elem((1, shape.1), f64::NAN));
            on_three_threads(|| column_products(&a, &b, &mut out));
            for j in 0..shape.1 {
                let truth = a.column(j).iter().zip(b.column(j)).fold(0.0, |sum, (a, b)| sum + a * b);
                assert_eq!(out[[0, j]], truth);
            }
        }
    }

    #[test]
    fn column_moments_do_not_cancel() {
        for shape in SHAPES {
            let x = matrix(shape) + 1e6;
            let (mut mean, mut variance) = (vec![f64::NAN; shape.1], vec![f64::NAN; shape.1]);
            on_three_threads(|| column_means(&x, shape.0, &mut mean));
            on_three_threads(|| column_variances(&x, shape.0, &mean, &mut variance));
            for (j, column) in matrix(shape).columns().into_iter().enumerate() {
                let truth = column.mean().unwrap();
                let spread = column.iter().map(|x| (x - truth).powi(2)).sum::<f64>() / shape.0 as f64;
                assert!((mean[j] - 1e6 - truth).abs() < 1e-8, "{shape:?}");
                assert!((variance[j] - spread).abs() <= 1e-8 * spread.max(1e-3), "{shape:?}");
            }
        }
    }
}

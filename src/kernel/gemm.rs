//! The three matrix products of a layer, behind one private function.
#![allow(unsafe_code)]

mod drive;
mod engines;
mod lanes;
mod pack;
mod share;
mod tile;

use std::mem::MaybeUninit;
use std::ptr::null;

use ndarray::{Array2, ArrayRef2, ArrayViewMut2};

use self::drive::Product;
pub(super) use self::engines::Engine;
use super::simd::Level;
use crate::scalar::Scalar;

/// `y = x W + b`, `x: (N, in)`, `w: (in, out)`, `b: (1, out)`, `y: (N, out)`.
pub fn affine<F: Scalar>(x: &ArrayRef2<F>, w: &Array2<F>, b: &Array2<F>, y: &mut Array2<F>) {
    product(x, w, Some(b.as_slice().expect("standard layout")), y);
}

/// `x W + b` in an array of its own.
pub(crate) fn affine_of<F: Scalar>(x: &ArrayRef2<F>, w: &Array2<F>, b: &Array2<F>) -> Array2<F> {
    let mut y = Array2::uninit((x.nrows(), w.ncols()));
    into(Level::detected(), x, w, Some(b.as_slice().expect("standard layout")), &mut y);
    // SAFETY: a product writes all of its result.
    unsafe { y.assume_init() }
}

/// `dw = xᵀ g`, `x: (N, in)`, `g: (N, out)`, `dw: (in, out)`.
pub fn weight_gradient<F: Scalar>(x: &Array2<F>, g: &Array2<F>, dw: &mut Array2<F>) {
    product(&x.t(), g, None, dw);
}

/// `dx = g Wᵀ`, `g: (N, out)`, `w: (in, out)`, `dx: (N, in)`.
pub fn input_gradient<F: Scalar>(g: &Array2<F>, w: &Array2<F>, dx: &mut Array2<F>) {
    product(g, &w.t(), None, dx);
}

/// `c = bias + a b`; c may hold anything.
fn product<F: Scalar>(a: &ArrayRef2<F>, b: &ArrayRef2<F>, bias: Option<&[F]>, c: &mut Array2<F>) {
    product_at(Level::detected(), a, b, bias, c);
}

/// The same with the instructions of `level`, which the processor has.
fn product_at<F: Scalar>(level: Level, a: &ArrayRef2<F>, b: &ArrayRef2<F>, bias: Option<&[F]>, c: &mut Array2<F>) {
    let shape = c.dim();
    let c = c.as_slice_mut().expect("matrix product: the result is not in standard layout");
    // SAFETY: a number may stand where one may be missing, and nothing but numbers is written.
    let c = unsafe { &mut *(std::ptr::from_mut(c) as *mut [MaybeUninit<F>]) };
    into(level, a, b, bias, &mut ArrayViewMut2::from_shape(shape, c).expect("its own shape"));
}

/// The same for a result that has never been written; all of it is.
fn into<F: Scalar>(
    level: Level,
    a: &ArrayRef2<F>,
    b: &ArrayRef2<F>,
    bias: Option<&[F]>,
    c: &mut ArrayRef2<MaybeUninit<F>>,
) {
    let ((m, k), n) = (a.dim(), b.ncols());
    assert_eq!((b.nrows(), c.dim()), (k, (m, n)), "matrix product: shapes do not fit");
    assert!(bias.is_none_or(|bias| bias.len() == n), "matrix product: the bias does not fit");
    assert!(c.is_standard_layout(), "matrix product: the result is not in standard layout");
    if k == 0 {
        c.indexed_iter_mut().for_each(|((_, j), c)| _ = c.write(bias.map_or(F::zero(), |bias| bias[j])));
    }
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    let p = Product {
        m,
        n,
        k,
        a: a.as_ptr(),
        a_row: a.strides()[0],
        a_col: a.strides()[1],
        b: b.as_ptr(),
        b_row: b.strides()[0],
        b_col: b.strides()[1],
        c: c.as_mut_ptr().cast(),
        c_row: n as isize,
        bias: bias.map_or(null(), <[F]>::as_ptr),
    };
    // SAFETY: pointers, shapes and strides are those of live arrays whose shapes were just checked, `c` is borrowed
    // exclusively, and the processor has what was detected.
    unsafe { share::product(level, &p) };
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, s};

    use super::*;
    use crate::kernel::threads::with_three;

    const SHAPES: [(usize, usize, usize); 23] = [
        (1, 1, 1),
        (1, 784, 100),
        (1, 100, 10),
        (1, 5, 300),
        (2, 3, 4),
        (5, 7, 33),
        (6, 16, 16),
        (7, 401, 17),
        (12, 9, 7),
        (17, 100, 96),
        (32, 64, 32),
        (100, 13, 100),
        (128, 100, 10),
        (128, 10, 100),
        (61, 800, 49),
        (300, 5, 130),
        (513, 3, 3),
        (41, 1030, 259),
        // Few columns that are turned, in several strips.
        (400, 30, 10),
        (200, 12, 5),
        // Rows that collide in the cache, more than one slab of them, more columns than a group of panels.
        (128, 30, 64),
        (4224, 5, 20),
        (70, 40, 401),
    ];

    fn numbers<F: Scalar>(shape: (usize, usize), seed: usize) -> Array2<F> {
        let of = |i: usize| F::of(((i * 7919 + seed * 104_729) % 2003) as f64 / 1000.0 - 1.0);
        Array::from_shape_fn(shape, |(i, j)| of(i * shape.1 + j))
    }

    /// The sums in f64, with the largest size of a partial sum: what an error is relative to.
    fn naive<F: Scalar>(a: &ArrayRef2<F>, b: &ArrayRef2<F>, bias: Option<&[F]>) -> (Array2<f64>, Array2<f64>) {
        let sum = |(i, j): (usize, usize), f: fn(f64) -> f64| {
            let start = bias.map_or(0.0, |bias| f(bias[j].as_f64()));
            (0..a.ncols()).fold(start, |sum, k| sum + f(a[[i, k]].as_f64() * b[[k, j]].as_f64()))
        };
        let shape = (a.nrows(), b.ncols());
        (Array::from_shape_fn(shape, |at| sum(at, |x| x)), Array::from_shape_fn(shape, |at| sum(at, f64::abs)))
    }

    fn holds<F: Scalar>(level: Level, a: &ArrayRef2<F>, b: &ArrayRef2<F>, bias: Option<&[F]>) {
        let mut c = Array2::from_elem((a.nrows(), b.ncols()), F::nan());
        product_at(level, a, b, bias, &mut c);
        let (truth, size) = naive(a, b, bias);
        let tolerance = F::epsilon().as_f64() * (a.ncols() as f64).sqrt().max(2.0);
        for ((at, found), size) in c.indexed_iter().zip(&size) {
            let error = (found.as_f64() - truth[at]).abs();
            assert!(error <= tolerance * size, "{level:?} {:?} {:?} at {at:?}: {found}", a.dim(), b.dim());
        }
    }

    fn every_shape_holds<F: Scalar>() {
        for level in Level::all() {
            for (m, k, n) in SHAPES {
                let (a, b, bias) = (numbers::<F>((m, k), 1), numbers::<F>((k, n), 2), numbers::<F>((1, n), 3));
                holds(level, &a, &b, bias.as_slice());
                holds(level, &a, &b, None);
                holds(level, &numbers::<F>((k, m), 1).t(), &b, None);
                holds(level, &a, &numbers::<F>((n, k), 2).t(), None);
            }
        }
    }

    #[test]
    fn products_are_those_of_a_plain_loop() {
        every_shape_holds::<f32>();
        every_shape_holds::<f64>();
    }

    #[test]
    fn inputs_may_be_views_of_any_stride() {
        let (a, b) = (numbers::<f64>((40, 60), 1), numbers::<f64>((60, 70), 2));
        for level in Level::all() {
            holds(level, &a.slice(s![..;2, 1..;3]), &b.slice(s![..20, ..;-2]), None);
            holds(level, &a.slice(s![..;-1, ..]), &b.slice(s![..;-1, ..]), None);
            holds(level, &a.slice(s![3..4, ..;2]), &b.slice(s![..;2, 5..]), None);
        }
    }

    #[test]
    fn every_vector_instruction_set_gives_the_same_bits() {
        let fused =
            |level: &Level| *level != Level::Baseline || cfg!(any(target_arch = "aarch64", target_feature = "fma"));
        for level in Level::all().filter(fused) {
            every_element_is_a_chain::<f32>(level);
            every_element_is_a_chain::<f64>(level);
        }
    }

    /// Whatever the layout of a and b.
    fn every_element_is_a_chain<F: Scalar>(level: Level) {
        for (m, k, n) in SHAPES {
            let (a, b) = (numbers::<F>((m, k), 1), numbers::<F>((k, n), 2));
            let chain = |i: usize, j: usize| (0..k).fold(F::zero(), |sum, p| a[[i, p]].mul_add(b[[p, j]], sum));
            let chains = Array::from_shape_fn((m, n), |(i, j)| chain(i, j));
            let turned = |x: &Array2<F>| x.t().as_standard_layout().into_owned();
            let (a_turned, b_turned) = (turned(&a), turned(&b));
            for (a, b) in [(a.view(), b.view()), (a_turned.t(), b.view()), (a.view(), b_turned.t())] {
                let mut c = Array2::zeros((m, n));
                product_at(level, &a, &b, None, &mut c);
                assert_eq!(c, chains, "{level:?} {m} {k} {n}, {:?} {:?}", a.strides(), b.strides());
            }
        }
    }

    /// Shapes above the size that is shared, so that with several threads the shares are in several hands.
    #[test]
    fn shared_products_have_the_same_bits() {
        for (m, k, n) in [(430, 500, 111), (2200, 1000, 10), (97, 800, 300)] {
            let (a, b, bias) = (numbers::<f32>((m, k), 1), numbers::<f32>((k, n), 2), numbers::<f32>((1, n), 3));
            let (at, bt) = (a.t().as_standard_layout().into_owned(), b.t().as_standard_layout().into_owned());
            let mut rows = Array2::zeros((m, n));
            for (i, a) in a.rows().into_iter().enumerate() {
                let mut row = Array2::zeros((1, n));
                affine(&a.insert_axis(ndarray::Axis(0)), &b, &bias, &mut row);
                rows.row_mut(i).assign(&row.row(0));
            }
            let mut c = Array2::zeros((m, n));
            with_three(|| affine(&a, &b, &bias, &mut c));
            assert_eq!(c, rows);
            let none = Array2::zeros((1, n));
            affine(&a, &b, &none, &mut rows);
            with_three(|| weight_gradient(&at, &b, &mut c));
            assert_eq!(c, rows);
            with_three(|| input_gradient(&a, &bt, &mut c));
            assert_eq!(c, rows);
        }
    }

    #[test]
    fn nothing_times_nothing_is_the_bias() {
        let bias = numbers::<f32>((1, 3), 1);
        let mut y = Array2::from_elem((2, 3), f32::NAN);
        affine(&Array2::zeros((2, 0)), &Array2::zeros((0, 3)), &bias, &mut y);
        assert_eq!(y.row(1), bias.row(0));
        weight_gradient(&Array2::zeros((0, 2)), &Array2::zeros((0, 3)), &mut y);
        assert_eq!(y, Array2::<f32>::zeros((2, 3)));
        affine(&Array2::zeros((0, 4)), &numbers((4, 3), 2), &bias, &mut Array2::zeros((0, 3)));
        affine::<f64>(
            &Array2::zeros((2, 4)),
            &Array2::zeros((4, 0)),
            &Array2::zeros((1, 0)),
            &mut Array2::zeros((2, 0)),
        );
    }

    #[test]
    #[should_panic(expected = "shapes do not fit")]
    fn shapes_are_checked() {
        input_gradient(&Array2::<f32>::zeros((2, 3)), &Array2::zeros((4, 4)), &mut Array2::zeros((2, 4)));
    }
}

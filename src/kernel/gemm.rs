//! The matrix products of a layer, [`affine`], [`weight_gradient`] and [`input_gradient`], by one function:
//! `c = bias + a b` with `a: (m, k)`, `b: (k, n)` of any strides and a row-major `c: (m, n)`.
//!
//! # The loop nest
//!
//! That of BLIS (Van Zee and van de Geijn, "BLIS: A Framework for Rapidly Instantiating BLAS Functionality", 2015): loops
//! around a micro-kernel that holds MR × NR elements of c in registers. Two things differ. Loop 5 is outside loop 4, since
//! a block of k of a batch is packed once for all columns of the weights; and loop 6 bounds what is packed of a.
//!
//! ```text
//! loop 6   for i  in 0..m  step MP                rows of c                 MP × n of c
//! loop 5     for pc in 0..k  step KC              pack a: MP × KC -> packed_a, in L3 or memory
//! loop 4       for jc in 0..n  step NC            pack b: KC × NC -> packed_b, in L2, or L3 where that is small
//! loop 3         for ic in 0..MP step MC          block of a,       MC × KC, stays in L2
//! loop 2           for jr in 0..NC step NR        micro-panel of b, KC × NR, streams from L2
//! loop 1             for ir in 0..MC step MR      micro-panel of a, MR × KC, in L1
//! micro-kernel         for p in 0..KC             c[MR × NR] += a[MR × 1] b[1 × NR], in registers
//! ```
//!
//! | | what | AVX-512 | AVX2 | else |
//! |---|---|---|---|---|
//! | MR | rows of a micro-tile of c | 8 | 6 | 6 |
//! | NV | registers in a row of it | 3 | 2 | 2 |
//! | NR | columns of it: NV × lanes of a register (`f32`, `f64`) | 48, 24 | 16, 8 | 8, 8 |
//! | KC | depth of a block: a micro-panel of b has 96 or 64 KiB | 512 | 1024 | 2048, 1024 |
//! | MC | rows of a block of a: it has 272 or 128 KiB | 136, 68 | 32, 16 | 16, 16 |
//! | NC | columns of packed b: 768 bytes of a row | 192, 96 | 192, 96 | 192, 96 |
//! | MP | rows of packed a | 4096 | 4096 | 4096 |
//!
//! These are upper limits: each loop cuts its range into nearly equal blocks. KC and MC vary with each other and with the
//! type: the limits are bytes. Where packing costs more than it saves, the micro-kernel reads a or b in place, with its
//! own leading dimension. The buffers are a workspace of the thread, kept from call to call.
//!
//! Beside the loop nest: a product of one row reads b once and in place, all of k in the registers of a row
//! (`blocking::one_row`); last columns that would leave most of a register empty are computed as rows of the transposed
//! product (`edge`); of large products several threads compute rows, columns or blocks of c (`parallel`), the latter of
//! operands that they pack together (`shared`).
//!
//! # Every element is one fixed chain over k
//!
//! `c[i, j] = (((bias[j] + a[i, 0] b[0, j]) + a[i, 1] b[1, j]) + …) + a[i, k-1] b[k-1, j]`, each step one fused multiply-add.
//! A lane of one register sums one element in the order of p; loop 5 runs over pc in the same order, and c, where a sum
//! waits for the next pc, has the precision of the register; no loop, and no split among threads, sums parts of k apart to
//! join them later. So the bits of an element depend on its row of a, its column of b and its bias alone: not on the block
//! sizes, the number of threads, the vector width, the strides of a and b or the other rows of the batch. Only a target
//! without fused multiply-add (plain SSE2) rounds twice a step and gives other bits.
#![allow(unsafe_code)]

mod blocking;
mod dispatch;
mod edge;
mod microkernel;
mod pack;
mod parallel;
mod registers;
mod shared;

use std::mem::MaybeUninit;
use std::ptr::null;

use ndarray::{Array2, ArrayRef2, ArrayViewMut2};

use self::parallel::parallel_gemm;
use super::simd::Level;
use crate::scalar::Scalar;

/// `y = x W + b`, `x: (N, in)`, `w: (in, out)`, `b: (1, out)`, `y: (N, out)`. What `y` held is overwritten.
///
/// `x` and `w` may have any strides.
///
/// ```
/// use gradus::{kernel::affine, ndarray::{Array2, array}};
/// let (x, w, b) = (array![[1.0, 2.0]], array![[1.0, 0.0, 3.0], [0.0, 1.0, 4.0]], array![[0.5, 0.5, 0.5]]);
/// let mut y = Array2::zeros((1, 3));
/// affine(&x, &w, &b, &mut y);
/// assert_eq!(y, array![[1.5, 2.5, 11.5]]);
/// ```
///
/// # Panics
/// If the shapes do not fit, or `b` or `y` is not in standard layout.
#[track_caller]
pub fn affine<F: Scalar>(x: &ArrayRef2<F>, w: &ArrayRef2<F>, b: &ArrayRef2<F>, y: &mut Array2<F>) {
    product(x, w, Some(b.as_slice().expect(BIAS_LAYOUT)), y);
}

/// `y = x W`: [`affine`] without a bias.
#[track_caller]
pub(crate) fn linear<F: Scalar>(x: &ArrayRef2<F>, w: &ArrayRef2<F>, y: &mut Array2<F>) {
    product(x, w, None, y);
}

/// `x W + b`, or `x W`, in a new array.
#[track_caller]
pub(crate) fn affine_of<F: Scalar>(x: &ArrayRef2<F>, w: &ArrayRef2<F>, b: Option<&ArrayRef2<F>>) -> Array2<F> {
    let mut y = Array2::uninit((x.nrows(), w.ncols()));
    into(Level::detected(), x, w, b.map(|b| b.as_slice().expect(BIAS_LAYOUT)), &mut y);
    // SAFETY: a product writes all of its result.
    unsafe { y.assume_init() }
}

/// `dW = xᵀ g`, `x: (N, in)`, `g: (N, out)`, `dw: (in, out)`. What `dw` held is overwritten.
///
/// With g = dL/dy of `y = x W + b` this is dL/dW. `x` and `g` may have any strides.
///
/// ```
/// use gradus::{kernel::weight_gradient, ndarray::{Array2, array}};
/// let (x, g) = (array![[1.0, 2.0], [3.0, 4.0]], array![[1.0], [10.0]]);
/// let mut dw = Array2::zeros((2, 1));
/// weight_gradient(&x, &g, &mut dw);
/// assert_eq!(dw, array![[31.0], [42.0]]);
/// ```
///
/// # Panics
/// If the shapes do not fit, or `dw` is not in standard layout.
#[track_caller]
pub fn weight_gradient<F: Scalar>(x: &ArrayRef2<F>, g: &ArrayRef2<F>, dw: &mut Array2<F>) {
    product(&x.t(), g, None, dw);
}

/// `dx = g Wᵀ`, `g: (N, out)`, `w: (in, out)`, `dx: (N, in)`. What `dx` held is overwritten.
///
/// With g = dL/dy of `y = x W + b` this is dL/dx. `g` and `w` may have any strides.
///
/// ```
/// use gradus::{kernel::input_gradient, ndarray::{Array2, array}};
/// let (g, w) = (array![[1.0], [10.0]], array![[1.0], [2.0]]);
/// let mut dx = Array2::zeros((2, 2));
/// input_gradient(&g, &w, &mut dx);
/// assert_eq!(dx, array![[1.0, 2.0], [10.0, 20.0]]);
/// ```
///
/// # Panics
/// If the shapes do not fit, or `dx` is not in standard layout.
#[track_caller]
pub fn input_gradient<F: Scalar>(g: &ArrayRef2<F>, w: &ArrayRef2<F>, dx: &mut Array2<F>) {
    product(g, &w.t(), None, dx);
}

const BIAS_LAYOUT: &str = "matrix product: the bias is not in standard layout";
const RESULT_LAYOUT: &str = "matrix product: the result is not in standard layout";

/// `c = bias + a b`; c may hold anything.
#[track_caller]
fn product<F: Scalar>(a: &ArrayRef2<F>, b: &ArrayRef2<F>, bias: Option<&[F]>, c: &mut Array2<F>) {
    product_at(Level::detected(), a, b, bias, c);
}

/// The same with the instruction set of `level`, which the processor has.
#[track_caller]
fn product_at<F: Scalar>(level: Level, a: &ArrayRef2<F>, b: &ArrayRef2<F>, bias: Option<&[F]>, c: &mut Array2<F>) {
    let shape = c.dim();
    let c = c.as_slice_mut().expect(RESULT_LAYOUT);
    // SAFETY: an initialized element is a valid `MaybeUninit`, and only initialized ones are written.
    let c = unsafe { &mut *(std::ptr::from_mut(c) as *mut [MaybeUninit<F>]) };
    into(level, a, b, bias, &mut ArrayViewMut2::from_shape(shape, c).expect("its own shape"));
}

/// The same for a result that may be uninitialized: all of it is written.
#[track_caller]
fn into<F: Scalar>(
    level: Level,
    a: &ArrayRef2<F>,
    b: &ArrayRef2<F>,
    bias: Option<&[F]>,
    c: &mut ArrayRef2<MaybeUninit<F>>,
) {
    let ((m, k), n) = (a.dim(), b.ncols());
    let fits = b.nrows() == k && c.dim() == (m, n);
    assert!(fits, "matrix product: shapes do not fit: {:?} times {:?} into {:?}", a.dim(), b.dim(), c.dim());
    assert!(bias.is_none_or(|bias| bias.len() == n), "matrix product: the bias does not have {n} elements");
    assert!(c.is_standard_layout(), "{RESULT_LAYOUT}");
    if k == 0 {
        c.indexed_iter_mut().for_each(|((_, j), c)| _ = c.write(bias.map_or(F::zero(), |bias| bias[j])));
    }
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    let (rs_a, cs_a, rs_b, cs_b) = (a.strides()[0], a.strides()[1], b.strides()[0], b.strides()[1]);
    let (a, b, c, ldc) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr().cast(), n as isize);
    let p = Problem { m, n, k, a, rs_a, cs_a, b, rs_b, cs_b, c, ldc, bias: bias.map_or(null(), <[F]>::as_ptr) };
    // SAFETY: pointers, shapes and strides are those of live arrays whose shapes were just checked, `c` is borrowed
    // exclusively, and the processor has what was detected.
    unsafe { parallel_gemm(level, &p) };
}

/// `c = bias + a b`, `a: (m, k)`, `b: (k, n)`, `c: (m, n)`. Strides are in elements: `rs_` from row to row, `cs_` from
/// column to column.
#[derive(Clone, Copy)]
struct Problem<F> {
    m: usize,
    n: usize,
    k: usize,
    a: *const F,
    rs_a: isize,
    cs_a: isize,
    b: *const F,
    rs_b: isize,
    cs_b: isize,
    /// Row-major with this leading dimension.
    c: *mut F,
    ldc: isize,
    /// A row that is added to every row of c; zero if null.
    bias: *const F,
}

// SAFETY: a problem is a description; who uses its pointers promises that they are good, and that nobody else writes to c.
unsafe impl<F: Send> Send for Problem<F> {}
// SAFETY: as above.
unsafe impl<F: Sync> Sync for Problem<F> {}

impl<F: Scalar> Problem<F> {
    /// Rows `from..from + m` of c.
    fn rows(&self, from: usize, m: usize) -> Self {
        let i = from as isize;
        Self { m, a: self.a.wrapping_offset(i * self.rs_a), c: self.c.wrapping_offset(i * self.ldc), ..*self }
    }

    /// Columns `from..from + n` of c.
    fn columns(&self, from: usize, n: usize) -> Self {
        let bias = if self.bias.is_null() { null() } else { self.bias.wrapping_add(from) };
        let b = self.b.wrapping_offset(from as isize * self.cs_b);
        Self { n, b, c: self.c.wrapping_add(from), bias, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, s};

    use super::*;
    use crate::kernel::threads::on_three_threads;

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
        // Few columns, computed transposed, in several blocks.
        (400, 30, 10),
        (200, 12, 5),
        // Rows that conflict in the cache, more than MP of them, more columns than NC.
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

    fn check<F: Scalar>(level: Level, a: &ArrayRef2<F>, b: &ArrayRef2<F>, bias: Option<&[F]>) {
        let mut c = Array2::from_elem((a.nrows(), b.ncols()), F::nan());
        product_at(level, a, b, bias, &mut c);
        let (truth, size) = naive(a, b, bias);
        let tolerance = F::epsilon().as_f64() * (a.ncols() as f64).sqrt().max(2.0);
        for ((at, found), size) in c.indexed_iter().zip(&size) {
            let error = (found.as_f64() - truth[at]).abs();
            assert!(error <= tolerance * size, "{level:?} {:?} {:?} at {at:?}: {found}", a.dim(), b.dim());
        }
    }

    fn check_every_shape<F: Scalar>() {
        for level in Level::all() {
            for (m, k, n) in SHAPES {
                let (a, b, bias) = (numbers::<F>((m, k), 1), numbers::<F>((k, n), 2), numbers::<F>((1, n), 3));
                check(level, &a, &b, bias.as_slice());
                check(level, &a, &b, None);
                check(level, &numbers::<F>((k, m), 1).t(), &b, None);
                check(level, &a, &numbers::<F>((n, k), 2).t(), None);
            }
        }
    }

    #[test]
    fn products_are_close_to_those_of_a_plain_loop() {
        check_every_shape::<f32>();
        check_every_shape::<f64>();
    }

    #[test]
    fn operands_may_be_views_of_any_stride() {
        let (a, b) = (numbers::<f64>((40, 60), 1), numbers::<f64>((60, 70), 2));
        for level in Level::all() {
            check(level, &a.slice(s![..;2, 1..;3]), &b.slice(s![..20, ..;-2]), None);
            check(level, &a.slice(s![..;-1, ..]), &b.slice(s![..;-1, ..]), None);
            check(level, &a.slice(s![3..4, ..;2]), &b.slice(s![..;2, 5..]), None);
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

    /// For every layout of a and b.
    fn every_element_is_a_chain<F: Scalar>(level: Level) {
        for (m, k, n) in SHAPES {
            let (a, b) = (numbers::<F>((m, k), 1), numbers::<F>((k, n), 2));
            let chain = |i: usize, j: usize| (0..k).fold(F::zero(), |sum, p| a[[i, p]].mul_add(b[[p, j]], sum));
            let chains = Array::from_shape_fn((m, n), |(i, j)| chain(i, j));
            let column_major = |x: &Array2<F>| x.t().as_standard_layout().into_owned();
            let (a_t, b_t) = (column_major(&a), column_major(&b));
            for (a, b) in [(a.view(), b.view()), (a_t.t(), b.view()), (a.view(), b_t.t())] {
                let mut c = Array2::zeros((m, n));
                product_at(level, &a, &b, None, &mut c);
                assert_eq!(c, chains, "{level:?} {m} {k} {n}, {:?} {:?}", a.strides(), b.strides());
            }
        }
    }

    /// Shapes above the threshold, so that several threads work on them.
    #[test]
    fn products_have_the_same_bits_on_several_threads() {
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
            on_three_threads(|| affine(&a, &b, &bias, &mut c));
            assert_eq!(c, rows);
            let none = Array2::zeros((1, n));
            affine(&a, &b, &none, &mut rows);
            on_three_threads(|| weight_gradient(&at, &b, &mut c));
            assert_eq!(c, rows);
            on_three_threads(|| input_gradient(&a, &bt, &mut c));
            assert_eq!(c, rows);
        }
    }

    #[test]
    fn an_empty_product_is_the_bias() {
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
    fn products_check_the_shapes() {
        input_gradient(&Array2::<f32>::zeros((2, 3)), &Array2::zeros((4, 4)), &mut Array2::zeros((2, 4)));
    }
}

//! The three matrix products of a layer, behind one private function.
#![allow(unsafe_code)]

use ndarray::{Array2, ArrayRef2};

use crate::scalar::Scalar;

/// `y = x W + b`, `x: (N, in)`, `w: (in, out)`, `b: (1, out)`, `y: (N, out)`.
pub(crate) fn affine<F: Scalar>(x: &ArrayRef2<F>, w: &Array2<F>, b: &Array2<F>, y: &mut Array2<F>) {
    for mut row in y.rows_mut() {
        row.assign(&b.row(0));
    }
    product(x, w, F::one(), y);
}

/// `dw = xᵀ g`, `x: (N, in)`, `g: (N, out)`, `dw: (in, out)`.
pub(crate) fn weight_gradient<F: Scalar>(x: &Array2<F>, g: &Array2<F>, dw: &mut Array2<F>) {
    product(&x.t(), g, F::zero(), dw);
}

/// `dx = g Wᵀ`, `g: (N, out)`, `w: (in, out)`, `dx: (N, in)`.
pub(crate) fn input_gradient<F: Scalar>(g: &Array2<F>, w: &Array2<F>, dx: &mut Array2<F>) {
    product(g, &w.t(), F::zero(), dx);
}

/// `c = beta c + a b`; with `beta` zero, `c` may hold anything.
fn product<F: Scalar>(a: &ArrayRef2<F>, b: &ArrayRef2<F>, beta: F, c: &mut ArrayRef2<F>) {
    let ((m, k), n) = (a.dim(), b.ncols());
    assert_eq!((b.nrows(), c.dim()), (k, (m, n)), "matrix product: shapes do not fit");
    // SAFETY: pointers, shapes and strides are those of live arrays whose shapes were just checked,
    // and `c` is borrowed exclusively.
    unsafe {
        ::gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            c.strides()[1],
            c.strides()[0],
            beta != F::zero(),
            a.as_ptr(),
            a.strides()[1],
            a.strides()[0],
            b.as_ptr(),
            b.strides()[1],
            b.strides()[0],
            beta,
            F::one(),
            false,
            false,
            false,
            ::gemm::Parallelism::None,
        );
    }
}

//! Helpers for matrices in standard (row-major) layout.

use ndarray::{Array2, ArrayRef2};
use num_traits::Zero;

/// Makes `buffer` a `(rows, columns)` array, its contents unspecified. Allocates only to grow.
pub(crate) fn resize<F: Clone + Zero + Default>(buffer: &mut Array2<F>, (rows, columns): (usize, usize)) {
    if buffer.dim() != (rows, columns) {
        let mut values = std::mem::take(buffer).into_raw_vec_and_offset().0;
        values.resize(rows * columns, F::zero());
        *buffer = Array2::from_shape_vec((rows, columns), values).expect("as many values as the shape says");
    }
}

/// The values of an array in standard layout.
#[track_caller]
pub(crate) fn values<F>(array: &ArrayRef2<F>) -> &[F] {
    array.as_slice().expect("a layer was given an array that is not in standard layout")
}

/// The values of an array in standard layout, to change.
#[track_caller]
pub(crate) fn values_mut<F>(array: &mut ArrayRef2<F>) -> &mut [F] {
    array.as_slice_mut().expect("a layer was given an array that is not in standard layout")
}

/// The same array in standard layout: itself, or a copy.
pub(crate) fn standard<F: Clone>(array: Array2<F>) -> Array2<F> {
    if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() }
}

/// Whether there is memory for as many values as the product of `counts`, as far as the allocator can tell. A count of 0 is
/// taken for 1: of an empty array, too, all other sides have to be ones that an array can have.
pub(crate) fn fits<T>(counts: &[usize]) -> bool {
    let count = counts.iter().try_fold(1_usize, |product, &count| product.checked_mul(count.max(1)));
    // Seen from outside, so that the compiler does not leave the allocation out.
    count.is_some_and(|count| std::hint::black_box(Vec::<T>::new()).try_reserve_exact(count).is_ok())
}

/// `Affine` for `gradus::layer::affine::Affine<f32>`.
pub(crate) fn short_type_name<T: ?Sized>() -> String {
    let path = std::any::type_name::<T>();
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path).to_string()
}

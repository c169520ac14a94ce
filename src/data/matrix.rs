//! Rows of numbers as an array.

use ndarray::Array2;

use crate::error::Error;
use crate::scalar::Scalar;

/// A matrix of rows that are each a `Vec`, a slice or an array.
///
/// ```
/// use gradus::data::matrix;
/// let rows = matrix(&[vec![1.0_f32, 2.0], vec![3.0, 4.0]])?;
/// assert_eq!(rows, gradus::ndarray::array![[1.0, 2.0], [3.0, 4.0]]);
/// let error = matrix(&[vec![1.0_f32, 2.0], vec![3.0]]).unwrap_err().to_string();
/// assert_eq!(error, "row 1: expected 2 numbers, as many as row 0 has, found 1");
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// No rows; a row that is longer or shorter than the first.
pub fn matrix<F: Scalar>(rows: &[impl AsRef<[F]>]) -> Result<Array2<F>, Error> {
    let width = rows.first().ok_or_else(|| Error::empty("rows"))?.as_ref().len();
    if let Some((row, values)) = rows.iter().enumerate().find(|(_, row)| row.as_ref().len() != width) {
        let expected = format!("{width} numbers, as many as row 0 has");
        return Err(Error::invalid(format!("row {row}"), expected, values.as_ref().len()));
    }
    let values = rows.iter().flat_map(|row| row.as_ref().iter().copied()).collect();
    Ok(Array2::from_shape_vec((rows.len(), width), values).expect("as many values as the shape says"))
}

//! How far numbers are from those they should be.

use ndarray::{Array2, ArrayView1};

use crate::data::{Targets, check_finite};
use crate::error::{Error, require};
use crate::scalar::Scalar;

/// Writes a figure of dense targets that is the mean of one of each column.
macro_rules! of_columns {
    ($(#[$doc:meta])* $name:ident, $columns:ident, $figure:expr) => {
        $(#[$doc])*
        ///
        /// Over several columns the mean of their figures, as in scikit-learn.
        ///
        /// # Errors
        /// Targets that are not dense, or of another shape than the outputs; a number that is not finite.
        pub fn $name<F: Scalar>(outputs: &Array2<F>, targets: &Targets<F>) -> Result<f64, Error> {
            let columns = $columns(outputs, targets)?;
            Ok(columns.iter().sum::<f64>() / columns.len() as f64)
        }

        #[doc = concat!("[`", stringify!($name), "`] of each column.")]
        ///
        /// # Errors
        #[doc = concat!("As [`", stringify!($name), "`].")]
        pub fn $columns<F: Scalar>(outputs: &Array2<F>, targets: &Targets<F>) -> Result<Vec<f64>, Error> {
            columns(outputs, targets, $figure)
        }
    };
}

of_columns!(
    /// The mean absolute error, `Σ |y - t| / N`, in the unit of the targets.
    ///
    /// ```
    /// use gradus::{data::Targets, metric, ndarray::array};
    /// let targets = Targets::Dense(array![[1.0, 10.0], [2.0, 20.0]]);
    /// let outputs = array![[1.5, 10.0], [2.0, 24.0]];
    /// assert_eq!(metric::mean_absolute_error_columns(&outputs, &targets)?, [0.25, 2.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    mean_absolute_error,
    mean_absolute_error_columns,
    |y, t| mean(y, t, |y, t| (y - t).abs())
);

of_columns!(
    /// The root of the mean squared error, `√(Σ (y - t)² / N)`, in the unit of the targets.
    ///
    /// ```
    /// use gradus::{data::Targets, metric, ndarray::array};
    /// let targets = Targets::Dense(array![[1.0], [2.0]]);
    /// assert_eq!(metric::root_mean_squared_error(&array![[4.0], [5.0]], &targets)?, 3.0);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    root_mean_squared_error,
    root_mean_squared_error_columns,
    |y, t| mean(y, t, |y, t| (y - t).powi(2)).sqrt()
);

of_columns!(
    /// The share of the targets' variance that is explained, `R² = 1 - Σ (y - t)² / Σ (t - mean t)²`: 1 where all is
    /// right, 0 for one who always answers the mean, below 0 for worse.
    ///
    /// Of targets that are all the same it is 1 where all is right, else 0; of a single row NaN: scikit-learn's choices.
    ///
    /// ```
    /// use gradus::{data::Targets, metric, ndarray::array};
    /// let targets = Targets::Dense(array![[1.0], [2.0], [3.0]]);
    /// assert_eq!(metric::r2(&array![[2.0], [2.0], [2.0]], &targets)?, 0.0);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    r2,
    r2_columns,
    |y, t| {
        let center = mean(t, t, |t, _| t);
        let (error, variance) = (mean(y, t, |y, t| (y - t).powi(2)), mean(t, t, |t, _| (t - center).powi(2)));
        match (t.len(), error, variance) {
            (1, ..) => f64::NAN,
            (_, 0.0, _) => 1.0,
            (_, _, 0.0) => 0.0,
            _ => 1.0 - error / variance,
        }
    }
);

/// A figure of each column of outputs and its targets.
fn columns<F: Scalar>(
    outputs: &Array2<F>,
    targets: &Targets<F>,
    figure: impl Fn(ArrayView1<'_, F>, ArrayView1<'_, F>) -> f64,
) -> Result<Vec<f64>, Error> {
    let Targets::Dense(t) = targets else {
        return Err(Error::invalid("targets of a regression", "dense targets", targets.kind()));
    };
    let expected = format!("the shape of the targets, {:?}", t.dim());
    require(outputs.dim() == t.dim(), "outputs", &expected, format!("{:?}", outputs.dim()))?;
    require(!t.is_empty(), "outputs", "at least one", "none")?;
    check_finite("outputs", outputs)?;
    check_finite("targets", t)?;
    Ok(outputs.columns().into_iter().zip(t.columns()).map(|(y, t)| figure(y, t)).collect())
}

/// The mean of `f(yₙ, tₙ)`.
fn mean<F: Scalar>(y: ArrayView1<'_, F>, t: ArrayView1<'_, F>, f: impl Fn(f64, f64) -> f64) -> f64 {
    y.iter().zip(t).map(|(y, t)| f(y.as_f64(), t.as_f64())).sum::<f64>() / y.len() as f64
}

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ndarray::{Array1, Array2, ArrayRef2, AsArray, Axis};

use super::Sequential;
use crate::data::{Dataset, Targets, check_finite};
use crate::error::Error;
use crate::kernel;
use crate::layer::Layer;
use crate::loss::{Loss, check_targets, softmax};
use crate::metric;
use crate::scalar::Scalar;

impl<F: Scalar> Sequential<F> {
    /// The outputs (for a classifier: logits) of a batch of rows, `(N, in) -> (N, out)`.
    ///
    /// ```
    /// use gradus::prelude::*;
    /// let digits = Digits::load::<f32>()?;
    /// let net = Sequential::mlp(64, &[20], 10).build(&mut gradus::rng(1))?;
    /// let logits = net.predict(digits.rows())?;
    /// assert_eq!(logits.dim(), (1797, 10));
    /// let probabilities = net.predict_probabilities(digits.rows())?;
    /// assert!((probabilities.row(0).sum() - 1.0).abs() < 1e-5);
    /// let classes = net.classify(digits.rows())?;
    /// let right = classes.iter().zip(digits.labels().unwrap()).filter(|(a, b)| a == b).count();
    /// assert_eq!(net.accuracy(&digits)?, right as f64 / 1797.0);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Rows of another width than the network's; a value that is NaN or infinite (row and column are named): a network
    /// may make a finite answer of it, and a class of any.
    pub fn predict(&self, rows: &ArrayRef2<F>) -> Result<Array2<F>, Error> {
        self.expect_width(rows.ncols())?;
        if rows.nrows() <= kernel::ROW_CHUNK {
            check_finite("rows", rows)?;
            return Ok(self.infer_rows(rows));
        }
        let (mut output, finite) = (Array2::zeros((rows.nrows(), self.output)), AtomicBool::new(true));
        kernel::for_each_row_chunk(rows, &mut output, &|rows, mut output| {
            // While they are in the cache.
            match check_finite("rows", &rows) {
                Ok(()) => output.assign(&self.infer_rows(&rows)),
                Err(_) => finite.store(false, Relaxed),
            }
        });
        if !finite.into_inner() {
            check_finite("rows", rows)?;
        }
        Ok(output)
    }

    /// The outputs of one row: of an array of one dimension or a view of it, a slice, a `Vec`.
    ///
    /// ```
    /// use gradus::prelude::*;
    /// let net = Sequential::<f32>::mlp(3, &[4], 2).build(&mut rng(1))?;
    /// let (row, class) = (vec![1.0, 2.0, 3.0], net.classify_row(&[1.0, 2.0, 3.0])?);
    /// assert_eq!(net.predict_row(&row)?.len(), 2);
    /// assert!(class < 2);
    /// let error = net.predict_row(&[1.0, f32::NAN, 3.0]).unwrap_err().to_string();
    /// assert_eq!(error, "rows, row 0, column 1: expected a finite number, found NaN");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn predict_row<'a>(&self, row: impl AsArray<'a, F>) -> Result<Array1<F>, Error> {
        Ok(self.predict(&row.into().insert_axis(Axis(0)))?.index_axis_move(Axis(0), 0))
    }

    /// The most likely class of one row, as [`classify`](Self::classify) gives it.
    ///
    /// # Errors
    /// As [`classify`](Self::classify).
    pub fn classify_row<'a>(&self, row: impl AsArray<'a, F>) -> Result<usize, Error> {
        Ok(self.classify(&row.into().insert_axis(Axis(0)))?[0])
    }

    /// The probabilities of a batch of rows: the softmax of [`predict`](Self::predict), row by row; of a single output
    /// column the sigmoid, the probability of class 1.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn predict_probabilities(&self, rows: &ArrayRef2<F>) -> Result<Array2<F>, Error> {
        Ok(probabilities(self.predict(rows)?))
    }

    /// The most likely class of every row: the largest output, the first of equals; with a single output column
    /// class 1 where it is positive.
    ///
    /// # Errors
    /// Those of [`predict`](Self::predict); a row whose outputs are nothing but NaN, since finite numbers overflowed on the
    /// way.
    pub fn classify(&self, rows: &ArrayRef2<F>) -> Result<Vec<usize>, Error> {
        metric::certain_classes(&self.predict(rows)?)
    }

    /// The share of rows whose most likely class is the right one; a row of nothing but NaN is never right.
    ///
    /// # Errors
    /// Rows or targets of another width than the network's, targets that are neither labels nor one-hot rows.
    pub fn accuracy(&self, data: &Dataset<F>) -> Result<f64, Error> {
        check_targets(self.output, data.targets())?;
        metric::accuracy(&self.predict(data.rows())?, data.targets())
    }

    /// A figure over a dataset: any function of outputs and targets, those of [`metric`](crate::metric) or your own.
    ///
    /// ```
    /// use gradus::{prelude::*, metric};
    /// let digits = Digits::load::<f32>()?;
    /// let net = Sequential::mlp(64, &[20], 10).build(&mut gradus::rng(1))?;
    /// let top_3 = net.measure(|outputs, targets| metric::top_k_accuracy(outputs, targets, 3), &digits)?;
    /// assert!(top_3 > net.measure(metric::accuracy, &digits)?);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`predict`](Self::predict) and of the function.
    pub fn measure<T>(
        &self,
        figure: impl FnOnce(&Array2<F>, &Targets<F>) -> Result<T, Error>,
        data: &Dataset<F>,
    ) -> Result<T, Error> {
        figure(&self.predict(data.rows())?, data.targets())
    }

    /// The mean loss over a dataset, in inference mode and without any weight penalty.
    ///
    /// ```
    /// use gradus::prelude::*;
    /// let net = Sequential::<f32>::input(64).affine(10, Init::Zeros).build(&mut gradus::rng(1))?;
    /// let loss = net.loss(&SoftmaxCrossEntropy, &Digits::load()?)?;
    /// assert!((loss - 10.0_f64.ln()).abs() < 1e-6); // every class is as likely
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Rows or targets of another width than the network's.
    pub fn loss<L: Loss<F> + ?Sized>(&self, loss: &L, data: &Dataset<F>) -> Result<f64, Error> {
        self.check_data(loss, data)?;
        Ok(loss.value(&self.predict(data.rows())?, data.targets()))
    }

    /// Every layer's output for a batch of rows, in inference mode.
    ///
    /// ```
    /// use gradus::{Sequential, ndarray::Array2};
    /// let net = Sequential::<f32>::mlp(8, &[4, 3], 2).build(&mut gradus::rng(1))?;
    /// let activations = net.activations(&Array2::ones((5, 8)))?;
    /// assert_eq!(activations.iter().map(|a| a.ncols()).collect::<Vec<_>>(), [4, 4, 3, 3, 2]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn activations(&self, rows: &ArrayRef2<F>) -> Result<Vec<Array2<F>>, Error> {
        self.expect_width(rows.ncols())?;
        check_finite("rows", rows)?;
        let mut x = rows.as_standard_layout().into_owned();
        let mut activations = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            x = layer.infer(x);
            activations.push(x.clone());
        }
        Ok(activations)
    }

    /// Why a loss cannot compare this network with these data.
    pub(crate) fn check_data<L: Loss<F> + ?Sized>(&self, loss: &L, data: &Dataset<F>) -> Result<(), Error> {
        self.expect_width(data.width())?;
        loss.check(self.output, data.targets())
    }

    pub(crate) fn expect_width(&self, found: usize) -> Result<(), Error> {
        let what = "width of the rows (the network's input)";
        if found == self.input { Ok(()) } else { Err(Error::invalid(what, self.input, found)) }
    }
}

/// The softmax of every row of outputs, the sigmoid of a single column.
pub(crate) fn probabilities<F: Scalar>(mut output: Array2<F>) -> Array2<F> {
    if output.ncols() != 1 {
        return softmax(output);
    }
    output.mapv_inplace(kernel::sigmoid);
    output
}

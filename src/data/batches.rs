//! A data set in pieces.

use ndarray::Array2;

use crate::data::{Dataset, Targets};
use crate::error::{Error, require};
use crate::scalar::Scalar;

/// Rows and their targets, to be used up by a training step: [`Trainer::step`](crate::Trainer::step).
#[derive(Debug, Clone, PartialEq)]
pub struct Batch<F = f32> {
    /// `(N, in)`.
    pub rows: Array2<F>,
    /// One a row.
    pub targets: Targets<F>,
}

impl<F: Scalar> Default for Batch<F> {
    /// No rows.
    fn default() -> Self {
        Self { rows: Array2::default((0, 0)), targets: Targets::Labels { labels: Vec::new(), classes: 0 } }
    }
}

/// A data set in pieces of the same number of rows, in order, the short rest last.
/// Made by [`Dataset::batches`].
#[derive(Debug, Clone)]
pub struct Batches<'a, F = f32> {
    data: &'a Dataset<F>,
    size: usize,
    next: usize,
}

impl<F: Scalar> Dataset<F> {
    /// The rows and targets in pieces of `batch_size`, in order; the last one is shorter if they do not
    /// come out even. Each piece is the taker's own, to be handed to a network or written over.
    ///
    /// ```
    /// use gradus::Digits;
    ///
    /// let digits = Digits::load::<f32>()?;
    /// let sizes: Vec<usize> = digits.batches(500)?.map(|batch| batch.rows.nrows()).collect();
    /// assert_eq!(sizes, [500, 500, 500, 297]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// A `batch_size` of 0.
    pub fn batches(&self, batch_size: usize) -> Result<Batches<'_, F>, Error> {
        require(batch_size > 0, "batch_size", "at least 1", batch_size as f64)?;
        Ok(Batches { data: self, size: batch_size, next: 0 })
    }
}

impl<F: Scalar> Iterator for Batches<'_, F> {
    type Item = Batch<F>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.data.len() - self.next;
        if rest == 0 {
            return None;
        }
        let start = self.next;
        self.next += rest.min(self.size);
        let (rows, targets) = self.data.range(start..self.next).into_parts();
        Some(Batch { rows, targets })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.data.len() - self.next).div_ceil(self.size);
        (left, Some(left))
    }
}

impl<F: Scalar> ExactSizeIterator for Batches<'_, F> {}
impl<F: Scalar> std::iter::FusedIterator for Batches<'_, F> {}

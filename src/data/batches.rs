//! A data set in batches.

use std::ops::Range;

use ndarray::{Array2, s};
use rand::Rng;

use crate::array::resize;
use crate::data::{Dataset, Targets};
use crate::error::{Error, require};
use crate::rng::shuffle;
use crate::scalar::Scalar;

/// Rows and their targets, to be used up by a training step: [`Trainer::step`](crate::Trainer::step).
#[derive(Debug, Clone, PartialEq)]
pub struct Batch<F = f32> {
    /// `(N, in)`.
    pub rows: Array2<F>,
    /// One for each row.
    pub targets: Targets<F>,
}

impl<F: Scalar> Default for Batch<F> {
    /// No rows.
    fn default() -> Self {
        Self { rows: Array2::default((0, 0)), targets: Targets::Labels { labels: Vec::new(), classes: 0 } }
    }
}

impl<F: Scalar> Batch<F> {
    /// Copies a range of the rows, and their targets, into `part`, whose memory is kept where it can be.
    pub(crate) fn copy_rows(&self, rows: Range<usize>, part: &mut Self) {
        resize(&mut part.rows, (rows.len(), self.rows.ncols()));
        part.rows.assign(&self.rows.slice(s![rows.clone(), ..]));
        self.targets.copy_range(rows, &mut part.targets);
    }
}

/// A data set in batches of the same number of rows, the last one shorter where they do not come out even. Made by
/// [`Dataset::batches`] and [`Dataset::shuffled_batches`].
#[derive(Debug, Clone)]
pub struct Batches<'a, F = f32> {
    data: &'a Dataset<F>,
    size: usize,
    next: usize,
    /// The order of the rows, if it is not that of the data.
    order: Option<Vec<usize>>,
}

impl<F: Scalar> Dataset<F> {
    /// The rows and targets in batches of `batch_size`, in order; the last one is shorter if they do not come out even.
    /// A batch is a copy, to be handed to a network or written over.
    ///
    /// ```
    /// use gradus::data::Digits;
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
        require(batch_size > 0, "batch_size", "at least 1", batch_size)?;
        Ok(Batches { data: self, size: batch_size, next: 0, order: None })
    }

    /// The same in a random order: what an epoch of a training loop goes through.
    ///
    /// ```
    /// use gradus::data::Digits;
    ///
    /// let (digits, mut rng) = (Digits::load::<f32>()?, gradus::rng(1));
    /// let first = |batch: Option<gradus::data::Batch>| batch.unwrap().rows;
    /// let one = first(digits.shuffled_batches(100, &mut rng)?.next());
    /// let other = first(digits.shuffled_batches(100, &mut rng)?.next()); // the next epoch
    /// assert_ne!(one, other);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// A `batch_size` of 0.
    pub fn shuffled_batches(&self, batch_size: usize, rng: &mut (impl Rng + ?Sized)) -> Result<Batches<'_, F>, Error> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        shuffle(&mut order, rng);
        Ok(Batches { order: Some(order), ..self.batches(batch_size)? })
    }
}

impl<F: Scalar> Iterator for Batches<'_, F> {
    type Item = Batch<F>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.data.len() - self.next;
        if rest == 0 {
            return None;
        }
        let range = self.next..self.next + rest.min(self.size);
        self.next = range.end;
        let part = match &self.order {
            None => self.data.range(range),
            Some(order) => self.data.gathered(&order[range]),
        };
        let (rows, targets) = part.into_parts();
        Some(Batch { rows, targets })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.data.len() - self.next).div_ceil(self.size);
        (left, Some(left))
    }
}

impl<F: Scalar> ExactSizeIterator for Batches<'_, F> {}
impl<F: Scalar> std::iter::FusedIterator for Batches<'_, F> {}

//! Data: rows with their targets, checked once; and what happens to them before training (sections 4.2 and 6.5.1 of the
//! book).
//!
//! ```
//! use gradus::data::Digits;
//! let (train, validation) = Digits::load::<f32>()?.shuffle(&mut gradus::rng(1)).split(0.2)?;
//! assert_eq!((train.len(), validation.len()), (1438, 359));
//! # Ok::<(), gradus::Error>(())
//! ```

mod batches;
mod categories;
mod digits;
mod folds;
mod idx;
mod matrix;
mod mnist;
mod normalize;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayRef2, s};
use rand::Rng;

use crate::array::{resize, standard};
use crate::error::{Error, require};
use crate::kernel;
use crate::rng::shuffle;
use crate::scalar::Scalar;

pub use batches::{Batch, Batches};
pub use categories::Categories;
pub use digits::Digits;
pub use folds::KFold;
pub use idx::Idx;
pub use matrix::matrix;
pub use mnist::mnist;
pub use normalize::Normalizer;

/// What a network should answer, one target a row.
///
/// ```
/// use gradus::{data::Targets, ndarray::array};
///
/// let labels = Targets::<f32>::Labels { labels: vec![1, 0], classes: 3 };
/// let one_hot = Targets::Dense(array![[0.0_f32, 1.0, 0.0], [1.0, 0.0, 0.0]]);
/// assert_eq!((labels.len(), labels.width()), (one_hot.len(), one_hot.width()));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Targets<F = f32> {
    /// A class for each row.
    Labels {
        /// `labels[i]` is the class of row `i`, from 0.
        labels: Vec<usize>,
        /// How many classes there are.
        classes: usize,
    },
    /// Numbers, `(N, out)`: values to approximate, or a probability for each class.
    Dense(Array2<F>),
}

impl<F> Targets<F> {
    /// How many rows they are for.
    pub fn len(&self) -> usize {
        match self {
            Self::Labels { labels, .. } => labels.len(),
            Self::Dense(values) => values.nrows(),
        }
    }

    /// Whether they are for no row at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The width of a network's output that goes with them: the number of classes, or of columns.
    pub fn width(&self) -> usize {
        match self {
            Self::Labels { classes, .. } => *classes,
            Self::Dense(values) => values.ncols(),
        }
    }

    /// What they are, as errors say it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Labels { .. } => "class labels",
            Self::Dense(_) => "dense targets",
        }
    }
}

impl<F: Scalar> Targets<F> {
    fn range(&self, range: Range<usize>) -> Self {
        match self {
            Self::Labels { labels, classes } => Self::Labels { labels: labels[range].to_vec(), classes: *classes },
            Self::Dense(values) => Self::Dense(values.slice(s![range, ..]).to_owned()),
        }
    }

    /// A range of the targets into `buffer`, whose memory is kept where it can be.
    fn copy_range(&self, range: Range<usize>, buffer: &mut Self) {
        match (self, buffer) {
            (Self::Labels { labels: all, classes: count }, Self::Labels { labels, classes }) => {
                labels.clear();
                labels.extend_from_slice(&all[range]);
                *classes = *count;
            }
            (Self::Dense(all), Self::Dense(values)) => {
                resize(values, (range.len(), all.ncols()));
                values.assign(&all.slice(s![range, ..]));
            }
            (all, buffer) => *buffer = all.range(range),
        }
    }

    /// The chosen targets into `buffer`, whose memory is kept where it can be.
    #[track_caller]
    fn gather(&self, indices: &[usize], buffer: &mut Self) {
        match (self, buffer) {
            (Self::Labels { labels: all, classes: count }, Self::Labels { labels, classes }) => {
                labels.clear();
                labels.extend(indices.iter().map(|&row| all[row]));
                *classes = *count;
            }
            (Self::Dense(all), Self::Dense(values)) => gather_rows(all, indices, values),
            (all, buffer) => {
                *buffer = all.range(0..0);
                all.gather(indices, buffer);
            }
        }
    }
}

/// Rows with their targets: `(N, width)` numbers, and a class or `(N, out)` numbers to learn from them.
///
/// Everything is checked when it is made, so nothing that trains on it has to: at least one row and one
/// column, as many targets as rows, every number finite, every label a class. Every part that is
/// taken from a data set is a data set again. A clone shares the numbers, it does not copy them.
///
/// ```
/// use gradus::{data::Dataset, ndarray::array};
///
/// let rows = array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
/// let xor = Dataset::<f32>::classification(rows, vec![0, 1, 1, 0], 2)?;
/// assert_eq!((xor.len(), xor.width(), xor.classes()), (4, 2, 2));
///
/// let wrong = Dataset::<f32>::classification(array![[0.0], [1.0]], vec![0, 2], 2);
/// assert_eq!(wrong.unwrap_err().to_string(), "row 1: expected a label below 2 (the number of classes), found 2");
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Dataset<F = f32> {
    rows: Arc<Array2<F>>,
    targets: Arc<Targets<F>>,
}

impl<F: Scalar> Dataset<F> {
    /// Rows with targets of either kind. Arrays in another layout than row-major are copied into it.
    ///
    /// # Errors
    /// No rows, columns or classes; more or fewer targets than rows, a label that is no class, a number that is not finite
    /// (the row is named).
    pub fn new(rows: Array2<F>, targets: Targets<F>) -> Result<Self, Error> {
        let rows = checked("rows", rows)?;
        if targets.len() != rows.nrows() {
            return Err(Error::invalid("targets", rows.nrows(), targets.len()));
        }
        let targets = match targets {
            Targets::Labels { labels, classes } => {
                if classes == 0 {
                    return Err(Error::empty("classes"));
                }
                check_labels(&labels, classes)?;
                Targets::Labels { labels, classes }
            }
            Targets::Dense(values) => Targets::Dense(checked("targets", values)?),
        };
        Ok(Self::of(rows, targets))
    }

    fn of(rows: Array2<F>, targets: Targets<F>) -> Self {
        Self { rows: Arc::new(rows), targets: Arc::new(targets) }
    }

    /// A class, from `0` to `classes - 1`, for each row.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn classification(rows: Array2<F>, labels: Vec<usize>, classes: usize) -> Result<Self, Error> {
        Self::new(rows, Targets::Labels { labels, classes })
    }

    /// Numbers, `(N, out)`, for the rows.
    ///
    /// ```
    /// use gradus::{data::Dataset, ndarray::Array2};
    ///
    /// let x = Array2::from_shape_fn((100, 1), |(i, _)| i as f64 / 50.0 - 1.0);
    /// let y = x.mapv(|x| x * x);
    /// let parabola = Dataset::regression(x, y)?;
    /// assert_eq!(parabola.targets().width(), 1);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn regression(rows: Array2<F>, targets: Array2<F>) -> Result<Self, Error> {
        Self::new(rows, Targets::Dense(targets))
    }

    /// The inputs, `(N, width)`, row-major.
    pub fn rows(&self) -> &Array2<F> {
        &self.rows
    }

    /// The targets, one for each row.
    pub fn targets(&self) -> &Targets<F> {
        &self.targets
    }

    /// The class of each row, if the targets are classes.
    pub fn labels(&self) -> Option<&[usize]> {
        match &*self.targets {
            Targets::Labels { labels, .. } => Some(labels),
            Targets::Dense(_) => None,
        }
    }

    /// The numbers for each row, if the targets are numbers.
    ///
    /// ```
    /// # use gradus::{data::Dataset, ndarray::array};
    /// let data = Dataset::<f32>::regression(array![[1.], [2.]], array![[0.5], [0.25]])?;
    /// assert_eq!(data.dense(), Some(&array![[0.5], [0.25]]));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn dense(&self) -> Option<&Array2<F>> {
        match &*self.targets {
            Targets::Labels { .. } => None,
            Targets::Dense(values) => Some(values),
        }
    }

    /// The inputs and the targets, handed over.
    pub fn into_parts(self) -> (Array2<F>, Targets<F>) {
        (Arc::unwrap_or_clone(self.rows), Arc::unwrap_or_clone(self.targets))
    }

    /// How many rows there are: at least one.
    pub fn len(&self) -> usize {
        self.rows.nrows()
    }

    /// Never: a data set has at least one row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers in a row: the width of a network's input.
    pub fn width(&self) -> usize {
        self.rows.ncols()
    }

    /// The width of a network's output: the number of classes, or of numbers in a dense target.
    pub fn classes(&self) -> usize {
        self.targets.width()
    }

    /// The rows in random order, each with its target: a Fisher–Yates shuffle.
    ///
    /// The order is decided by the numbers of `rng` alone: the same generator gives the same order on every
    /// platform.
    ///
    /// ```
    /// # use gradus::{data::Dataset, ndarray::array};
    /// let data = Dataset::<f32>::classification(array![[0.], [1.], [2.], [3.]], vec![0, 1, 2, 3], 4)?;
    /// assert_eq!(data.shuffle(&mut gradus::rng(42)).labels(), Some(&[2, 1, 0, 3][..]));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn shuffle(self, rng: &mut impl Rng) -> Self {
        let mut order: Vec<usize> = (0..self.len()).collect();
        shuffle(&mut order, rng);
        self.gathered(&order)
    }

    /// Parts the rows into `(training, held back)`: the **first** `n = round(fraction_held_back · N)` rows are
    /// held back, the rows from `n` on are for training, both in their order.
    ///
    /// Shuffle first unless the order is random already.
    ///
    /// (Beware of notes on the book whose validation split assigns the same slice `[:n]` to both parts: a network is
    /// then judged on what it was trained on. Here no row is in both, and none is lost.)
    ///
    /// ```
    /// use gradus::{data::Dataset, ndarray::array};
    ///
    /// let data = Dataset::<f32>::classification(array![[0.], [1.], [2.], [3.], [4.]], vec![0, 1, 0, 1, 0], 2)?;
    /// let (train, held_back) = data.split(0.4)?;
    /// assert_eq!(held_back.rows(), array![[0.], [1.]]);
    /// assert_eq!(train.rows(), array![[2.], [3.], [4.]]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// A fraction that is not between 0 and 1 or leaves either part without a row.
    pub fn split(self, fraction_held_back: f64) -> Result<(Self, Self), Error> {
        let held_back = self.held_back(fraction_held_back)?;
        Ok((self.range(held_back..self.len()), self.range(0..held_back)))
    }

    /// How many rows a fraction is, such that some are and some are not.
    fn held_back(&self, fraction: f64) -> Result<usize, Error> {
        let all = self.len();
        require(fraction > 0.0 && fraction < 1.0, "fraction_held_back", "a number between 0 and 1", fraction)?;
        let held_back = (fraction * all as f64).round() as usize;
        let empty = |part: &str| Err(Error::empty(format!("{part} rows ({fraction} of {all} held back)")));
        match held_back {
            0 => empty("held-back"),
            n if n >= all => empty("training"),
            n => Ok(n),
        }
    }

    /// The first `count` rows.
    ///
    /// ```
    /// # use gradus::data::Digits;
    /// let few = Digits::load::<f32>()?.take(500)?;
    /// assert_eq!(few.len(), 500);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// A `count` of 0 or of more rows than there are.
    pub fn take(&self, count: usize) -> Result<Self, Error> {
        let expected = format!("1 to {}", self.len());
        require(count > 0 && count <= self.len(), "rows to take", &expected, count)?;
        Ok(self.range(0..count))
    }

    /// The rows with these numbers, from 0, in this order; a row may come more than once.
    ///
    /// ```
    /// # use gradus::{data::Dataset, ndarray::array};
    /// let data = Dataset::<f32>::classification(array![[5.], [6.], [7.]], vec![0, 1, 2], 3)?;
    /// assert_eq!(data.select(&[2, 0, 2])?.labels(), Some(&[2, 0, 2][..]));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// No numbers.
    ///
    /// # Panics
    /// There is no row of that number.
    #[track_caller]
    pub fn select(&self, indices: &[usize]) -> Result<Self, Error> {
        if indices.is_empty() {
            return Err(Error::empty("rows to select"));
        }
        Ok(self.gathered(indices))
    }

    pub(crate) fn range(&self, range: Range<usize>) -> Self {
        Self::of(self.rows.slice(s![range.clone(), ..]).to_owned(), self.targets.range(range))
    }

    #[track_caller]
    fn gathered(&self, indices: &[usize]) -> Self {
        let mut batch = Batch { rows: Array2::default((0, 0)), targets: self.targets.range(0..0) };
        self.gather(indices, &mut batch);
        Self::of(batch.rows, batch.targets)
    }

    /// Copies the chosen rows and their targets into `batch`, whose contents are replaced: one memcpy per row. A batch that has
    /// held as many rows before allocates nothing.
    ///
    /// ```
    /// use gradus::data::{Batch, Digits};
    /// let digits = Digits::load::<f32>()?;
    /// let mut batch = Batch::default();
    /// digits.gather(&[3, 1, 3], &mut batch);
    /// assert_eq!(batch.rows.row(0), digits.rows().row(3));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Panics
    /// There is no such row.
    #[track_caller]
    pub fn gather(&self, indices: &[usize], batch: &mut Batch<F>) {
        gather_rows(&self.rows, indices, &mut batch.rows);
        self.targets.gather(indices, &mut batch.targets);
    }
}

impl<F> fmt::Debug for Dataset<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = match *self.targets {
            Targets::Labels { .. } => "classes",
            Targets::Dense(_) => "outputs",
        };
        let (rows, columns) = self.rows.dim();
        f.debug_struct("Dataset")
            .field("rows", &rows)
            .field("columns", &columns)
            .field(width, &self.targets.width())
            .finish()
    }
}

/// Every label is below the number of classes.
pub(crate) fn check_labels(labels: &[usize], classes: usize) -> Result<(), Error> {
    let Some(row) = labels.iter().position(|&label| label >= classes) else { return Ok(()) };
    let expected = format!("a label below {classes} (the number of classes)");
    Err(Error::invalid(format!("row {row}"), expected, labels[row]))
}

/// An array in row-major layout that has rows and columns, all of them finite.
fn checked<F: Scalar>(what: &str, values: Array2<F>) -> Result<Array2<F>, Error> {
    if values.nrows() == 0 {
        return Err(Error::empty(what));
    }
    if values.ncols() == 0 {
        return Err(Error::empty(format!("columns of the {what}")));
    }
    let values = standard(values);
    check_finite(what, &values).map(|()| values)
}

/// Every number is finite.
pub(crate) fn check_finite<F: Scalar>(what: &str, values: &ArrayRef2<F>) -> Result<(), Error> {
    if values.as_slice().is_some_and(kernel::all_finite) {
        return Ok(());
    }
    match values.indexed_iter().find(|(_, value)| !value.is_finite()) {
        Some(((row, column), value)) => {
            Err(Error::invalid(format!("{what}, row {row}, column {column}"), "a finite number", value))
        }
        None => Ok(()),
    }
}

#[track_caller]
fn gather_rows<F: Scalar>(from: &Array2<F>, indices: &[usize], to: &mut Array2<F>) {
    let all = from.as_slice().expect("a data set is in standard layout");
    let width = from.ncols();
    let (mut values, _) = std::mem::take(to).into_raw_vec_and_offset();
    values.clear();
    values.reserve(indices.len() * width);
    for (i, &row) in indices.iter().enumerate() {
        assert!(row < from.nrows(), "row {row} of a data set of {} rows was asked for", from.nrows());
        // Rows in random order come from memory.
        if let Some(soon) = indices.get(i + 2).and_then(|&row| all.get(row * width..(row + 1) * width)) {
            kernel::prefetch(soon);
        }
        values.extend_from_slice(&all[row * width..(row + 1) * width]);
    }
    *to = Array2::from_shape_vec((indices.len(), width), values).expect("a row for each index");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(targets: Targets<f32>) -> Dataset<f32> {
        Dataset::new(Array2::from_shape_fn((10, 3), |(i, j)| (3 * i + j) as f32), targets).unwrap()
    }

    fn labels() -> Targets<f32> {
        Targets::Labels { labels: (0..10).collect(), classes: 10 }
    }

    fn dense() -> Targets<f32> {
        Targets::Dense(Array2::from_shape_fn((10, 2), |(i, j)| (2 * i + j) as f32))
    }

    /// How much each buffer can hold.
    fn capacities(batch: Batch<f32>) -> (usize, usize) {
        let capacity = |values: Array2<f32>| values.into_raw_vec_and_offset().0.capacity();
        let targets = match batch.targets {
            Targets::Labels { labels, .. } => labels.capacity(),
            Targets::Dense(values) => capacity(values),
        };
        (capacity(batch.rows), targets)
    }

    #[test]
    fn gather_keeps_its_buffers() {
        for data in [dataset(labels()), dataset(dense())] {
            let mut batch = Batch::default();
            data.gather(&[1, 2, 3, 4, 5, 6, 7, 8], &mut batch);
            let place = batch.rows.as_ptr();
            for indices in [&[9, 8, 7, 6][..], &[5, 5], &[4, 3, 2, 1], &[0]] {
                data.gather(indices, &mut batch);
                let expected = data.select(indices).unwrap();
                assert_eq!((&batch.rows, &batch.targets), (expected.rows(), expected.targets()));
                assert_eq!(batch.rows.as_ptr(), place);
            }
            let (rows, targets) = capacities(batch);
            assert!(rows >= 24 && targets >= 8, "room for 8 rows was {rows} and {targets} after 1");
        }
    }

    #[test]
    fn gather_writes_over_anything() {
        for (data, other) in [(dataset(labels()), dataset(dense())), (dataset(dense()), dataset(labels()))] {
            let mut batch = Batch { rows: Array2::ones((7, 9)), targets: other.targets().clone() };
            data.gather(&[2, 0], &mut batch);
            let expected = data.select(&[2, 0]).unwrap();
            assert_eq!((&batch.rows, &batch.targets), (expected.rows(), expected.targets()));
        }
    }

    #[test]
    #[should_panic(expected = "row 10 of a data set of 10 rows")]
    fn gather_panics_beyond_the_last_row() {
        dataset(labels()).gather(&[10], &mut Batch::default());
    }
}

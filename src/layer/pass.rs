use std::sync::Arc;

use rand::Rng;

use crate::collective::{self, Collective};
use crate::rng::Generator;
use crate::scalar::Scalar;

/// What a training pass knows besides its rows: the generator of everything random, and which part of a batch the rows are.
///
/// Randomness is an argument: layers own no generator, so a pass can be repeated with the same draws, and a run is
/// resumed from a seed and a number of steps.
///
/// ```
/// use gradus::{layer::{Dropout, Layer, Pass}, ndarray::Array2};
/// let mut dropout = Dropout::new(0.5)?;
/// let mut forward = |seed| dropout.forward(Array2::<f32>::ones((4, 8)), &mut Pass::new(&mut gradus::rng(seed)));
/// assert_eq!(forward(1), forward(1));
/// assert_ne!(forward(1), forward(2));
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Parts of a batch
///
/// With [`Trainer::replicas`](crate::Trainer::replicas) or [`across`](crate::Trainer::across) a batch is cut into parts that
/// pass through copies of the network at the same time. A layer whose rows know nothing of one another, as most layers', need
/// not care. One that takes a [`sum`](Self::sum) over the rows gets that of the whole batch; one that draws for each row may
/// [`seed`](Self::seed) a stream that is the batch's and begin at its [`first_row`](Self::first_row), so that what is drawn
/// does not depend on the parts, or just draw from [`rng`](Self::rng), which is another one for each part. What a layer leaves
/// in a [buffer](crate::layer::Role::Buffer) is taken from the first part.
#[derive(Debug)]
pub struct Pass<'a> {
    rng: &'a mut Generator,
    part: Option<Part<'a>>,
}

/// Some rows of a batch.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    /// The generator of the whole batch: in the same state for each part.
    pub(crate) shared: &'a mut Generator,
    pub(crate) first_row: usize,
    pub(crate) batch_rows: usize,
    pub(crate) others: &'a Arc<dyn Collective>,
}

impl<'a> Pass<'a> {
    /// A pass over a whole batch that draws from `rng`.
    pub fn new(rng: &'a mut Generator) -> Self {
        Self { rng, part: None }
    }

    /// A pass over a part of a batch with a generator of its own.
    pub(crate) fn of_part(rng: &'a mut Generator, part: Part<'a>) -> Self {
        Self { rng, part: Some(part) }
    }

    /// The generator that layers draw from, one after another.
    pub fn rng(&mut self) -> &mut Generator {
        self.rng
    }

    /// A number drawn for the whole batch, the same in each of its parts.
    pub fn seed(&mut self) -> u64 {
        match &mut self.part {
            Some(part) => part.shared.next_u64(),
            None => self.rng.next_u64(),
        }
    }

    /// Which row of the batch the first of these rows is: 0 where they are all of it.
    pub fn first_row(&self) -> usize {
        self.part.as_ref().map_or(0, |part| part.first_row)
    }

    /// How many rows the batch has, of which these are `rows`.
    pub fn batch_rows(&self, rows: usize) -> usize {
        self.part.as_ref().map_or(rows, |part| part.batch_rows)
    }

    /// Whether the rows are those of one part among others, or may be.
    pub(crate) fn is_part(&self) -> bool {
        self.part.is_some()
    }

    /// How to take sums over the whole batch, in this `forward` and the `backward` that follows.
    pub fn sum(&self) -> BatchSum {
        BatchSum(self.part.as_ref().map(|part| Arc::clone(part.others)))
    }
}

/// Sums over the rows of a batch, some of which may be elsewhere: see [`Pass`].
///
/// ```
/// use gradus::layer::Pass;
/// let mut rng = gradus::rng(1);
/// let mut sums = vec![3.0_f32, 4.0]; // over the rows that are here
/// Pass::new(&mut rng).sum().over(&mut sums, &mut Vec::new());
/// assert_eq!(sums, [3.0, 4.0]); // they are all
/// ```
#[derive(Debug, Clone, Default)]
pub struct BatchSum(Option<Arc<dyn Collective>>);

impl BatchSum {
    /// Adds what the other parts of the batch have in the place of `sums`; every part has to ask as often, with as many.
    /// What `room` holds is lost: it keeps the call from allocating.
    pub fn over<F: Scalar>(&self, sums: &mut Vec<F>, room: &mut Vec<F>) {
        if let Some(others) = &self.0 {
            room.resize(sums.len(), F::zero());
            collective::sum(&**others, sums, room);
            std::mem::swap(sums, room);
        }
    }
}

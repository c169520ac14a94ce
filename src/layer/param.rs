use std::fmt::{self, Debug};

use ndarray::{ArcArray2, Array2};

use crate::scalar::Scalar;

/// What a parameter is for. The layer that knows sets it; weight decay, training, saving and counting
/// go by it.
///
/// ```
/// use gradus::layer::Role;
/// assert!(Role::Weight.is_trained() && Role::Scale.is_trained());
/// assert!(!Role::Buffer.is_trained());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Trained and decayed: a matrix `(in, out)`.
    Weight,
    /// Trained: added to a layer's output.
    Bias,
    /// Trained: BatchNorm's γ.
    Scale,
    /// Trained: BatchNorm's β.
    Shift,
    /// Not trained, only saved: BatchNorm's running statistics.
    Buffer,
    /// Not trained, only saved, a whole number: how many batches a BatchNorm has seen. Its value is a row whose sum is the
    /// number, the largest part first: one `f32` stops counting at 2²⁴. See [`Param::count`].
    Counter,
}

impl Role {
    /// Whether an optimizer may change it.
    pub fn is_trained(self) -> bool {
        !matches!(self, Self::Buffer | Self::Counter)
    }
}

/// A value of a layer with its gradient: a matrix, or a vector of `n` values as a row `(1, n)`.
///
/// ```
/// use gradus::{layer::{Param, Role}, ndarray::array};
/// let mut slope = Param::new("slope", Role::Weight, array![[0.25_f32]]);
/// assert!(slope.is_trained());
/// assert_eq!(slope.grad, array![[0.0]]);
/// slope.frozen = true;
/// assert!(!slope.is_trained());
/// slope.value = array![[0.5]].into();
/// ```
#[derive(Clone, PartialEq)]
pub struct Param<F> {
    /// PyTorch's name for it, `weight`, `bias`, `running_mean`…; inside a built network with the layer's
    /// place in front, `3.weight`.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The value. Clones of a network share it until one of them changes it: `ndarray` copies on write.
    pub value: ArcArray2<F>,
    /// What the next step of an [`Updater`](crate::optim::Updater) goes by. Of a trained parameter: dL/d value, of the
    /// value's shape. Of a buffer or counter: the value it has after the step, or no element where it stays as it is.
    pub grad: Array2<F>,
    /// A frozen parameter keeps its value in training, and no optimizer keeps state for it.
    pub frozen: bool,
}

impl<F: Scalar> Param<F> {
    /// A parameter with a gradient of zeros, or a buffer.
    pub fn new(name: &str, role: Role, value: Array2<F>) -> Self {
        let grad = Array2::zeros(if role.is_trained() { value.dim() } else { (0, 0) });
        Self { name: name.to_string(), role, value: value.into_shared(), grad, frozen: false }
    }

    /// Whether an optimizer changes it: its role says so and it is not frozen.
    pub fn is_trained(&self) -> bool {
        self.role.is_trained() && !self.frozen
    }

    /// The whole number that a counter holds: the sum of its row.
    ///
    /// ```
    /// use gradus::{layer::{Param, Role}, ndarray::array};
    /// let batches = Param::new("batches", Role::Counter, array![[16_777_216.0_f32, 1.0]]);
    /// assert_eq!(batches.count(), 16_777_217);
    /// ```
    pub fn count(&self) -> i64 {
        self.value.iter().map(|part| part.as_f64() as i128).sum::<i128>() as i64
    }

    /// Gives a buffer the value that the last `forward` left in `grad`: what an [`Updater`](crate::optim::Updater) does
    /// with its step. Does nothing where there is no such value, and to trained and frozen parameters.
    pub fn commit(&mut self) {
        if !self.role.is_trained() && !self.frozen && self.grad.dim() == self.value.dim() {
            self.value.assign(&self.grad);
        }
    }
}

/// The row of a counter that holds `count`: the nearest number of the type, the nearest to what is left, and so on.
pub(crate) fn parts<F: Scalar>(count: i64, row: &mut [F]) {
    let mut left = i128::from(count);
    for part in row {
        *part = F::of(left as f64);
        left -= part.as_f64() as i128;
    }
}

impl<F> Debug for Param<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.name, self.role, self.value.dim())
    }
}

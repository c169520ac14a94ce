//! What a network is made of.

mod activation;
mod affine;
mod batch_norm;
mod dropout;

use std::fmt::{self, Debug};

use ndarray::{Array2, ArrayRef2};

use crate::error::Error;
use crate::rng::Generator;
use crate::scalar::Scalar;

pub(crate) use activation::relu;
pub use activation::{ReLU, Sigmoid, Tanh};
pub use affine::Affine;
pub use batch_norm::BatchNorm;
pub use dropout::{Dropout, DropoutForm};

/// One step of a network: `(N, in) -> (N, out)`, a row a sample.
///
/// Arrays are handed over, not lent: a layer works in the buffer it is given wherever it can. The
/// conservation law: [`forward`](Self::forward) consumes an `N × in` buffer and gives an `N × out` one,
/// [`backward`](Self::backward) consumes `N × out` and gives `N × in`; a layer whose two widths differ
/// keeps the buffer it does not pass on for its next turn, so a training step allocates nothing once
/// it has run (but for handing shares of large layers to other threads). A layer of your own that returns fresh arrays is slower, not wrong.
///
/// `&mut self` trains, `&self` infers: there is no mode to forget.
///
/// Arrays arrive in standard (row-major) layout and have to leave in it; a [`Sequential`](crate::Sequential)
/// sees to it at its door. Gradients are overwritten by each `backward`, not accumulated, so one layer cannot
/// stand at two places of a network.
///
/// # Panics
/// The built-in layers panic with their name and both shapes where an input is not as wide as they are, or a
/// `backward` does not belong to the last `forward`; and where an array is not in standard layout. In a network
/// that was built and is fed by [`Trainer`](crate::Trainer) or `predict`, neither can happen.
///
/// A layer of your own, held to this contract by [`check::layer`](crate::check::layer):
///
/// ```
/// use gradus::{Layer, ndarray::Array2};
///
/// /// y = x³.
/// #[derive(Debug, Default)]
/// struct Cube {
///     x: Array2<f64>,
/// }
///
/// impl Layer<f64> for Cube {
///     fn forward(&mut self, input: Array2<f64>) -> Array2<f64> {
///         self.x.clone_from(&input);
///         self.infer(input)
///     }
///     fn backward(&mut self, mut grad: Array2<f64>) -> Array2<f64> {
///         grad.zip_mut_with(&self.x, |g, x| *g *= 3.0 * x * x);
///         grad
///     }
///     fn infer(&self, input: Array2<f64>) -> Array2<f64> {
///         input.mapv_into(|x| x * x * x)
///     }
/// }
///
/// let mut rng = gradus::rng(1);
/// gradus::check::layer(&mut Cube::default(), 4, &mut rng).unwrap();
/// ```
pub trait Layer<F: Scalar>: Debug + Send + Sync {
    /// Training pass, `(N, in) -> (N, out)`. Remembers what `backward` needs.
    fn forward(&mut self, input: Array2<F>) -> Array2<F>;

    /// `dL/d output -> dL/d input`, `(N, out) -> (N, in)`, for the batch of the last `forward`.
    /// Overwrites the gradients of the layer's own parameters.
    fn backward(&mut self, grad: Array2<F>) -> Array2<F>;

    /// Inference: no memory, no randomness, `&self`, so one network serves many threads.
    fn infer(&self, input: Array2<F>) -> Array2<F>;

    /// [`infer`](Self::infer) on rows that are somebody else's: a layer that need not write into its input saves the copy.
    fn infer_rows(&self, rows: &ArrayRef2<F>) -> Array2<F> {
        self.infer(rows.as_standard_layout().into_owned())
    }

    /// Inference with the layer's randomness on, drawn from `rng`: what Monte Carlo dropout averages.
    fn infer_random(&self, input: Array2<F>, _rng: &mut Generator) -> Array2<F> {
        self.infer(input)
    }

    /// `backward` for a layer fed by data: nobody wants dL/d input, so it may be skipped.
    /// Returns a buffer of the input's shape; its contents are unspecified.
    fn backward_params(&mut self, grad: Array2<F>) -> Array2<F> {
        self.backward(grad)
    }

    /// Output width for an input width, or why the layer cannot take it.
    fn width(&self, input: usize) -> Result<usize, Error> {
        Ok(input)
    }

    /// Shows every parameter and buffer, always in the same order.
    fn params(&self, _visit: &mut dyn FnMut(&Param<F>)) {}

    /// The same parameters in the same order, to change.
    fn params_mut(&mut self, _visit: &mut dyn FnMut(&mut Param<F>)) {}

    /// Shows every random generator of the layer: a checkpoint keeps them.
    fn generators(&self, _visit: &mut dyn FnMut(&Generator)) {}

    /// The same generators in the same order, to change.
    fn generators_mut(&mut self, _visit: &mut dyn FnMut(&mut Generator)) {}

    /// Writes the layer's inference pass into an ONNX graph: an operator or several, see
    /// [`onnx::Graph`](crate::onnx::Graph).
    ///
    /// # Errors
    /// [`Error::Export`] where a layer cannot be written: without a body of its own always.
    #[cfg(feature = "onnx")]
    fn onnx(&self, _graph: &mut crate::onnx::Graph<F>) -> Result<(), Error> {
        let problem = "it does not implement `Layer::onnx`".into();
        Err(Error::Export { layer: self.name(), problem })
    }

    /// What tables, errors and saved files call the layer.
    fn name(&self) -> String {
        short_type_name::<Self>()
    }
}

/// `Affine` for `gradus::layer::affine::Affine<f32>`.
pub(crate) fn short_type_name<T: ?Sized>() -> String {
    let path = std::any::type_name::<T>();
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path).to_string()
}

impl<F: Scalar, L: Layer<F> + ?Sized> Layer<F> for Box<L> {
    fn forward(&mut self, input: Array2<F>) -> Array2<F> {
        (**self).forward(input)
    }
    fn backward(&mut self, grad: Array2<F>) -> Array2<F> {
        (**self).backward(grad)
    }
    fn infer(&self, input: Array2<F>) -> Array2<F> {
        (**self).infer(input)
    }
    fn infer_rows(&self, rows: &ArrayRef2<F>) -> Array2<F> {
        (**self).infer_rows(rows)
    }
    fn infer_random(&self, input: Array2<F>, rng: &mut Generator) -> Array2<F> {
        (**self).infer_random(input, rng)
    }
    fn backward_params(&mut self, grad: Array2<F>) -> Array2<F> {
        (**self).backward_params(grad)
    }
    fn width(&self, input: usize) -> Result<usize, Error> {
        (**self).width(input)
    }
    fn params(&self, visit: &mut dyn FnMut(&Param<F>)) {
        (**self).params(visit);
    }
    fn params_mut(&mut self, visit: &mut dyn FnMut(&mut Param<F>)) {
        (**self).params_mut(visit);
    }
    fn generators(&self, visit: &mut dyn FnMut(&Generator)) {
        (**self).generators(visit);
    }
    fn generators_mut(&mut self, visit: &mut dyn FnMut(&mut Generator)) {
        (**self).generators_mut(visit);
    }
    #[cfg(feature = "onnx")]
    fn onnx(&self, graph: &mut crate::onnx::Graph<F>) -> Result<(), Error> {
        (**self).onnx(graph)
    }
    fn name(&self) -> String {
        (**self).name()
    }
}

/// What a parameter is for. The layer that knows sets it; weight decay, training, saving and counting
/// go by it.
///
/// ```
/// use gradus::Role;
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
    /// Not trained, only saved, a whole number: how many batches a BatchNorm has seen.
    Counter,
}

impl Role {
    /// Whether an optimizer may change it.
    pub fn is_trained(self) -> bool {
        !matches!(self, Self::Buffer | Self::Counter)
    }
}

/// A value of a layer with its gradient: a matrix, or a vector of `n` as a row `(1, n)`.
///
/// ```
/// use gradus::{Param, Role, ndarray::array};
/// let mut slope = Param::new("slope", Role::Weight, array![[0.25_f32]]);
/// assert!(slope.is_trained());
/// assert_eq!(slope.grad, array![[0.0]]);
/// slope.frozen = true;
/// assert!(!slope.is_trained());
/// ```
#[derive(Clone, PartialEq)]
pub struct Param<F> {
    /// PyTorch's name for it, `weight`, `bias`, `running_mean`…; inside a built network with the layer's
    /// place in front, `3.weight`.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The value.
    pub value: Array2<F>,
    /// dL/d value, of the value's shape; empty where nothing is trained.
    pub grad: Array2<F>,
    /// A frozen parameter keeps its value in training, and no optimizer keeps state for it.
    pub frozen: bool,
}

impl<F: Scalar> Param<F> {
    /// A parameter with a gradient of zeros.
    pub fn new(name: &str, role: Role, value: Array2<F>) -> Self {
        let grad = Array2::zeros(if role.is_trained() { value.dim() } else { (0, 0) });
        Self { name: name.to_string(), role, value, grad, frozen: false }
    }

    /// Whether an optimizer changes it: its role says so and it is not frozen.
    pub fn is_trained(&self) -> bool {
        self.role.is_trained() && !self.frozen
    }
}

impl<F> Debug for Param<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.name, self.role, self.value.dim())
    }
}

/// Makes `buffer` an `(rows, columns)` array, its contents unspecified. Allocates only to grow.
pub(crate) fn resize<F: Scalar>(buffer: &mut Array2<F>, (rows, columns): (usize, usize)) {
    if buffer.dim() != (rows, columns) {
        let mut values = std::mem::take(buffer).into_raw_vec_and_offset().0;
        values.resize(rows * columns, F::zero());
        *buffer = Array2::from_shape_vec((rows, columns), values).expect("as many values as the shape says");
    }
}

/// The values of an array in standard layout.
#[track_caller]
pub(crate) fn values<F>(array: &Array2<F>) -> &[F] {
    array.as_slice().expect("a layer was given an array that is not in standard layout")
}

/// The values of an array in standard layout, to change.
#[track_caller]
pub(crate) fn values_mut<F>(array: &mut Array2<F>) -> &mut [F] {
    array.as_slice_mut().expect("a layer was given an array that is not in standard layout")
}

/// The same array in standard layout: itself, or a copy.
pub(crate) fn standard<F: Scalar>(array: Array2<F>) -> Array2<F> {
    if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() }
}

/// Why a layer that takes so many inputs does not fit behind so many outputs.
pub(crate) fn expect_inputs<F: Scalar>(layer: &impl Layer<F>, expected: usize, found: usize) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Width { layer: layer.name(), after: "what is before it".into(), expected, found })
}

/// Stops a pass over rows that are not as wide as the layer's.
#[track_caller]
pub(crate) fn expect_columns(layer: &str, expected: usize, found: (usize, usize)) {
    assert!(expected == found.1, "{layer}: expected an input of shape (N, {expected}), found {found:?}");
}

/// Stops a `backward` whose gradient does not belong to the last `forward`.
#[track_caller]
pub(crate) fn expect_shape(layer: &str, expected: (usize, usize), found: (usize, usize)) {
    assert!(
        expected == found,
        "{layer}: backward was given a gradient of shape {found:?}, but the last forward gave {expected:?} \
         (0 x 0: there was none)"
    );
}

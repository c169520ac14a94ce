//! What a network is made of: the trait [`Layer`], the six layers of the book's chapter 6 (sections 6.2 to 6.4) and what
//! came after them.
//!
//! ```
//! use gradus::layer::{Affine, Layer};
//! use gradus::ndarray::array;
//! let affine = Affine::from_parts(array![[1.0, 2.0], [3.0, 4.0]], array![10.0, 20.0])?;
//! assert_eq!(affine.infer(array![[1.0, 1.0]]), array![[14.0, 26.0]]); // x W + b
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! A layer keeps its parameters as [`Param`]s, each with its [`Role`], and is handed a [`Pass`] by every training pass.

mod activation;
mod affine;
mod batch_norm;
mod description;
mod dropout;
mod graph;
mod layer_norm;
mod param;
mod pass;

use std::fmt::Debug;

use ndarray::{Array2, ArrayRef2};

use crate::array::short_type_name;
use crate::error::Error;
use crate::scalar::Scalar;

pub use activation::{ELU, GELU, GELUForm, LeakyReLU, PReLU, ReLU, SiLU, Sigmoid, Softplus, Tanh};
pub use affine::Affine;
pub use batch_norm::BatchNorm;
pub use description::Description;
pub use dropout::{Dropout, DropoutForm};
pub use graph::{Attribute, Constant, Graph, Node};
pub use layer_norm::LayerNorm;
pub(crate) use param::parts;
pub use param::{Param, Role};
pub(crate) use pass::Part;
pub use pass::{BatchSum, Pass};

/// One step of a network: `(N, in) -> (N, out)`, one row a sample.
///
/// Arrays are handed over, not lent: a layer works in the buffer it is given wherever it can. The
/// conservation law: [`forward`](Self::forward) consumes an `N × in` buffer and gives an `N × out` one,
/// [`backward`](Self::backward) consumes `N × out` and gives `N × in`; a layer whose two widths differ
/// keeps the buffer it does not pass on for its next turn, so a training step allocates nothing once
/// it has run (except to hand parts of large layers to other threads). A layer of your own that returns fresh arrays is
/// slower, not wrong.
///
/// `&mut self` trains, `&self` infers: there is no mode to forget.
///
/// Arrays arrive in standard (row-major) layout and have to leave in it; a [`Sequential`](crate::Sequential)
/// converts what it is given. Gradients are overwritten by each `backward`, not accumulated, so one layer cannot
/// stand at two places of a network.
///
/// # Panics
/// The built-in layers panic with their name and both shapes where an input is not as wide as they are, or a
/// `backward` does not belong to the last `forward`; and where an array is not in standard layout. In a network
/// that was built and is fed by [`Trainer`](crate::Trainer) or `predict`, neither can happen.
///
/// # A layer of your own
/// It works in a network of either number type; [`check::layer`](crate::check::layer) checks the contract:
///
/// ```
/// use gradus::{prelude::*, check, ndarray::Array2};
///
/// /// y = x³.
/// #[derive(Debug, Clone, Default)]
/// struct Cube<F> {
///     x: Array2<F>,
/// }
///
/// impl<F: Scalar> Layer<F> for Cube<F> {
///     fn forward(&mut self, input: Array2<F>, _pass: &mut Pass<'_>) -> Array2<F> {
///         self.x.clone_from(&input);
///         self.infer(input)
///     }
///     fn backward(&mut self, mut grad: Array2<F>) -> Array2<F> {
///         grad.zip_mut_with(&self.x, |g, &x| *g *= F::of(3.0) * x * x);
///         grad
///     }
///     fn infer(&self, input: Array2<F>) -> Array2<F> {
///         input.mapv_into(|x| x * x * x)
///     }
/// }
///
/// check::layer(&Cube::default(), 4, &mut gradus::rng(1))?;
/// let mut net = Sequential::<f32>::input(64).affine(10, Init::He).layer(Cube::default());
/// # let mut net = net.build(&mut gradus::rng(1))?;
/// # Trainer::new(SoftmaxCrossEntropy, SGD::default()).epochs(1).fit(&mut net, &Digits::load()?.take(100)?)?;
/// # Ok::<(), Error>(())
/// ```
///
/// A layer with parameters names them in one line, [`params!`](crate::params).
pub trait Layer<F: Scalar>: CloneLayer<F> + Debug + Send + Sync {
    /// Training pass, `(N, in) -> (N, out)`. Remembers what `backward` needs. What is random is drawn from `pass`.
    fn forward(&mut self, input: Array2<F>, pass: &mut Pass<'_>) -> Array2<F>;

    /// `dL/d output -> dL/d input`, `(N, out) -> (N, in)`, for the batch of the last `forward`.
    /// Overwrites the gradients of the layer's own parameters.
    fn backward(&mut self, grad: Array2<F>) -> Array2<F>;

    /// Inference: no memory, no randomness, `&self`, so one network serves many threads.
    fn infer(&self, input: Array2<F>) -> Array2<F>;

    /// [`infer`](Self::infer) on rows that belong to somebody else: a layer that need not write into its input saves
    /// the copy.
    fn infer_rows(&self, rows: &ArrayRef2<F>) -> Array2<F> {
        self.infer(rows.as_standard_layout().into_owned())
    }

    /// Inference with the layer's randomness on: what Monte Carlo dropout averages.
    fn infer_random(&self, input: Array2<F>, _pass: &mut Pass<'_>) -> Array2<F> {
        self.infer(input)
    }

    /// `backward` for a layer fed by data: nobody wants dL/d input, so it may be skipped.
    /// Returns a buffer of the input's shape; its contents are unspecified.
    fn backward_params(&mut self, grad: Array2<F>) -> Array2<F> {
        self.backward(grad)
    }

    /// Output width for an input width, or why the layer cannot take it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the layer takes another width.
    fn width(&self, input: usize) -> Result<usize, Error> {
        Ok(input)
    }

    /// Shows every parameter and buffer, always in the same order: see [`params!`](crate::params).
    fn params(&self, _visit: &mut dyn FnMut(&Param<F>)) {}

    /// The same parameters in the same order, to change.
    fn params_mut(&mut self, _visit: &mut dyn FnMut(&mut Param<F>)) {}

    /// Adds the layer's inference pass to a graph for other engines: one operator or several, see [`Graph`].
    ///
    /// # Errors
    /// [`Error::Layer`] where a layer cannot be exported: always, unless it has a body of its own.
    fn export(&self, _graph: &mut Graph<F>) -> Result<(), Error> {
        Err(Error::layer(self.name(), "it cannot be exported, since it does not implement `Layer::export`"))
    }

    /// The layer as data, its kind and its settings, from which [`Sequential::open`](crate::Sequential::open) makes it
    /// again; see [`Description`].
    ///
    /// # Errors
    /// [`Error::Layer`] where a layer cannot be described: always, unless it has a body of its own.
    fn describe(&self) -> Result<Description, Error> {
        Err(Error::layer(self.name(), "it cannot be described, since it does not implement `Layer::describe`"))
    }

    /// What tables, errors and saved files call the layer.
    fn name(&self) -> String {
        short_type_name::<Self>()
    }
}

/// Lets a boxed layer be cloned; every layer that is `Clone` has it.
pub trait CloneLayer<F> {
    /// A copy in a box.
    fn clone_layer(&self) -> Box<dyn Layer<F>>;
}

impl<F: Scalar, L: Layer<F> + Clone + 'static> CloneLayer<F> for L {
    fn clone_layer(&self) -> Box<dyn Layer<F>> {
        Box::new(self.clone())
    }
}

impl<F: Scalar> Clone for Box<dyn Layer<F>> {
    fn clone(&self) -> Self {
        (**self).clone_layer()
    }
}

/// Writes [`Layer::params`] and [`Layer::params_mut`] of a layer from the names of its fields; `F` is the number type.
///
/// ```
/// use gradus::{prelude::*, layer::Param, ndarray::Array2};
///
/// /// y = c x, with one learned c for all.
/// #[derive(Debug, Clone)]
/// struct Gain<F> {
///     gain: Param<F>,
///     x: Array2<F>,
/// }
///
/// impl<F: Scalar> Layer<F> for Gain<F> {
///     gradus::params!(F: gain);
///
///     fn forward(&mut self, input: Array2<F>, _pass: &mut Pass<'_>) -> Array2<F> {
///         self.x.clone_from(&input);
///         self.infer(input)
///     }
///     fn backward(&mut self, grad: Array2<F>) -> Array2<F> {
///         self.gain.grad[[0, 0]] = (&grad * &self.x).sum();
///         grad * self.gain.value[[0, 0]]
///     }
///     fn infer(&self, input: Array2<F>) -> Array2<F> {
///         input * self.gain.value[[0, 0]]
///     }
/// }
///
/// let gain = Gain { gain: Param::new("gain", Role::Scale, Array2::ones((1, 1))), x: Array2::default((0, 0)) };
/// gradus::check::layer(&gain, 4, &mut gradus::rng(1))?;
/// # Ok::<(), Error>(())
/// ```
#[macro_export]
macro_rules! params {
    ($scalar:ty: $($field:ident),+ $(,)?) => {
        fn params(&self, visit: &mut dyn FnMut(&$crate::layer::Param<$scalar>)) {
            $(visit(&self.$field);)+
        }

        fn params_mut(&mut self, visit: &mut dyn FnMut(&mut $crate::layer::Param<$scalar>)) {
            $(visit(&mut self.$field);)+
        }
    };
}

#[deny(clippy::missing_trait_methods)] // a forwarding method that is forgotten would be the default one
impl<F: Scalar> Layer<F> for Box<dyn Layer<F>> {
    fn forward(&mut self, input: Array2<F>, pass: &mut Pass<'_>) -> Array2<F> {
        (**self).forward(input, pass)
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
    fn infer_random(&self, input: Array2<F>, pass: &mut Pass<'_>) -> Array2<F> {
        (**self).infer_random(input, pass)
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
    fn export(&self, graph: &mut Graph<F>) -> Result<(), Error> {
        (**self).export(graph)
    }
    fn describe(&self) -> Result<Description, Error> {
        (**self).describe()
    }
    fn name(&self) -> String {
        (**self).name()
    }
}

/// Why a layer that takes so many inputs does not fit behind so many outputs.
pub(crate) fn expect_inputs<F: Scalar>(layer: &impl Layer<F>, expected: usize, found: usize) -> Result<(), Error> {
    if found == expected {
        Ok(())
    } else {
        Err(Error::invalid(format!("input width of {}", layer.name()), expected, found))
    }
}

/// Stops a pass over rows that are not as wide as the layer's.
#[track_caller]
fn expect_columns(layer: &str, expected: usize, found: (usize, usize)) {
    assert!(expected == found.1, "{layer}: expected an input of shape (N, {expected}), found {found:?}");
}

/// Stops a `backward` whose gradient does not belong to the last `forward`.
#[track_caller]
fn expect_shape(layer: &str, expected: (usize, usize), found: (usize, usize)) {
    assert!(
        expected == found,
        "{layer}: backward was given a gradient of shape {found:?}, but the last forward gave {expected:?} \
         (0 x 0: there was none)"
    );
}

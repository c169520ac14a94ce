//! Layers one after another.

mod builder;
mod display;
mod ensemble;
mod predict;
mod replicas;

use std::ops::Range;

use ndarray::{Array2, ArrayRef2};

use crate::array::standard;
use crate::error::Error;
use crate::init::Init;
use crate::layer::{Description, Graph, Layer, Param, Pass, expect_inputs};
use crate::scalar::Scalar;

pub use builder::Builder;
pub use ensemble::Ensemble;
pub(crate) use predict::probabilities;
pub(crate) use replicas::Lent;
use replicas::Replicas;

/// A network: layers one after another. It is itself a [`Layer`], so networks nest.
///
/// ```
/// use gradus::prelude::*;
/// let mut rng = gradus::rng(42);
/// let net = Sequential::<f32>::input(64)
///     .affine(100, Init::He).batch_norm().relu().dropout(0.2)
///     .affine(10, Init::Xavier)
///     .build(&mut rng)?;
/// println!("{net}");
/// assert_eq!(net.parameter_count(), 64 * 100 + 100 + 2 * 100 + 100 * 10 + 10);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone)]
pub struct Sequential<F: Scalar = f32> {
    input: usize,
    output: usize,
    layers: Vec<Box<dyn Layer<F>>>,
    replicas: Replicas<F>,
}

impl<F: Scalar> Sequential<F> {
    /// Begins a network for rows of `width` values.
    pub fn input(width: usize) -> Builder<F> {
        Builder { input: width, layers: Vec::new() }
    }

    /// Begins a multilayer perceptron: an Affine (He) and a ReLU for each hidden width, then an Affine (He).
    ///
    /// ```
    /// use gradus::Sequential;
    /// let net = Sequential::<f32>::mlp(784, &[100; 4], 10).build(&mut gradus::rng(1))?;
    /// assert_eq!(net.layers().len(), 9);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn mlp(input: usize, hidden: &[usize], output: usize) -> Builder<F> {
        let hidden = hidden.iter().fold(Self::input(input), |net, &width| net.affine(width, Init::He).relu());
        hidden.affine(output, Init::He)
    }

    /// A network of layers that are already made.
    ///
    /// ```
    /// use gradus::{Sequential, layer::Affine, ndarray::array};
    /// let affine = Affine::from_parts(array![[2.0_f32], [1.0]], array![0.5])?;
    /// let net = Sequential::from_layers(2, vec![Box::new(affine)])?;
    /// assert_eq!(net.predict(&array![[10.0, 1.0]])?, array![[21.5]]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// No layers; a layer that cannot take the width before it.
    pub fn from_layers(input: usize, layers: Vec<Box<dyn Layer<F>>>) -> Result<Self, Error> {
        if input == 0 || layers.is_empty() {
            return Err(Error::empty(format!("a network's inputs ({input}) and layers ({})", layers.len())));
        }
        let mut net = Self { input, output: input, layers, replicas: Replicas::default() };
        net.output = net.widths()?.last().copied().unwrap_or(input);
        for (i, layer) in net.layers.iter_mut().enumerate() {
            layer.params_mut(&mut |param| param.name = format!("{i}.{}", param.name));
        }
        Ok(net)
    }

    /// The output width of every layer.
    fn widths(&self) -> Result<Vec<usize>, Error> {
        let mut widths = Vec::with_capacity(self.layers.len());
        let mut width = self.input;
        for (i, layer) in self.layers.iter().enumerate() {
            width = layer.width(width).map_err(|error| match error {
                Error::Invalid { expected, .. } => self.width_error(i, expected, width),
                other => other,
            })?;
            widths.push(width);
        }
        Ok(widths)
    }

    /// Layer `i` does not take what is before it.
    fn width_error(&self, i: usize, expected: String, found: usize) -> Error {
        let name = |i: usize| format!("layer {i} ({})", self.layers[i].name());
        let before = if i == 0 { "the network's input".into() } else { name(i - 1) };
        Error::invalid(format!("input width of {}", name(i)), expected, format!("{found} from {before}"))
    }

    /// The width of a row that goes in.
    pub fn inputs(&self) -> usize {
        self.input
    }

    /// The width of a row that comes out.
    pub fn outputs(&self) -> usize {
        self.output
    }

    /// The layers, in order.
    pub fn layers(&self) -> &[Box<dyn Layer<F>>] {
        &self.layers
    }

    /// The layers, in order, to change what is in them.
    ///
    /// ```
    /// use gradus::{Sequential, layer::Layer, ndarray::array};
    /// let mut net = Sequential::<f32>::mlp(2, &[], 1).build(&mut gradus::rng(1))?;
    /// for layer in net.layers_mut() {
    ///     layer.params_mut(&mut |param| param.value.fill(0.5));
    /// }
    /// assert_eq!(net.predict(&array![[1.0, 2.0]])?, array![[2.0]]); // 0.5 + 1 + 0.5
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn layers_mut(&mut self) -> impl Iterator<Item = &mut dyn Layer<F>> {
        self.layers.iter_mut().map(|layer| &mut **layer as _)
    }

    /// How many numbers training may change, those of frozen layers among them.
    pub fn parameter_count(&self) -> usize {
        count(self)
    }

    /// Keeps the parameters of these layers as they are in training, BatchNorm's running statistics among them; no
    /// optimizer keeps state for them.
    ///
    /// ```
    /// use gradus::Sequential;
    /// let mut net = Sequential::<f32>::mlp(8, &[4], 2).build(&mut gradus::rng(1))?;
    /// net.freeze(0..1, true);
    /// net.layers()[0].params(&mut |param| assert!(param.frozen));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Panics
    /// There are no such layers.
    #[track_caller]
    pub fn freeze(&mut self, layers: Range<usize>, frozen: bool) {
        for layer in &mut self.layers[layers] {
            layer.params_mut(&mut |param| param.frozen = frozen);
        }
    }
}

impl<F: Scalar> Layer<F> for Sequential<F> {
    fn forward(&mut self, input: Array2<F>, pass: &mut Pass<'_>) -> Array2<F> {
        self.layers.iter_mut().fold(standard(input), |x, layer| layer.forward(x, pass))
    }

    fn backward(&mut self, grad: Array2<F>) -> Array2<F> {
        self.layers.iter_mut().rev().fold(standard(grad), |g, layer| layer.backward(g))
    }

    fn backward_params(&mut self, grad: Array2<F>) -> Array2<F> {
        let Some((first, rest)) = self.layers.split_first_mut() else { return grad };
        first.backward_params(rest.iter_mut().rev().fold(standard(grad), |g, layer| layer.backward(g)))
    }

    fn infer(&self, input: Array2<F>) -> Array2<F> {
        self.layers.iter().fold(standard(input), |x, layer| layer.infer(x))
    }

    fn infer_rows(&self, rows: &ArrayRef2<F>) -> Array2<F> {
        let (first, rest) = self.layers.split_first().expect("a network has a layer");
        rest.iter().fold(first.infer_rows(rows), |x, layer| layer.infer(x))
    }

    fn infer_random(&self, input: Array2<F>, pass: &mut Pass<'_>) -> Array2<F> {
        self.layers.iter().fold(standard(input), |x, layer| layer.infer_random(x, pass))
    }

    fn width(&self, input: usize) -> Result<usize, Error> {
        expect_inputs(self, self.input, input)?;
        Ok(self.output)
    }

    fn params(&self, visit: &mut dyn FnMut(&Param<F>)) {
        self.layers.iter().for_each(|layer| layer.params(visit));
    }

    fn params_mut(&mut self, visit: &mut dyn FnMut(&mut Param<F>)) {
        self.layers.iter_mut().for_each(|layer| layer.params_mut(visit));
    }

    fn export(&self, graph: &mut Graph<F>) -> Result<(), Error> {
        let mut layers = self.layers.iter().enumerate();
        layers.try_for_each(|(i, layer)| layer.export(graph).map_err(|error| at_place(i, error)))
    }

    fn describe(&self) -> Result<Description, Error> {
        let layers = self.layers.iter().enumerate();
        let layers = layers.map(|(i, layer)| layer.describe().map_err(|error| at_place(i, error)));
        let description = Description::new("Sequential").with("inputs", self.input);
        Ok(Description { layers: layers.collect::<Result<_, _>>()?, ..description })
    }

    /// What is inside too: a saved file tells a network of nested ones from another by it.
    fn name(&self) -> String {
        format!("{self:?}")
    }
}

/// The error of layer `i` with its place. A layer inside a layer already has one: `layer 1 (ReLU)` becomes
/// `layer 2.1 (ReLU)`.
fn at_place(i: usize, error: Error) -> Error {
    match error {
        Error::Layer { layer, problem } => match layer.strip_prefix("layer ") {
            Some(inner) => Error::layer(format!("layer {i}.{inner}"), problem),
            None => Error::layer(format!("layer {i} ({layer})"), problem),
        },
        other => other,
    }
}

fn count<F: Scalar>(layer: &(impl Layer<F> + ?Sized)) -> usize {
    let mut count = 0;
    layer.params(&mut |param| count += if param.role.is_trained() { param.value.len() } else { 0 });
    count
}

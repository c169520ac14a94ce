//! Layers one after another.

use std::fmt::{self, Debug, Display};
use std::ops::Range;

use ndarray::{Array2, ArrayRef2};
use rand::Rng;

use crate::data::{Dataset, Targets};
use crate::error::Error;
use crate::init::Init;
use crate::kernel;
use crate::layer::{
    Affine, BatchNorm, Dropout, DropoutForm, Layer, Param, ReLU, Sigmoid, Tanh, expect_inputs, standard,
};
use crate::loss::{Loss, check_targets, softmax};
use crate::rng::Generator;
use crate::scalar::Scalar;

/// A network: layers one after another. It is itself a [`Layer`], so networks nest. For a copy build another one and
/// [`load_bytes`](Self::load_bytes) what [`to_bytes`](Self::to_bytes) gives.
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
pub struct Sequential<F: Scalar = f32> {
    input: usize,
    output: usize,
    layers: Vec<Box<dyn Layer<F>>>,
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
    /// use gradus::{Affine, Sequential, ndarray::array};
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
            return Err(Error::Empty { what: format!("a network's inputs ({input}) and layers ({})", layers.len()) });
        }
        let mut net = Self { input, output: input, layers };
        net.output = net.widths()?.last().copied().unwrap_or(input);
        for (i, layer) in net.layers.iter_mut().enumerate() {
            layer.params_mut(&mut |param| param.name = format!("{i}.{}", param.name));
        }
        Ok(net)
    }

    /// The output width of every layer.
    fn widths(&self) -> Result<Vec<usize>, Error> {
        let (mut width, mut before) = (self.input, "the network's input".to_string());
        let mut widths = Vec::with_capacity(self.layers.len());
        for (i, layer) in self.layers.iter().enumerate() {
            let name = format!("layer {i} ({})", layer.name());
            width = layer.width(width).map_err(|error| match error {
                Error::Width { expected, found, .. } => {
                    Error::Width { layer: name.clone(), after: before.clone(), expected, found }
                }
                other => other,
            })?;
            before = name;
            widths.push(width);
        }
        Ok(widths)
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
    /// use gradus::{Layer, Sequential, ndarray::array};
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
    /// Rows of another width than the network's.
    pub fn predict(&self, rows: &ArrayRef2<F>) -> Result<Array2<F>, Error> {
        self.expect_width(rows.ncols())?;
        if rows.nrows() <= kernel::ROW_CHUNK {
            return Ok(self.infer_rows(rows));
        }
        let mut output = Array2::zeros((rows.nrows(), self.output));
        kernel::for_each_row_chunk(rows, &mut output, &|rows, mut output| output.assign(&self.infer_rows(&rows)));
        Ok(output)
    }

    /// The probabilities of a batch of rows: the softmax of [`predict`](Self::predict), row by row; of a single output
    /// column the sigmoid, the probability of class 1.
    ///
    /// # Errors
    /// Rows of another width than the network's.
    pub fn predict_probabilities(&self, rows: &ArrayRef2<F>) -> Result<Array2<F>, Error> {
        Ok(probabilities(self.predict(rows)?))
    }

    /// The most likely class of every row: the largest output, the first of equals; with a single output column
    /// class 1 where it is positive.
    ///
    /// # Errors
    /// Rows of another width than the network's.
    pub fn classify(&self, rows: &ArrayRef2<F>) -> Result<Vec<usize>, Error> {
        Ok(classes(&self.predict(rows)?))
    }

    /// The share of rows whose most likely class is the right one.
    ///
    /// # Errors
    /// Rows or targets of another width than the network's, targets that are neither labels nor one-hot rows.
    pub fn accuracy(&self, data: &Dataset<F>) -> Result<f64, Error> {
        check_targets(self.output, data.targets())?;
        share_correct(&self.predict(data.rows())?, data.targets())
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
    /// Rows of another width than the network's.
    pub fn activations(&self, rows: &ArrayRef2<F>) -> Result<Vec<Array2<F>>, Error> {
        self.expect_width(rows.ncols())?;
        let mut x = rows.as_standard_layout().into_owned();
        let mut activations = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            x = layer.infer(x);
            activations.push(x.clone());
        }
        Ok(activations)
    }

    /// Why a loss cannot hold this network against these data.
    pub(crate) fn check_data<L: Loss<F> + ?Sized>(&self, loss: &L, data: &Dataset<F>) -> Result<(), Error> {
        self.expect_width(data.width())?;
        loss.check(self.output, data.targets())
    }

    pub(crate) fn expect_width(&self, found: usize) -> Result<(), Error> {
        if found == self.input {
            return Ok(());
        }
        Err(Error::Mismatch { what: "width of the rows (the network's input)".into(), expected: self.input, found })
    }
}

impl<F: Scalar> Layer<F> for Sequential<F> {
    fn forward(&mut self, input: Array2<F>) -> Array2<F> {
        self.layers.iter_mut().fold(standard(input), |x, layer| layer.forward(x))
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

    fn infer_random(&self, input: Array2<F>, rng: &mut Generator) -> Array2<F> {
        self.layers.iter().fold(standard(input), |x, layer| layer.infer_random(x, rng))
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

    fn generators(&self, visit: &mut dyn FnMut(&Generator)) {
        self.layers.iter().for_each(|layer| layer.generators(visit));
    }

    fn generators_mut(&mut self, visit: &mut dyn FnMut(&mut Generator)) {
        self.layers.iter_mut().for_each(|layer| layer.generators_mut(visit));
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, graph: &mut crate::onnx::Graph<F>) -> Result<(), Error> {
        self.layers.iter().enumerate().try_for_each(|(i, layer)| {
            layer.onnx(graph).map_err(|error| match error {
                Error::Export { layer: name, problem } => {
                    // A layer inside a layer of ours already has its place: `layer 1 (ReLU)` becomes `layer 2.1 (ReLU)`.
                    let layer = match name.strip_prefix("layer ") {
                        Some(inner) => format!("layer {i}.{inner}"),
                        None => format!("layer {i} ({name})"),
                    };
                    Error::Export { layer, problem }
                }
                other => other,
            })
        })
    }

    /// What is inside too: a saved file tells a network of nested ones from another by it.
    fn name(&self) -> String {
        format!("{self:?}")
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

/// The class of every row of outputs.
pub(crate) fn classes<F: Scalar>(output: &Array2<F>) -> Vec<usize> {
    output.rows().into_iter().map(|row| class(row.as_slice().expect("standard layout"))).collect()
}

/// How many rows of outputs have their largest value at the right class; `None` where a target is no class.
pub(crate) fn correct<F: Scalar>(output: &Array2<F>, targets: &Targets<F>) -> Option<usize> {
    let output = output.as_standard_layout();
    let output = output.as_slice().expect("just made so").chunks_exact(output.ncols());
    match targets {
        Targets::Labels { labels, .. } => {
            Some(output.zip(labels).filter(|(row, label)| is_class(row, **label)).count())
        }
        Targets::Dense(t) => output.zip(t.rows()).try_fold(0, |right, (row, t)| {
            let label = one_hot(t.as_slice()?)?;
            Some(right + usize::from(is_class(row, label)))
        }),
    }
}

/// `class(row) == label`, without a branch an element; false where a number is NaN or the row has no such class.
fn is_class<F: Scalar>(row: &[F], label: usize) -> bool {
    if let [_] = row {
        return class(row) == label;
    }
    let Some((before, after @ [largest, ..])) = row.split_at_checked(label) else { return false };
    let largest = *largest;
    before.iter().fold(true, |all, &x| all & (x < largest)) & after.iter().fold(true, |all, &x| all & (x <= largest))
}

/// The share of rows of outputs whose largest value is at the right class.
pub(crate) fn share_correct<F: Scalar>(output: &Array2<F>, targets: &Targets<F>) -> Result<f64, Error> {
    let right = correct(output, targets).ok_or_else(|| Error::Targets {
        what: "accuracy".into(),
        expected: "class labels or one-hot rows".into(),
        found: "dense targets".into(),
    })?;
    Ok(right as f64 / targets.len() as f64)
}

fn class<F: Scalar>(row: &[F]) -> usize {
    match row {
        [logit] => usize::from(*logit > F::zero()),
        _ => (1..row.len()).fold(0, |best, j| if row[j] > row[best] { j } else { best }),
    }
}

/// The place of the one in a row of zeros; of a single column, its 0 or 1.
fn one_hot<F: Scalar>(row: &[F]) -> Option<usize> {
    let (zero, one) = (F::zero(), F::one());
    match row {
        [t] if *t == zero || *t == one => Some(usize::from(*t == one)),
        [_] => None,
        _ => {
            let place = row.iter().position(|&t| t == one)?;
            row.iter().enumerate().all(|(j, &t)| j == place || t == zero).then_some(place)
        }
    }
}

fn count<F: Scalar>(layer: &(impl Layer<F> + ?Sized)) -> usize {
    let mut count = 0;
    layer.params(&mut |param| count += if param.role.is_trained() { param.value.len() } else { 0 });
    count
}

impl<F: Scalar> Display for Sequential<F> {
    /// A table: place, layer, output width, number of parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths().map_err(|_| fmt::Error)?;
        writeln!(f, "{:>3}  {:<16} {:>8} {:>12}", "", "layer", "output", "parameters")?;
        writeln!(f, "{:>3}  {:<16} {:>8} {:>12}", "", "(input)", self.input, "")?;
        for (i, (layer, width)) in self.layers.iter().zip(widths).enumerate() {
            // A network inside this one tells in its name what is in it; a table has room for the kind only.
            let name = layer.name();
            let kind = name.split('(').next().unwrap_or_default();
            writeln!(f, "{i:>3}  {kind:<16} {width:>8} {:>12}", count(&**layer))?;
        }
        write!(f, "{:>3}  {:<16} {:>8} {:>12}", "", "total", "", count(self))
    }
}

impl<F: Scalar> Debug for Sequential<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sequential({}", self.input)?;
        for (layer, width) in self.layers.iter().zip(self.widths().map_err(|_| fmt::Error)?) {
            write!(f, " > {} {width}", layer.name())?;
        }
        f.write_str(")")
    }
}

/// Makes a layer, given the width before it and the network's generator.
type Make<F> = Box<dyn FnOnce(usize, &mut dyn Rng) -> Result<Box<dyn Layer<F>>, Error>>;

/// A network being described; [`build`](Self::build) makes it.
///
/// ```
/// use gradus::{Init, Sequential};
/// let wrong = Sequential::<f32>::input(64).affine(10, Init::He).dropout(1.5).build(&mut gradus::rng(1));
/// let message = "layer 1, Dropout ratio: expected a share in [0, 1), found 1.5";
/// assert_eq!(wrong.unwrap_err().to_string(), message);
/// ```
#[must_use = "a network is made by `build`"]
pub struct Builder<F: Scalar = f32> {
    input: usize,
    layers: Vec<Make<F>>,
}

impl<F: Scalar> Debug for Builder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Builder({} inputs, {} layers)", self.input, self.layers.len())
    }
}

impl<F: Scalar> Builder<F> {
    /// An [`Affine`] layer with this many outputs.
    pub fn affine(self, outputs: usize, init: Init) -> Self {
        self.make(move |inputs, rng| Affine::new(inputs, outputs, init, rng))
    }

    /// A [`BatchNorm`] layer.
    pub fn batch_norm(self) -> Self {
        self.make(|width, _| BatchNorm::new(width))
    }

    /// A [`Dropout`] layer that drops a share `ratio`, in the inverted form.
    pub fn dropout(self, ratio: f64) -> Self {
        self.dropout_with(ratio, DropoutForm::Inverted)
    }

    /// A [`Dropout`] layer in the form asked for.
    pub fn dropout_with(self, ratio: f64, form: DropoutForm) -> Self {
        self.make(move |_, rng| Dropout::with_form(ratio, form, rng))
    }

    /// A [`ReLU`] layer.
    pub fn relu(self) -> Self {
        self.layer(ReLU::new())
    }

    /// A [`Sigmoid`] layer.
    pub fn sigmoid(self) -> Self {
        self.layer(Sigmoid::new())
    }

    /// A [`Tanh`] layer.
    pub fn tanh(self) -> Self {
        self.layer(Tanh::new())
    }

    /// A layer of your own, or a whole network.
    ///
    /// ```
    /// use gradus::prelude::*;
    /// let mut rng = gradus::rng(1);
    /// let block = Sequential::<f32>::input(20).affine(20, Init::He).relu().build(&mut rng)?;
    /// let norm = BatchNorm::new(20)?.with_epsilon(1e-6)?;
    /// let net = Sequential::input(64).affine(20, Init::He).layer(norm).layer(block).affine(10, Init::He);
    /// assert_eq!(net.build(&mut rng)?.layers().len(), 4);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn layer(self, layer: impl Layer<F> + 'static) -> Self {
        self.make(|_, _| Ok(layer))
    }

    fn make<L: Layer<F> + 'static>(
        mut self,
        make: impl FnOnce(usize, &mut dyn Rng) -> Result<L, Error> + 'static,
    ) -> Self {
        self.layers.push(Box::new(|width, rng| Ok(Box::new(make(width, rng)?))));
        self
    }

    /// Makes the network; its initial weights and the seeds of its Dropout layers come from `rng`.
    ///
    /// # Errors
    /// No inputs, no layers, a layer that cannot take the width before it (both are named), an initial standard
    /// deviation or a dropout ratio out of range.
    pub fn build(self, rng: &mut impl Rng) -> Result<Sequential<F>, Error> {
        let mut width = self.input;
        let mut layers: Vec<Box<dyn Layer<F>>> = Vec::new();
        for (i, make) in self.layers.into_iter().enumerate() {
            let layer = make(width, rng).map_err(|error| match error {
                Error::Hyperparameter { name, expected, found } => {
                    Error::Hyperparameter { name: format!("layer {i}, {name}"), expected, found }
                }
                Error::Empty { what } => Error::Empty { what: format!("layer {i}, {what}") },
                other => other,
            })?;
            // What does not fit is reported by `from_layers`, with both names; until then go on.
            width = layer.width(width).unwrap_or(width);
            layers.push(layer);
        }
        Sequential::from_layers(self.input, layers)
    }
}

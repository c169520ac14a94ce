use std::fmt::{self, Debug};

use rand::Rng;

use super::Sequential;
use crate::error::Error;
use crate::init::Init;
use crate::layer::{
    Affine, BatchNorm, Dropout, DropoutForm, ELU, GELU, GELUForm, Layer, LayerNorm, LeakyReLU, PReLU, ReLU, SiLU,
    Sigmoid, Softplus, Tanh,
};
use crate::scalar::Scalar;

/// Makes a layer, given the width before it and the network's generator.
pub(super) type Make<F> = Box<dyn FnOnce(usize, &mut dyn Rng) -> Result<Box<dyn Layer<F>>, Error>>;

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
    pub(super) input: usize,
    pub(super) layers: Vec<Make<F>>,
}

impl<F: Scalar> Debug for Builder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Builder({} inputs, {} layers)", self.input, self.layers.len())
    }
}

impl<F: Scalar> Builder<F> {
    /// An [`Affine`] layer with this many outputs.
    pub fn affine(self, outputs: usize, init: Init) -> Self {
        self.layer_with(move |inputs, rng| Affine::new(inputs, outputs, init, rng))
    }

    /// An [`Affine`] layer without a bias: before a normalisation, which takes a bias out again.
    pub fn affine_without_bias(self, outputs: usize, init: Init) -> Self {
        self.layer_with(move |inputs, rng| Ok(Affine::new(inputs, outputs, init, rng)?.without_bias()))
    }

    /// A [`LayerNorm`] layer.
    pub fn layer_norm(self) -> Self {
        self.layer_with(|width, _| LayerNorm::new(width))
    }

    /// A [`BatchNorm`] layer.
    pub fn batch_norm(self) -> Self {
        self.layer_with(|width, _| BatchNorm::new(width))
    }

    /// A [`Dropout`] layer that drops a share `ratio`, in the inverted form.
    pub fn dropout(self, ratio: f64) -> Self {
        self.dropout_with(ratio, DropoutForm::Inverted)
    }

    /// A [`Dropout`] layer in the form asked for.
    pub fn dropout_with(self, ratio: f64, form: DropoutForm) -> Self {
        self.layer_with(move |_, _| Dropout::with_form(ratio, form))
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

    /// A [`LeakyReLU`] layer with this slope below 0.
    pub fn leaky_relu(self, negative_slope: f64) -> Self {
        self.layer_with(move |_, _| LeakyReLU::new(negative_slope))
    }

    /// A [`PReLU`] layer with one slope for all columns.
    pub fn prelu(self) -> Self {
        self.layer(PReLU::new())
    }

    /// A [`PReLU`] layer with a slope for each column.
    pub fn prelu_per_column(self) -> Self {
        self.layer_with(|width, _| PReLU::per_column(width))
    }

    /// An [`ELU`] layer with this α.
    pub fn elu(self, alpha: f64) -> Self {
        self.layer_with(move |_, _| ELU::new(alpha))
    }

    /// A [`GELU`] layer, as it is defined.
    pub fn gelu(self) -> Self {
        self.gelu_with(GELUForm::Erf)
    }

    /// A [`GELU`] layer in the form asked for.
    pub fn gelu_with(self, form: GELUForm) -> Self {
        self.layer(GELU::with_form(form))
    }

    /// A [`SiLU`] layer.
    pub fn silu(self) -> Self {
        self.layer(SiLU::new())
    }

    /// A [`Softplus`] layer with this β.
    pub fn softplus(self, beta: f64) -> Self {
        self.layer_with(move |_, _| Softplus::new(beta))
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
        self.layer_with(|_, _| Ok(layer))
    }

    /// A layer that is made once the width before it is known, with the network's generator: initial weights of your
    /// own, a layer of your own that draws some.
    ///
    /// ```
    /// use gradus::{prelude::*, ndarray::{Array1, Array2}, rand::RngExt};
    /// // Weights of -1, 0 and 1.
    /// let net = Sequential::<f32>::input(64)
    ///     .layer_with(|inputs, rng| {
    ///         let weights = Array2::from_shape_simple_fn((inputs, 20), || rng.random_range(-1..=1_i8).into());
    ///         Affine::from_parts(weights, Array1::zeros(20))
    ///     })
    ///     .relu()
    ///     .affine(10, Init::He)
    ///     .build(&mut rng(1))?;
    /// net.layers()[0].params(&mut |param| assert!(param.value.iter().all(|w| w.fract() == 0.0)));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// An error of `make` is one of [`build`](Self::build), with the place of the layer.
    pub fn layer_with<L: Layer<F> + 'static>(
        mut self,
        make: impl FnOnce(usize, &mut dyn Rng) -> Result<L, Error> + 'static,
    ) -> Self {
        self.layers.push(Box::new(|width, rng| Ok(Box::new(make(width, rng)?))));
        self
    }

    /// Makes the network; its initial weights are drawn from `rng`.
    ///
    /// # Errors
    /// No inputs, no layers, a layer that cannot take the width before it (both are named), an initial standard
    /// deviation or a dropout ratio out of range.
    pub fn build(self, rng: &mut impl Rng) -> Result<Sequential<F>, Error> {
        let mut width = self.input;
        let mut layers: Vec<Box<dyn Layer<F>>> = Vec::new();
        for (i, make) in self.layers.into_iter().enumerate() {
            let layer = make(width, rng).map_err(|error| error.of(format!("layer {i},")))?;
            // What does not fit is reported by `from_layers`, with both names; until then go on.
            width = layer.width(width).unwrap_or(width);
            layers.push(layer);
        }
        Sequential::from_layers(self.input, layers)
    }
}

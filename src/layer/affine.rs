use ndarray::{Array1, Array2, ArrayRef2, Axis};
use rand::Rng;

use super::{Description, Graph, Layer, Param, Pass, Role, expect_columns, expect_inputs, expect_shape};
use crate::array::{resize, standard};
use crate::error::Error;
use crate::init::Init;
use crate::kernel;
use crate::scalar::Scalar;

/// The fully connected layer, `y = x W + b`, or `y = x W` [without a bias](Self::without_bias).
///
/// `x: (N, in)`, `W: (in, out)`, `b: (1, out)`, `y: (N, out)`. Backward, with `g = dL/dy`:
/// `dL/dW = xᵀ g`, `dL/db = Σₙ gₙ`, `dL/dx = g Wᵀ`.
///
/// ```
/// use gradus::{layer::{Affine, Layer}, ndarray::array};
/// let affine = Affine::from_parts(array![[1.0, 2.0], [3.0, 4.0]], array![10.0, 20.0])?;
/// assert_eq!(affine.infer(array![[1.0, 1.0]]), array![[14.0, 26.0]]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[doc(alias = "Linear")]
#[doc(alias = "Dense")]
#[derive(Debug, Clone)]
pub struct Affine<F = f32> {
    /// W, `(in, out)`.
    pub weight: Param<F>,
    /// b, `(1, out)`, where the layer has one.
    pub bias: Option<Param<F>>,
    /// What forward was given; backward turns its buffer into dL/dx.
    x: Array2<F>,
    /// The buffer of the next output: the gradient that backward has used up.
    spare: Array2<F>,
}

impl<F: Scalar> Affine<F> {
    /// Random weights, zero biases.
    ///
    /// ```
    /// use gradus::{Init, layer::Affine};
    /// let affine = Affine::<f32>::new(784, 100, Init::He, &mut gradus::rng(1))?;
    /// assert_eq!(affine.weight.value.dim(), (784, 100));
    /// assert_eq!(affine.bias.unwrap().value.dim(), (1, 100));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// No inputs or no outputs; an [`Init`] outside its range; more weights than memory has room for.
    pub fn new<R: Rng + ?Sized>(inputs: usize, outputs: usize, init: Init, rng: &mut R) -> Result<Self, Error> {
        if inputs == 0 || outputs == 0 {
            return Err(Error::empty(format!("Affine({inputs}, {outputs}), inputs and outputs")));
        }
        let weight = init.sample(inputs, outputs, rng)?;
        Ok(Self::assemble(weight, Array2::zeros((1, outputs))))
    }

    /// A layer with these weights `(in, out)` and biases `(out)`.
    ///
    /// # Errors
    /// As many biases as the weights have columns are needed, and at least one of each.
    pub fn from_parts(weight: Array2<F>, bias: Array1<F>) -> Result<Self, Error> {
        if weight.is_empty() {
            return Err(Error::empty(format!("Affine weights of shape {:?}", weight.dim())));
        }
        if bias.len() != weight.ncols() {
            let what = "biases of Affine (one for each column of the weights)";
            return Err(Error::invalid(what, weight.ncols(), bias.len()));
        }
        Ok(Self::assemble(standard(weight), standard(bias.insert_axis(Axis(0)))))
    }

    /// The same layer without its bias, `y = x W`: PyTorch's `bias=False`. A saved network has no tensor for it.
    ///
    /// ```
    /// use gradus::{Init, layer::{Affine, Layer}, ndarray::array};
    /// let linear = Affine::new(2, 1, Init::Constant(1.0), &mut gradus::rng(1))?.without_bias();
    /// assert_eq!(linear.infer(array![[2.0, 3.0]]), array![[5.0]]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn without_bias(self) -> Self {
        Self { bias: None, ..self }
    }

    fn assemble(weight: Array2<F>, bias: Array2<F>) -> Self {
        Self {
            weight: Param::new("weight", Role::Weight, weight),
            bias: Some(Param::new("bias", Role::Bias, bias)),
            x: Array2::default((0, 0)),
            spare: Array2::default((0, 0)),
        }
    }

    fn inputs(&self) -> usize {
        self.weight.value.nrows()
    }

    fn outputs(&self) -> usize {
        self.weight.value.ncols()
    }

    /// The gradients of W and b.
    #[track_caller]
    fn parameter_gradients(&mut self, g: &Array2<F>) {
        expect_shape("Affine", (self.x.nrows(), self.outputs()), g.dim());
        if !self.weight.frozen {
            kernel::weight_gradient(&self.x, g, &mut self.weight.grad);
        }
        if let Some(bias) = self.bias.as_mut().filter(|bias| !bias.frozen) {
            kernel::column_sums(g, &mut bias.grad);
        }
    }
}

impl<F: Scalar> Layer<F> for Affine<F> {
    fn params(&self, visit: &mut dyn FnMut(&Param<F>)) {
        visit(&self.weight);
        self.bias.iter().for_each(visit);
    }

    fn params_mut(&mut self, visit: &mut dyn FnMut(&mut Param<F>)) {
        visit(&mut self.weight);
        self.bias.iter_mut().for_each(visit);
    }

    #[track_caller]
    fn forward(&mut self, input: Array2<F>, _pass: &mut Pass<'_>) -> Array2<F> {
        expect_columns("Affine", self.inputs(), input.dim());
        let mut y = std::mem::take(&mut self.spare);
        resize(&mut y, (input.nrows(), self.outputs()));
        match &self.bias {
            Some(bias) => kernel::affine(&input, &self.weight.value, &bias.value, &mut y),
            None => kernel::linear(&input, &self.weight.value, &mut y),
        }
        self.x = input;
        y
    }

    #[track_caller]
    fn backward(&mut self, grad: Array2<F>) -> Array2<F> {
        self.parameter_gradients(&grad);
        let mut dx = std::mem::take(&mut self.x);
        kernel::input_gradient(&grad, &self.weight.value, &mut dx);
        self.spare = grad;
        dx
    }

    #[track_caller]
    fn backward_params(&mut self, grad: Array2<F>) -> Array2<F> {
        self.parameter_gradients(&grad);
        self.spare = grad;
        std::mem::take(&mut self.x)
    }

    #[track_caller]
    fn infer(&self, input: Array2<F>) -> Array2<F> {
        self.infer_rows(&input)
    }

    #[track_caller]
    fn infer_rows(&self, rows: &ArrayRef2<F>) -> Array2<F> {
        expect_columns("Affine", self.inputs(), rows.dim());
        kernel::affine_of(rows, &self.weight.value, self.bias.as_ref().map(|bias| &*bias.value))
    }

    fn width(&self, input: usize) -> Result<usize, Error> {
        expect_inputs(self, self.inputs(), input)?;
        Ok(self.outputs())
    }

    fn export(&self, graph: &mut Graph<F>) -> Result<(), Error> {
        let mut constants = vec![graph.parameter(&self.weight)];
        constants.extend(self.bias.iter().map(|bias| graph.parameter(bias)));
        graph.node("Gemm", &constants, &[]);
        Ok(())
    }

    fn describe(&self) -> Result<Description, Error> {
        Ok(Description::new("Affine"))
    }
}

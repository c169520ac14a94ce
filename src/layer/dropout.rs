use ndarray::Array2;

use super::activation::Slope;
use super::{Description, Graph, Layer, Pass};
use crate::array::values_mut;
use crate::error::{Error, require};
use crate::kernel;
use crate::scalar::Scalar;

/// Which of its two passes makes up for the missing neurons.
///
/// ```
/// use gradus::{layer::{Dropout, DropoutForm, Layer}, ndarray::array};
/// let book = Dropout::with_form(0.25, DropoutForm::Book)?;
/// assert_eq!(book.infer(array![[8.0]]), array![[6.0]]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DropoutForm {
    /// Training divides what is kept by `1 - ratio`; inference is the identity. What PyTorch does.
    #[default]
    Inverted,
    /// Training only drops; inference multiplies by `1 - ratio`. What the book's code does: its
    /// gradients are smaller by that factor, so it learns more slowly at the same learning rate.
    Book,
}

/// Drops each neuron with probability `ratio` in training.
///
/// With a mask `mᵢ` that is 0 with probability `ratio` and else 1, drawn in every `forward` from its [`Pass`]:
///
/// | form | training | inference |
/// |---|---|---|
/// | [`Inverted`](DropoutForm::Inverted), the default | `y = x m / (1 - ratio)` | `y = x` |
/// | [`Book`](DropoutForm::Book) | `y = x m` | `y = (1 - ratio) x` |
///
/// Inverted is the default because inference then costs nothing and the scale of the gradients does not
/// depend on the ratio. `ratio` is the share *dropped*, 0.2 drops a fifth. (The book's prose says to
/// multiply by the deletion ratio at inference; its code multiplies by `1 - ratio`, which is right.)
///
/// Averaging many random passes instead, [`Sequential::predict_monte_carlo`](crate::Sequential::predict_monte_carlo),
/// shows Dropout as the ensemble it stands for.
///
/// Srivastava et al., *Dropout: A Simple Way to Prevent Neural Networks from Overfitting*, 2014.
///
/// ```
/// use gradus::{layer::{Dropout, Layer, Pass}, ndarray::Array2};
/// let mut dropout = Dropout::new(0.25)?;
/// let y = dropout.forward(Array2::<f32>::ones((100, 100)), &mut Pass::new(&mut gradus::rng(1)));
/// assert!(y.iter().all(|&y| y == 0.0 || y == 1.0 / 0.75));
/// assert!((y.mean().unwrap() - 1.0).abs() < 0.03); // the mean is kept
/// assert_eq!(dropout.infer(Array2::ones((2, 2))), Array2::<f32>::ones((2, 2)));
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Dropout<F = f32> {
    ratio: f64,
    form: DropoutForm,
    slope: Slope<F>,
}

impl<F: Scalar> Dropout<F> {
    /// Drops a share `ratio` of its input, in the inverted form.
    ///
    /// # Errors
    /// `ratio` outside `[0, 1)`.
    pub fn new(ratio: f64) -> Result<Self, Error> {
        Self::with_form(ratio, DropoutForm::Inverted)
    }

    /// The same in the form asked for.
    ///
    /// # Errors
    /// `ratio` outside `[0, 1)`.
    pub fn with_form(ratio: f64, form: DropoutForm) -> Result<Self, Error> {
        require((0.0..1.0).contains(&ratio), "Dropout ratio", "a share in [0, 1)", ratio)?;
        Ok(Self { ratio, form, slope: Slope::default() })
    }

    /// The share that is dropped.
    pub fn ratio(&self) -> f64 {
        self.ratio
    }

    /// What a kept value is multiplied by in training.
    fn training_scale(&self) -> F {
        match self.form {
            DropoutForm::Inverted => F::of(1.0 / (1.0 - self.ratio)),
            DropoutForm::Book => F::one(),
        }
    }
}

impl<F: Scalar> Layer<F> for Dropout<F> {
    fn forward(&mut self, mut input: Array2<F>, pass: &mut Pass<'_>) -> Array2<F> {
        let scale = self.training_scale();
        let mask = self.slope.reset(input.dim());
        let first = pass.first_row() * input.ncols();
        kernel::dropout_mask(pass.seed(), first, self.ratio, scale, mask);
        self.slope.multiply(&mut input);
        input
    }

    #[track_caller]
    fn backward(&mut self, grad: Array2<F>) -> Array2<F> {
        self.slope.backward("Dropout", grad)
    }

    fn infer(&self, mut input: Array2<F>) -> Array2<F> {
        if self.form == DropoutForm::Book {
            let keep = F::of(1.0 - self.ratio);
            let x = values_mut(&mut input);
            kernel::vectorize(move || x.iter_mut().for_each(|x| *x *= keep));
        }
        input
    }

    fn infer_random(&self, input: Array2<F>, pass: &mut Pass<'_>) -> Array2<F> {
        Self { slope: Slope::default(), ..*self }.forward(input, pass)
    }

    fn export(&self, graph: &mut Graph<F>) -> Result<(), Error> {
        if self.form == DropoutForm::Book {
            let keep = graph.constant(&[], &[F::of(1.0 - self.ratio)]);
            graph.node("Mul", &[keep], &[]);
        }
        Ok(())
    }

    fn describe(&self) -> Result<Description, Error> {
        Ok(Description::new("Dropout").with("ratio", self.ratio).with_form(self.form))
    }
}

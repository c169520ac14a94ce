use ndarray::Array2;

use crate::array::{fits, resize, values, values_mut};
use crate::error::{Error, require};
use crate::kernel;
use crate::layer::{Description, Graph, Layer, Param, Pass, Role, expect_columns, expect_inputs, expect_shape};
use crate::scalar::Scalar;

/// The parametric rectified linear unit, `y = x` where `x > 0`, else `y = a x` with a learned slope a: one for all, or one
/// a column.
///
/// Backward, with `g = dL/dy`: `dL/dx = g` where `x > 0`, else `a g`; `dL/da = Σ g x` over the places where `x ≤ 0`, in
/// all columns or its own. The slope has the role [`Scale`](Role::Scale), so it is not decayed: decay would draw it to
/// the ReLU. Name and values are those of PyTorch.
///
/// He et al., *Delving Deep into Rectifiers*, 2015.
///
/// ```
/// use gradus::{layer::{Layer, PReLU, Pass}, ndarray::array};
/// let mut prelu = PReLU::per_column(2)?;
/// prelu.weight.value = array![[0.5, 0.25]].into();
/// let y = prelu.forward(array![[-1.0, -1.0], [2.0, -2.0]], &mut Pass::new(&mut gradus::rng(1)));
/// assert_eq!(y, array![[-0.5, -0.25], [2.0, -0.5]]);
/// assert_eq!(prelu.backward(array![[1.0, 1.0], [1.0, 1.0]]), array![[0.5, 0.25], [1.0, 0.25]]);
/// assert_eq!(prelu.weight.grad, array![[-1.0, -3.0]]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct PReLU<F = f32> {
    /// a, `(1, 1)` or `(1, D)`, from 0.25.
    pub weight: Param<F>,
    /// What forward was given; backward makes `g x` of it.
    x: Array2<F>,
    /// A slope for each column; after backward a sum for each.
    row: Array2<F>,
}

impl<F: Scalar> PReLU<F> {
    /// A layer with one slope for all columns; it takes any width.
    pub fn new() -> Self {
        Self::with_slopes(1)
    }

    /// A layer with a slope for each of `width` columns.
    ///
    /// # Errors
    /// A width of 0, or more columns than memory has room for.
    pub fn per_column(width: usize) -> Result<Self, Error> {
        if width == 0 {
            return Err(Error::empty("PReLU(0), columns"));
        }
        require(fits::<F>(&[width]), "PReLU columns", "a number that fits into memory", width)?;
        Ok(Self::with_slopes(width))
    }

    fn with_slopes(count: usize) -> Self {
        let slopes = Array2::from_elem((1, count), F::of(0.25));
        let weight = Param::new("weight", Role::Scale, slopes);
        Self { weight, x: Array2::default((0, 0)), row: Array2::default((0, 0)) }
    }

    fn is_shared(&self) -> bool {
        self.weight.value.len() == 1
    }

    /// Writes the slope of each column.
    #[track_caller]
    fn slopes(&self, shape: (usize, usize), row: &mut Array2<F>) {
        resize(row, (1, shape.1));
        match *values(&self.weight.value) {
            [slope] => row.fill(slope),
            ref slopes => {
                expect_columns("PReLU", slopes.len(), shape);
                values_mut(row).copy_from_slice(slopes);
            }
        }
    }
}

impl<F: Scalar> Default for PReLU<F> {
    fn default() -> Self {
        Self::new()
    }
}

/// `x ← a x` where `x ≤ 0`, with a slope for each column.
fn scale_negatives<F: Scalar>(x: &mut Array2<F>, row: &Array2<F>) {
    let (x, slopes) = (values_mut(x), values(row));
    let width = slopes.len().max(1);
    kernel::vectorize(
        #[inline(always)]
        move || {
            for x in x.chunks_exact_mut(width) {
                x.iter_mut().zip(slopes).for_each(|(x, &a)| *x = if *x > F::zero() { *x } else { a * *x });
            }
        },
    );
}

impl<F: Scalar> Layer<F> for PReLU<F> {
    crate::params!(F: weight);

    #[track_caller]
    fn forward(&mut self, mut input: Array2<F>, _pass: &mut Pass<'_>) -> Array2<F> {
        let mut row = std::mem::take(&mut self.row);
        self.slopes(input.dim(), &mut row);
        self.row = row;
        resize(&mut self.x, input.dim());
        values_mut(&mut self.x).copy_from_slice(values(&input));
        scale_negatives(&mut input, &self.row);
        input
    }

    #[track_caller]
    fn backward(&mut self, mut grad: Array2<F>) -> Array2<F> {
        expect_shape("PReLU", self.x.dim(), grad.dim());
        let (g, x, slopes) = (values_mut(&mut grad), values_mut(&mut self.x), values(&self.row));
        let width = slopes.len().max(1);
        kernel::vectorize(
            #[inline(always)]
            move || {
                for (g, x) in g.chunks_exact_mut(width).zip(x.chunks_exact_mut(width)) {
                    for ((g, x), &a) in g.iter_mut().zip(x).zip(slopes) {
                        let is_positive = *x > F::zero();
                        (*x, *g) =
                            (if is_positive { F::zero() } else { *g * *x }, if is_positive { *g } else { a * *g });
                    }
                }
            },
        );
        if self.is_shared() {
            kernel::column_sums(&self.x, &mut self.row);
            self.weight.grad[[0, 0]] = F::of(self.row.iter().map(|sum| sum.as_f64()).sum());
        } else {
            kernel::column_sums(&self.x, &mut self.weight.grad);
        }
        grad
    }

    #[track_caller]
    fn infer(&self, mut input: Array2<F>) -> Array2<F> {
        let mut row = Array2::default((0, 0));
        self.slopes(input.dim(), &mut row);
        scale_negatives(&mut input, &row);
        input
    }

    fn width(&self, input: usize) -> Result<usize, Error> {
        if !self.is_shared() {
            expect_inputs(self, self.weight.value.len(), input)?;
        }
        Ok(input)
    }

    fn export(&self, graph: &mut Graph<F>) -> Result<(), Error> {
        let slopes = graph.parameter(&self.weight);
        graph.node("PRelu", &[slopes], &[]);
        Ok(())
    }

    fn describe(&self) -> Result<Description, Error> {
        Ok(Description::new("PReLU"))
    }
}

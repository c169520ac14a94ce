//! Backpropagation compared with numerical gradients, in f64 (the book's section 4.4, and its gradient checks).
//!
//! The numerical derivative is the four-point central difference
//! `(8 (f(x+h) - f(x-h)) - (f(x+2h) - f(x-2h))) / 12h` with `h = 1e-4 max(1, |x|)`: its own error is about 1e-12
//! of the size of f. It is wrong where a kink (ReLU at 0) lies within 2h, so check with random values, and a
//! batch of several rows: a BatchNorm that sees one row gives β alone, and its ReLUs then sit on their kinks.
//!
//! ```
//! use gradus::{check, layer::Sigmoid};
//! let report = check::layer(&Sigmoid::new(), 3, &mut gradus::rng(1))?; // an error, were it no layer
//! assert!(report.worst() < 1e-6);
//! # Ok::<(), gradus::Error>(())
//! ```

use std::fmt::{self, Display};

use ndarray::Array2;
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

use crate::array::{values, values_mut};
use crate::data::Targets;
use crate::error::Error;
use crate::layer::{Layer, Param, Pass};
use crate::loss::Loss;
use crate::rng::{Generator, fork, rng};

/// How far backpropagation is from the numerical gradient, one row for each parameter. It prints as a table.
///
/// ```
/// use gradus::{check, layer::Tanh};
/// let report = check::layer(&Tanh::new(), 3, &mut gradus::rng(1))?;
/// assert_eq!(report.rows[0].parameter, "input");
/// assert!(report.to_string().starts_with("parameter"));
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// In the order of the parameters, the input last.
    pub rows: Vec<GradientError>,
}

/// The error of one parameter's gradient, and both sides where it is largest.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientError {
    /// The parameter's name, or `input`.
    pub parameter: String,
    /// Largest absolute difference of an element.
    pub max_abs: f64,
    /// Largest difference relative to the larger of the two sides, which counts as at least a thousandth of the
    /// largest gradient of the whole report (so that a gradient that is truly 0 can pass).
    pub max_rel: f64,
    /// What backpropagation says at the element with the largest relative error.
    pub backprop: f64,
    /// What the numerical gradient says there.
    pub numerical: f64,
}

impl Report {
    /// The largest relative error of all.
    pub fn worst(&self) -> f64 {
        // `max` would drop a NaN, the worst of all.
        self.rows.iter().map(|row| row.max_rel).fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a })
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<20} {:>10} {:>10} {:>24} {:>24}", "parameter", "max abs", "max rel", "backprop", "numerical")?;
        for row in &self.rows {
            let GradientError { parameter, max_abs, max_rel, backprop, numerical } = row;
            writeln!(f, "{parameter:<20} {max_abs:>10.2e} {max_rel:>10.2e} {backprop:>24.16e} {numerical:>24.16e}")?;
        }
        Ok(())
    }
}

/// Checks the gradient of every trained parameter of a network (or layer) and of its input under a loss.
///
/// Random layers draw the same numbers in every pass.
///
/// ```
/// use gradus::{check, prelude::*};
/// let data = Digits::load::<f64>()?.take(10)?;
/// let net = Sequential::mlp(64, &[5], 10).build(&mut gradus::rng(3))?;
/// let report = check::gradients(&net, &SoftmaxCrossEntropy, data.rows(), data.targets());
/// assert!(report.worst() < 1e-7, "{report}");
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Panics
/// Rows or targets do not fit the network.
#[track_caller]
pub fn gradients(net: &dyn Layer<f64>, loss: &dyn Loss<f64>, rows: &Array2<f64>, targets: &Targets<f64>) -> Report {
    let mut subject = Subject { net: net.clone_layer(), rng: rng(0) };
    let output = subject.forward(rows);
    let (_, grad) = loss.value_and_grad(output, targets);
    subject.compare(grad, rows, &|output| loss.value(output, targets))
}

/// Checks that a layer keeps the contract of [`Layer`], with random rows of `width` values.
///
/// Checked are: the promised output width, also when the batch gets shorter and longer again, in standard layout;
/// `infer` the same when asked twice; parameters shown in the same order to read and to change, each with a name of
/// its own; gradients of the shape of their values, overwritten and not accumulated, the same from
/// `backward_params`; and every gradient against the numerical one, to a relative 1e-6.
///
/// ```
/// # use gradus::ndarray::Array2;
/// use gradus::{check, prelude::*};
/// #[derive(Debug, Clone)]
/// struct Double;
/// impl<F: Scalar> Layer<F> for Double {
///     fn forward(&mut self, input: Array2<F>, _pass: &mut Pass<'_>) -> Array2<F> {
///         self.infer(input)
///     }
///     fn backward(&mut self, grad: Array2<F>) -> Array2<F> {
///         grad // wrong: 2 grad
///     }
///     fn infer(&self, input: Array2<F>) -> Array2<F> {
///         input * F::of(2.0)
///     }
/// }
/// let error = check::layer(&Double, 3, &mut gradus::rng(1)).unwrap_err();
/// assert!(error.to_string().contains("backward is not the derivative of forward"));
/// ```
///
/// # Errors
/// [`Error::Layer`] says which promise is broken; whatever [`Layer::width`] says.
pub fn layer(layer: &dyn Layer<f64>, width: usize, rng: &mut impl Rng) -> Result<Report, Error> {
    let out = layer.width(width)?;
    let mut subject = Subject { net: layer.clone_layer(), rng: fork(rng) };
    let mut normal =
        |rows, columns| Array2::from_shape_simple_fn((rows, columns), || rng.sample::<f64, _>(StandardNormal));
    let (x, weights) = (normal(5, width), normal(5, out));
    let result = [5, 3, 5]
        .into_iter()
        .try_for_each(|rows| subject.check_shapes(normal(rows, width), out))
        .and_then(|()| subject.check_parameters())
        .and_then(|()| subject.check_derivatives(&x, &weights));
    result.map_err(|problem| Error::layer(layer.name(), problem))
}

/// What is checked: a copy of a layer, and the generator of which each of its passes gets a copy.
struct Subject {
    net: Box<dyn Layer<f64>>,
    rng: Generator,
}

impl Subject {
    fn forward(&mut self, rows: &Array2<f64>) -> Array2<f64> {
        self.net.forward(rows.clone(), &mut Pass::new(&mut self.rng.clone()))
    }

    /// Every pass gives the shape it has to give.
    fn check_shapes(&mut self, x: Array2<f64>, out: usize) -> Result<(), String> {
        let (inputs, outputs) = (x.dim(), (x.nrows(), out));
        let expect = |pass: &str, expected, found: &Array2<f64>| {
            if found.dim() != expected {
                return Err(format!("{pass}: expected an array of shape {expected:?}, found {:?}", found.dim()));
            }
            let problem =
                || format!("{pass}: expected an array in standard layout, found strides {:?}", found.strides());
            if found.is_standard_layout() { Ok(()) } else { Err(problem()) }
        };
        let y = self.forward(&x);
        expect("forward", outputs, &y)?;
        expect("backward", inputs, &self.net.backward(y))?;
        let y = self.net.infer(x.clone());
        expect("infer", outputs, &y)?;
        if y != self.net.infer(x.clone()) {
            return Err("infer: expected the same output for the same input, found another".into());
        }
        let y = self.forward(&x);
        expect("backward_params", inputs, &self.net.backward_params(y))
    }

    /// The same parameters are shown to read and to change; they have names and gradients of their own.
    fn check_parameters(&mut self) -> Result<(), String> {
        let show = |param: &Param<f64>| (param.name.clone(), param.value.clone());
        let (mut read, mut changed, mut shapes) = (Vec::new(), Vec::new(), Ok(()));
        self.net.params(&mut |param| read.push(show(param)));
        self.net.params_mut(&mut |param| {
            changed.push(show(param));
            if param.role.is_trained() && param.grad.dim() != param.value.dim() {
                shapes = Err(format!("{param:?}: its gradient has the shape {:?}", param.grad.dim()));
            }
        });
        if read != changed {
            return Err("params and params_mut show different parameters".into());
        }
        let twice = read.iter().enumerate().find(|(i, (name, _))| read[..*i].iter().any(|(before, _)| before == name));
        if let Some((_, (name, _))) = twice {
            return Err(format!("two parameters have the name {name}"));
        }
        shapes
    }

    /// Both backward passes give the derivative of `forward`.
    fn check_derivatives(&mut self, x: &Array2<f64>, weights: &Array2<f64>) -> Result<Report, String> {
        self.forward(x);
        self.net.backward_params(weights.clone());
        let first = self.parameter_gradients();
        self.forward(x);
        let report = self.compare(weights.clone(), x, &|y| (y * weights).sum());
        if first != self.parameter_gradients() {
            let problem = "two backward passes over the same batch give different gradients (are they accumulated?)";
            return Err(problem.into());
        }
        if report.worst() <= 1e-6 {
            Ok(report)
        } else {
            Err(format!("backward is not the derivative of forward\n{report}"))
        }
    }

    /// Runs `backward` (the forward pass has been run) and compares all gradients with those of
    /// `value(net.forward(rows))`.
    fn compare(&mut self, grad: Array2<f64>, rows: &Array2<f64>, value: &dyn Fn(&Array2<f64>) -> f64) -> Report {
        let input = ("input".to_string(), self.net.backward(grad));
        let mut analytic = self.parameter_gradients();
        analytic.push(input);
        let mut numerical = Vec::new();
        for (which, (_, gradient)) in analytic.iter().enumerate() {
            let is_input = which + 1 == analytic.len();
            let mut input = rows.clone();
            let derivative = |place| {
                let start = if is_input { values(rows)[place] } else { self.nudge(which, place, None) };
                let h = 1e-4 * start.abs().max(1.0);
                let mut at = |offset: f64| {
                    if is_input {
                        values_mut(&mut input)[place] = start + offset;
                    } else {
                        self.nudge(which, place, Some(start + offset));
                    }
                    value(&self.forward(&input))
                };
                let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
                at(0.0);
                slope
            };
            numerical.push((0..gradient.len()).map(derivative).collect::<Vec<_>>());
        }
        report(&analytic, &numerical)
    }

    /// Sets one element of the trained parameter at place `which`; gives what it was.
    fn nudge(&mut self, which: usize, place: usize, value: Option<f64>) -> f64 {
        let (mut before, mut at) = (f64::NAN, 0);
        self.net.params_mut(&mut |param| {
            if param.is_trained() {
                if at == which {
                    let element = &mut values_mut(&mut param.value)[place];
                    before = *element;
                    *element = value.unwrap_or(before);
                }
                at += 1;
            }
        });
        before
    }

    fn parameter_gradients(&self) -> Vec<(String, Array2<f64>)> {
        let mut gradients = Vec::new();
        self.net.params(&mut |param| {
            if param.is_trained() {
                gradients.push((param.name.clone(), param.grad.clone()));
            }
        });
        gradients
    }
}

fn report(analytic: &[(String, Array2<f64>)], numerical: &[Vec<f64>]) -> Report {
    let largest = analytic.iter().flat_map(|(_, gradient)| gradient).fold(0.0_f64, |max, g| max.max(g.abs()));
    let row = |((parameter, gradient), numerical): (&(String, Array2<f64>), &Vec<f64>)| {
        let mut row =
            GradientError { parameter: parameter.clone(), max_abs: 0.0, max_rel: -1.0, backprop: 0.0, numerical: 0.0 };
        for (&a, &n) in gradient.iter().zip(numerical) {
            let error = (a - n).abs();
            let relative = error / a.abs().max(n.abs()).max(1e-3 * largest).max(f64::MIN_POSITIVE);
            row.max_abs = row.max_abs.max(error);
            if relative > row.max_rel || relative.is_nan() {
                (row.max_rel, row.backprop, row.numerical) = (relative, a, n);
            }
        }
        row
    };
    Report { rows: analytic.iter().zip(numerical).map(row).collect() }
}

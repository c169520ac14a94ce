//! Backpropagation held against numerical gradients, in f64.
//!
//! The numerical derivative is the four-point central difference
//! `(8 (f(x+h) - f(x-h)) - (f(x+2h) - f(x-2h))) / 12h` with `h = 1e-4 max(1, |x|)`: its own error is about 1e-12
//! of the size of f. It is wrong where a kink (ReLU at 0) lies within 2h, so check with random values, and a
//! batch of several rows: a BatchNorm that sees one row gives β alone, and its ReLUs then sit on their kinks.

use std::fmt::{self, Display};

use ndarray::Array2;
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

use crate::data::Targets;
use crate::error::Error;
use crate::layer::{Layer, values, values_mut};
use crate::loss::Loss;
use crate::rng::Generator;

/// How far backpropagation is from the numerical gradient, a row a parameter. It prints as a table.
///
/// ```
/// use gradus::{Tanh, check};
/// let report = check::layer(&mut Tanh::new(), 3, &mut gradus::rng(1))?;
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
/// use gradus::{Digits, Sequential, SoftmaxCrossEntropy, check};
/// let data = Digits::load::<f64>()?.take(10)?;
/// let mut net = Sequential::mlp(64, &[5], 10).build(&mut gradus::rng(3))?;
/// let report = check::gradients(&mut net, &SoftmaxCrossEntropy, data.rows(), data.targets());
/// assert!(report.worst() < 1e-7, "{report}");
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// The network is left as it was, but for the gradients.
///
/// # Panics
/// Rows or targets do not fit the network.
#[track_caller]
pub fn gradients(net: &mut dyn Layer<f64>, loss: &dyn Loss<f64>, rows: &Array2<f64>, targets: &Targets<f64>) -> Report {
    let before = Kept::of(net);
    let output = net.forward(rows.clone());
    let (_, grad) = loss.value_and_grad(output, targets);
    let report = compare(net, grad, rows, &before.generators, &|output| loss.value(output, targets));
    before.restore(net);
    report
}

/// Holds a layer of your own to the contract of [`Layer`], with random rows of `width` values.
///
/// Checked are: the promised output width, also when the batch gets shorter and longer again, in standard layout;
/// `infer` the same when asked twice; parameters shown in the same order to read and to change, each with a name of
/// its own; gradients of the shape of their values, overwritten and not accumulated, the same from
/// `backward_params`; and every gradient against the numerical one, to a relative 1e-6.
///
/// The layer is left as it was, but for the gradients.
///
/// ```
/// # use gradus::ndarray::Array2;
/// use gradus::{Layer, check};
/// #[derive(Debug)]
/// struct Double;
/// impl Layer<f64> for Double {
///     fn forward(&mut self, input: Array2<f64>) -> Array2<f64> {
///         self.infer(input)
///     }
///     fn backward(&mut self, grad: Array2<f64>) -> Array2<f64> {
///         grad // wrong: 2 grad
///     }
///     fn infer(&self, input: Array2<f64>) -> Array2<f64> {
///         input * 2.0
///     }
/// }
/// let error = check::layer(&mut Double, 3, &mut gradus::rng(1)).unwrap_err();
/// assert!(error.to_string().contains("backward is not the derivative of forward"));
/// ```
///
/// # Errors
/// [`Error::Contract`] says which promise is broken; whatever [`Layer::width`] says.
pub fn layer(layer: &mut dyn Layer<f64>, width: usize, rng: &mut impl Rng) -> Result<Report, Error> {
    let out = layer.width(width)?;
    let before = Kept::of(layer);
    let mut normal =
        |rows, columns| Array2::from_shape_simple_fn((rows, columns), || rng.sample::<f64, _>(StandardNormal));
    let (x, weights) = (normal(5, width), normal(5, out));
    let result = [5, 3, 5]
        .into_iter()
        .try_for_each(|rows| shapes(layer, normal(rows, width), out))
        .and_then(|()| parameters(layer))
        .and_then(|()| derivatives(layer, &x, &weights, &before.generators));
    before.restore(layer);
    result.map_err(|problem| Error::Contract { layer: layer.name(), problem })
}

/// Every pass gives the shape it has to give.
fn shapes(layer: &mut dyn Layer<f64>, x: Array2<f64>, out: usize) -> Result<(), String> {
    let (inputs, outputs) = (x.dim(), (x.nrows(), out));
    let expect = |pass: &str, expected, found: &Array2<f64>| {
        if found.dim() != expected {
            return Err(format!("{pass}: expected an array of shape {expected:?}, found {:?}", found.dim()));
        }
        let problem = || format!("{pass}: expected an array in standard layout, found strides {:?}", found.strides());
        if found.is_standard_layout() { Ok(()) } else { Err(problem()) }
    };
    let y = layer.forward(x.clone());
    expect("forward", outputs, &y)?;
    let dx = layer.backward(y);
    expect("backward", inputs, &dx)?;
    let y = layer.infer(x.clone());
    expect("infer", outputs, &y)?;
    if y != layer.infer(x.clone()) {
        return Err("infer: expected the same output for the same input, found another".into());
    }
    let y = layer.forward(x);
    expect("backward_params", inputs, &layer.backward_params(y))
}

/// The same parameters are shown to read and to change; they have names and gradients of their own.
fn parameters(layer: &mut dyn Layer<f64>) -> Result<(), String> {
    let (mut read, mut changed, mut shapes) = (Vec::new(), Vec::new(), Ok(()));
    layer.params(&mut |param| read.push((param.name.clone(), param.value.clone())));
    layer.params_mut(&mut |param| {
        changed.push((param.name.clone(), param.value.clone()));
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
fn derivatives(
    layer: &mut dyn Layer<f64>,
    x: &Array2<f64>,
    weights: &Array2<f64>,
    generators: &[Generator],
) -> Result<Report, String> {
    restore_generators(layer, generators);
    layer.forward(x.clone());
    layer.backward_params(weights.clone());
    let first = parameter_gradients(layer);
    restore_generators(layer, generators);
    layer.forward(x.clone());
    let report = compare(layer, weights.clone(), x, generators, &|y| (y * weights).sum());
    if first != parameter_gradients(layer) {
        return Err("two backward passes over the same batch give different gradients (are they accumulated?)".into());
    }
    if report.worst() <= 1e-6 {
        Ok(report)
    } else {
        Err(format!("backward is not the derivative of forward\n{report}"))
    }
}

/// Runs `backward` (the forward pass has been run) and compares all gradients with those of
/// `value(net.forward(rows))`.
fn compare(
    net: &mut dyn Layer<f64>,
    grad: Array2<f64>,
    rows: &Array2<f64>,
    generators: &[Generator],
    value: &dyn Fn(&Array2<f64>) -> f64,
) -> Report {
    let mut analytic = vec![("input".to_string(), net.backward(grad))];
    analytic.extend(parameter_gradients(net));
    analytic.rotate_left(1);
    let evaluate = |net: &mut dyn Layer<f64>, rows: &Array2<f64>| {
        restore_generators(net, generators);
        value(&net.forward(rows.clone()))
    };
    let mut numerical = Vec::new();
    for (which, (_, gradient)) in analytic.iter().enumerate() {
        let is_input = which + 1 == analytic.len();
        let mut input = rows.clone();
        let derivative = |place| {
            let start = if is_input { values(rows)[place] } else { nudge(net, which, place, None) };
            let h = 1e-4 * start.abs().max(1.0);
            let mut at = |offset: f64| {
                if is_input {
                    values_mut(&mut input)[place] = start + offset;
                } else {
                    nudge(net, which, place, Some(start + offset));
                }
                evaluate(net, &input)
            };
            let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
            at(0.0);
            slope
        };
        numerical.push((0..gradient.len()).map(derivative).collect::<Vec<_>>());
    }
    report(&analytic, &numerical)
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

/// Sets one element of the trained parameter at place `which`; gives what it was.
fn nudge(net: &mut dyn Layer<f64>, which: usize, place: usize, value: Option<f64>) -> f64 {
    let (mut before, mut at) = (f64::NAN, 0);
    net.params_mut(&mut |param| {
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

fn parameter_gradients(net: &dyn Layer<f64>) -> Vec<(String, Array2<f64>)> {
    let mut gradients = Vec::new();
    net.params(&mut |param| {
        if param.is_trained() {
            gradients.push((param.name.clone(), param.grad.clone()));
        }
    });
    gradients
}

/// What a check changes on its way.
struct Kept {
    values: Vec<Array2<f64>>,
    generators: Vec<Generator>,
}

impl Kept {
    fn of(net: &dyn Layer<f64>) -> Self {
        let (mut values, mut generators) = (Vec::new(), Vec::new());
        net.params(&mut |param| values.push(param.value.clone()));
        net.generators(&mut |generator| generators.push(generator.clone()));
        Self { values, generators }
    }

    fn restore(&self, net: &mut dyn Layer<f64>) {
        let mut values = self.values.iter();
        net.params_mut(&mut |param| {
            if let Some(value) = values.next() {
                param.value.clone_from(value);
            }
        });
        restore_generators(net, &self.generators);
    }
}

fn restore_generators(net: &mut dyn Layer<f64>, kept: &[Generator]) {
    let mut kept = kept.iter();
    net.generators_mut(&mut |generator| {
        if let Some(kept) = kept.next() {
            generator.clone_from(kept);
        }
    });
}

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

/// How far backpropagation is from the numerical gradient, a row a parameter.
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
pub fn gradients(net: &mut dyn Layer<f64>, loss: &dyn Loss<f64>, rows: &Array2<f64>, targets: &Targets<f64>) -> Report {
    let generators = keep_generators(net);
    let output = net.forward(rows.clone());
    let (_, grad) = loss.value_and_grad(output, targets);
    compare(net, grad, rows, &generators, &|output| loss.value(output, targets))
}

/// Holds a layer of your own to the contract of [`Layer`], with random rows of `width` values.
///
/// Checked are: the promised output width, also when the batch gets shorter and longer again; parameters shown in
/// the same order to read and to change; gradients of the shape of their values, overwritten and not accumulated,
/// the same from `backward_params`; and every gradient against the numerical one, to a relative 1e-6.
///
/// # Errors
/// [`Error::Contract`] says which promise is broken; whatever [`Layer::width`] says.
pub fn layer(layer: &mut dyn Layer<f64>, width: usize, rng: &mut impl Rng) -> Result<Report, Error> {
    let name = layer.name();
    let broken = |problem: String| Err(Error::Contract { layer: name.clone(), problem });
    let out = layer.width(width)?;
    let mut normal =
        |rows, columns| Array2::from_shape_simple_fn((rows, columns), || rng.sample::<f64, _>(StandardNormal));
    let (x, weights) = (normal(5, width), normal(5, out));
    let generators = keep_generators(layer);
    for rows in [5, 3, 5] {
        let y = layer.forward(normal(rows, width));
        if y.dim() != (rows, out) {
            return broken(format!("forward: expected an output of shape ({rows}, {out}), found {:?}", y.dim()));
        }
        let dx = layer.backward(y);
        if dx.dim() != (rows, width) {
            return broken(format!("backward: expected dL/d input of shape ({rows}, {width}), found {:?}", dx.dim()));
        }
        let y = layer.infer(normal(rows, width));
        if y.dim() != (rows, out) {
            return broken(format!("infer: expected an output of shape ({rows}, {out}), found {:?}", y.dim()));
        }
    }
    let (mut read, mut changed, mut shapes) = (Vec::new(), Vec::new(), None);
    layer.params(&mut |param| read.push((param.name.clone(), param.value.clone())));
    layer.params_mut(&mut |param| {
        changed.push((param.name.clone(), param.value.clone()));
        if param.role.is_trained() && param.grad.dim() != param.value.dim() {
            shapes = Some(format!("{param:?}: its gradient has the shape {:?}", param.grad.dim()));
        }
    });
    if read != changed {
        return broken("params and params_mut show different parameters".into());
    }
    if let Some(problem) = shapes {
        return broken(problem);
    }
    restore_generators(layer, &generators);
    layer.forward(x.clone());
    let dx = layer.backward_params(weights.clone());
    let first = parameter_gradients(layer);
    if dx.dim() != x.dim() {
        return broken(format!("backward_params: expected a buffer of shape {:?}, found {:?}", x.dim(), dx.dim()));
    }
    restore_generators(layer, &generators);
    layer.forward(x.clone());
    let report = compare(layer, weights.clone(), &x, &generators, &|y| (y * &weights).sum());
    if first != parameter_gradients(layer) {
        return broken(
            "two backward passes over the same batch give different gradients (are they accumulated?)".into(),
        );
    }
    if report.worst() <= 1e-6 {
        Ok(report)
    } else {
        broken(format!("backward is not the derivative of forward\n{report}"))
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
    for (which, (name, gradient)) in analytic.iter().enumerate() {
        let is_input = which + 1 == analytic.len();
        let mut input = rows.clone();
        let derivative = |place| {
            let start = if is_input { values(rows)[place] } else { nudge(net, name, place, None) };
            let h = 1e-4 * start.abs().max(1.0);
            let mut at = |offset: f64| {
                if is_input {
                    values_mut(&mut input)[place] = start + offset;
                } else {
                    nudge(net, name, place, Some(start + offset));
                }
                evaluate(net, &input)
            };
            let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
            at(0.0);
            slope
        };
        numerical.push((0..gradient.len()).map(derivative).collect::<Vec<_>>());
    }
    restore_generators(net, generators);
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

/// Sets one element of the trained parameter `name`; gives what it was.
fn nudge(net: &mut dyn Layer<f64>, name: &str, place: usize, value: Option<f64>) -> f64 {
    let mut before = f64::NAN;
    net.params_mut(&mut |param| {
        if param.is_trained() && param.name == name {
            let element = &mut values_mut(&mut param.value)[place];
            before = *element;
            *element = value.unwrap_or(before);
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

fn keep_generators(net: &dyn Layer<f64>) -> Vec<Generator> {
    let mut kept = Vec::new();
    net.generators(&mut |generator| kept.push(generator.clone()));
    kept
}

fn restore_generators(net: &mut dyn Layer<f64>, kept: &[Generator]) {
    let mut kept = kept.iter();
    net.generators_mut(&mut |generator| generator.clone_from(kept.next().expect("as many generators as were kept")));
}

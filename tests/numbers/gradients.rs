//! Backpropagation against central differences, in f64, for everything that has a gradient.

use gradus::Builder;
use gradus::check::{self, Report};
use gradus::layer::Param;
use gradus::ndarray::{ArcArray2, Array2, ShapeBuilder, array};
use gradus::prelude::*;
use gradus::rand::{Rng, RngExt};

const LIMIT: f64 = 1e-7;

/// Values in (-2, 2), none of them near the kink of a ReLU.
fn random(rows: usize, columns: usize, rng: &mut impl Rng) -> Array2<f64> {
    Array2::from_shape_simple_fn((rows, columns), || {
        let x: f64 = 4.0 * rng.random::<f64>() - 2.0;
        if x.abs() < 0.01 { 0.5 } else { x }
    })
}

#[track_caller]
fn expect_right(what: &str, report: &Report) {
    println!("{what}\n{report}");
    assert!(report.worst() <= LIMIT, "{what}: {:.1e}\n{report}", report.worst());
}

fn built_in() -> Vec<Box<dyn Layer<f64>>> {
    let mut rng = rng(5);
    let mut norm = BatchNorm::new(4).unwrap();
    (norm.gamma.value, norm.beta.value) = (random(1, 4, &mut rng).into(), random(1, 4, &mut rng).into());
    let mut row_norm = LayerNorm::new(4).unwrap();
    (row_norm.gamma.value, row_norm.beta.value) = (random(1, 4, &mut rng).into(), random(1, 4, &mut rng).into());
    let inner = Sequential::input(4).affine(6, Init::He).batch_norm().tanh().dropout(0.3).affine(2, Init::Xavier);
    vec![
        Box::new(Affine::new(4, 3, Init::He, &mut rng).unwrap()),
        Box::new(Sigmoid::new()),
        Box::new(ReLU::new()),
        Box::new(Tanh::new()),
        Box::new(LeakyReLU::default()),
        Box::new(PReLU::new()),
        Box::new(PReLU::per_column(4).unwrap()),
        Box::new(ELU::new(1.3).unwrap()),
        Box::new(GELU::new()),
        Box::new(GELU::with_form(GELUForm::Tanh)),
        Box::new(SiLU::new()),
        Box::new(Softplus::new(1.7).unwrap()),
        Box::new(norm),
        Box::new(row_norm),
        Box::new(Affine::new(4, 3, Init::He, &mut rng).unwrap().without_bias()),
        Box::new(Dropout::new(0.4).unwrap()),
        Box::new(Dropout::with_form(0.4, DropoutForm::Book).unwrap()),
        Box::new(Dropout::new(0.0).unwrap()),
        Box::new(inner.build(&mut rng).unwrap()),
    ]
}

#[test]
fn every_layer_is_right_and_keeps_the_contract() {
    for layer in built_in() {
        let report = check::layer(&layer, 4, &mut rng(11)).unwrap_or_else(|error| panic!("{error}"));
        expect_right(&layer.name(), &report);
        let mut trained = 0;
        layer.params(&mut |param| trained += usize::from(param.is_trained()));
        assert_eq!(report.rows.len(), trained + 1, "a row a parameter and one for the input");
    }
}

/// Every loss with every kind of targets it takes.
#[test]
fn every_loss_is_right() {
    let mut rng = rng(3);
    let labels = Targets::Labels { labels: vec![2, 0, 1, 2, 2], classes: 3 };
    let one_hot = array![[0., 0., 1.], [1., 0., 0.], [0., 1., 0.], [0., 0., 1.], [0., 0., 1.]];
    let shares = random(5, 3, &mut rng).mapv(f64::abs);
    let dense = [Targets::Dense(one_hot), Targets::Dense(shares), labels];
    let losses: [(&str, &dyn Loss<f64>); 3] = [
        ("softmax cross-entropy", &SoftmaxCrossEntropy),
        ("mean squared error", &MeanSquaredError),
        ("binary cross-entropy", &BinaryCrossEntropy),
    ];
    let x = random(5, 4, &mut rng);
    for (name, loss) in losses {
        for targets in &dense {
            let net = Sequential::input(4).affine(3, Init::He).build(&mut rng).unwrap();
            expect_right(name, &check::gradients(&net, loss, &x, targets));
        }
    }
    let binary = Targets::Labels { labels: vec![1, 0, 0, 1, 1], classes: 2 };
    for (name, loss) in &losses[1..] {
        let net = Sequential::input(4).affine(1, Init::He).build(&mut rng).unwrap();
        expect_right(name, &check::gradients(&net, *loss, &x, &binary));
    }
}

fn full(net: Builder<f64>) -> Builder<f64> {
    net.affine(8, Init::He).batch_norm().relu().dropout(0.3).affine(7, Init::He).batch_norm().sigmoid().dropout(0.2)
}

#[test]
fn a_whole_net_is_right_and_left_as_it_was() {
    let mut rng = rng(6);
    let nested = full(Sequential::input(7)).build(&mut rng).unwrap();
    let net = full(Sequential::input(6)).layer(nested).affine(3, Init::Xavier).build(&mut rng);
    let net = net.unwrap();
    let x = random(9, 6, &mut rng);
    let targets = Targets::Labels { labels: vec![0, 1, 2, 0, 1, 2, 0, 1, 2], classes: 3 };
    let before = values(&net);
    let report = check::gradients(&net, &SoftmaxCrossEntropy, &x, &targets);
    expect_right("BatchNorm and Dropout, nested", &report);
    assert_eq!(report.rows.len(), 4 * 4 + 2 + 1);
    assert_eq!(values(&net), before);
    // The same masks again: a check is repeatable.
    assert_eq!(check::gradients(&net, &SoftmaxCrossEntropy, &x, &targets), report);
}

fn values(net: &Sequential<f64>) -> Vec<ArcArray2<f64>> {
    let mut values = Vec::new();
    net.params(&mut |param| values.push(param.value.clone()));
    values
}

/// y = a x + b x², with a switch for every way to break the contract.
#[derive(Debug, Clone)]
struct Curve {
    a: Param<f64>,
    b: Param<f64>,
    x: Array2<f64>,
    bug: Bug,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bug {
    None,
    Slope,
    ParameterGradient,
    InputFactor,
    Accumulates,
    OtherOrder,
    SameName,
    GradientShape,
    OutputWidth,
    InferWidth,
    BackwardShape,
    BackwardParamsShape,
    BackwardParams,
    Layout,
    RandomInference,
}

impl Curve {
    fn new(bug: Bug) -> Self {
        let param = |name, value| Param::new(name, Role::Weight, Array2::from_elem((1, 1), value));
        let mut curve = Self { a: param("a", 0.7), b: param("b", -1.3), x: Array2::default((0, 0)), bug };
        if bug == Bug::SameName {
            curve.b.name = "a".into();
        }
        if bug == Bug::GradientShape {
            curve.a.grad = Array2::zeros((2, 1));
        }
        curve
    }

    fn apply(&self, x: Array2<f64>) -> Array2<f64> {
        let (a, b) = (self.a.value[[0, 0]], self.b.value[[0, 0]]);
        x.mapv_into(|x| a * x + b * x * x)
    }
}

impl Layer<f64> for Curve {
    fn forward(&mut self, input: Array2<f64>, _pass: &mut Pass<'_>) -> Array2<f64> {
        self.x.clone_from(&input);
        let y = self.apply(input);
        match self.bug {
            Bug::OutputWidth => Array2::zeros((y.nrows(), y.ncols() + 1)),
            Bug::Layout => {
                let mut turned = Array2::zeros(y.raw_dim().f());
                turned.assign(&y);
                turned
            }
            _ => y,
        }
    }

    fn backward(&mut self, grad: Array2<f64>) -> Array2<f64> {
        let (a, b) = (self.a.value[[0, 0]], self.b.value[[0, 0]]);
        let (da, mut db) = ((&grad * &self.x).sum(), (&grad * &self.x * &self.x).sum());
        if self.bug == Bug::ParameterGradient {
            db *= 1.0 + 1e-5;
        }
        if self.bug == Bug::Accumulates {
            self.a.grad += da;
        } else if self.bug != Bug::GradientShape {
            self.a.grad.fill(da);
        }
        self.b.grad.fill(db);
        match self.bug {
            Bug::Slope => grad,
            Bug::InputFactor => grad * self.x.mapv(|x| a + b * x),
            Bug::BackwardShape => Array2::zeros((grad.nrows(), 1)),
            _ => grad * self.x.mapv(|x| a + 2.0 * b * x),
        }
    }

    fn backward_params(&mut self, grad: Array2<f64>) -> Array2<f64> {
        let dx = self.backward(grad);
        match self.bug {
            Bug::BackwardParams => self.b.grad.fill(0.0),
            Bug::BackwardParamsShape => return Array2::zeros((dx.ncols(), dx.nrows())),
            _ => {}
        }
        dx
    }

    fn infer(&self, input: Array2<f64>) -> Array2<f64> {
        match self.bug {
            Bug::InferWidth => Array2::zeros((input.nrows(), 1)),
            Bug::RandomInference => {
                // Nothing but memory addresses and clocks are at hand without a generator.
                static CALLS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
                let call = CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                self.apply(input) + call as f64
            }
            _ => self.apply(input),
        }
    }

    fn params(&self, visit: &mut dyn FnMut(&Param<f64>)) {
        visit(&self.a);
        visit(&self.b);
    }

    fn params_mut(&mut self, visit: &mut dyn FnMut(&mut Param<f64>)) {
        if self.bug == Bug::OtherOrder {
            visit(&mut self.b);
            visit(&mut self.a);
        } else {
            visit(&mut self.a);
            visit(&mut self.b);
        }
    }
}

#[test]
fn every_broken_promise_is_named() {
    use Bug::*;
    let report = check::layer(&Curve::new(None), 4, &mut rng(2)).unwrap();
    expect_right("a curve", &report);
    for (bug, problem) in [
        (Slope, "backward is not the derivative of forward"),
        (ParameterGradient, "backward is not the derivative of forward"),
        (InputFactor, "backward is not the derivative of forward"),
        (Accumulates, "(are they accumulated?)"),
        (OtherOrder, "params and params_mut show different parameters"),
        (SameName, "two parameters have the name a"),
        (GradientShape, "a Weight (1, 1): its gradient has the shape (2, 1)"),
        (OutputWidth, "forward: expected an array of shape (5, 4), found (5, 5)"),
        (InferWidth, "infer: expected an array of shape (5, 4), found (5, 1)"),
        (BackwardShape, "backward: expected an array of shape (5, 4), found (5, 1)"),
        (BackwardParamsShape, "backward_params: expected an array of shape (5, 4), found (4, 5)"),
        (BackwardParams, "two backward passes over the same batch give different gradients"),
        (Layout, "forward: expected an array in standard layout, found strides [1, 5]"),
        (RandomInference, "infer: expected the same output for the same input, found another"),
    ] {
        let error = check::layer(&Curve::new(bug), 4, &mut rng(2)).expect_err(&format!("{bug:?} went unseen"));
        assert!(matches!(&error, Error::Layer { layer, .. } if layer == "Curve"), "{bug:?}: {error:?}");
        let message = error.to_string();
        assert!(message.starts_with("Curve: "), "{message}");
        assert!(message.contains(problem), "{bug:?}: expected {problem:?} in\n{message}");
    }
}

/// A planted bug is caught inside a net too, and both sides are printed.
#[test]
fn a_wrong_layer_inside_a_net_is_caught() {
    let mut rng = rng(8);
    let x = random(5, 4, &mut rng);
    let targets = Targets::Labels { labels: vec![0, 1, 2, 0, 1], classes: 3 };
    for (bug, right) in [(Bug::None, true), (Bug::Slope, false), (Bug::ParameterGradient, false)] {
        let net = Sequential::input(4).affine(5, Init::Xavier).layer(Curve::new(bug)).affine(3, Init::Xavier);
        let net = net.build(&mut rng).unwrap();
        let report = check::gradients(&net, &SoftmaxCrossEntropy, &x, &targets);
        assert_eq!(report.worst() <= LIMIT, right, "{bug:?}\n{report}");
        let worst = report.rows.iter().max_by(|a, b| a.max_rel.total_cmp(&b.max_rel)).unwrap();
        let printed = report.to_string();
        assert!(printed.contains(&format!("{:.16e}", worst.backprop)), "{printed}");
        assert!(printed.contains(&format!("{:.16e}", worst.numerical)), "{printed}");
    }
}

/// A NaN is an error, not something a maximum drops.
#[test]
fn a_nan_is_the_worst() {
    let net = Sequential::input(2).affine(2, Init::He).build(&mut rng(1)).unwrap();
    let targets = Targets::Dense(array![[f64::NAN, 0.0]]);
    let report = check::gradients(&net, &MeanSquaredError, &array![[1.0, 2.0]], &targets);
    assert!(report.worst().is_nan(), "{report}");
}

//! The numbers of PyTorch (and of the book's code), in both number types: see `tests/golden/README.md`.

use approx::assert_relative_eq;
use gradus::layer::Param;
use gradus::ndarray::{Array1, Array2, ArrayRef2, array};
use gradus::prelude::*;
use serde_json::Value;

use crate::support::{expect_close, forward};

const LAYERS: &str = include_str!("../golden/layers.json");
const NETS: &str = include_str!("../golden/nets.json");

/// How near a number has to be: `|a - b| ≤ tolerance · max(1, |b|)`.
trait Exact: Scalar {
    const TOLERANCE: f64;
}

impl Exact for f64 {
    const TOLERANCE: f64 = 1e-12;
}

impl Exact for f32 {
    const TOLERANCE: f64 = 1e-5;
}

/// One case: its fields, and which they are in messages.
struct Case<'a>(&'a Value, String);

impl Case<'_> {
    fn field(&self, name: &str) -> Case<'_> {
        let value = self.0.get(name).unwrap_or_else(|| panic!("{} has no field {name}", self.1));
        Case(value, format!("{}.{name}", self.1))
    }

    fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap()
    }

    fn number(&self, name: &str) -> f64 {
        self.field(name).0.as_f64().unwrap()
    }

    fn matrix<F: Scalar>(&self, name: &str) -> Array2<F> {
        let field = self.field(name);
        let list = field.0.as_array().unwrap();
        let row = |row: &Value| row.as_array().unwrap().iter().map(|x| F::of(x.as_f64().unwrap())).collect::<Vec<_>>();
        let rows: Vec<Vec<F>> = if list[0].is_array() { list.iter().map(row).collect() } else { vec![row(field.0)] };
        Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
    }

    fn labels<F: Scalar>(&self, classes: usize) -> Targets<F> {
        let labels = self.field("labels").0.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize);
        Targets::Labels { labels: labels.collect(), classes }
    }

    #[track_caller]
    fn expect<F: Exact>(&self, name: &str, found: &ArrayRef2<F>) {
        self.expect_within(F::TOLERANCE, name, found);
    }

    #[track_caller]
    fn expect_within<F: Exact>(&self, tolerance: f64, name: &str, found: &ArrayRef2<F>) {
        let expected = self.matrix::<f64>(name);
        assert_eq!(found.dim(), expected.dim(), "{}.{name}", self.1);
        for ((place, &a), &b) in found.indexed_iter().zip(&expected) {
            expect_close(format_args!("{}.{name} {place:?}", self.1), a.as_f64(), b, tolerance);
        }
    }

    #[track_caller]
    fn expect_number<F: Exact>(&self, name: &str, found: f64) {
        expect_close(format_args!("{}.{name}", self.1), found, self.number(name), F::TOLERANCE);
    }
}

/// Runs `check` on every case of a file; gives how many there were.
fn each(file: &str, check: impl Fn(&Case, &str)) -> usize {
    let file: Value = serde_json::from_str(file).unwrap();
    let cases = file["cases"].as_array().unwrap();
    for case in cases {
        check(&Case(case, case["name"].as_str().unwrap().into()), case["kind"].as_str().unwrap());
    }
    cases.len()
}

#[test]
fn layers_and_losses_in_f64_are_those_of_pytorch() {
    assert_eq!(each(LAYERS, layer::<f64>), 34);
}

#[test]
fn layers_and_losses_in_f32_are_those_of_pytorch() {
    assert_eq!(each(LAYERS, layer::<f32>), 34);
}

#[test]
fn nets_in_f64_are_those_of_pytorch() {
    assert_eq!(each(NETS, |case, _| net::<f64>(case)), 3);
}

#[test]
fn nets_in_f32_are_those_of_pytorch() {
    assert_eq!(each(NETS, |case, _| net::<f32>(case)), 3);
}

fn layer<F: Exact>(case: &Case, kind: &str) {
    match kind {
        "affine" => affine::<F>(case),
        "relu" => element_wise(case, ReLU::<F>::new()),
        "sigmoid" => element_wise(case, Sigmoid::<F>::new()),
        "tanh" => element_wise(case, Tanh::<F>::new()),
        "activation" => activation::<F>(case),
        "prelu" => prelu::<F>(case),
        "batchnorm" => {
            batch_norm::<F>(case);
            batch_norm_of_the_book::<F>(case);
        }
        "layernorm" => layer_norm::<F>(case),
        "softmax_ce" => softmax_cross_entropy::<F>(case),
        "mse" => mean_squared_error::<F>(case),
        "dropout" => dropout::<F>(case),
        _ => panic!("{kind} is not tested"),
    }
}

fn row<F: Scalar>(array: &Array2<F>) -> Array1<F> {
    array.row(0).to_owned()
}

fn affine<F: Exact>(case: &Case) {
    let mut affine = Affine::<F>::from_parts(case.matrix("W"), row(&case.matrix("b"))).unwrap();
    case.expect("y", &affine.infer(case.matrix("x")));
    case.expect("y", &forward(&mut affine, case.matrix("x")));
    case.expect("dx", &affine.backward(case.matrix("dy")));
    case.expect("dW", &affine.weight.grad);
    case.expect("db", &affine.bias.as_ref().unwrap().grad);
}

fn element_wise<F: Exact>(case: &Case, mut layer: impl Layer<F>) {
    case.expect("y", &layer.infer(case.matrix("x")));
    case.expect("y", &forward(&mut layer, case.matrix("x")));
    case.expect("dx", &layer.backward(case.matrix("dy")));
}

fn activation<F: Exact>(case: &Case) {
    let hyper = case.field("hyper");
    match case.text("function") {
        "leaky_relu" => element_wise(case, LeakyReLU::<F>::new(hyper.number("negative_slope")).unwrap()),
        "elu" => element_wise(case, ELU::<F>::new(hyper.number("alpha")).unwrap()),
        "gelu" => {
            let form = if hyper.text("approximate") == "tanh" { GELUForm::Tanh } else { GELUForm::Erf };
            element_wise(case, GELU::<F>::with_form(form));
        }
        "silu" => element_wise(case, SiLU::<F>::new()),
        "softplus" => element_wise(case, Softplus::<F>::new(hyper.number("beta")).unwrap()),
        function => panic!("{function} is not tested"),
    }
}

fn prelu<F: Exact>(case: &Case) {
    let slopes = case.matrix::<F>("a");
    let mut layer = if slopes.len() == 1 { PReLU::new() } else { PReLU::per_column(slopes.len()).unwrap() };
    layer.weight.value = slopes.into();
    case.expect("y", &layer.infer(case.matrix("x")));
    case.expect("y", &forward(&mut layer, case.matrix("x")));
    case.expect("dx", &layer.backward(case.matrix("dy")));
    case.expect("da", &layer.weight.grad);
}

fn batch_norm<F: Exact>(case: &Case) {
    let gamma = case.matrix::<F>("gamma");
    let norm = BatchNorm::<F>::new(gamma.ncols()).unwrap();
    let mut norm = norm.with_epsilon(case.number("eps")).unwrap().with_momentum(case.number("momentum_torch")).unwrap();
    (norm.gamma.value, norm.beta.value) = (gamma.into(), case.matrix("beta").into());
    for k in [1, 2] {
        case.expect(&format!("y{k}"), &forward(&mut norm, case.matrix(&format!("x{k}"))));
        case.expect(&format!("dx{k}"), &norm.backward(case.matrix(&format!("dy{k}"))));
        case.expect(&format!("dgamma{k}"), &norm.gamma.grad);
        case.expect(&format!("dbeta{k}"), &norm.beta.grad);
    }
    case.expect("running_mean", &norm.running_mean.value);
    case.expect("running_var_unbiased", &norm.running_var.value);
    assert_eq!(norm.batches.count(), 2);
    case.expect("y_eval_unbiased", &norm.infer(case.matrix("x_eval")));
    norm.running_var.value = case.matrix("running_var_biased").into();
    case.expect("y_eval_biased", &norm.infer(case.matrix("x_eval")));
}

fn layer_norm<F: Exact>(case: &Case) {
    let gamma = case.matrix::<F>("gamma");
    let mut norm = LayerNorm::new(gamma.ncols()).unwrap().with_epsilon(case.number("eps")).unwrap();
    (norm.gamma.value, norm.beta.value) = (gamma.into(), case.matrix("beta").into());
    case.expect("y", &norm.infer(case.matrix("x")));
    case.expect("y", &forward(&mut norm, case.matrix("x")));
    case.expect("dx", &norm.backward(case.matrix("dy")));
    case.expect("dgamma", &norm.gamma.grad);
    case.expect("dbeta", &norm.beta.grad);
}

/// The book's BatchNorm: ε 1e-6, and a running variance that starts at 0 and averages the biased variance, which is
/// ours times (n - 1) / n where all batches have n rows.
fn batch_norm_of_the_book<F: Exact>(case: &Case) {
    let book = case.field("book");
    let gamma = case.matrix::<F>("gamma");
    let norm = BatchNorm::<F>::new(gamma.ncols()).unwrap();
    let kept = book.number("momentum");
    let mut norm = norm.with_epsilon(book.number("eps")).unwrap().with_momentum(1.0 - kept).unwrap();
    (norm.gamma.value, norm.beta.value) = (gamma.into(), case.matrix("beta").into());
    norm.running_var.value.fill(F::of(book.number("running_var_init")));
    forward(&mut norm, case.matrix("x1"));
    let x = case.matrix::<F>("x2");
    assert_eq!(x.nrows(), case.matrix::<F>("x1").nrows());
    let n = F::of(x.nrows() as f64);
    book.expect("y2", &forward(&mut norm, x));
    book.expect("dx2", &norm.backward(case.matrix("dy2")));
    book.expect("dgamma2", &norm.gamma.grad);
    book.expect("dbeta2", &norm.beta.grad);
    norm.running_var.value *= (n - F::one()) / n;
    book.expect("running_mean", &norm.running_mean.value);
    book.expect("running_var", &norm.running_var.value);
    book.expect("y_eval", &norm.infer(case.matrix("x_eval")));
}

fn softmax_cross_entropy<F: Exact>(case: &Case) {
    let logits = case.matrix::<F>("logits");
    let labels = case.labels(logits.ncols());
    let mut one_hot = Array2::zeros(logits.dim());
    let Targets::Labels { labels: classes, .. } = &labels else { unreachable!() };
    for (mut row, &class) in one_hot.rows_mut().into_iter().zip(classes) {
        row[class] = F::one();
    }
    case.expect("probs", &softmax(logits.clone()));
    for targets in [labels, Targets::Dense(one_hot)] {
        let (loss, grad) = SoftmaxCrossEntropy.value_and_grad(logits.clone(), &targets);
        case.expect_number::<F>("loss", loss);
        case.expect("dlogits", &grad);
        assert_eq!(SoftmaxCrossEntropy.value(&logits, &targets), loss);
    }
}

/// ln(1 + 1/e) of logits whose size would round it away in f32.
#[test]
fn the_loss_of_large_logits_keeps_small_differences() {
    let (logits, expected) = (array![[1e4_f32, 1e4 - 1.0]], (-1.0_f64).exp().ln_1p());
    let label = Targets::Labels { labels: vec![0], classes: 2 };
    for targets in [label, Targets::Dense(array![[1.0, 0.0]])] {
        let loss = SoftmaxCrossEntropy.value(&logits, &targets);
        assert_relative_eq!(loss, expected, epsilon = 0.0, max_relative = 1e-6);
    }
}

fn mean_squared_error<F: Exact>(case: &Case) {
    let (y, targets) = (case.matrix::<F>("y"), Targets::Dense(case.matrix("t")));
    let (loss, grad) = MeanSquaredError.value_and_grad(y.clone(), &targets);
    case.expect_number::<F>("loss", loss);
    case.expect("dy", &grad);
    // The book's ½ Σ (y - t)² is the mean times half the number of elements.
    let half = y.len() as f64 / 2.0;
    case.expect_number::<F>("half_sum_loss", half * loss);
    case.expect("half_sum_dy", &(grad * F::of(half)));
}

/// A [`Dropout`] draws its own mask, so that of the case is put in its place on both sides.
fn dropout<F: Exact>(case: &Case) {
    let (ratio, x, dy) = (case.number("p"), case.matrix::<F>("x"), case.matrix::<F>("dy"));
    for (name, form) in [("inverted", DropoutForm::Inverted), ("book", DropoutForm::Book)] {
        let expected = case.field(name);
        let mut layer = Dropout::with_form(ratio, form).unwrap();
        expected.expect("y_eval", &layer.infer(x.clone()));
        // What is multiplied where both kept a value; 0 where ours did not.
        let both = forward(&mut layer, Array2::ones(x.dim())) * case.matrix::<F>("mask");
        let dx = layer.backward(dy.clone()) * case.matrix::<F>("mask");
        assert!(both.iter().filter(|&&slope| slope > F::zero()).count() > x.len() / 2);
        let zero_where_dropped = |mut values: Array2<f64>| {
            values.zip_mut_with(&both, |value, &slope| *value *= f64::from(slope > F::zero()));
            values
        };
        let (y_expected, dx_expected) = (expected.matrix::<f64>("y_train"), expected.matrix::<f64>("dx"));
        for (found, expected) in [(&both * &x, y_expected), (dx, dx_expected)] {
            for (a, b) in found.iter().zip(zero_where_dropped(expected)) {
                expect_close(name, a.as_f64(), b, F::TOLERANCE);
            }
        }
    }
}

/// Dropout with a mask that is given: what `Dropout` does once it has drawn one.
#[derive(Debug, Clone)]
struct Masked<F> {
    slope: Array2<F>,
}

impl<F: Scalar> Layer<F> for Masked<F> {
    fn forward(&mut self, input: Array2<F>, _pass: &mut Pass<'_>) -> Array2<F> {
        input * &self.slope
    }
    fn backward(&mut self, grad: Array2<F>) -> Array2<F> {
        grad * &self.slope
    }
    fn infer(&self, input: Array2<F>) -> Array2<F> {
        input
    }
}

/// The net of a case, with its parameters.
fn build<F: Exact>(case: &Case) -> Sequential<F> {
    let sizes = case.matrix::<f64>("sizes");
    let sizes: Vec<usize> = sizes.iter().map(|&size| size as usize).collect();
    let params = case.field("params");
    let mut net = Sequential::input(sizes[0]);
    for k in 1..sizes.len() {
        let affine = Affine::from_parts(params.matrix(&format!("W{k}")), row(&params.matrix(&format!("b{k}"))));
        net = net.layer(affine.unwrap());
        if k + 1 == sizes.len() {
            break;
        }
        if params.has(&format!("gamma{k}")) {
            let norm = BatchNorm::new(sizes[k]).unwrap().with_epsilon(case.number("bn_eps")).unwrap();
            let mut norm = norm.with_momentum(case.number("bn_momentum_torch")).unwrap();
            norm.gamma.value = params.matrix(&format!("gamma{k}")).into();
            norm.beta.value = params.matrix(&format!("beta{k}")).into();
            net = net.layer(norm);
        }
        net = match case.field("activation").0.as_str().unwrap() {
            "relu" => net.relu(),
            "sigmoid" => net.sigmoid(),
            other => panic!("{other} is not tested"),
        };
        if case.has("masks") {
            let keep = F::of(1.0 - case.number("dropout_p"));
            net = net.layer(Masked { slope: case.field("masks").matrix(&format!("layer{k}")) / keep });
        }
    }
    net.build(&mut gradus::rng(1)).unwrap()
}

/// `W1`, `b1`, `gamma1`, `beta1`, `W2`… for the parameters of a net in their order.
fn names(case: &Case) -> Vec<String> {
    let sizes = case.field("sizes").0.as_array().unwrap().len();
    let all = (1..sizes).flat_map(|k| ["W", "b", "gamma", "beta"].map(|name| format!("{name}{k}")));
    all.filter(|name| case.field("params").has(name)).collect()
}

fn trained<F: Scalar>(net: &Sequential<F>) -> Vec<Param<F>> {
    let mut params = Vec::new();
    net.params(&mut |param| {
        if param.is_trained() {
            params.push(param.clone());
        }
    });
    params
}

fn net<F: Exact>(case: &Case) {
    let (mut net, x, l2) = (build::<F>(case), case.matrix::<F>("x"), case.number("l2"));
    let labels = case.labels(net.outputs());
    case.expect("logits", &forward(&mut net, x.clone()));

    // The gradients without the penalty, whose share is l2 W: the updater adds it for the optimizer.
    let mut once = build::<F>(case);
    let mut unmoved = Trainer::new(SoftmaxCrossEntropy, SGD { learning_rate: 0.0 });
    unmoved = unmoved.weight_decay(WeightDecay::L2(l2));
    let loss = unmoved.step(&mut once, &mut Batch { rows: x.clone(), targets: labels.clone() }).unwrap();
    case.expect_number::<F>("loss", loss);
    for (name, param) in names(case).iter().zip(trained(&once)) {
        let decay = if name.starts_with('W') { F::of(l2) } else { F::zero() };
        case.field("grads").expect(name, &(param.grad + param.value * decay));
    }

    five_steps_of_adam(case, build::<F>(case), &x, &labels, l2);
}

/// Five steps on the same batch. In f32 the biases that feed a BatchNorm are left out: their gradient is nothing but
/// rounding, of which Adam makes whole steps; and with them what they move.
fn five_steps_of_adam<F: Exact>(case: &Case, mut net: Sequential<F>, x: &Array2<F>, labels: &Targets<F>, l2: f64) {
    let adam5 = case.field("adam5");
    let hyper = |name| adam5.number(name);
    let adam = Adam { learning_rate: hyper("lr"), beta1: hyper("beta1"), beta2: hyper("beta2"), epsilon: hyper("eps") };
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, adam).weight_decay(WeightDecay::L2(l2));
    let batch = || Batch { rows: x.clone(), targets: labels.clone() };
    let losses: Vec<f64> = (0..5).map(|_| trainer.step(&mut net, &mut batch()).unwrap()).collect();
    let losses = Array2::from_shape_vec((1, 5), losses.into_iter().map(F::of).collect()).unwrap();
    adam5.expect("losses_before_step", &losses);

    let has_norm = case.field("params").has("gamma1");
    let exact = F::TOLERANCE < 1e-8;
    let looser = if has_norm { 1e-8 } else { F::TOLERANCE };
    let last = names(case).last().unwrap().clone();
    for (name, param) in names(case).iter().zip(trained(&net)) {
        let feeds_norm = has_norm && name.starts_with('b') && !name.starts_with("beta") && *name != last;
        if exact || !feeds_norm {
            adam5.field("params").expect_within(if feeds_norm { looser } else { F::TOLERANCE }, name, &param.value);
        }
    }
    if exact || !has_norm {
        let logits = if has_norm { "eval_logits_unbiased" } else { "eval_logits" };
        adam5.expect_within(looser, logits, &net.infer(x.clone()));
    }
    if has_norm {
        running_statistics(&adam5.field("running"), &net, exact);
    }
    let output = forward(&mut net, x.clone());
    let penalty = trainer.updater().penalty(&net);
    adam5.expect_number::<F>("loss_after", SoftmaxCrossEntropy.value(&output, labels) + penalty);
}

fn running_statistics<F: Exact>(running: &Case, net: &Sequential<F>, exact: bool) {
    let mut buffers = Vec::new();
    net.params(&mut |param| {
        if param.name.contains("running") {
            buffers.push(param.value.clone());
        }
    });
    for (k, statistics) in buffers.chunks(2).enumerate() {
        let layer = running.field(&format!("layer{}", k + 1));
        if exact {
            layer.expect_within(1e-8, "mean", &statistics[0]);
        }
        layer.expect("var_unbiased", &statistics[1]);
    }
}

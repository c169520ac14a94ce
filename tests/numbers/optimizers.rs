//! One contract for every rule, a user's own included; and the numbers of PyTorch (see `tests/golden/README.md`).

mod contract;
mod decay;
mod pytorch;

use gradus::layer::Param;
use gradus::prelude::*;
use gradus::rand::RngExt;

use crate::support::{BookAdam, forward};

type Boxed<F> = Box<dyn Optimizer<F>>;

/// A row of the list: a rule, and the rates at which it solves the parabola, Rosenbrock's valley and a network.
struct Rule<F> {
    name: &'static str,
    make: fn() -> Boxed<F>,
    parabola: f64,
    rosenbrock: f64,
    net: f64,
}

/// Every rule there is.
fn rules<F: Scalar>() -> Vec<Rule<F>> {
    fn row<F>(name: &'static str, [parabola, rosenbrock, net]: [f64; 3], make: fn() -> Boxed<F>) -> Rule<F> {
        Rule { name, make, parabola, rosenbrock, net }
    }
    vec![
        row("SGD", [0.9, 1e-3, 0.3], || Box::new(SGD::default())),
        row("Momentum", [0.1, 1e-4, 0.05], || Box::new(Momentum::default())),
        row("Momentum, PyTorch", [0.1, 1e-4, 0.05], || {
            Box::new(Momentum { form: MomentumForm::PyTorch, ..Default::default() })
        }),
        row("Nesterov", [0.1, 1e-4, 0.05], || Box::new(Nesterov::default())),
        row("Nesterov, PyTorch", [0.1, 1e-4, 0.05], || {
            Box::new(Nesterov { form: MomentumForm::PyTorch, ..Default::default() })
        }),
        row("AdaGrad", [1.5, 0.5, 0.05], || Box::new(AdaGrad::default())),
        row("RMSProp", [0.1, 0.01, 0.003], || Box::new(RMSProp::default())),
        row("AdaDelta", [100.0, 0.05, 5.0], || Box::new(AdaDelta::default())),
        row("Adam", [0.3, 0.05, 0.01], || Box::new(Adam::default())),
        row("AMSGrad", [0.3, 0.05, 0.01], || Box::new(AMSGrad::default())),
        row("AdamW", [0.3, 0.05, 0.01], || Box::new(AdamW { weight_decay: 0.0, ..Default::default() })),
        row("AdaMax", [0.3, 0.05, 0.02], || Box::new(AdaMax::default())),
        row("NAdam", [0.3, 0.05, 0.01], || Box::new(NAdam::default())),
        row("RAdam", [1.0, 0.003, 0.03], || Box::new(RAdam::default())),
        row("Lion", [0.3, 0.003, 0.002], || Box::new(Lion::default())),
        row("AdaBelief", [0.3, 0.05, 0.01], || Box::new(AdaBelief::default())),
        row("a user's own", [0.3, 0.05, 0.01], || Box::new(BookAdam { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999 })),
    ]
}

/// Gradients that are different in every step and every place.
fn gradients<F: Scalar>(steps: usize, width: usize) -> Vec<Vec<F>> {
    let mut rng = rng(5);
    (0..steps).map(|_| (0..width).map(|_| F::of(rng.random_range(-1.0..1.0))).collect()).collect()
}

/// A little network with every role, after a backward pass.
fn net() -> Sequential<f32> {
    let mut rng = rng(3);
    let builder = Sequential::input(64).affine(20, Init::He).batch_norm().relu().affine(10, Init::He);
    let mut net = builder.build(&mut rng).unwrap();
    backward(&mut net);
    net
}

/// Gradients of the loss on the first digits.
fn backward(net: &mut Sequential<f32>) {
    let data = Digits::load::<f32>().unwrap().take(50).unwrap();
    let output = forward(net, data.rows().clone());
    let (_, grad) = SoftmaxCrossEntropy.value_and_grad(output, data.targets());
    net.backward_params(grad);
}

fn params(net: &Sequential<f32>) -> Vec<Param<f32>> {
    let mut all = Vec::new();
    net.params(&mut |param| all.push(param.clone()));
    all
}

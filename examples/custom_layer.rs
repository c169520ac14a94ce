//! A layer and an optimizer of one's own: checked, trained among those of the crate, saved and loaded.
//!
//! ```text
//! cargo run --release --example custom_layer -- [--data DIR --seed N --out DIR --quick]
//! ```
//!
//! The layer is a PReLU, a ReLU with a learned slope; the optimizer steps by the sign of a moving average. To expect: the
//! gradients of the layer agree with numerical ones to nine digits; the net is right on 97.2 % of the test data, and so is
//! the one that is loaded.

mod support;

use std::process::ExitCode;

use gradus::layer::Param;
use gradus::ndarray::Array2;
use gradus::prelude::*;
use gradus::{check, kernel};
use support::{Arguments, Outcome, percent};

/// A ReLU that learns the slope of its negative side: `y = x` where `x > 0`, else `y = a x`.
#[derive(Debug, Clone)]
struct PReLU<F> {
    /// a, one for all units. Weight decay goes by the role: it decays weights and leaves a bias alone.
    slope: Param<F>,
    /// x of the last `forward`.
    x: Array2<F>,
}

impl<F: Scalar> PReLU<F> {
    fn new() -> Self {
        let slope = Param::new("weight", Role::Bias, Array2::from_elem((1, 1), F::of(0.25)));
        Self { slope, x: Array2::default((0, 0)) }
    }
}

impl<F: Scalar> Layer<F> for PReLU<F> {
    gradus::params!(F: slope); // so that it is trained, saved, loaded and counted

    fn forward(&mut self, input: Array2<F>, _pass: &mut Pass<'_>) -> Array2<F> {
        self.x.clone_from(&input);
        self.infer(input)
    }

    fn backward(&mut self, mut grad: Array2<F>) -> Array2<F> {
        let a = self.slope.value[[0, 0]];
        self.slope.grad[[0, 0]] = (&grad * &self.x.mapv(|x| x.min(F::zero()))).sum();
        grad.zip_mut_with(&self.x, |g, &x| *g *= if x > F::zero() { F::one() } else { a });
        grad
    }

    fn infer(&self, input: Array2<F>) -> Array2<F> {
        let a = self.slope.value[[0, 0]];
        input.mapv_into(|x| if x > F::zero() { x } else { a * x })
    }
}

/// Momentum by signs: `v ← β v + (1 - β) g`, `p ← p - η sign(v)`.
#[derive(Debug, Clone)]
struct SignMomentum {
    learning_rate: f64,
    beta: f64,
}

impl<F: Scalar> Optimizer<F> for SignMomentum {
    fn slots(&self) -> usize {
        1 // v
    }

    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let beta = F::of(self.beta);
        kernel::sweep(param, grad, slots, move |p, g, [v]| {
            let v = beta * v + (F::one() - beta) * g;
            (p - step.rate * v.signum(), [v])
        });
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }
}

fn run(arguments: &Arguments) -> Outcome {
    let report = check::layer(&PReLU::new(), 5, &mut gradus::rng(arguments.seed))?;
    println!("the layer keeps the contract; its gradients beside numerical ones:\n{report}");

    let data = arguments.load()?;
    let untrained = Sequential::<f32>::input(data.train.width())
        .affine(100, Init::He)
        .layer(PReLU::new())
        .affine(data.train.classes(), Init::He)
        .build(&mut gradus::rng(arguments.seed))?;
    println!("{untrained}\n");

    let mut net = untrained.clone();
    Trainer::new(SoftmaxCrossEntropy, SignMomentum { learning_rate: 0.001, beta: 0.9 })
        .epochs(arguments.steps(20, 2))
        .seed(arguments.seed)
        .fit(&mut net, &data.train)?;
    println!("trained:          {}", percent(net.accuracy(&data.test)?));

    let path = arguments.file("custom_layer.safetensors")?;
    net.save(&path)?;
    let mut loaded = untrained.clone();
    loaded.load(&path)?;
    println!("saved and loaded: {}", percent(loaded.accuracy(&data.test)?));
    Ok(())
}

fn main() -> ExitCode {
    support::main("A layer and an optimizer of one's own.", run)
}

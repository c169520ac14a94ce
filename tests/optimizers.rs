//! One contract for every rule, a user's own included; and the numbers of PyTorch (see `tests/golden/README.md`).

mod support;

use gradus::Param;
use gradus::ndarray::Array2;
use gradus::prelude::*;
use gradus::rand::RngExt;
use serde_json::Value;
use support::{BookAdam, bits, cases, vector};

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
        row("Adam, AMSGrad", [0.3, 0.05, 0.01], || Box::new(Adam { amsgrad: true, ..Default::default() })),
        row("AdamW", [0.3, 0.05, 0.01], || Box::new(AdamW { weight_decay: F::zero(), ..Default::default() })),
        row("AdaMax", [0.3, 0.05, 0.02], || Box::new(AdaMax::default())),
        row("NAdam", [0.3, 0.05, 0.01], || Box::new(NAdam::default())),
        row("RAdam", [1.0, 0.003, 0.03], || Box::new(RAdam::default())),
        row("Lion", [0.3, 0.003, 0.002], || Box::new(Lion::default())),
        row("AdaBelief", [0.3, 0.05, 0.01], || Box::new(AdaBelief::default())),
        row("a user's own", [0.3, 0.05, 0.01], || {
            Box::new(BookAdam { learning_rate: F::of(1e-3), beta1: F::of(0.9), beta2: F::of(0.999) })
        }),
    ]
}

/// Gradients that are different in every step and every place.
fn gradients<F: Scalar>(steps: usize, width: usize) -> Vec<Vec<F>> {
    let mut rng = rng(5);
    (0..steps).map(|_| (0..width).map(|_| F::of(rng.random_range(-1.0..1.0))).collect()).collect()
}

fn minimise(rule: &Rule<f64>, rate: f64, steps: u64, from: [f64; 2], gradient: fn([f64; 2]) -> [f64; 2]) -> [f64; 2] {
    let quiet = Cosine { learning_rate: rate, minimum: 0.0, steps };
    let mut updater = Updater::new((rule.make)()).schedule(quiet);
    let mut p = from;
    for _ in 0..steps {
        let g = gradient(p);
        updater.step_slice(&mut p, &g).unwrap();
    }
    p
}

#[test]
fn the_parabola_of_the_book_is_solved() {
    for rule in rules() {
        let [x, y] = minimise(&rule, rule.parabola, 300, [-7.0, 2.0], |[x, y]| [x / 10.0, 2.0 * y]);
        assert!(x.abs() < 0.01 && y.abs() < 0.01, "{}: ({x}, {y})", rule.name);
    }
}

#[test]
fn the_valley_of_rosenbrock_is_solved() {
    let gradient = |[x, y]: [f64; 2]| [2.0 * (x - 1.0) - 400.0 * x * (y - x * x), 200.0 * (y - x * x)];
    for rule in rules() {
        let [x, y] = minimise(&rule, rule.rosenbrock, 20_000, [-1.2, 1.0], gradient);
        assert!((x - 1.0).abs() < 0.02 && (y - 1.0).abs() < 0.04, "{}: ({x}, {y})", rule.name);
    }
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
    let output = net.forward(data.rows().clone());
    let (_, grad) = SoftmaxCrossEntropy.value_and_grad(output, data.targets());
    net.backward_params(grad);
}

fn params(net: &Sequential<f32>) -> Vec<Param<f32>> {
    let mut all = Vec::new();
    net.params(&mut |param| all.push(param.clone()));
    all
}

#[test]
fn a_restored_state_goes_on_with_the_same_bits() {
    for rule in rules::<f32>() {
        let (mut one, mut two, mut fresh) = (net(), net(), net());
        let mut updater = Updater::new((rule.make)()).weight_decay(WeightDecay::L2(0.1));
        let start = updater.state().clone();
        for net in [&mut one, &mut two, &mut fresh] {
            // The same three steps on each: by one updater, taken back to where it was.
            updater.restore(start.clone()).unwrap();
            for _ in 0..3 {
                updater.step(net).unwrap();
                backward(net);
            }
        }
        let mut restored = Updater::new((rule.make)()).weight_decay(WeightDecay::L2(0.1));
        restored.restore(updater.state().clone()).unwrap();
        let mut forgetful = Updater::new((rule.make)()).weight_decay(WeightDecay::L2(0.1));
        updater.step(&mut one).unwrap();
        restored.step(&mut two).unwrap();
        forgetful.step(&mut fresh).unwrap();
        assert_eq!(bits(&one), bits(&two), "{}", rule.name);
        assert_eq!(updater.state(), restored.state(), "{}", rule.name);
        let stateless = (rule.make)().slots() == 0;
        assert_eq!(bits(&one) == bits(&fresh), stateless, "{}", rule.name);
    }
}

#[test]
fn a_state_of_another_rule_is_refused() {
    let mut adam = Updater::new(Adam::default());
    adam.step(&mut net()).unwrap();
    let error = Updater::<f32, _>::new(Momentum::default()).restore(adam.state().clone()).unwrap_err();
    assert!(matches!(&error, Error::State { parameter, .. } if parameter == "0.weight"), "{error}");
    let error = adam.step_slice(&mut [0.0], &[0.0]).unwrap_err();
    assert!(matches!(error, Error::State { .. }), "{error}");
}

#[test]
fn decay_in_the_driver_is_the_penalty_in_the_loss() {
    let (lambda, width) = (0.1, 5000);
    for rule in rules::<f64>() {
        let mut inside = Updater::new((rule.make)()).weight_decay(WeightDecay::L2(lambda));
        let mut outside = Updater::new((rule.make)());
        let (mut p, mut q) = (vec![0.5; width], vec![0.5; width]);
        for g in gradients::<f64>(5, width) {
            let penalised: Vec<f64> = g.iter().zip(&q).map(|(g, q)| g + lambda * q).collect();
            inside.step_slice(&mut p, &g).unwrap();
            outside.step_slice(&mut q, &penalised).unwrap();
        }
        assert_eq!(p, q, "{}", rule.name);
    }
}

#[test]
fn decoupled_decay_does_not_touch_the_gradient() {
    let (lambda, width) = (0.1, 5000);
    for rule in rules::<f64>() {
        let rate = (rule.make)().learning_rate();
        let mut inside = Updater::new((rule.make)()).weight_decay(WeightDecay::Decoupled(lambda));
        let mut outside = Updater::new((rule.make)());
        let (mut p, mut q) = (vec![0.5; width], vec![0.5; width]);
        for g in gradients::<f64>(5, width) {
            inside.step_slice(&mut p, &g).unwrap();
            q.iter_mut().for_each(|q| *q *= 1.0 - rate * lambda);
            outside.step_slice(&mut q, &g).unwrap();
        }
        assert_eq!(p, q, "{}", rule.name);
    }
}

#[test]
fn a_decay_of_zero_is_none() {
    let gradient = gradients::<f32>(1, 5000).remove(0);
    let moved = |decay| {
        let mut p = vec![0.5; 5000];
        Updater::new(Adam::default()).weight_decay(decay).step_slice(&mut p, &gradient).unwrap();
        p
    };
    let none = moved(WeightDecay::None);
    assert_eq!((moved(WeightDecay::L2(0.0)), moved(WeightDecay::Decoupled(0.0))), (none.clone(), none));
}

#[test]
fn a_penalty_loses_nothing_of_many_small_weights() {
    let net = Sequential::<f32>::input(2048).affine(2048, Init::Constant(0.02)).build(&mut rng(1)).unwrap();
    let penalty = Updater::new(SGD::default()).weight_decay(WeightDecay::L2(2.0)).penalty(&net);
    let exact = f64::from(0.02_f32).powi(2) * 2048.0 * 2048.0;
    assert!((penalty / exact - 1.0).abs() < 1e-6, "{penalty} for {exact}");
}

#[test]
fn the_penalty_is_that_of_the_decayed_roles() {
    let net = net();
    let squares = |roles: &[Role]| {
        let all = params(&net).into_iter().filter(|param| roles.contains(&param.role));
        all.map(|param| param.value.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>()).sum::<f64>()
    };
    let updater = Updater::new(SGD::<f32>::default()).weight_decay(WeightDecay::L2(0.3));
    assert!((updater.penalty(&net) / (0.15 * squares(&[Role::Weight])) - 1.0).abs() < 1e-6);
    let roles = [Role::Weight, Role::Scale];
    let updater = updater.decay_roles(&roles);
    assert!((updater.penalty(&net) / (0.15 * squares(&roles)) - 1.0).abs() < 1e-6);
    assert!(squares(&[Role::Scale]) > 1.0);
}

/// Which roles a step with a gradient of zero has changed.
fn decayed(updater: Updater<f32, impl Optimizer<f32>>) -> Vec<Role> {
    let mut updater = updater;
    let mut net = net();
    net.params_mut(&mut |param| {
        param.value.fill(1.0);
        param.grad.fill(0.0);
    });
    updater.step(&mut net).unwrap();
    let changed = params(&net).into_iter().filter(|param| param.value.iter().all(|&x| x != 1.0));
    let mut roles: Vec<Role> = changed.map(|param| param.role).collect();
    roles.dedup();
    roles
}

#[test]
fn weights_alone_are_decayed_where_nothing_is_said() {
    for decay in [WeightDecay::L2(0.5), WeightDecay::Decoupled(0.5)] {
        let updater = || Updater::new(SGD { learning_rate: 0.1 }).weight_decay(decay);
        assert_eq!(decayed(updater()), [Role::Weight]);
        assert_eq!(decayed(updater().decay_roles(&[])), []);
        assert_eq!(decayed(updater().decay_roles(&[Role::Bias, Role::Shift])), [Role::Bias, Role::Shift, Role::Bias]);
    }
    assert_eq!(decayed(Updater::new(AdamW::default())), [Role::Weight]);
    assert_eq!(decayed(Updater::new(AdamW::default()).weight_decay(WeightDecay::None)), []);
    assert_eq!(decayed(Updater::new(Box::new(AdamW::default()) as Boxed<f32>)), [Role::Weight]);
}

#[test]
fn two_thousand_zero_gradients_leave_no_subnormal_number() {
    let zero = vec![0.0_f32; 3000];
    for rule in rules::<f32>() {
        let mut updater = Updater::new((rule.make)());
        let mut p = vec![0.5_f32; 3000];
        for g in gradients::<f32>(5, 3000) {
            updater.step_slice(&mut p, &g).unwrap();
        }
        for _ in 0..2000 {
            updater.step_slice(&mut p, &zero).unwrap();
        }
        let state = updater.state().parameters.iter().flat_map(|state| &state.slots);
        assert_eq!(state.chain(&p).filter(|x| x.is_subnormal()).count(), 0, "{}", rule.name);
    }
}

#[test]
fn huge_and_tiny_gradients_stay_finite() {
    // A user's own rule has to see to its squares by itself.
    for rule in rules::<f32>().into_iter().filter(|rule| rule.name != "a user's own") {
        let mut updater = Updater::new((rule.make)());
        let sizes = [1e30, 1e-30, 0.0, 1.0, -1e30, -1e-30, 3e18, 2e-19];
        let mut p = vec![0.5_f32; sizes.len()];
        for step in 0..40 {
            // Now all large and small ones, now the same place by turns.
            let g: Vec<f32> = (0..sizes.len()).map(|i| sizes[if step < 20 { i } else { (i + step) % 8 }]).collect();
            updater.step_slice(&mut p, &g).unwrap();
            let state = updater.state().parameters.iter().flat_map(|state| &state.slots);
            assert!(state.chain(&p).all(|x| x.is_finite()), "{} at step {step}: {p:?}", rule.name);
        }
    }
}

#[test]
fn a_sum_of_squares_that_overflows_is_the_largest_number() {
    let mut updater = Updater::new(AdaGrad::default());
    let mut p = [0.0_f32];
    for step in 1..=400 {
        updater.step_slice(&mut p, &[1e30]).unwrap();
        let h = updater.state().parameters[0].slots[0];
        assert!(step % 16 != 0 || h.is_finite(), "step {step}");
    }
    assert_eq!(updater.state().parameters[0].slots, [f32::MAX]);
}

#[test]
fn a_huge_gradient_is_a_step_like_any_other_where_sizes_are_divided_out() {
    fn move_by(rule: impl Optimizer<f32>, gradient: f32) -> f32 {
        let mut p = [0.0];
        Updater::new(rule).step_slice(&mut p, &[gradient]).unwrap();
        p[0]
    }
    fn check(rule: impl Optimizer<f32> + Copy) {
        let (plain, huge) = (move_by(rule, 1.0), move_by(rule, 1e30));
        assert!((huge / plain - 1.0).abs() < 1e-3, "{rule:?}: {plain} and {huge}");
    }
    check(AdaGrad::default());
    check(RMSProp::default());
    check(Adam::default());
    check(Adam { amsgrad: true, ..Adam::default() });
    check(AdaMax::default());
    check(NAdam::default());
    check(AdaBelief::default());
    check(Lion::default());
}

#[test]
fn blocks_of_any_size_give_the_same_bits() {
    let width = 1000;
    for rule in rules::<f32>() {
        let optimizer = (rule.make)();
        let run = |block: usize| {
            let mut p = vec![0.5_f32; width];
            let mut slots = vec![vec![0.0_f32; width]; optimizer.slots()];
            for (step, g) in (1..).zip(gradients::<f32>(8, width)) {
                for from in (0..width).step_by(block) {
                    let place = from..(from + block).min(width);
                    let mut slots: Vec<&mut [f32]> = slots.iter_mut().map(|slot| &mut slot[place.clone()]).collect();
                    optimizer.update(step, &mut p[place.clone()], &g[place], &mut slots);
                }
            }
            (p, slots)
        };
        let whole = run(width);
        for block in [1, 3, 7, 16, 64, 333] {
            assert_eq!(run(block), whole, "{}, blocks of {block}", rule.name);
        }
    }
}

#[test]
fn every_rule_is_clipped_and_scheduled() {
    let width = 3000;
    let rates = |step: u64| 0.01 / (1.0 + step as f64);
    for rule in rules::<f64>() {
        let mut driven = Updater::new((rule.make)()).clip(Clip::Value(0.25)).schedule(rates);
        let mut by_hand = Updater::new((rule.make)());
        let (mut p, mut q) = (vec![0.5; width], vec![0.5; width]);
        for (step, g) in (0..).zip(gradients::<f64>(5, width)) {
            driven.step_slice(&mut p, &g).unwrap();
            by_hand.optimizer.set_learning_rate(rates(step));
            let clipped: Vec<f64> = g.iter().map(|g| g.clamp(-0.25, 0.25)).collect();
            by_hand.step_slice(&mut q, &clipped).unwrap();
        }
        assert_eq!(p, q, "{}", rule.name);
    }
}

#[test]
fn every_rule_trains_a_network_from_a_table_of_arms() {
    let data = Digits::load::<f32>().unwrap();
    for rule in rules::<f32>() {
        let mut net = Sequential::mlp(64, &[30], 10).build(&mut rng(1)).unwrap();
        let steps = 3 * data.len().div_ceil(50) as u64;
        let schedule = OneCycle { learning_rate: rule.net, steps, ..OneCycle::default() };
        let mut trainer = Trainer::new(SoftmaxCrossEntropy, (rule.make)()).batch_size(50).epochs(3).schedule(schedule);
        let history = trainer.fit(&mut net, &data).unwrap();
        assert!(net.accuracy(&data).unwrap() > 0.7, "{}: {:?}", rule.name, history.epochs);
        assert_eq!(history.epochs[2].learning_rate as f32, schedule.rate(steps - 1) as f32, "{}", rule.name);
    }
}

#[test]
fn frozen_layers_keep_their_values_and_have_no_state() {
    for rule in rules::<f32>() {
        let (mut net, mut updater) = (net(), Updater::new((rule.make)()).weight_decay(WeightDecay::Decoupled(0.1)));
        let slots = (rule.make)().slots();
        let kept = |updater: &Updater<f32, Boxed<f32>>| {
            updater.state().parameters.iter().map(|state| (state.steps, state.slots.len())).collect::<Vec<_>>()
        };
        let before = params(&net);
        net.freeze(0..1, true);
        updater.step(&mut net).unwrap();
        let after = params(&net);
        assert_eq!(after[0].value, before[0].value, "{}", rule.name);
        assert_ne!(after.last().unwrap().value, before.last().unwrap().value, "{}", rule.name);
        assert_eq!(kept(&updater)[..3], [(0, 0), (0, 0), (1, 20 * slots)], "{}", rule.name);
        // Thawed it begins anew, frozen again it is forgotten.
        net.freeze(0..1, false);
        updater.step(&mut net).unwrap();
        assert_eq!(kept(&updater)[0], (1, 64 * 20 * slots), "{}", rule.name);
        assert_ne!(params(&net)[0].value, before[0].value, "{}", rule.name);
        net.freeze(0..1, true);
        updater.step(&mut net).unwrap();
        assert_eq!(kept(&updater)[0], (0, 0), "{}", rule.name);
    }
}

#[test]
fn frozen_layers_compute_no_gradient() {
    let mut net = net();
    net.freeze(0..1, true);
    net.params_mut(&mut |param| param.grad.fill(f32::NAN));
    backward(&mut net);
    let nan: Vec<bool> = params(&net).iter().map(|param| param.grad.iter().any(|g| g.is_nan())).collect();
    assert!(nan[0] && nan[1] && !nan[2] && !nan[nan.len() - 1], "{nan:?}");
}

#[test]
fn the_global_norm_is_that_of_what_is_trained() {
    let norm_of = |net: &Sequential<f32>, all: bool| {
        let trained = params(net).into_iter().filter(|param| all || param.is_trained());
        trained.map(|param| param.grad.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>()).sum::<f64>().sqrt()
    };
    let mut net = net();
    net.freeze(0..1, true);
    let norm = norm_of(&net, false);
    assert!(norm_of(&net, true) > 1.01 * norm);
    let before = params(&net);
    Updater::new(SGD { learning_rate: 1.0_f32 }).clip(Clip::Norm(0.25 * norm)).step(&mut net).unwrap();
    let moved = before.iter().zip(params(&net)).map(|(a, b)| (&a.value - &b.value).iter().map(|d| d * d).sum::<f32>());
    assert!((f64::from(moved.sum::<f32>().sqrt()) / (0.25 * norm) - 1.0).abs() < 1e-4);
}

#[test]
fn hyper_parameters_out_of_range_are_named() {
    #[track_caller]
    fn refused(updater: Updater<f64, impl Optimizer<f64>>, expected: &str) {
        let mut p = [1.0];
        let mut updater = updater;
        let error = updater.step_slice(&mut p, &[1.0]).unwrap_err();
        assert!(matches!(&error, Error::Hyperparameter { name, .. } if name == expected), "{error}");
        assert_eq!((p, updater.steps()), ([1.0], 0));
    }
    let sgd = || Updater::new(SGD::default());
    refused(Updater::new(RMSProp { decay: 1.0, ..RMSProp::default() }), "RMSProp decay");
    refused(Updater::new(NAdam { momentum_decay: f64::NAN, ..NAdam::default() }), "NAdam momentum_decay");
    refused(Updater::new(AdamW { weight_decay: -1.0, ..AdamW::default() }), "AdamW weight_decay");
    refused(Updater::new(Lion { beta2: -0.1, ..Lion::default() }), "Lion beta2");
    refused(sgd().clip(Clip::Norm(0.0)), "clip");
    refused(sgd().clip(Clip::Value(f64::NAN)), "clip");
    refused(sgd().schedule(|_| f64::NAN), "SGD learning_rate");
    refused(sgd().schedule(StepDecay { learning_rate: 0.1, every: 0, factor: 0.5 }), "StepDecay every");
    refused(sgd().schedule(OneCycle { warmup: 1.5, ..OneCycle::default() }), "OneCycle warmup");
    refused(sgd().schedule(OneCycle { rise: 0.0, ..OneCycle::default() }), "OneCycle rise");
    refused(sgd().schedule(OneCycle { fall: -1.0, ..OneCycle::default() }), "OneCycle fall");
    refused(sgd().schedule(ReduceOnPlateau { factor: 1.0, ..ReduceOnPlateau::default() }), "ReduceOnPlateau factor");
}

// The numbers of PyTorch.

fn matrix(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(vector).collect()
}

#[track_caller]
fn close(tolerance: f64, found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let error = (a - b).abs() / b.abs().max(1.0);
        assert!(error <= tolerance, "{what} [{i}]: expected {b:e}, found {a:e}, {error:.1e} apart");
    }
}

/// The rule and the decay that a golden run names.
fn golden_updater(run: &Value) -> Updater<f64, Boxed<f64>> {
    let hyper = |name: &str| run["hyper"][name].as_f64().unwrap_or(f64::NAN);
    let (learning_rate, epsilon, decay) = (hyper("lr"), hyper("eps"), hyper("decay"));
    let (momentum, beta1, beta2) = (hyper("momentum"), hyper("beta1"), hyper("beta2"));
    let (weight_decay, momentum_decay) = (hyper("weight_decay"), hyper("momentum_decay"));
    let name = run["optimizer"].as_str().unwrap();
    let (form, amsgrad) = (MomentumForm::PyTorch, name == "amsgrad");
    let rule: Boxed<f64> = match name {
        "sgd" => Box::new(SGD { learning_rate }),
        "momentum" => Box::new(Momentum { learning_rate, momentum, form }),
        "nesterov" => Box::new(Nesterov { learning_rate, momentum, form }),
        "adagrad" => Box::new(AdaGrad { learning_rate, epsilon }),
        "rmsprop" => Box::new(RMSProp { learning_rate, decay, epsilon }),
        "adadelta" => Box::new(AdaDelta { learning_rate, decay, epsilon }),
        "adam" | "amsgrad" => Box::new(Adam { learning_rate, beta1, beta2, epsilon, amsgrad }),
        "adam_book" => Box::new(BookAdam { learning_rate, beta1, beta2 }),
        "adamw" => Box::new(AdamW { learning_rate, beta1, beta2, epsilon, amsgrad, weight_decay }),
        "adamax" => Box::new(AdaMax { learning_rate, beta1, beta2, epsilon }),
        "nadam" => Box::new(NAdam { learning_rate, beta1, beta2, epsilon, momentum_decay }),
        "radam" => Box::new(RAdam { learning_rate, beta1, beta2, epsilon }),
        "lion" => Box::new(Lion { learning_rate, beta1, beta2 }),
        "adabelief" => Box::new(AdaBelief { learning_rate, beta1, beta2, epsilon }),
        other => panic!("no rule {other}"),
    };
    match name {
        "adamw" => Updater::new(rule),
        "lion" => Updater::new(rule).weight_decay(WeightDecay::Decoupled(weight_decay)),
        _ => Updater::new(rule).weight_decay(WeightDecay::L2(weight_decay)),
    }
}

#[test]
fn steps_are_those_of_pytorch() {
    let mut names = Vec::new();
    for case in cases("optimizers") {
        let (p0, grads) = (vector(&case["p0"]), matrix(&case["grads"]));
        for run in case["runs"].as_array().unwrap() {
            let what = format!("{} {} {}", case["name"], run["optimizer"], run["hyper"]);
            let (mut updater, mut p) = (golden_updater(run), p0.clone());
            for (step, (g, expected)) in grads.iter().zip(matrix(&run["params"])).enumerate() {
                updater.step_slice(&mut p, g).unwrap();
                close(1e-12, &p, &expected, &format!("{what} step {step}"));
            }
            names.push(run["optimizer"].to_string());
        }
    }
    assert_eq!(names.len(), 18 + 10 + 28);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 15);
}

#[test]
fn the_two_forms_of_momentum_are_the_same_path_at_one_rate() {
    for case in cases("optimizers") {
        for run in case["runs"].as_array().unwrap() {
            let hyper = |name: &str| run["hyper"][name].as_f64().unwrap_or(f64::NAN);
            let (learning_rate, momentum, form) = (hyper("lr"), hyper("momentum"), MomentumForm::Book);
            let rule: Boxed<f64> = match run["optimizer"].as_str().unwrap() {
                "momentum" => Box::new(Momentum { learning_rate, momentum, form }),
                "nesterov" => Box::new(Nesterov { learning_rate, momentum, form }),
                _ => continue,
            };
            let mut updater = Updater::new(rule).weight_decay(WeightDecay::L2(hyper("weight_decay")));
            let mut p = vector(&case["p0"]);
            for (g, expected) in matrix(&case["grads"]).iter().zip(matrix(&run["params"])) {
                updater.step_slice(&mut p, g).unwrap();
                close(1e-12, &p, &expected, &run["optimizer"].to_string());
            }
        }
    }
}

#[test]
fn the_forms_of_momentum_part_where_the_rate_changes() {
    let [case] = &cases("momentum_lr_change")[..] else { panic!("one case") };
    let (momentum, rates) = (case["momentum"].as_f64().unwrap(), vector(&case["lrs"]));
    for (form, params) in [(MomentumForm::PyTorch, "params_torch"), (MomentumForm::Book, "params_book")] {
        let rates = rates.clone();
        let rule = Momentum { learning_rate: 1.0, momentum, form };
        let mut updater = Updater::new(rule).schedule(move |step: u64| rates[step as usize]);
        let mut p = vector(&case["p0"]);
        for (g, expected) in matrix(&case["grads"]).iter().zip(matrix(&case[params])) {
            updater.step_slice(&mut p, g).unwrap();
            close(1e-12, &p, &expected, params);
        }
    }
}

#[test]
fn paths_down_the_parabola_are_those_of_pytorch() {
    let [case] = &cases("trajectory")[..] else { panic!("one case") };
    for run in case["runs"].as_array().unwrap() {
        let (mut updater, mut p) = (golden_updater(run), vector(&case["start"]));
        for expected in matrix(&run["xy"]) {
            let gradient = [p[0] / 10.0, 2.0 * p[1]];
            updater.step_slice(&mut p, &gradient).unwrap();
            close(1e-12, &p, &expected, &run["optimizer"].to_string());
        }
    }
}

/// A parameter for each list of gradients, all zero.
#[derive(Debug)]
struct Lists(Vec<Param<f64>>);

impl Layer<f64> for Lists {
    fn forward(&mut self, input: Array2<f64>) -> Array2<f64> {
        input
    }
    fn backward(&mut self, grad: Array2<f64>) -> Array2<f64> {
        grad
    }
    fn infer(&self, input: Array2<f64>) -> Array2<f64> {
        input
    }
    fn params_mut(&mut self, visit: &mut dyn FnMut(&mut Param<f64>)) {
        self.0.iter_mut().for_each(visit);
    }
    fn params(&self, visit: &mut dyn FnMut(&Param<f64>)) {
        self.0.iter().for_each(visit);
    }
}

#[test]
fn clipping_is_that_of_pytorch() {
    fn flat(value: &Value) -> Vec<f64> {
        value.as_array().map_or_else(|| vec![value.as_f64().unwrap()], |list| list.iter().flat_map(flat).collect())
    }
    let [case] = &cases("clip")[..] else { panic!("one case") };
    let check = |clip: Clip, expected: &Value, tolerance: f64| {
        let params = case["grads"].as_array().unwrap().iter().map(|grad| {
            let grad = Array2::from_shape_vec((1, flat(grad).len()), flat(grad)).unwrap();
            let mut param = Param::new("p", Role::Weight, Array2::zeros(grad.dim()));
            param.grad = grad;
            param
        });
        let mut lists = Lists(params.collect());
        Updater::new(SGD { learning_rate: 1.0 }).clip(clip).step(&mut lists).unwrap();
        let clipped: Vec<f64> = lists.0.iter().flat_map(|param| param.value.iter().map(|p| -p)).collect();
        close(tolerance, &clipped, &flat(expected), &format!("{clip:?}"));
    };
    for run in case["runs"].as_array().unwrap() {
        let most = run["max_norm"].as_f64().unwrap();
        check(Clip::Norm(most), &run["exact"], 1e-12);
        // PyTorch divides by the norm and 1e-6.
        check(Clip::Norm(most), &run["torch"], 1e-6);
    }
    check(Clip::Value(case["value_clip"].as_f64().unwrap()), &case["value_clipped"], 0.0);

    let case = &case["sgd_momentum"];
    let get = |name: &str| case[name].as_f64().unwrap();
    let rule = Momentum { learning_rate: get("lr"), momentum: get("momentum"), form: MomentumForm::PyTorch };
    let (mut updater, mut p) = (Updater::new(rule).clip(Clip::Norm(get("max_norm"))), vector(&case["p0"]));
    for (g, expected) in matrix(&case["grads"]).iter().zip(matrix(&case["params_torch"])) {
        updater.step_slice(&mut p, g).unwrap();
        close(1e-6, &p, &expected, "clipped momentum");
    }
}

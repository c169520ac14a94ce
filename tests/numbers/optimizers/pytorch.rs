//! The numbers of PyTorch (see `tests/golden/README.md`).

use gradus::layer::Param;
use gradus::ndarray::Array2;
use gradus::prelude::*;
use serde_json::Value;

use super::Boxed;
use crate::support::{BookAdam, cases, expect_all_close, vector};

fn matrix(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(vector).collect()
}

/// The rule and the decay that a golden run names.
fn golden_updater(run: &Value) -> Updater<f64, Boxed<f64>> {
    let hyper = |name: &str| run["hyper"][name].as_f64().unwrap_or(f64::NAN);
    let (learning_rate, epsilon, decay) = (hyper("lr"), hyper("eps"), hyper("decay"));
    let (momentum, beta1, beta2) = (hyper("momentum"), hyper("beta1"), hyper("beta2"));
    let (weight_decay, momentum_decay) = (hyper("weight_decay"), hyper("momentum_decay"));
    let name = run["optimizer"].as_str().unwrap();
    let form = MomentumForm::PyTorch;
    let rule: Boxed<f64> = match name {
        "sgd" => Box::new(SGD { learning_rate }),
        "momentum" => Box::new(Momentum { learning_rate, momentum, form }),
        "nesterov" => Box::new(Nesterov { learning_rate, momentum, form }),
        "adagrad" => Box::new(AdaGrad { learning_rate, epsilon }),
        "rmsprop" => Box::new(RMSProp { learning_rate, decay, epsilon }),
        "adadelta" => Box::new(AdaDelta { learning_rate, decay, epsilon }),
        "adam" => Box::new(Adam { learning_rate, beta1, beta2, epsilon }),
        "amsgrad" => Box::new(AMSGrad { learning_rate, beta1, beta2, epsilon }),
        "adam_book" => Box::new(BookAdam { learning_rate, beta1, beta2 }),
        "adamw" => Box::new(AdamW { learning_rate, beta1, beta2, epsilon, weight_decay }),
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
                expect_all_close(format_args!("{what} step {step}"), &p, &expected, 1e-12);
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
                expect_all_close(&run["optimizer"], &p, &expected, 1e-12);
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
            expect_all_close(params, &p, &expected, 1e-12);
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
            expect_all_close(&run["optimizer"], &p, &expected, 1e-12);
        }
    }
}

/// A parameter for each list of gradients, all zero.
#[derive(Debug, Clone)]
struct Lists(Vec<Param<f64>>);

impl Layer<f64> for Lists {
    fn forward(&mut self, input: Array2<f64>, _pass: &mut Pass<'_>) -> Array2<f64> {
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
        expect_all_close(format_args!("{clip:?}"), &clipped, &flat(expected), tolerance);
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
        expect_all_close("clipped momentum", &p, &expected, 1e-6);
    }
}

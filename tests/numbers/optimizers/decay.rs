//! Weight decay, inside the gradient and beside it.

use approx::assert_relative_eq;
use gradus::prelude::*;

use super::{Boxed, gradients, net, params, rules};

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
    assert_relative_eq!(penalty, exact, epsilon = 0.0, max_relative = 1e-6);
}

#[test]
fn the_penalty_is_that_of_the_decayed_roles() {
    let net = net();
    let squares = |roles: &[Role]| {
        let all = params(&net).into_iter().filter(|param| roles.contains(&param.role));
        all.map(|param| param.value.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>()).sum::<f64>()
    };
    let updater = Updater::new(SGD::default()).weight_decay(WeightDecay::L2(0.3));
    let expected = 0.15 * squares(&[Role::Weight]);
    assert_relative_eq!(updater.penalty(&net), expected, epsilon = 0.0, max_relative = 1e-6);
    let roles = [Role::Weight, Role::Scale];
    let updater = updater.decay_roles(&roles);
    assert_relative_eq!(updater.penalty(&net), 0.15 * squares(&roles), epsilon = 0.0, max_relative = 1e-6);
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
    let trained = params(&net).into_iter().filter(|param| param.is_trained());
    let changed = trained.filter(|param| param.value.iter().all(|&x| x != 1.0));
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

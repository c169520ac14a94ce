//! What every rule keeps to, whatever its formula.

use approx::{assert_abs_diff_eq, assert_relative_eq};
use gradus::prelude::*;

use super::{Boxed, backward, gradients, net, params, rules};
use crate::support::bits;

mod convergence {
    use super::super::Rule;
    use super::*;

    fn minimise(
        rule: &Rule<f64>,
        rate: f64,
        steps: u64,
        from: [f64; 2],
        gradient: fn([f64; 2]) -> [f64; 2],
    ) -> [f64; 2] {
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
            println!("{}", rule.name);
            assert_abs_diff_eq!(x, 0.0, epsilon = 0.01);
            assert_abs_diff_eq!(y, 0.0, epsilon = 0.01);
        }
    }

    #[test]
    fn the_valley_of_rosenbrock_is_solved() {
        let gradient = |[x, y]: [f64; 2]| [2.0 * (x - 1.0) - 400.0 * x * (y - x * x), 200.0 * (y - x * x)];
        for rule in rules() {
            let [x, y] = minimise(&rule, rule.rosenbrock, 20_000, [-1.2, 1.0], gradient);
            println!("{}", rule.name);
            assert_abs_diff_eq!(x, 1.0, epsilon = 0.02);
            assert_abs_diff_eq!(y, 1.0, epsilon = 0.04);
        }
    }

    #[test]
    fn every_rule_trains_a_network_from_a_table_of_arms() {
        let data = Digits::load::<f32>().unwrap();
        for rule in rules::<f32>() {
            let mut net = Sequential::mlp(64, &[30], 10).build(&mut rng(1)).unwrap();
            let steps = 3 * data.len().div_ceil(50) as u64;
            let schedule = OneCycle { learning_rate: rule.net, steps, ..OneCycle::default() };
            let mut trainer =
                Trainer::new(SoftmaxCrossEntropy, (rule.make)()).batch_size(50).epochs(3).schedule(schedule);
            let history = trainer.fit(&mut net, &data).unwrap();
            assert!(net.accuracy(&data).unwrap() > 0.7, "{}: {:?}", rule.name, history.epochs);
            assert_eq!(history.epochs[2].learning_rate, schedule.rate(steps - 1, &[]), "{}", rule.name);
        }
    }
}

mod state {
    use super::*;

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
        assert_eq!(error.to_string(), "the optimizer's state, rule: expected Momentum, found Adam");
        // As many numbers, and another meaning.
        let error = Updater::<f32, _>::new(RAdam::default()).restore(adam.state().clone()).unwrap_err();
        assert_eq!(error.to_string(), "the optimizer's state, rule: expected RAdam, found Adam");
        let error = adam.step_slice(&mut [0.0], &[0.0]).unwrap_err().to_string();
        assert!(error.ends_with("expected 0.weight (64, 20), found the slice (1, 1)"), "{error}");
    }

    #[test]
    fn blocks_of_any_size_give_the_same_bits() {
        let width = 1000;
        for rule in rules::<f32>() {
            let optimizer = (rule.make)();
            let run = |block: usize| {
                let mut p = vec![0.5_f32; width];
                let mut slots = vec![vec![0.0_f32; width]; optimizer.slots()];
                for (number, g) in (1..).zip(gradients::<f32>(8, width)) {
                    let step = Step { number, rate: 0.01 };
                    for from in (0..width).step_by(block) {
                        let place = from..(from + block).min(width);
                        let mut slots: Vec<&mut [f32]> =
                            slots.iter_mut().map(|slot| &mut slot[place.clone()]).collect();
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
}

mod extremes {
    use super::*;

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
            println!("{rule:?}");
            assert_abs_diff_eq!(huge / plain, 1.0, epsilon = 1e-3);
        }
        check(AdaGrad::default());
        check(RMSProp::default());
        check(Adam::default());
        check(AMSGrad::default());
        check(AdaMax::default());
        check(NAdam::default());
        check(AdaBelief::default());
        check(Lion::default());
    }
}

mod freezing {
    use super::*;

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
}

mod driver {
    use super::*;

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
                by_hand = by_hand.schedule(rates(step));
                let clipped: Vec<f64> = g.iter().map(|g| g.clamp(-0.25, 0.25)).collect();
                by_hand.step_slice(&mut q, &clipped).unwrap();
            }
            assert_eq!(p, q, "{}", rule.name);
        }
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
        Updater::new(SGD { learning_rate: 1.0 }).clip(Clip::Norm(0.25 * norm)).step(&mut net).unwrap();
        let moved =
            before.iter().zip(params(&net)).map(|(a, b)| (&a.value - &b.value).iter().map(|d| d * d).sum::<f32>());
        let moved = f64::from(moved.sum::<f32>().sqrt());
        assert_relative_eq!(moved, 0.25 * norm, epsilon = 0.0, max_relative = 1e-4);
    }

    #[test]
    fn hyper_parameters_out_of_range_are_named() {
        #[track_caller]
        fn refused(updater: Updater<f64, impl Optimizer<f64>>, expected: &str) {
            let mut p = [1.0];
            let mut updater = updater;
            let error = updater.step_slice(&mut p, &[1.0]).unwrap_err();
            assert!(matches!(&error, Error::Invalid { what, .. } if what == expected), "{error}");
            assert_eq!((p, updater.steps()), ([1.0], 0));
        }
        let sgd = || Updater::new(SGD::default());
        refused(Updater::new(RMSProp { decay: 1.0, ..RMSProp::default() }), "RMSProp decay");
        refused(Updater::new(NAdam { momentum_decay: f64::NAN, ..NAdam::default() }), "NAdam momentum_decay");
        refused(Updater::new(AdamW { weight_decay: -1.0, ..AdamW::default() }), "AdamW weight_decay");
        refused(Updater::new(Lion { beta2: -0.1, ..Lion::default() }), "Lion beta2");
        refused(sgd().clip(Clip::Norm(0.0)), "clip");
        refused(sgd().clip(Clip::Value(f64::NAN)), "clip");
        refused(sgd().schedule(|_| f64::NAN), "step 1, learning rate of the schedule");
        refused(sgd().schedule(StepDecay { learning_rate: 0.1, every: 0, factor: 0.5 }), "StepDecay every");
        refused(sgd().schedule(OneCycle { warmup: 1.5, ..OneCycle::default() }), "OneCycle warmup");
        refused(sgd().schedule(OneCycle { rise: 0.0, ..OneCycle::default() }), "OneCycle rise");
        refused(sgd().schedule(OneCycle { fall: -1.0, ..OneCycle::default() }), "OneCycle fall");
        refused(
            sgd().schedule(ReduceOnPlateau { factor: 1.0, ..ReduceOnPlateau::default() }),
            "ReduceOnPlateau factor",
        );
    }
}

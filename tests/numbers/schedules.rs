//! Learning rates: the numbers of PyTorch (see `tests/golden/README.md`), schedules in training, the range test.

use std::ops::ControlFlow;

use gradus::prelude::*;
use serde_json::Value;

use crate::support::{bits, cases, expect_close, vector};

fn golden_schedule(run: &Value) -> Box<dyn Schedule> {
    let hyper = |name: &str| run["hyper"][name].as_f64().unwrap_or_else(|| panic!("{} has no {name}", run["schedule"]));
    let whole = |name: &str| hyper(name) as u64;
    let learning_rate = run["lr"].as_f64().unwrap();
    let cosine = || Cosine { learning_rate, minimum: hyper("eta_min"), steps: whole("T_max") };
    match run["schedule"].as_str().unwrap() {
        "step" => Box::new(StepDecay { learning_rate, every: whole("step_size"), factor: hyper("gamma") }),
        "exponential" => Box::new(Exponential { learning_rate, factor: hyper("gamma") }),
        "cosine" | "cosine_past_end" => Box::new(cosine()),
        "warmup_cosine" => {
            let start = Some(hyper("start_factor"));
            Box::new(LinearWarmup { steps: whole("warmup_steps"), start, then: cosine() })
        }
        "warmup_cosine_k1" => Box::new(LinearWarmup { steps: whole("warmup_steps"), start: None, then: cosine() }),
        "one_cycle" => Box::new(OneCycle {
            learning_rate,
            steps: whole("steps"),
            warmup: hyper("warmup"),
            rise: hyper("rise"),
            fall: hyper("fall"),
        }),
        "cosine_restarts" => {
            let (period, growth) = (whole("period"), whole("growth"));
            Box::new(CosineRestarts { learning_rate, minimum: hyper("eta_min"), period, growth })
        }
        "plateau" => Box::new(ReduceOnPlateau {
            learning_rate,
            factor: hyper("factor"),
            patience: whole("patience"),
            threshold: hyper("threshold"),
            cooldown: whole("cooldown"),
            minimum: hyper("min_lr"),
        }),
        other => panic!("no schedule {other}"),
    }
}

#[test]
fn rates_are_those_of_pytorch() {
    let mut runs = 0;
    for case in cases("schedules") {
        for run in case["runs"].as_array().unwrap() {
            let schedule = golden_schedule(run);
            schedule.check().unwrap();
            for (step, expected) in (0..).zip(vector(&run["values"])) {
                let what = format!("{} {} step {step}", run["schedule"], run["hyper"]);
                expect_close(what, schedule.rate(step, &[]), expected, 1e-12);
            }
            runs += 1;
        }
    }
    assert_eq!(runs, 6 + 6);
}

#[test]
fn plateaus_are_those_of_pytorch() {
    let [case] = &cases("plateaus")[..] else { panic!("one case") };
    let losses = vector(&case["losses"]);
    for run in case["runs"].as_array().unwrap() {
        let schedule = golden_schedule(run);
        for (epoch, expected) in vector(&run["values"]).into_iter().enumerate() {
            let found = schedule.rate(0, &losses[..epoch]);
            expect_close(format_args!("{} epoch {epoch}", run["hyper"]), found, expected, 1e-12);
        }
    }
}

#[test]
fn a_plateau_starts_at_any_loss_and_counts_nan_as_bad() {
    let schedule = ReduceOnPlateau { learning_rate: 1.0, patience: 0, ..ReduceOnPlateau::default() };
    assert_eq!(schedule.rate(0, &[f64::NAN]), 0.1);
    assert_eq!(schedule.rate(0, &[f64::NAN, 1e300, -1.0]), 0.1);
    assert_eq!(schedule.rate(0, &[f64::NEG_INFINITY, 0.0]), 0.1, "nothing is better than -inf");
}

#[test]
fn a_plateau_neither_raises_the_rate_nor_cuts_it_by_less_than_pytorch_would() {
    let losses = [1.0; 4];
    let schedule = ReduceOnPlateau { learning_rate: 0.1, patience: 0, ..ReduceOnPlateau::default() };
    assert_eq!(ReduceOnPlateau { minimum: 0.5, ..schedule }.rate(0, &losses), 0.1);
    let tiny = ReduceOnPlateau { learning_rate: 1e-8, ..schedule };
    assert_eq!(tiny.rate(0, &losses), 1e-8);
    assert!(ReduceOnPlateau { learning_rate: 1e-7, ..schedule }.rate(0, &losses) < 1e-7);
}

#[test]
fn one_cycle_stays_at_its_end() {
    for warmup in [0.0, 0.01, 0.3, 1.0] {
        let schedule = OneCycle { steps: 50, warmup, ..OneCycle::default() };
        let end = schedule.rate(50, &[]);
        assert_eq!((schedule.rate(51, &[]), schedule.rate(1 << 60, &[])), (end, end));
        assert!((0..60).all(|step| schedule.rate(step, &[]).is_finite()), "{warmup}");
    }
    let short = OneCycle { steps: 1, ..OneCycle::default() };
    assert!((0..3).all(|step| short.rate(step, &[]).is_finite()));
}

#[test]
fn restarts_far_away_are_found_at_once() {
    let equal = CosineRestarts { learning_rate: 0.1, minimum: 0.0, period: 7, growth: 1 };
    assert_eq!(equal.rate(7 << 40, &[]), 0.1);
    let growing = CosineRestarts { growth: 2, ..equal };
    assert!(growing.rate(u64::MAX, &[]).is_finite());
}

#[test]
fn boxed_schedules_clone_and_say_their_names() {
    let schedule: Box<dyn Schedule> = Box::new(ReduceOnPlateau { patience: 0, ..ReduceOnPlateau::default() });
    let copy = schedule.clone();
    assert!(copy.rate(0, &[1.0, 1.0]) < schedule.rate(0, &[1.0]));
    assert_eq!(format!("{copy:?}"), "ReduceOnPlateau");
    let warm = LinearWarmup { steps: 2, start: None, then: copy };
    assert!(warm.rate(2, &[1.0, 1.0]) < warm.rate(2, &[]));
}

#[test]
fn a_number_is_a_schedule() {
    let mut updater = Updater::new(SGD { learning_rate: 7.0 }).schedule(0.5);
    let mut p = [1.0];
    updater.step_slice(&mut p, &[1.0]).unwrap();
    assert_eq!((p, updater.optimizer.learning_rate), ([0.5], 7.0));
    let error = Updater::new(SGD::default()).schedule(-0.5).step_slice(&mut p, &[1.0]).unwrap_err();
    assert_eq!(error.to_string(), "f64 learning_rate: expected a finite value of at least 0, found -0.5");
}

fn digits() -> Dataset<f32> {
    Digits::load().unwrap().take(500).unwrap()
}

fn net() -> Sequential<f32> {
    let builder = Sequential::input(64).affine(30, Init::He).batch_norm().relu().dropout(0.2).affine(10, Init::Xavier);
    builder.build(&mut rng(1)).unwrap()
}

#[test]
fn the_history_holds_the_rate_of_each_epochs_last_step() {
    let data = digits();
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, SGD::default()).epochs(3).progress(false);
    trainer = trainer.schedule(|step: u64| 0.5 / (1 + step) as f64);
    let history = trainer.fit(&mut net(), &data).unwrap();
    let rates: Vec<f64> = history.epochs.iter().map(|epoch| epoch.learning_rate).collect();
    assert_eq!(rates, [0.5 / 5.0, 0.5 / 10.0, 0.5 / 15.0]);
}

#[test]
fn a_plateau_hears_the_validation_loss_of_every_epoch() {
    let (train, test) = digits().split(0.2).unwrap();
    let schedule = ReduceOnPlateau { learning_rate: 3.0, patience: 0, factor: 0.5, ..ReduceOnPlateau::default() };
    for validated in [true, false] {
        let trainer = Trainer::new(SoftmaxCrossEntropy, SGD::default()).epochs(8).progress(false).schedule(schedule);
        let mut trainer = if validated { trainer.validate(&test) } else { trainer };
        let history = trainer.fit(&mut net(), &train).unwrap();
        let mut losses = Vec::new();
        for epoch in &history.epochs {
            assert_eq!(epoch.learning_rate, schedule.rate(0, &losses));
            losses.push(if validated { epoch.validation_loss.unwrap() } else { epoch.loss });
        }
        assert_eq!(trainer.updater().state().losses, losses);
        assert!(schedule.rate(0, &losses) < 3.0 || !validated, "{history:?}");
    }
}

#[test]
fn the_range_test_leaves_all_as_it_was() {
    let data = digits();
    let run = |tested: bool| {
        let (mut net, rule) = (net(), Momentum::default());
        let mut trainer = Trainer::new(SoftmaxCrossEntropy, Box::new(rule) as Box<dyn Optimizer<f32>>);
        trainer = trainer.epochs(1).progress(false).schedule(|step: u64| 0.1 / (1 + step) as f64);
        trainer.fit(&mut net, &data).unwrap();
        if tested {
            let before = bits(&net);
            let sweep = RangeTest::default().run(&trainer, &net, &data).unwrap();
            assert!(sweep.losses.len() > 50);
            assert_eq!(bits(&net), before);
            assert_eq!(trainer.updater().steps(), 5);
            assert_eq!(trainer.updater().learning_rate(), 0.1 / 6.0);
        }
        trainer.fit(&mut net, &data).unwrap();
        bits(&net)
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn the_suggested_rate_learns_and_the_sweep_ends_where_it_diverges() {
    let data = digits();
    let (mut net, rule) = (Sequential::mlp(64, &[30], 10).build(&mut rng(1)).unwrap(), SGD::default());
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, rule).batch_size(50).epochs(5).progress(false);
    let test = RangeTest { to: 1e4, ..RangeTest::default() };
    let sweep = test.run(&trainer, &net, &data).unwrap();
    assert!(sweep.rates.len() < test.steps && sweep.rates.is_sorted());
    assert_eq!((sweep.rates.len(), sweep.rates[0]), (sweep.losses.len(), test.from));
    assert_eq!(sweep.smoothed.len(), sweep.losses.len());
    let rate = sweep.suggestion.unwrap();
    assert!(sweep.rates.contains(&rate) && (0.01..5.0).contains(&rate), "{rate}");
    trainer.updater_mut().optimizer.learning_rate = rate;
    let history = trainer.fit_with(&mut net, &data, |_| ControlFlow::Continue(())).unwrap();
    assert!(history.epochs[4].loss < 0.75 * history.epochs[0].loss, "{rate}: {history:?}");
}

#[test]
fn a_range_test_out_of_range_changes_nothing() {
    let data = digits();
    let (net, trainer) = (net(), Trainer::new(SoftmaxCrossEntropy, SGD::default()));
    let before = bits(&net);
    for test in [
        RangeTest { from: 0.0, ..RangeTest::default() },
        RangeTest { to: 1e-9, ..RangeTest::default() },
        RangeTest { steps: 1, ..RangeTest::default() },
        RangeTest { divergence: f64::NAN, ..RangeTest::default() },
    ] {
        let error = test.run(&trainer, &net, &data).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }
    assert_eq!(bits(&net), before);
}

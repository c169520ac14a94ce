//! Hyper-parameter search: it is reproducible and parallel, and it finds good points.

mod learning;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use approx::assert_relative_eq;
use gradus::Error;
use gradus::search::{Budgets, Dimension, Point, Space, Study, Trial, Value};

#[cfg(feature = "parallel")]
use crate::support::process;
use crate::support::study::{results, score, search_all_ways, space};

#[test]
fn a_range_that_cannot_be_searched_is_an_error_that_names_it() {
    let cases = [
        (
            Space::new().uniform("x", 1.0..1.0),
            "dimension x: expected a lower end below the upper one, found uniform 1..1",
        ),
        (Space::new().log_uniform("rate", 1e-2..1e-6), "dimension rate: expected a lower end below the upper one"),
        (Space::new().uniform("x", f64::NAN..1.0), "dimension x: expected finite ends"),
        (Space::new().uniform("x", 0.0..f64::INFINITY), "dimension x: expected finite ends"),
        (Space::new().log_uniform("rate", 0.0..1.0), "dimension rate: expected positive ends"),
        (Space::new().log_uniform("rate", -1.0..1.0), "dimension rate: expected positive ends"),
        #[expect(clippy::reversed_empty_ranges)]
        (Space::new().int("layers", 5..=4), "dimension layers: expected a lower end not above the upper one"),
        (Space::new().log_int("hidden", 0..=4), "dimension hidden: expected ends of at least 1"),
        (Space::new().choice("act", [""; 0]), "dimension act: expected at least one option"),
        (Space::new().choice("act", ["a", "a"]), "dimension act: expected options that differ"),
        (Space::new().uniform("x", 0.0..1.0).int("x", 1..=2), "dimension x: expected a name of its own"),
        (Space::new(), "dimensions of a search space: expected at least one, found none"),
    ];
    for (space, expected) in cases {
        let error = Study::maximize(space, 1).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_trial_is_the_same_point_whatever_is_around_it() {
    let space = space();
    let backwards: Vec<Point> = (0..20).rev().map(|number| space.sample(9, number)).collect();
    for (number, point) in backwards.into_iter().rev().enumerate() {
        assert_eq!(point, space.sample(9, number));
    }
    let alone = Space::new().log_uniform("learning_rate", 1e-6..1e-2);
    assert_eq!(alone.sample(9, 3).f64("learning_rate"), space.sample(9, 3).f64("learning_rate"));
    assert_ne!(alone.sample(9, 3), alone.sample(9, 4));
    assert_ne!(alone.sample(9, 3), alone.sample(10, 3));
    // Known numbers, so that no later version draws others.
    assert_relative_eq!(
        alone.sample(9, 3).f64("learning_rate"),
        2.6221237931315036e-5,
        epsilon = 0.0,
        max_relative = 1e-12
    );
}

#[test]
fn draws_are_even_on_their_scale() {
    let (space, draws) = (space(), 6000);
    let mut counts = BTreeMap::<String, usize>::new();
    for number in 0..draws {
        let point = space.sample(5, number);
        let (rate, hidden) = (point.f64("learning_rate"), point.f64("dropout"));
        assert!((1e-6..=1e-2).contains(&rate) && (0.0..=0.5).contains(&hidden));
        assert!((16..=512).contains(&point.int("hidden")) && (1..=6).contains(&point.int("layers")));
        *counts.entry(format!("decade {}", rate.log10().floor())).or_default() += 1;
        *counts.entry(format!("tenth {}", (hidden * 20.0).floor())).or_default() += 1;
        *counts.entry(format!("layers {}", point.int("layers"))).or_default() += 1;
        *counts.entry(format!("activation {}", point.choice("activation"))).or_default() += 1;
        let octave = ((point.int("hidden") as f64).log2() - 4.0).floor().min(4.0);
        *counts.entry(format!("octave {octave}")).or_default() += 1;
    }
    for (kind, bins) in [("decade", 4), ("tenth", 10), ("layers", 6), ("activation", 3), ("octave", 5)] {
        let counts: Vec<usize> =
            counts.iter().filter(|(name, _)| name.starts_with(kind)).map(|(_, &count)| count).collect();
        assert_eq!(counts.len(), bins, "{kind}");
        // 33.7 is the 0.9999 quantile of chi-squared with 9 degrees of freedom. The octaves of whole numbers are not
        // quite equal: 16..=31 covers 15.5 to 31.5, so its share is off by 2 %.
        let expected = draws as f64 / bins as f64;
        let chi: f64 = counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
        assert!(chi < 33.7, "{kind}: {counts:?}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_study() {
    let run = |threads| {
        let mut study = Study::maximize(space(), 42).unwrap().threads(threads);
        search_all_ways(&mut study).unwrap();
        (results(&study), study.space().clone())
    };
    let serial = run(1);
    // 40 + 30 + 20, and the brackets of three budgets: 9 + 5 + 3.
    assert_eq!(serial.0.len(), 40 + 30 + 20 + 17);
    for threads in [2, 5] {
        assert_eq!(run(threads), serial);
    }
}

/// Runs again with three threads, in a process of its own: on a single processor every pool would have one.
#[test]
#[cfg(feature = "parallel")]
fn neighbouring_trials_have_one_thread_kernels() {
    const THREADS: &str = "RAYON_NUM_THREADS";
    if std::env::var(THREADS).as_deref() != Ok("3") {
        let output = process(module_path!(), "neighbouring_trials_have_one_thread_kernels").env(THREADS, "3").output();
        let output = output.unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && printed.contains(" 1 passed"), "{output:?}");
        return;
    }
    assert_eq!(rayon::current_num_threads(), 3);
    let mut study = Study::maximize(space(), 1).unwrap().threads(3);
    study.random(6, |_| Ok(rayon::current_num_threads() as f64)).unwrap();
    assert!(study.trials().iter().all(|trial| trial.score == Ok(1.0)), "{:?}", results(&study));
}

#[test]
fn what_fails_is_recorded_and_the_others_go_on() {
    for threads in [1, 2] {
        let mut study = Study::minimize(space(), 3).unwrap().threads(threads);
        study
            .random(7, |trial| match trial.number() {
                1 => {
                    Err(Error::Invalid { what: "rows".into(), expected: "at least one".into(), found: "none".into() })?
                }
                2 if threads == 1 => panic!("out of luck"),
                2 => panic!("out of {}", String::from("luck")),
                3 => Ok(f64::NAN),
                4 => Ok(f64::NEG_INFINITY),
                5 => {
                    assert!(trial.report(1, f64::NAN).is_break());
                    Ok(0.5)
                }
                number => Ok(number as f64),
            })
            .unwrap();
        let scores: Vec<_> = study.trials().iter().map(|trial| trial.score.clone()).collect();
        let failed = |message: &str| Err(message.to_string());
        let expected = [
            Ok(0.0),
            failed("rows: expected at least one, found none"),
            failed("panicked: out of luck"),
            failed("the score is NaN"),
            failed("the score is -inf"),
            Ok(0.5),
            Ok(6.0),
        ];
        assert_eq!(scores, expected);
        assert_eq!(study.trials().iter().map(|trial| trial.stopped).collect::<Vec<_>>()[4..6], [false, true]);
        assert_eq!(study.ranking().iter().map(|trial| trial.number).collect::<Vec<_>>(), [0, 5, 6]);
        let table = study.table(2).to_string();
        assert!(table.ends_with("7 trials, 4 failed, 1 stopped early"), "{table}");
        study.narrow(0.5).unwrap();
    }
    let mut study = Study::maximize(space(), 3).unwrap();
    study.random(2, |_| Err("never".into())).unwrap();
    assert_eq!(
        study.narrow(0.5).unwrap_err().to_string(),
        "trials with a score in round 1: expected at least one, found none"
    );
}

#[test]
fn halving_gives_long_training_to_the_best_and_resumes_them() {
    let budgets = Budgets { min: 1, max: 9, factor: 3 };
    let run = |resuming: bool, threads: usize| {
        let (steps, calls) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<usize, usize>::new()));
        let mut study = Study::maximize(space(), 11).unwrap().threads(threads);
        study
            .successive_halving(18, budgets, |trial| {
                let budget = trial.budget().unwrap();
                *calls.lock().unwrap().entry(budget).or_default() += 1;
                let (mut done, mut value) = trial.resume().unwrap_or((0, score(trial.point())));
                while done < budget {
                    (done, value) = (done + 1, value * 0.9);
                    steps.fetch_add(1, Ordering::Relaxed);
                }
                if resuming {
                    trial.keep((done, value));
                }
                if trial.number() == 5 { Err("broken".into()) } else { Ok(value) }
            })
            .unwrap();
        (results(&study), calls.into_inner().unwrap(), steps.into_inner())
    };
    let (trials, calls, steps) = run(true, 1);
    assert_eq!(calls, BTreeMap::from([(1, 18), (3, 6), (9, 2)]));
    // 18 first steps, 6 times 2 more, 2 times 6 more.
    assert_eq!(steps, 18 + 12 + 12);
    let mut best: Vec<usize> = (0..18).filter(|&number| number != 5).collect();
    best.sort_by(|&a, &b| score(&trials[b].point).total_cmp(&score(&trials[a].point)));
    for (place, &number) in best.iter().enumerate() {
        let budget = if place < 2 {
            9
        } else if place < 6 {
            3
        } else {
            1
        };
        assert_eq!(trials[number].budget, Some(budget), "place {place}");
    }
    assert_eq!(run(true, 2), (trials.clone(), calls.clone(), steps));
    let (without, calls_without, steps_without) = run(false, 2);
    assert_eq!((without, calls_without, steps_without), (trials, calls, 18 + 6 * 3 + 2 * 9));
    let wrong = Budgets { min: 0, ..budgets };
    assert!(Study::maximize(space(), 1).unwrap().successive_halving(3, wrong, |_| Ok(0.0)).is_err());
}

#[test]
fn a_rule_stops_trials_by_their_own_curve() {
    let rule = |curve: &[(usize, f64)]| curve.len() >= 3 && curve.last().is_some_and(|last| last.1 < 0.5);
    let mut study = Study::maximize(Space::new().uniform("x", 0.0..1.0), 5).unwrap().stop_when(rule);
    study
        .random(20, |trial| {
            let x = trial.f64("x");
            let _ = (1..=10).try_for_each(|step| trial.report(step, x));
            Ok(x)
        })
        .unwrap();
    for trial in study.trials() {
        let below = trial.point.f64("x") < 0.5;
        assert_eq!((trial.stopped, trial.reports.len()), (below, if below { 3 } else { 10 }));
    }
}

#[test]
fn a_budget_that_is_used_up_ends_a_trial() {
    let mut study = Study::maximize(Space::new().uniform("x", 0.0..1.0), 5).unwrap();
    let steps =
        |trial: &mut Trial| Ok((1..=20).take_while(|&step| trial.report(step, 0.5).is_continue()).count() as f64);
    study.successive_halving(4, Budgets { min: 2, max: 8, factor: 2 }, steps).unwrap();
    for trial in study.trials() {
        let budget = trial.budget.unwrap();
        assert_eq!((trial.score.clone(), trial.reports.len()), (Ok(budget as f64 - 1.0), budget));
        assert!(!trial.stopped, "the budget was used up");
    }
}

#[test]
fn a_point_names_what_it_does_not_have() {
    let point = space().sample(1, 1);
    let panics = |ask: &dyn Fn(&Point)| {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ask(&point)));
        *result.unwrap_err().downcast::<String>().unwrap()
    };
    assert!(panics(&|point| _ = point.f64("lr")).starts_with("there is no dimension lr, only learning_rate, "));
    assert!(panics(&|point| _ = point.f64("layers")).starts_with("the dimension layers is no number: its value is "));
    assert_eq!(point.values().len(), 6);
    assert!(matches!(point.get("activation"), Some(Value::Choice(_))));
}

/// More trials than there are numbers for, or than memory has room for, are refused before the first runs.
#[test]
fn more_trials_than_can_be_counted_are_refused() {
    let x = || Study::maximize(Space::new().uniform("x", 0.0..1.0), 1).unwrap().progress(false);
    let none =
        |_: &mut Trial| -> Result<f64, Box<dyn std::error::Error + Send + Sync>> { panic!("no trial is to run") };
    let refused = |result: Result<(), Error>| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        assert!(error.to_string().starts_with("trials: expected a number that fits into memory, found "), "{error}");
    };
    for before in [0, 1] {
        for trials in [usize::MAX, usize::MAX - 1, usize::MAX / 2, 1 << 60] {
            let mut study = x();
            study.random(before, |trial| Ok(trial.f64("x"))).unwrap();
            refused(study.random(trials, none));
            refused(study.tpe(trials, none));
            refused(study.successive_halving(trials, Budgets::default(), none));
            assert_eq!(study.trials().len(), before);
            study.tpe(2, |trial| Ok(trial.f64("x"))).unwrap();
            assert_eq!(study.trials().len(), before + 2);
        }
        for max in [usize::MAX, 1 << 62, 1 << 45] {
            for factor in [2, 3] {
                let mut study = x();
                study.random(before, |trial| Ok(trial.f64("x"))).unwrap();
                refused(study.hyperband(Budgets { min: 1, max, factor }, none));
                assert_eq!(study.trials().len(), before);
            }
        }
    }
    // A budget may be as large as it likes.
    let mut study = x();
    study.hyperband(Budgets { min: usize::MAX / 4, max: usize::MAX, factor: 2 }, |trial| Ok(trial.f64("x"))).unwrap();
    // A factor that does not grow has no rungs between.
    assert_eq!(Budgets { min: 1, max: 5, factor: 1 }.rungs(), [1, 5]);
    assert_eq!(Budgets { min: 0, max: 5, factor: 3 }.rungs(), [0, 5]);
}

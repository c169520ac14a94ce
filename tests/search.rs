//! Hyper-parameter search: reproducible, parallel, durable, shared; and it finds what it should.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gradus::Error;
use gradus::search::{Budgets, Dimension, Failure, Point, Space, Study, Trial, TrialRecord, Value};
use support::Scratch;

fn space() -> Space {
    Space::new()
        .log_uniform("learning_rate", 1e-6..1e-2)
        .log_uniform("weight_decay", 1e-8..1e-4)
        .uniform("dropout", 0.0..0.5)
        .int("layers", 1..=6)
        .log_int("hidden", 16..=512)
        .choice("activation", ["relu", "tanh", "sigmoid"])
}

/// Best at a learning rate of 10^-3.3, four layers, `tanh`; the weight decay does next to nothing.
fn score(point: &Point) -> f64 {
    let rate = point.f64("learning_rate").log10() + 3.3;
    let decay = point.f64("weight_decay").log10() + 6.0;
    let layers = point.int("layers") as f64 - 4.0;
    let activation = if point.choice("activation") == "tanh" { 0.0 } else { 6.0 };
    -(rate * rate + 0.001 * decay * decay + 0.1 * layers * layers + activation)
}

/// Everything but how long it took.
fn results(study: &Study) -> Vec<TrialRecord> {
    let timeless = |trial: &TrialRecord| {
        let mut trial = trial.clone();
        trial.seconds = 0.0;
        trial
    };
    study.trials().into_iter().map(timeless).collect()
}

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
    assert!((alone.sample(9, 3).f64("learning_rate") / 2.6221237931315036e-5 - 1.0).abs() < 1e-12);
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
        // Chi-squared, beyond its 0.9999 quantile for 9 degrees of freedom (33.7) only by bad luck. An octave of whole
        // numbers is not quite even: 16..=31 owns 15.5 to 31.5, a share off by 2 %.
        let expected = draws as f64 / bins as f64;
        let chi: f64 = counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
        assert!(chi < 33.7, "{kind}: {counts:?}");
    }
}

/// Every way of searching, one after the other.
fn search_all_ways(study: &mut Study) -> Result<(), Error> {
    let objective = |trial: &mut Trial| -> Result<f64, Failure> {
        use gradus::rand::RngExt;
        let noise: f64 = trial.rng().random();
        let value = score(trial.point()) + 1e-3 * noise;
        for step in 1..=trial.budget().unwrap_or(3) {
            trial.track("seed", step, trial.seed() as f64);
            if trial.report(step, value - 1.0 / step as f64).is_break() {
                break;
            }
        }
        match trial.number() % 10 {
            3 => Err(format!("trial {} is unlucky", trial.number()).into()),
            _ => Ok(value),
        }
    };
    study.random(40, objective)?;
    study.narrow(0.25)?;
    study.tpe(30, objective)?;
    study.successive_halving(20, Budgets { min: 1, max: 9, factor: 3 }, objective)?;
    study.narrow(0.3)?;
    study.hyperband(Budgets { min: 1, max: 9, factor: 3 }, objective)
}

#[test]
fn threads_change_nothing() {
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

#[test]
#[cfg(feature = "parallel")]
fn neighbouring_trials_have_one_thread_kernels() {
    // On a single processor every pool would have one thread.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(3).build_global();
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
                1 => Err(Error::Empty { what: "rows".into() })?,
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

/// The book's two ranges and an optimum off their middles: narrowing after half of the budget brings the best point
/// nearer. Over 50 seeds its distance is, in the median, less than 0.7 of that of one wide round, and it is nearer at
/// least twice as often as farther.
#[test]
fn narrowing_beats_one_wide_round() {
    let space = || Space::new().log_uniform("learning_rate", 1e-6..1e-2).log_uniform("weight_decay", 1e-8..1e-4);
    let objective = |trial: &mut Trial| {
        let (rate, decay) = (trial.f64("learning_rate").log10(), trial.f64("weight_decay").log10());
        Ok(-(rate + 3.3).hypot(decay + 5.5))
    };
    let mut pairs = Vec::new();
    for seed in 0..50 {
        let mut wide = Study::maximize(space(), seed).unwrap().threads(1);
        wide.random(100, objective).unwrap();
        let mut narrowed = Study::maximize(space(), seed).unwrap().threads(1);
        narrowed.random(50, objective).unwrap();
        narrowed.narrow(0.2).unwrap();
        narrowed.random(50, objective).unwrap();
        pairs.push((regret(&wide), regret(&narrowed)));
    }
    require_ahead("narrowed", &pairs, 0.7, 2.0);
}

#[test]
fn a_model_beats_random_points() {
    let objective = |trial: &mut Trial| Ok(score(trial.point()));
    let mut pairs = Vec::new();
    for seed in 0..50 {
        let mut random = Study::maximize(space(), seed).unwrap().threads(1);
        random.random(100, objective).unwrap();
        let mut model = Study::maximize(space(), seed).unwrap().threads(1);
        model.tpe(100, objective).unwrap();
        pairs.push((regret(&random), regret(&model)));
    }
    require_ahead("tpe", &pairs, 0.5, 8.0);
}

fn regret(study: &Study) -> f64 {
    -study.best().unwrap().score.clone().unwrap()
}

/// Distances from the optimum: the second's median less than `ratio` of the first's, and `odds` times as often smaller
/// as larger.
fn require_ahead(name: &str, pairs: &[(f64, f64)], ratio: f64, odds: f64) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (first, second) = (median(pairs.iter().map(|p| p.0).collect()), median(pairs.iter().map(|p| p.1).collect()));
    let nearer = pairs.iter().filter(|(first, second)| second < first).count();
    let farther = pairs.iter().filter(|(first, second)| second > first).count();
    let text = format!("{name}: median distance {second:.4} against {first:.4}, nearer {nearer}, farther {farther}");
    println!("{text}");
    assert!(second < ratio * first && nearer as f64 >= odds * farther as f64, "{text}");
}

#[test]
fn narrowing_stays_inside_and_says_what_it_did() {
    for seed in 0..20 {
        let mut study = Study::maximize(space(), seed).unwrap().threads(1);
        for _ in 0..6 {
            study.random(12, |trial| Ok(score(trial.point()))).unwrap();
            let narrowing = study.narrow(0.2).unwrap();
            assert_eq!(narrowing.trials, 12, "of the round that ends");
            for ((name, before), (_, after)) in narrowing.before.dimensions().zip(narrowing.after.dimensions()) {
                match (before, after) {
                    (Dimension::Float { low: a, high: b, .. }, Dimension::Float { low: c, high: d, .. }) => {
                        assert!(a <= c && c < d && d <= b, "{name}: {before} -> {after}");
                    }
                    (Dimension::Int { low: a, high: b, .. }, Dimension::Int { low: c, high: d, .. }) => {
                        assert!(a <= c && c < d && d <= b, "{name}: {before} -> {after}");
                    }
                    (Dimension::Choice(all), Dimension::Choice(left)) => {
                        assert!(!left.is_empty() && left.iter().all(|option| all.contains(option)));
                    }
                    _ => panic!("{name}: {before} -> {after}"),
                }
            }
        }
        assert_eq!(study.round(), 7);
    }
    let mut study = Study::maximize(space(), 1).unwrap();
    study.random(100, |trial| Ok(score(trial.point()))).unwrap();
    let text = study.narrow(0.2).unwrap().to_string();
    println!("{text}");
    assert!(
        text.starts_with("round 1: the best 20 of 100 trials cover\n  learning_rate  1.000e-6..0.01000     -> "),
        "{text}"
    );
    assert!(text.ends_with("[relu, tanh, sigmoid] -> [tanh] (33 %)"), "{text}");
    for share in [0.0, 1.1, f64::NAN] {
        assert!(matches!(study.narrow(share), Err(Error::Hyperparameter { .. })));
    }
}

/// Only the upper eighth of the range learns at all, the rest is as good as a guess: of the ten best of 50, some are
/// there by chance, from anywhere. The next round searches where it learns nevertheless, in half of the range at most.
#[test]
fn what_is_as_good_as_a_guess_keeps_no_range_wide() {
    for seed in 0..50 {
        let space = Space::new().log_uniform("learning_rate", 1e-6..1e-2);
        let mut study = Study::maximize(space, seed).unwrap().threads(1);
        let objective = |trial: &mut Trial| {
            use gradus::rand::RngExt;
            let (rate, guess): (f64, f64) = (trial.f64("learning_rate").log10(), trial.rng().random());
            Ok(if rate > -2.5 { 2.5 + 0.8 * rate } else { 0.1 + 0.05 * guess })
        };
        study.random(50, objective).unwrap();
        let narrowing = study.narrow(0.2).unwrap();
        let Some((_, &Dimension::Float { low, .. })) = narrowing.after.dimensions().next() else { unreachable!() };
        assert!(low > 1e-4 && narrowing.kept >= 2, "seed {seed}: {narrowing}");
    }
}

#[test]
fn importance_tells_what_matters() {
    let mut study = Study::maximize(space(), 8).unwrap();
    study.random(200, |trial| Ok(score(trial.point()))).unwrap();
    let importance = study.importance(1);
    println!("{importance:?}");
    assert_eq!([importance[0].0, importance[1].0], ["activation", "learning_rate"]);
    assert!(importance[1].1 > 0.3);
    for (name, share) in importance {
        if ["weight_decay", "dropout", "hidden"].contains(&name) {
            assert!(share < 0.1, "{name}: {share}");
        }
    }
    assert!(study.importance(2).is_empty());
    let mut small = Study::maximize(space(), 8).unwrap();
    small.random(19, |trial| Ok(score(trial.point()))).unwrap();
    assert!(small.importance(1).is_empty());
    small.random(1, |trial| Ok(score(trial.point()))).unwrap();
    assert_eq!(small.importance(1).len(), 6);
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
        assert!(!trial.stopped, "it was not cut short");
    }
}

#[test]
fn csv_and_log_give_back_every_bit() {
    let scratch = Scratch::new("bits");
    let path = scratch.file("study.jsonl");
    let mut study = Study::minimize(space(), u64::MAX).unwrap().log(&path).unwrap();
    study
        .random(20, |trial| {
            trial.track("odd, \"name\"", 1, f64::NAN);
            trial.track("odd, \"name\"", 2, f64::NEG_INFINITY);
            let _ = trial.report(1, 0.1 + 0.2);
            match trial.number() {
                0 => Err("a \"quoted\",\nlong ü message".into()),
                1 => Ok(-0.0),
                2 => Ok(f64::MIN_POSITIVE / 3.0),
                3 => Ok(f64::MAX),
                number => Ok(score(trial.point()) / number as f64),
            }
        })
        .unwrap();
    let read = Study::read(&path).unwrap();
    assert_eq!(format!("{:?}", results(&read)), format!("{:?}", results(&study)));
    assert_eq!(read.to_csv(), study.to_csv());
    assert_eq!((read.direction(), read.space(), read.round()), (study.direction(), study.space(), 1));

    let csv = study.to_csv();
    assert!(csv.starts_with("trial,round,budget,score,error,stopped,seconds,learning_rate,weight_decay,dropout,"));
    assert!(csv.contains("\"a \"\"quoted\"\",\nlong ü message\""));
    let line = csv.lines().find(|line| line.starts_with("7,1,")).unwrap();
    let fields: Vec<&str> = line.split(',').collect();
    assert_eq!(fields[3].parse::<f64>().unwrap(), study.trials()[7].score.clone().unwrap());
    assert_eq!(fields[7].parse::<f64>().unwrap(), study.trials()[7].point.f64("learning_rate"));
}

/// A log cut anywhere, as by a kill, resumes to the same end.
#[test]
fn a_log_cut_anywhere_resumes_to_the_same_end() {
    let scratch = Scratch::new("cut");
    let path = scratch.file("study.jsonl");
    let run = || -> Result<Study, Error> {
        let mut study = Study::maximize(space(), 42)?.log(&path)?;
        search_all_ways(&mut study)?;
        Ok(study)
    };
    let whole = results(&run().unwrap());
    let bytes = std::fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..bytes.len()).filter(|&i| bytes[i] == b'\n').collect();
    let cuts =
        [0, 1, ends[0] - 1, ends[0], ends[0] + 1, ends[1], ends[2] - 1, ends[2] + 1, ends[60] + 20, ends[150] - 1];
    for cut in cuts {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let study = run().unwrap();
        assert_eq!(results(&study), whole, "cut at {cut}");
        let torn = cut > ends[0] && bytes[cut - 1] != b'\n';
        assert_eq!(study.notes().len(), usize::from(torn), "{:?}", study.notes());
        let lines = std::fs::read_to_string(&path).unwrap();
        let finished = lines.lines().filter(|line| line.contains("\"trial\"")).count();
        assert_eq!(finished, bytes.split(|&b| b == b'\n').filter(|l| l.windows(7).any(|w| w == b"\"trial\"")).count());
    }
}

/// A power failure may leave the end of a line, and no line before it.
#[test]
fn a_last_line_of_rubbish_is_dropped_and_said() {
    let scratch = Scratch::new("rubbish");
    let path = scratch.file("study.jsonl");
    let run = |trials| -> Result<Study, Error> {
        let mut study = Study::maximize(space(), 1)?.log(&path)?;
        study.random(trials, |trial| Ok(score(trial.point())))?;
        Ok(study)
    };
    run(3).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend(b"\0\0\0\n");
    std::fs::write(&path, bytes).unwrap();
    let study = run(5).unwrap();
    assert!(study.notes()[0].ends_with("dropped a torn last line of 4 bytes"), "{:?}", study.notes());
    assert_eq!(results(&study), results(&Study::read(&path).unwrap()));
    assert_eq!(study.trials().len(), 5);
}

/// Two processes may end the same trial, if one took the other for dead.
#[test]
fn of_two_lines_of_one_trial_the_first_stands() {
    let scratch = Scratch::new("twice");
    let path = scratch.file("study.jsonl");
    let run = || -> Result<Study, Error> {
        let mut study = Study::maximize(space(), 1)?.log(&path)?;
        study.random(5, |trial| Ok(score(trial.point())))?;
        Ok(study)
    };
    let whole = results(&run().unwrap());
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.lines().find(|line| line.contains("\"trial\":3")).unwrap();
    let (before, after) = line.split_once("\"score\":").unwrap();
    let again = format!("{before}\"score\":1000{}", &after[after.find(',').unwrap()..]);
    std::fs::write(&path, format!("{text}{again}\n")).unwrap();
    assert_eq!(results(&run().unwrap()), whole);
    assert_eq!(results(&Study::read(&path).unwrap()), whole);
}

#[test]
fn a_finished_log_runs_nothing_again() {
    let scratch = Scratch::new("again");
    let path = scratch.file("study.jsonl");
    let run = |path: &Path| {
        let calls = AtomicUsize::new(0);
        let mut study = Study::maximize(space(), 1).unwrap().log(path).unwrap();
        study
            .random(10, |trial| {
                calls.fetch_add(1, Ordering::Relaxed);
                if trial.number() == 3 { Err("recorded".into()) } else { Ok(score(trial.point())) }
            })
            .unwrap();
        (results(&study), calls.into_inner())
    };
    let first = run(&path);
    assert_eq!(run(&path), (first.0, 0));
    assert_eq!(scratch.names(), ["study.jsonl"], "lock files are cleared away");
}

#[test]
fn the_log_of_another_study_is_refused() {
    let scratch = Scratch::new("other");
    let path = scratch.file("study.jsonl");
    let mut study = Study::maximize(space(), 1).unwrap().log(&path).unwrap();
    study.random(20, |trial| Ok(score(trial.point()))).unwrap();
    let before = std::fs::read(&path).unwrap();
    let refused = |study: Result<Study, Error>, expected: &str| {
        let error = study.and_then(|study| study.log(&path)).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    };
    refused(Study::maximize(space(), 2), "they differ in the seed: expected 2, found 1");
    refused(Study::minimize(space(), 1), "they differ in the direction: expected minimize, found maximize");
    refused(
        Study::maximize(space(), 1).map(|study| study.about("50 epochs")),
        "they differ in what they are about: expected \"50 epochs\", found \"\"",
    );
    let rate = |range| Space::new().log_uniform("learning_rate", range);
    refused(
        Study::maximize(rate(1e-5..1e-2), 1),
        "the dimension learning_rate: expected log_uniform 1e-5..1e-2, found log_uniform 1e-6..1e-2",
    );
    refused(
        Study::maximize(rate(1e-6..1e-2), 1),
        "the dimension weight_decay: expected no such dimension, found log_uniform 1e-8..1e-4",
    );
    refused(
        Study::maximize(space().uniform("momentum", 0.5..1.0), 1),
        "the dimension momentum: expected uniform 0.5..1, found no such dimension",
    );
    // The same study, another way of searching.
    let mut other = Study::maximize(space(), 1).unwrap().log(&path).unwrap();
    let error = other.tpe(20, |trial| Ok(score(trial.point()))).unwrap_err().to_string();
    assert!(error.contains("they differ in trial 10: expected learning_rate "), "{error}");

    // The same study, other budgets.
    let halved = scratch.file("halved.jsonl");
    let halve = |min| {
        let mut study = Study::maximize(space(), 1)?.log(&halved)?;
        study.successive_halving(6, Budgets { min, max: 9, factor: 3 }, |trial| Ok(score(trial.point())))
    };
    halve(1).unwrap();
    let error = halve(2).unwrap_err().to_string();
    assert!(error.contains(", budget 2, found ") && error.ends_with(", budget 1"), "{error}");

    let foreign = scratch.file("notes.txt");
    for text in ["one line\n", "no end", "{\"a\": 1}\n{}\n"] {
        std::fs::write(&foreign, text).unwrap();
        let error = Study::maximize(space(), 1).unwrap().log(&foreign).unwrap_err();
        assert!(matches!(error, Error::Format { offset: 0, .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&foreign).unwrap(), text, "and nobody's file is touched");
    }
    // Rubbish within is not skipped over.
    let mut broken = before.clone();
    let middle = broken.iter().position(|&b| b == b'\n').unwrap() + 3;
    broken[middle] = b'#';
    std::fs::write(&path, &broken).unwrap();
    let error = Study::maximize(space(), 1).unwrap().log(&path).unwrap_err();
    assert!(matches!(error, Error::Format { offset, .. } if offset == middle as u64 - 2), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), broken);
}

const SHARED_TRIALS: usize = 40;

/// What the processes of the next tests run together: every run of a trial leaves a line in a file of its own.
fn shared_search(folder: &Path, name: &str) -> Study {
    let mut study = Study::maximize(space(), 77).unwrap().threads(2).log(folder.join("study.jsonl")).unwrap();
    let objective = |trial: &mut Trial| -> Result<f64, Failure> {
        let begun = folder.join(format!("trial-{}-{name}", trial.number()));
        std::fs::write(&begun, "")?;
        // The one that will be killed never ends these.
        while name == "killed" && [4, 5].contains(&trial.number()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(5));
        Ok(score(trial.point()))
    };
    study.random(SHARED_TRIALS / 2, objective).unwrap();
    study.narrow(0.3).unwrap();
    study.random(SHARED_TRIALS / 2, objective).unwrap();
    study
}

/// Not a test of its own: what the other processes of the next two do.
#[test]
fn worker() {
    let Ok(folder) = std::env::var("GRADUS_SEARCH_TEST") else { return };
    let (folder, name) = folder.split_once('|').unwrap();
    let study = shared_search(Path::new(folder), name);
    std::fs::write(Path::new(folder).join(format!("result-{name}")), format!("{:?}", results(&study))).unwrap();
}

/// A process that does not outlive a test that fails.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Path, name: &str) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let told = format!("{}|{name}", folder.display());
    command.args(["--exact", "worker"]).env("GRADUS_SEARCH_TEST", told).stdout(std::process::Stdio::null());
    Process(command.spawn().unwrap())
}

/// Which trials each process ran.
fn runs(folder: &Path) -> Vec<(usize, String)> {
    let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let parse = |name: String| {
        let (number, who) = name.strip_prefix("trial-")?.split_once('-')?;
        Some((number.parse().ok()?, who.to_string()))
    };
    names.filter_map(parse).collect()
}

fn alone() -> Vec<TrialRecord> {
    let mut study = Study::maximize(space(), 77).unwrap();
    study.random(SHARED_TRIALS / 2, |trial| Ok(score(trial.point()))).unwrap();
    study.narrow(0.3).unwrap();
    study.random(SHARED_TRIALS / 2, |trial| Ok(score(trial.point()))).unwrap();
    results(&study)
}

#[test]
fn two_processes_share_a_study() {
    let scratch = Scratch::new("two");
    let folder = &scratch.0;
    let mut children = ["a", "b"].map(|name| start(folder, name));
    assert!(children.iter_mut().all(|child| child.0.wait().unwrap().success()));
    let expected = format!("{:?}", alone());
    for name in ["a", "b"] {
        assert_eq!(std::fs::read_to_string(folder.join(format!("result-{name}"))).unwrap(), expected);
    }
    let runs = runs(folder);
    let numbers: std::collections::BTreeSet<usize> = runs.iter().map(|run| run.0).collect();
    assert_eq!((runs.len(), numbers.len()), (SHARED_TRIALS, SHARED_TRIALS), "each trial once: {runs:?}");
    assert!(["a", "b"].iter().all(|name| runs.iter().any(|run| run.1 == *name)), "both worked: {runs:?}");
}

/// One process is killed amid two trials; another, which was waiting for them, runs them and ends as ever.
#[test]
fn the_trials_of_a_killed_process_are_run_by_another() {
    let scratch = Scratch::new("killed");
    let folder = &scratch.0;
    let mut killed = start(folder, "killed");
    let begun = |trial: usize, name: &str| folder.join(format!("trial-{trial}-{name}")).exists();
    wait_for("trials 4 and 5 to begin", || begun(4, "killed") && begun(5, "killed"));
    let mut other = start(folder, "other");
    let finished_by_other = || runs(folder).iter().filter(|run| run.1 == "other").count();
    // All but 0 to 5, of the first round.
    wait_for("the other to do what is left", || finished_by_other() == SHARED_TRIALS / 2 - 6);
    std::thread::sleep(Duration::from_millis(100));
    assert!(!begun(4, "other") && !begun(5, "other"), "a claim holds while its owner lives");
    killed.0.kill().unwrap(); // SIGKILL
    killed.0.wait().unwrap();
    assert!(other.0.wait().unwrap().success());
    assert_eq!(std::fs::read_to_string(folder.join("result-other")).unwrap(), format!("{:?}", alone()));
    assert!(begun(4, "other") && begun(5, "other"));
    let left = scratch.names();
    assert!(!left.iter().any(|name| name.ends_with(".lock")), "{left:?}");
    // And a run that comes after all is over finds everything there.
    assert_eq!(format!("{:?}", results(&shared_search(folder, "late"))), format!("{:?}", alone()));
    assert!(runs(folder).iter().all(|run| run.1 != "late"));
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(2));
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

/// The book's search on 500 rows of MNIST, 20 % of them for validation: 784-100×6-10, He, SGD, 200 updates of 100 rows,
/// 100 trials, here in two rounds of 50.
///
/// Which 100 rows judge moves the best accuracy by more than the search does: the book's own program, 100 trials in
/// one round, ended at 0.87, 0.80 and 0.76 in three runs, each with a split of its own. So a single seed shows nothing,
/// and the bar is set for the mean over ten: at least the book's mean, 0.81; and, on the same splits, at least what one
/// wide round of 100 trials finds. In every one round two's median trial has to beat round one's, and the best five
/// have learning rates above 10⁻³.
///
/// The bar was written down before any of its seeds had run. Seeds 10 to 16 ran first and stayed below it (0.79): in
/// two of them trials no better than a guess kept the range wide. Narrowing leaves those out since; seeds 20 to 29, run
/// once after that, gave 0.827 in two rounds and 0.801 in one.
#[test]
fn the_books_search_on_mnist() -> Result<(), Failure> {
    use gradus::prelude::*;
    let Some(folder) = std::env::var_os("GRADUS_MNIST") else {
        println!("skipped: GRADUS_MNIST names no folder with MNIST");
        return Ok(());
    };
    let rows = gradus::mnist::<f32>(folder)?.0.take(500)?;
    let space = || Space::new().log_uniform("learning_rate", 1e-6..1e-2).log_uniform("weight_decay", 1e-8..1e-4);
    let best = |study: &Study| study.best().and_then(|trial| trial.score.clone().ok()).unwrap();
    let (mut narrowed, mut wide, mut medians) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 20..30 {
        let (train, validation) = rows.clone().shuffle(&mut gradus::rng(seed)).split(0.2)?;
        let objective = |trial: &mut Trial| {
            let mut net = Sequential::mlp(train.width(), &[100; 6], train.classes()).build(trial.rng())?;
            Trainer::new(SoftmaxCrossEntropy, SGD { learning_rate: trial.f64("learning_rate") as f32 })
                .weight_decay(WeightDecay::L2(trial.f64("weight_decay")))
                .sampling(Sampling::WithReplacement)
                .batch_size(100)
                .epochs(50)
                .seed(trial.seed())
                .progress(false)
                .fit(&mut net, &train)?;
            Ok(net.accuracy(&validation)?)
        };
        let mut study = Study::maximize(space(), seed)?;
        study.random(50, objective)?;
        let narrowing = study.narrow(0.2)?;
        study.random(50, objective)?;
        let mut one_round = Study::maximize(space(), seed)?;
        one_round.random(100, objective)?;
        narrowed.push(best(&study));
        wide.push(best(&one_round));

        let ranking = study.ranking();
        let median = |round: usize| {
            let scores: Vec<f64> =
                ranking.iter().filter(|t| t.round == round).filter_map(|t| t.score.clone().ok()).collect();
            scores[scores.len() / 2]
        };
        println!("{narrowing}");
        println!(
            "seed {seed}: best {:.2}, of one wide round {:.2}; medians {:.2} and {:.2}; {:?}",
            best(&study),
            best(&one_round),
            median(1),
            median(2),
            study.importance(1)
        );
        medians.push([median(1), median(2)]);
        assert!(ranking[..5].iter().all(|trial| trial.point.f64("learning_rate") > 1e-3));
        assert_eq!(study.importance(1)[0].0, "learning_rate");
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let text = format!("two rounds {:.3} {narrowed:?}, one {:.3} {wide:?}", mean(&narrowed), mean(&wide));
    println!("{text}");
    assert!(medians.iter().all(|[first, second]| second > first), "{medians:?}");
    assert!(mean(&narrowed) >= 0.81 && mean(&narrowed) >= mean(&wide), "{text}");
    Ok(())
}

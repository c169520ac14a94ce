//! Narrowing and the model that learns where to look: ahead of random points, and what they say of a study.

use super::*;

/// With the book's two ranges and an optimum away from their centres, narrowing after half of the trials finds a better
/// point than one wide round: over 50 seeds the median of its distance to the optimum is less than 0.7 of the other's,
/// and it is nearer at least twice as often as farther.
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

/// Of pairs of distances from the optimum, the second ones have a median less than `ratio` of the first ones', and are
/// smaller at least `odds` times as often as larger.
fn require_ahead(name: &str, pairs: &[(f64, f64)], ratio: f64, odds: f64) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (first, second) = (median(pairs.iter().map(|p| p.0).collect()), median(pairs.iter().map(|p| p.1).collect()));
    let nearer = pairs.iter().filter(|(first, second)| second < first).count();
    let farther = pairs.iter().filter(|(first, second)| second > first).count();
    let text =
        format!("{name}: median distance {second:.4} compared with {first:.4}, nearer {nearer}, farther {farther}");
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
            assert_eq!(narrowing.trials, 12, "of the round that ended");
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
        assert!(matches!(study.narrow(share), Err(Error::Invalid { .. })));
    }
}

/// Only trials in the upper eighth of the range learn at all; the others have the scores of guesses, and some of them are
/// by chance among the ten best of 50. The narrowed range is still around the trials that learn, and at most half as
/// long as the old one.
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

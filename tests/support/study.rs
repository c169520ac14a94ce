//! A search that several tests run.

use gradus::Error;
use gradus::search::{Budgets, Failure, Point, Space, Study, Trial, TrialRecord};

pub fn space() -> Space {
    Space::new()
        .log_uniform("learning_rate", 1e-6..1e-2)
        .log_uniform("weight_decay", 1e-8..1e-4)
        .uniform("dropout", 0.0..0.5)
        .int("layers", 1..=6)
        .log_int("hidden", 16..=512)
        .choice("activation", ["relu", "tanh", "sigmoid"])
}

/// Best at a learning rate of 10^-3.3, four layers and `tanh`; the weight decay has almost no effect.
pub fn score(point: &Point) -> f64 {
    let rate = point.f64("learning_rate").log10() + 3.3;
    let decay = point.f64("weight_decay").log10() + 6.0;
    let layers = point.int("layers") as f64 - 4.0;
    let activation = if point.choice("activation") == "tanh" { 0.0 } else { 6.0 };
    -(rate * rate + 0.001 * decay * decay + 0.1 * layers * layers + activation)
}

/// The trials without their times.
pub fn results(study: &Study) -> Vec<TrialRecord> {
    let timeless = |trial: &TrialRecord| {
        let mut trial = trial.clone();
        trial.seconds = 0.0;
        trial
    };
    study.trials().into_iter().map(timeless).collect()
}

/// Runs all search methods, one after the other.
pub fn search_all_ways(study: &mut Study) -> Result<(), Error> {
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

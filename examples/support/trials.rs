//! The trials of a search over two dimensions.

use gradus::search::{Study, TrialRecord};

use super::figure::{Figure, Mark, PALETTE, Panel, scale};
use super::{Arguments, Axis, Curve, Curves, Outcome, percent};

/// Prints, writes and draws all trials.
pub fn show(arguments: &Arguments, file: &str, study: &Study) -> Outcome {
    println!("the 20 best of {} trials:\n\n{}", study.trials().len(), study.table(20));
    for (name, share) in study.importance(1) {
        println!("{name} alone explains {} of the first round's ranking", percent(share));
    }
    let path = arguments.file(&format!("{file}.csv"))?;
    study.write_csv(&path)?;
    println!("wrote {}", path.display());
    arguments.svg(&format!("{file}.svg"), &scatter(study))?;
    arguments.svg(&format!("{file}_dimensions.svg"), &dimensions(study))?;
    best(study).show(arguments, &format!("{file}_best"))
}

/// The trials of a round, the best first.
fn of_round(study: &Study, round: usize) -> Vec<&TrialRecord> {
    study.ranking().into_iter().filter(|trial| trial.round == round).collect()
}

fn names(study: &Study) -> Vec<String> {
    let point = study.trials().first().map(|trial| trial.point.values().map(|(name, _)| name.to_string()).collect());
    point.unwrap_or_default()
}

/// A dimension, with room for the trials of all rounds.
fn axis(study: &Study, name: &str) -> Axis {
    let values = study.trials().into_iter().map(|trial| trial.point.f64(name));
    let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    Axis::new(&name.replace('_', " ")).range(0.8 * low, 1.25 * high).log()
}

fn score(trial: &TrialRecord) -> f64 {
    trial.score.as_ref().copied().unwrap_or(0.0)
}

/// Every trial at its point, coloured by its score.
fn scatter(study: &Study) -> Figure {
    let names = names(study);
    let panels = (1..=study.round()).map(|round| {
        let dots = of_round(study, round).into_iter().rev().map(|trial| Mark::Dots {
            points: vec![(trial.point.f64(&names[0]), trial.point.f64(&names[1]))],
            color: scale(score(trial)),
            size: 5,
        });
        Panel::new(format!("round {round}"), axis(study, &names[0]), axis(study, &names[1])).with(dots)
    });
    let legend = [0.1, 0.3, 0.5, 0.7, 0.9].map(|accuracy| (format!("{:.0} %", 100.0 * accuracy), scale(accuracy)));
    let title = format!("Validation accuracy by {} and {}", names[0], names[1]).replace('_', " ");
    Figure::grid(title, study.round(), (330, 320), panels.collect()).legend(legend)
}

/// Each dimension against the score, and how much of the first round's ranking it explains.
fn dimensions(study: &Study) -> Figure {
    let importance = study.importance(1);
    let panels = names(study).into_iter().map(|name| {
        let rounds = (1..=study.round()).zip(PALETTE).map(|(round, color)| {
            Mark::dots(of_round(study, round).into_iter().map(|trial| (trial.point.f64(&name), score(trial))), color)
        });
        let title = match importance.iter().find(|(own, _)| *own == name) {
            Some((_, share)) => format!("alone explains {} of round 1's ranking", percent(*share)),
            None => "too few trials to say how much it explains".into(),
        };
        Panel::new(title, axis(study, &name), Axis::new("validation accuracy").range(0.0, 1.0)).with(rounds)
    });
    let rounds = (1..=study.round()).map(|round| format!("round {round}")).zip(PALETTE);
    Figure::grid("Validation accuracy by each dimension", 2, (420, 340), panels.collect()).legend(rounds)
}

/// The curves of the 20 best trials.
fn best(study: &Study) -> Curves {
    let panels = study.ranking().into_iter().take(20).map(|trial| {
        let curve = |name, points: &[(usize, f64)]| Curve::line(name, points.iter().map(|&(x, y)| (x as f64, y)));
        let title: Vec<String> = trial.point.values().map(|(_, value)| value.to_string()).collect();
        let pair = [curve("training", &trial.tracks["train_accuracy"]), curve("validation", &trial.reports)];
        (title.join(" and "), pair)
    });
    Curves::new("The 20 best trials", Axis::new("epoch"), Axis::new("accuracy").range(0.0, 1.0))
        .grid(5, (220, 180))
        .panels(panels)
}

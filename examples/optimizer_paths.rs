//! The paths of SGD, Momentum, AdaGrad and Adam down f(x, y) = x²/20 + y², and the gradient that explains them.
//!
//! ```text
//! cargo run --release --example optimizer_paths
//! ```
//!
//! From (-7, 2), 30 updates, as in the book. To expect: SGD zig-zags, because the gradient hardly points at the minimum;
//! Momentum swings in wide curves, AdaGrad goes straight, Adam swings a little. The last points are (-0.350, 0.085),
//! (0.896, 0.088), (-0.120, 2e-17) and (0.136, 0.318). The second picture shows -∇f.

mod support;

use std::process::ExitCode;

use gradus::prelude::*;
use support::contour::contour;
use support::figure::{Axis, BLACK, Figure, GREY, Mark, PALETTE, Panel};
use support::{Arguments, Outcome, table::Table};

/// A function of two variables to be made small, from a starting point.
pub(crate) struct Problem {
    pub(crate) name: &'static str,
    pub(crate) start: [f64; 2],
    pub(crate) value: fn([f64; 2]) -> f64,
    pub(crate) gradient: fn([f64; 2]) -> [f64; 2],
}

/// The book's: flat along x, steep along y.
pub(crate) const BOOK: Problem = Problem {
    name: "x²/20 + y²",
    start: [-7.0, 2.0],
    value: |[x, y]| x * x / 20.0 + y * y,
    gradient: |[x, y]| [x / 10.0, 2.0 * y],
};

/// The rules at the book's learning rates for this function.
pub(crate) fn optimizers() -> Vec<(&'static str, Box<dyn Optimizer<f64>>)> {
    vec![
        ("SGD", Box::new(SGD { learning_rate: 0.95 })),
        ("Momentum", Box::new(Momentum { learning_rate: 0.1, ..Momentum::default() })),
        ("AdaGrad", Box::new(AdaGrad { learning_rate: 1.5, ..AdaGrad::default() })),
        ("Adam", Box::new(Adam { learning_rate: 0.3, ..Adam::default() })),
    ]
}

/// The starting point and the point after each update.
pub(crate) fn path(problem: &Problem, optimizer: impl Optimizer<f64>, updates: usize) -> Result<Vec<[f64; 2]>, Error> {
    let mut updater = Updater::new(optimizer);
    let mut point = problem.start;
    let mut path = vec![point];
    for _ in 0..updates {
        let gradient = (problem.gradient)(point);
        updater.step_slice(&mut point, &gradient)?;
        path.push(point);
    }
    Ok(path)
}

fn run(arguments: &Arguments) -> Outcome {
    let mut paths = Vec::new();
    for (name, optimizer) in optimizers() {
        paths.push((name, path(&BOOK, optimizer, 30)?));
    }

    println!("f(x, y) = {} from (-7, 2):\n", BOOK.name);
    let mut table = Table::new(&["optimizer", "after 10 updates", "after 20 updates", "after 30 updates"]);
    for (name, path) in &paths {
        let point = |at: usize| format!("({:.3}, {:.3})", path[at][0], path[at][1]);
        table.row([name.to_string(), point(10), point(20), point(30)]);
    }
    println!("{table}");

    let rows = paths
        .iter()
        .flat_map(|(name, path)| path.iter().enumerate().map(move |(step, [x, y])| format!("{name},{step},{x},{y}")));
    arguments.csv("optimizer_paths.csv", "optimizer,step,x,y", rows)?;
    arguments.svg("optimizer_paths.svg", &paths_picture(&paths))?;
    arguments.svg("optimizer_paths_gradient.svg", &gradient_picture())
}

const X: (f64, f64) = (-8.0, 8.0);
const Y: (f64, f64) = (-3.4, 3.4);

fn panel(title: &str) -> Panel {
    Panel::new(title, Axis::new("x").range(X.0, X.1), Axis::new("y").range(Y.0, Y.1))
}

fn level_lines() -> Vec<Mark> {
    let levels = [0.1, 0.4, 1.0, 2.0, 4.0, 7.0];
    let lines = levels.into_iter().flat_map(|level| contour(|(x, y)| (BOOK.value)([x, y]), X, Y, level));
    lines.map(|line| Mark::thin(line, GREY)).collect()
}

fn paths_picture(paths: &[(&str, Vec<[f64; 2]>)]) -> Figure {
    let panels = paths.iter().zip(PALETTE).map(|((name, path), color)| {
        let points = || path.iter().map(|&[x, y]| (x, y));
        panel(name).with(level_lines()).with([
            Mark::line(points(), color),
            Mark::dots(points(), color),
            Mark::Note { at: (0.0, 0.0), text: "+".into() },
        ])
    });
    Figure::grid("30 updates down x²/20 + y²", 2, (460, 270), panels.collect())
}

/// -∇f, at a tenth of its length.
fn gradient_picture() -> Figure {
    let mut arrows = Vec::new();
    for i in -7..=7 {
        for j in -6..=6 {
            let (x, y) = (f64::from(i), f64::from(j) / 2.0);
            let [dx, dy] = (BOOK.gradient)([x, y]).map(|d| -0.1 * d);
            let tip = (x + dx, y + dy);
            let length = dx.hypot(dy);
            if length > 0.0 {
                let (ux, uy) = (dx / length * 0.12, dy / length * 0.12);
                let head = vec![
                    tip,
                    (tip.0 - ux - 0.5 * uy, tip.1 - uy + 0.5 * ux),
                    (tip.0 - ux + 0.5 * uy, tip.1 - uy - 0.5 * ux),
                ];
                arrows.push(Mark::thin([(x, y), tip], BLACK));
                arrows.push(Mark::Area { points: head, color: BLACK });
            }
        }
    }
    let panel = panel("").with(level_lines()).with(arrows).with([Mark::dots([(0.0, 0.0)], PALETTE[1])]);
    Figure::grid("-∇f hardly points at the minimum", 1, (760, 400), vec![panel])
}

fn main() -> ExitCode {
    support::main("optimizer_paths", "The paths of four optimizers down x²/20 + y².", run)
}

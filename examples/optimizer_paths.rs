//! The paths of SGD, Momentum, AdaGrad and Adam down f(x, y) = x²/20 + y², and the gradient that explains them.
//!
//! ```text
//! cargo run --release --example optimizer_paths
//! ```
//!
//! From (-7, 2), 30 updates, as in the book. To expect: SGD zig-zags, because the gradient hardly points at the
//! minimum; Momentum swings in wide curves, AdaGrad goes straight, Adam swings a little. The last points are
//! (-0.350, 0.085), (0.896, 0.088), (-0.120, 2e-17) and (0.136, 0.318). The second picture shows -∇f.
//!
//! With `--all` every rule of the crate goes down the same function, Rosenbrock's valley and Beale's plateau. To expect:
//! each ends near the cross or is on its way there; Lion, with steps of one length, swings around it.

mod support;

use std::process::ExitCode;

use gradus::prelude::*;
use support::contour::contour;
use support::figure::{Axis, BLACK, Color, Figure, GREY, Mark, PALETTE, Panel};
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
    if arguments.has("--all") {
        return run_all(arguments);
    }
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
            Mark::dots([(0.0, 0.0)], BLACK),
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

/// A function for `--all`: what is shown of it, and how long the paths are.
struct Scene {
    file: &'static str,
    problem: Problem,
    minimum: [f64; 2],
    x: (f64, f64),
    y: (f64, f64),
    levels: &'static [f64],
    updates: usize,
}

const SCENES: [Scene; 3] = [
    Scene {
        file: "book",
        problem: BOOK,
        minimum: [0.0, 0.0],
        x: X,
        y: Y,
        levels: &[0.1, 0.4, 1.0, 2.0, 4.0, 7.0],
        updates: 60,
    },
    Scene {
        file: "rosenbrock",
        problem: Problem {
            name: "(1 - x)² + 100 (y - x²)²",
            start: [-1.2, 1.0],
            value: |[x, y]| (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2),
            gradient: |[x, y]| [2.0 * (x - 1.0) - 400.0 * x * (y - x * x), 200.0 * (y - x * x)],
        },
        minimum: [1.0, 1.0],
        x: (-2.0, 2.0),
        y: (-1.0, 3.0),
        levels: &[0.5, 4.0, 20.0, 100.0, 400.0],
        updates: 5000,
    },
    Scene {
        file: "beale",
        problem: Problem {
            name: "(1.5 - x + xy)² + (2.25 - x + xy²)² + (2.625 - x + xy³)²",
            start: [1.0, 1.0],
            value: |p| beale_terms(p).map(|[term, ..]| term * term).iter().sum(),
            gradient: |p| {
                let sum = |place: usize| beale_terms(p).map(|term| 2.0 * term[0] * term[place]).iter().sum();
                [sum(1), sum(2)]
            },
        },
        minimum: [3.0, 0.5],
        x: (-0.5, 4.5),
        y: (-1.5, 1.5),
        levels: &[0.1, 0.5, 2.0, 8.0, 20.0, 60.0],
        updates: 1000,
    },
];

/// Each term of Beale's function, with its slopes along x and y.
fn beale_terms([x, y]: [f64; 2]) -> [[f64; 3]; 3] {
    [(1, 1.5), (2, 2.25), (3, 2.625)]
        .map(|(n, c)| [c - x + x * y.powi(n), y.powi(n) - 1.0, x * f64::from(n) * y.powi(n - 1)])
}

/// A rule and its learning rates in the three scenes.
type Everywhere = (&'static str, [f64; 3], Box<dyn Fn() -> Box<dyn Optimizer<f64>>>);

fn all_optimizers() -> Vec<Everywhere> {
    fn row<O: Optimizer<f64> + Copy + 'static>(name: &'static str, rates: [f64; 3], rule: O) -> Everywhere {
        (name, rates, Box::new(move || Box::new(rule)))
    }
    vec![
        row("SGD", [0.95, 1e-3, 0.01], SGD::default()),
        row("Momentum", [0.1, 2e-4, 0.01], Momentum::default()),
        row("Nesterov", [0.1, 2e-4, 0.01], Nesterov::default()),
        row("AdaGrad", [1.5, 0.5, 0.5], AdaGrad::default()),
        row("RMSProp", [0.1, 0.005, 0.01], RMSProp::default()),
        row("AdaDelta", [200.0, 0.5, 5.0], AdaDelta::default()),
        row("Adam", [0.3, 0.02, 0.05], Adam::default()),
        row("AMSGrad", [0.3, 0.1, 0.05], Adam { amsgrad: true, ..Adam::default() }),
        row("AdamW", [0.3, 0.02, 0.05], AdamW::default()),
        row("AdaMax", [0.5, 0.02, 0.05], AdaMax::default()),
        row("NAdam", [0.3, 0.02, 0.05], NAdam::default()),
        row("RAdam", [1.0, 0.005, 0.05], RAdam::default()),
        row("Lion", [0.2, 0.002, 0.01], Lion::default()),
        row("AdaBelief", [0.3, 0.01, 0.05], AdaBelief::default()),
    ]
}

fn run_all(arguments: &Arguments) -> Outcome {
    let mut rows = Vec::new();
    for (place, scene) in SCENES.iter().enumerate() {
        println!("f(x, y) = {} from {:?}, minimum at {:?}:\n", scene.problem.name, scene.problem.start, scene.minimum);
        let mut table = Table::new(&["optimizer", "learning rate", "end", "f there"]);
        let mut panels = Vec::new();
        for ((name, rates, rule), color) in all_optimizers().iter().zip(PALETTE.iter().cycle()) {
            let mut rule = rule();
            rule.set_learning_rate(rates[place]);
            let path = path(&scene.problem, rule, scene.updates)?;
            let &end = path.last().expect("the start at least");
            let value = (scene.problem.value)(end);
            table.row([
                name.to_string(),
                rates[place].to_string(),
                format!("({:.3}, {:.3})", end[0], end[1]),
                format!("{value:.1e}"),
            ]);
            let named = |(step, [x, y]): (usize, &[f64; 2])| format!("{},{name},{step},{x},{y}", scene.file);
            rows.extend(path.iter().enumerate().map(named));
            panels.push(scene.panel(name, &path, *color));
        }
        println!("{table}");
        let title = format!("{} updates down {}", scene.updates, scene.problem.name);
        arguments
            .svg(&format!("optimizer_paths_all_{}.svg", scene.file), &Figure::grid(title, 4, (300, 220), panels))?;
    }
    arguments.csv("optimizer_paths_all.csv", "function,optimizer,step,x,y", rows)
}

impl Scene {
    fn panel(&self, name: &str, path: &[[f64; 2]], color: Color) -> Panel {
        let value = |(x, y)| (self.problem.value)([x, y]);
        let lines = self.levels.iter().flat_map(|&level| contour(value, self.x, self.y, level));
        let inside = |&&[x, y]: &&[f64; 2]| x >= self.x.0 && x <= self.x.1 && y >= self.y.0 && y <= self.y.1;
        Panel::new(name, Axis::new("x").range(self.x.0, self.x.1), Axis::new("y").range(self.y.0, self.y.1))
            .with(lines.map(|line| Mark::thin(line, GREY)))
            .with([
                Mark::Dots { points: vec![(self.minimum[0], self.minimum[1])], color: BLACK, size: 4 },
                Mark::line(path.iter().take_while(inside).map(|&[x, y]| (x, y)), color),
            ])
    }
}

fn main() -> ExitCode {
    let flags = [("--all", "every rule, down this function, Rosenbrock's and Beale's")];
    support::main_with_flags("optimizer_paths", "The paths of four optimizers down x²/20 + y².", &flags, run)
}

//! Down f(x, y) = x²/20 + y², SGD zig-zags, Momentum swings, AdaGrad goes straight and Adam swings a little.
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
//! each ends near the black dot, the minimum, or is on its way there; Lion, with steps of one length, swings around it.

mod support;

use std::process::ExitCode;

use gradus::prelude::*;
use support::landscape::{self, Landscape, Path};
use support::{Arguments, Outcome};

/// The book's function: flat along x, steep along y.
pub(crate) const BOOK: Landscape = Landscape {
    name: "x²/20 + y²",
    start: [-7.0, 2.0],
    minimum: [0.0, 0.0],
    value: |[x, y]| x * x / 20.0 + y * y,
    gradient: |[x, y]| [x / 10.0, 2.0 * y],
    x: (-8.0, 8.0),
    y: (-3.4, 3.4),
    levels: &[0.1, 0.4, 1.0, 2.0, 4.0, 7.0],
};

type Rule = Box<dyn Optimizer<f64>>;

/// The rules at the book's learning rates for this function.
pub(crate) fn optimizers() -> Vec<(&'static str, Rule)> {
    vec![
        ("SGD", Box::new(SGD { learning_rate: 0.95 })),
        ("Momentum", Box::new(Momentum { learning_rate: 0.1, ..Momentum::default() })),
        ("AdaGrad", Box::new(AdaGrad { learning_rate: 1.5, ..AdaGrad::default() })),
        ("Adam", Box::new(Adam { learning_rate: 0.3, ..Adam::default() })),
    ]
}

/// The starting point and the point after each update.
pub(crate) fn path(land: &Landscape, optimizer: impl Optimizer<f64>, updates: usize) -> Result<Vec<[f64; 2]>, Error> {
    descend(land, Updater::new(optimizer), updates)
}

fn descend<O: Optimizer<f64>>(
    land: &Landscape,
    mut updater: Updater<f64, O>,
    updates: usize,
) -> Result<Vec<[f64; 2]>, Error> {
    let mut point = land.start;
    let mut path = vec![point];
    for _ in 0..updates {
        let gradient = (land.gradient)(point);
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
        let learning_rate = optimizer.learning_rate();
        paths.push(Path { name, learning_rate, points: path(&BOOK, optimizer, 30)? });
    }
    landscape::show(arguments, "optimizer_paths", &BOOK, &paths, 2)?;
    landscape::show_gradient(arguments, "optimizer_paths_gradient.svg", &BOOK)
}

/// For `--all`: the file, the function, and how long the paths are.
const SCENES: [(&str, Landscape, usize); 3] = [
    ("book", BOOK, 60),
    (
        "rosenbrock",
        Landscape {
            name: "(1 - x)² + 100 (y - x²)²",
            start: [-1.2, 1.0],
            minimum: [1.0, 1.0],
            value: |[x, y]| (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2),
            gradient: |[x, y]| [2.0 * (x - 1.0) - 400.0 * x * (y - x * x), 200.0 * (y - x * x)],
            x: (-2.0, 2.0),
            y: (-1.0, 3.0),
            levels: &[0.5, 4.0, 20.0, 100.0, 400.0],
        },
        5000,
    ),
    (
        "beale",
        Landscape {
            name: "(1.5 - x + xy)² + (2.25 - x + xy²)² + (2.625 - x + xy³)²",
            start: [1.0, 1.0],
            minimum: [3.0, 0.5],
            value: |p| beale_terms(p).map(|[term, ..]| term * term).iter().sum(),
            gradient: |p| {
                let sum = |place: usize| beale_terms(p).map(|term| 2.0 * term[0] * term[place]).iter().sum();
                [sum(1), sum(2)]
            },
            x: (-0.5, 4.5),
            y: (-1.5, 1.5),
            levels: &[0.1, 0.5, 2.0, 8.0, 20.0, 60.0],
        },
        1000,
    ),
];

/// Each term of Beale's function, with its slopes along x and y.
fn beale_terms([x, y]: [f64; 2]) -> [[f64; 3]; 3] {
    [(1, 1.5), (2, 2.25), (3, 2.625)]
        .map(|(n, c)| [c - x + x * y.powi(n), y.powi(n) - 1.0, x * f64::from(n) * y.powi(n - 1)])
}

/// Every rule, with its learning rates in the three scenes.
fn all_optimizers() -> Vec<(&'static str, [f64; 3], Rule)> {
    vec![
        ("SGD", [0.95, 1e-3, 0.01], Box::new(SGD::default())),
        ("Momentum", [0.1, 2e-4, 0.01], Box::new(Momentum::default())),
        ("Nesterov", [0.1, 2e-4, 0.01], Box::new(Nesterov::default())),
        ("AdaGrad", [1.5, 0.5, 0.5], Box::new(AdaGrad::default())),
        ("RMSProp", [0.1, 0.005, 0.01], Box::new(RMSProp::default())),
        ("AdaDelta", [200.0, 0.5, 5.0], Box::new(AdaDelta::default())),
        ("Adam", [0.3, 0.02, 0.05], Box::new(Adam::default())),
        ("AMSGrad", [0.3, 0.1, 0.05], Box::new(AMSGrad::default())),
        ("AdamW", [0.3, 0.02, 0.05], Box::new(AdamW::default())),
        ("AdaMax", [0.5, 0.02, 0.05], Box::new(AdaMax::default())),
        ("NAdam", [0.3, 0.02, 0.05], Box::new(NAdam::default())),
        ("RAdam", [1.0, 0.005, 0.05], Box::new(RAdam::default())),
        ("Lion", [0.2, 0.002, 0.01], Box::new(Lion::default())),
        ("AdaBelief", [0.3, 0.01, 0.05], Box::new(AdaBelief::default())),
    ]
}

fn run_all(arguments: &Arguments) -> Outcome {
    for (scene, (file, land, updates)) in SCENES.iter().enumerate() {
        let mut paths = Vec::new();
        for (name, rates, optimizer) in all_optimizers() {
            let updater = Updater::new(optimizer).schedule(rates[scene]);
            paths.push(Path { name, learning_rate: rates[scene], points: descend(land, updater, *updates)? });
        }
        landscape::show(arguments, &format!("optimizer_paths_all_{file}"), land, &paths, 4)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let flags = [("--all", "every rule, down this function, Rosenbrock's and Beale's")];
    support::main_with_flags("The paths of four optimizers down x²/20 + y².", &flags, run)
}

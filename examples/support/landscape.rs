//! Functions of two variables from above: level lines, paths down, gradients.

use std::collections::HashMap;

use super::figure::{Axis, BLACK, Color, Figure, GREY, Mark, PALETTE, Panel};
use super::{Arguments, Outcome, Table};

type Point = (f64, f64);

/// An edge of the grid: its cell, and whether it is the cell's lower edge (or its left one).
type Edge = (usize, usize, bool);

const CELLS: usize = 120;

/// A function of two variables to be made small, and what is shown of it.
pub struct Landscape {
    pub name: &'static str,
    pub start: [f64; 2],
    pub minimum: [f64; 2],
    pub value: fn([f64; 2]) -> f64,
    pub gradient: fn([f64; 2]) -> [f64; 2],
    pub x: (f64, f64),
    pub y: (f64, f64),
    pub levels: &'static [f64],
}

/// The way of one rule: the starting point and the point after each update.
pub struct Path {
    pub name: &'static str,
    pub learning_rate: f64,
    pub points: Vec<[f64; 2]>,
}

/// Prints where the paths end, writes their points and draws them in panels, so many in a row.
pub fn show(arguments: &Arguments, file: &str, land: &Landscape, paths: &[Path], columns: usize) -> Outcome {
    println!("f(x, y) = {} from {:?}, minimum at {:?}:\n", land.name, land.start, land.minimum);
    let mut table = Table::new(["optimizer", "learning rate", "end", "f there"]);
    let (mut rows, mut panels) = (Vec::new(), Vec::new());
    for (Path { name, learning_rate, points }, color) in paths.iter().zip(PALETTE.iter().cycle()) {
        let end = points[points.len() - 1];
        let (point, value) = (format!("({:.3}, {:.3})", end[0], end[1]), (land.value)(end));
        table.row([name.to_string(), learning_rate.to_string(), point, format!("{value:.1e}")]);
        rows.extend(points.iter().enumerate().map(|(step, [x, y])| format!("{name},{step},{x},{y}")));
        panels.push(land.panel(name).with(land.path(points, *color)).with([land.goal()]));
    }
    println!("{table}");
    arguments.csv(&format!("{file}.csv"), "optimizer,step,x,y", rows)?;
    let title = format!("{} updates down {}", paths[0].points.len() - 1, land.name);
    let size = (140 + 640 / columns as u32, 170 + 200 / columns as u32);
    arguments.svg(&format!("{file}.svg"), &Figure::grid(title, columns, size, panels))
}

/// Draws -∇f, at a tenth of its length.
pub fn show_gradient(arguments: &Arguments, file: &str, land: &Landscape) -> Outcome {
    let mut arrows = Vec::new();
    for i in -7..=7 {
        for j in -6..=6 {
            let (x, y) = (f64::from(i), f64::from(j) / 2.0);
            let [dx, dy] = (land.gradient)([x, y]).map(|d| -0.1 * d);
            let (tip, length) = ((x + dx, y + dy), dx.hypot(dy));
            if length > 0.0 {
                let (ux, uy) = (dx / length * 0.12, dy / length * 0.12);
                let side = |turn: f64| (tip.0 - ux - turn * uy, tip.1 - uy + turn * ux);
                arrows.push(Mark::thin([(x, y), tip], BLACK));
                arrows.push(Mark::Area { points: vec![tip, side(0.5), side(-0.5)], color: BLACK });
            }
        }
    }
    let panel = land.panel("").with(arrows).with([land.goal()]);
    arguments.svg(file, &Figure::grid("-∇f hardly points at the minimum", 1, (760, 400), vec![panel]))
}

impl Landscape {
    /// A panel with level lines.
    fn panel(&self, title: &str) -> Panel {
        let lines = self.levels.iter().flat_map(|&level| self.contour(level));
        Panel::new(title, Axis::new("x").range(self.x.0, self.x.1), Axis::new("y").range(self.y.0, self.y.1))
            .with(lines.map(|line| Mark::thin(line, GREY)))
    }

    /// A path until it leaves the picture; a short one with its points.
    fn path(&self, points: &[[f64; 2]], color: Color) -> Vec<Mark> {
        let inside = |&[x, y]: &[f64; 2]| x >= self.x.0 && x <= self.x.1 && y >= self.y.0 && y <= self.y.1;
        let shown: Vec<Point> = points.iter().copied().take_while(inside).map(|[x, y]| (x, y)).collect();
        let dots = (points.len() < 50).then(|| Mark::dots(shown.clone(), color));
        [Mark::line(shown, color)].into_iter().chain(dots).collect()
    }

    fn goal(&self) -> Mark {
        Mark::Dots { points: vec![self.minimum.into()], color: BLACK, size: 4 }
    }

    /// The lines on which the function has the value `level`, by marching squares.
    fn contour(&self, level: f64) -> Vec<Vec<Point>> {
        let (x, y) = (self.x, self.y);
        let at = |range: (f64, f64), i: usize| range.0 + (range.1 - range.0) * i as f64 / CELLS as f64;
        let height = |i: usize, j: usize| (self.value)([at(x, i), at(y, j)]) - level;
        let mut crossings: HashMap<Edge, Point> = HashMap::new();
        for i in 0..=CELLS {
            for j in 0..=CELLS {
                for (lower, (k, l)) in [(true, (i + 1, j)), (false, (i, j + 1))] {
                    let (a, b) = (height(i, j), height(k, l));
                    if k <= CELLS && l <= CELLS && (a < 0.0) != (b < 0.0) {
                        let t = a / (a - b);
                        let between = |p: f64, q: f64| p + t * (q - p);
                        crossings.insert((i, j, lower), (between(at(x, i), at(x, k)), between(at(y, j), at(y, l))));
                    }
                }
            }
        }
        // Every crossing has a neighbour in each of the two cells beside its edge.
        let mut neighbours: HashMap<Edge, Vec<Edge>> = HashMap::new();
        for i in 0..CELLS {
            for j in 0..CELLS {
                let edges = [(i, j, true), (i + 1, j, false), (i, j + 1, true), (i, j, false)];
                let crossed: Vec<Edge> = edges.into_iter().filter(|edge| crossings.contains_key(edge)).collect();
                for pair in crossed.chunks_exact(2) {
                    neighbours.entry(pair[0]).or_default().push(pair[1]);
                    neighbours.entry(pair[1]).or_default().push(pair[0]);
                }
            }
        }
        // Open lines from their ends first, then the closed ones.
        let mut starts: Vec<Edge> = neighbours.keys().copied().collect();
        starts.sort_by_key(|edge| (neighbours[edge].len(), *edge));
        let mut lines = Vec::new();
        for start in starts {
            let (mut line, mut here) = (Vec::new(), Some(start));
            while let Some(edge) = here {
                line.push(crossings[&edge]);
                here = neighbours.get_mut(&edge).and_then(Vec::pop);
                if let Some(next) = here {
                    neighbours.entry(next).or_default().retain(|other| *other != edge);
                }
            }
            if line.len() > 1 {
                lines.push(line);
            }
        }
        lines
    }
}

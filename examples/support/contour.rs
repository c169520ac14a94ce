//! Level lines of a function of two variables, by marching squares.

use std::collections::HashMap;

type Point = (f64, f64);

/// An edge of the grid: its cell, and whether it is the cell's lower edge (or its left one).
type Edge = (usize, usize, bool);

const CELLS: usize = 120;

/// The lines on which `f` has the value `level`, within these ranges of x and y.
pub fn contour(f: impl Fn(Point) -> f64, x: (f64, f64), y: (f64, f64), level: f64) -> Vec<Vec<Point>> {
    let at = |range: (f64, f64), i: usize| range.0 + (range.1 - range.0) * i as f64 / CELLS as f64;
    let height = |i: usize, j: usize| f((at(x, i), at(y, j))) - level;
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

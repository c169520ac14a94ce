//! Curves: a CSV file of all their points, and a picture.

use std::fmt::Display;

use super::figure::{Axis, Color, Figure, Mark, PALETTE, Panel};
use super::{Arguments, Outcome, smooth};

type Point = (f64, f64);

/// A curve; those of one name have one colour.
#[derive(Debug, Clone)]
pub struct Curve {
    name: String,
    points: Vec<Point>,
    /// Of the line, in pixels; 0 for none.
    width: u32,
    dots: bool,
}

impl Curve {
    pub fn line(name: impl Display, points: impl IntoIterator<Item = Point>) -> Self {
        Self { name: name.to_string(), points: points.into_iter().collect(), width: 2, dots: false }
    }

    /// Points alone.
    pub fn dots(name: impl Display, points: impl IntoIterator<Item = Point>) -> Self {
        Self { width: 0, dots: true, ..Self::line(name, points) }
    }

    /// A line with a dot at each of its points.
    pub fn dotted(name: impl Display, points: impl IntoIterator<Item = Point>) -> Self {
        Self { dots: true, ..Self::line(name, points) }
    }

    /// A wide line, which shows under another.
    pub fn wide(name: impl Display, points: impl IntoIterator<Item = Point>) -> Self {
        Self { width: 5, ..Self::line(name, points) }
    }

    fn marks(&self, color: Color, window: usize, last: f64) -> Vec<Mark> {
        let points = match window {
            1 => self.points.clone(),
            _ => smooth(&self.points.iter().map(|point| point.1).collect::<Vec<_>>(), window),
        };
        let points: Vec<Point> = points.into_iter().filter(|point| point.0 <= last).collect();
        let line = (self.width > 0).then(|| Mark::Line { points: points.clone(), color, width: self.width });
        let dots = self.dots.then(|| Mark::dots(points, color));
        line.into_iter().chain(dots).collect()
    }
}

/// Panels of curves with the same axes.
#[derive(Debug, Clone)]
pub struct Curves {
    title: String,
    x: Axis,
    y: Axis,
    panels: Vec<(String, Vec<Curve>)>,
    columns: usize,
    size: (u32, u32),
    window: usize,
    zoom: Option<f64>,
}

impl Curves {
    /// One large panel, unless [`grid`](Self::grid) says otherwise.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        let (panels, size) = (Vec::new(), (720, 440));
        Self { title: title.into(), x, y, panels, columns: 1, size, window: 1, zoom: None }
    }

    /// Panels in rows of `columns`, each of this size in pixels.
    pub fn grid(self, columns: usize, size: (u32, u32)) -> Self {
        Self { columns, size, ..self }
    }

    /// The picture (not the CSV) has means over so many points.
    pub fn smooth(self, window: usize) -> Self {
        Self { window: window.max(1), ..self }
    }

    /// The picture has every panel twice: up to this x, and then in full.
    pub fn zoom(self, last: f64) -> Self {
        Self { zoom: Some(last), ..self }
    }

    pub fn panel(mut self, title: impl Into<String>, curves: impl IntoIterator<Item = Curve>) -> Self {
        self.panels.push((title.into(), curves.into_iter().collect()));
        self
    }

    /// Many of them: titles and curves.
    pub fn panels<C: IntoIterator<Item = Curve>>(self, panels: impl IntoIterator<Item = (String, C)>) -> Self {
        panels.into_iter().fold(self, |curves, (title, panel)| curves.panel(title, panel))
    }

    /// Writes `name.csv` and `name.svg`.
    pub fn show(&self, arguments: &Arguments, name: &str) -> Outcome {
        let label = |axis: &Axis, other: &str| if axis.label.is_empty() { other.into() } else { axis.label.clone() };
        let (x, y) = (label(&self.x, "x"), label(&self.y, "y"));
        // One panel without a title needs no column.
        let cell = |panel: &str| if panel.is_empty() { String::new() } else { format!("{panel},") };
        let first = if self.panels.iter().all(|(title, _)| title.is_empty()) { "" } else { "panel" };
        let rows = self.panels.iter().flat_map(|(panel, curves)| {
            let points = curves.iter().flat_map(|curve| curve.points.iter().map(|point| (&curve.name, point)));
            points.map(move |(curve, (x, y))| format!("{}{curve},{x},{y}", cell(panel)))
        });
        arguments.csv(&format!("{name}.csv"), &format!("{}curve,{x},{y}", cell(first)), rows)?;
        arguments.svg(&format!("{name}.svg"), &self.figure())
    }

    fn figure(&self) -> Figure {
        let mut names: Vec<&str> = Vec::new();
        for curve in self.panels.iter().flat_map(|(_, curves)| curves) {
            if !names.contains(&curve.name.as_str()) {
                names.push(&curve.name);
            }
        }
        let color = |name: &str| PALETTE[names.iter().position(|own| *own == name).unwrap_or(0) % PALETTE.len()];
        let mut y = self.y.clone();
        if self.window > 1 {
            y.label = format!("{} (mean over {} {}s)", y.label, self.window, self.x.label);
        }
        let panels = self.zoom.into_iter().chain([f64::INFINITY]).flat_map(|last| {
            let (y, color) = (&y, &color);
            self.panels.iter().map(move |(title, curves)| {
                let marks = curves.iter().flat_map(|curve| curve.marks(color(&curve.name), self.window, last));
                Panel::new(title, self.x.clone(), y.clone()).with(marks)
            })
        });
        Figure::grid(&self.title, self.columns, self.size, panels.collect())
            .legend(names.iter().map(|name| (*name, color(name))))
    }
}

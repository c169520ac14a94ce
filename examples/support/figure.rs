//! Pictures: a grid of panels with a title and a legend, as SVG.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use plotters::style::Color as _;
pub use plotters::style::RGBColor as Color;

/// Okabe & Ito's palette, told apart by colour-blind readers too.
pub const BLUE: Color = Color(0, 114, 178);
pub const VERMILLION: Color = Color(213, 94, 0);
pub const GREEN: Color = Color(0, 158, 115);
pub const ORANGE: Color = Color(230, 159, 0);
pub const PURPLE: Color = Color(204, 121, 167);
pub const SKY: Color = Color(86, 180, 233);
pub const BLACK: Color = Color(0, 0, 0);
pub const GREY: Color = Color(150, 150, 150);

/// The colours of curves, in the order of their use.
pub const PALETTE: [Color; 7] = [BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK];

/// A colour for a share, from dark blue (0) over green to yellow (1): lighter is more, in grey too.
pub fn scale(share: f64) -> Color {
    let stops = [(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)];
    let place = share.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
    let below = (place as usize).min(stops.len() - 2);
    let t = place - below as f64;
    let mix = |a: u8, b: u8| (f64::from(a) + t * (f64::from(b) - f64::from(a))).round() as u8;
    let (a, b) = (stops[below], stops[below + 1]);
    Color(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

const FONT: &str = "sans-serif";
const TITLE: i32 = 20;
const TEXT: i32 = 14;
/// Width of a letter at the size of the text, about: there is no font to measure with.
const LETTER: f64 = 7.6;

type Point = (f64, f64);

/// Something drawn in a panel.
#[derive(Debug, Clone)]
pub enum Mark {
    Line {
        points: Vec<Point>,
        color: Color,
        width: u32,
    },
    Dots {
        points: Vec<Point>,
        color: Color,
        size: u32,
    },
    /// A filled shape.
    Area {
        points: Vec<Point>,
        color: Color,
    },
    /// Small text, its left end at the point.
    Note {
        at: Point,
        text: String,
    },
}

impl Mark {
    pub fn line(points: impl IntoIterator<Item = Point>, color: Color) -> Self {
        Self::Line { points: points.into_iter().collect(), color, width: 2 }
    }

    pub fn thin(points: impl IntoIterator<Item = Point>, color: Color) -> Self {
        Self::Line { points: points.into_iter().collect(), color, width: 1 }
    }

    pub fn dots(points: impl IntoIterator<Item = Point>, color: Color) -> Self {
        Self::Dots { points: points.into_iter().collect(), color, size: 3 }
    }

    fn points(&self) -> &[Point] {
        match self {
            Self::Line { points, .. } | Self::Dots { points, .. } | Self::Area { points, .. } => points,
            Self::Note { at, .. } => std::slice::from_ref(at),
        }
    }
}

/// One axis: its label (with the unit), and its range, which fits the marks where it is not set.
#[derive(Debug, Clone, Default)]
pub struct Axis {
    pub label: String,
    range: Option<(f64, f64)>,
    log: bool,
    bare: bool,
}

impl Axis {
    pub fn new(label: &str) -> Self {
        Self { label: label.to_string(), ..Self::default() }
    }

    pub fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    /// Powers of ten at even distances.
    pub fn log(mut self) -> Self {
        self.log = true;
        self
    }

    /// Without numbers.
    pub fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Room for the numbers and the label.
    fn room(&self, numbers: u32) -> u32 {
        let label = if self.label.is_empty() { 0 } else { 20 };
        label + if self.bare { 4 } else { numbers }
    }

    /// Where a value stands on the axis.
    fn place(&self, value: f64) -> f64 {
        if self.log { value.max(f64::MIN_POSITIVE).log10() } else { value }
    }

    /// The ends of the axis, as places.
    fn ends(&self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        if let Some((low, high)) = self.range {
            return (self.place(low), self.place(high));
        }
        let places = values.filter(|value| value.is_finite()).map(|value| self.place(value));
        let (low, high) = places.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
        let room = if high > low { 0.03 * (high - low) } else { 0.5 };
        if low.is_finite() { (low - room, high + room) } else { (0.0, 1.0) }
    }

    /// Places of the tick marks: powers of ten, or multiples of 1, 2 or 5 times a power of ten.
    fn ticks(&self, (low, high): (f64, f64), most: usize) -> Vec<f64> {
        if self.bare {
            return Vec::new();
        }
        if self.log && high - low < 2.5 {
            let decades = low.floor() as i32..=high.ceil() as i32;
            let ticks = decades.flat_map(|k| [1.0, 2.0, 5.0].map(|m: f64| m.log10() + f64::from(k)));
            return ticks.filter(|tick| (low..=high).contains(tick)).collect();
        }
        let least = (high - low) / most as f64;
        let power = 10_f64.powf(least.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].iter().map(|m| m * power).find(|step| *step >= least).unwrap_or(power);
        let step = if self.log { step.max(1.0) } else { step };
        let slack = 1e-9 * step;
        let first = ((low - slack) / step).ceil() as i64;
        let last = ((high + slack) / step).floor() as i64;
        (first..=last).map(|k| (k as f64 * step).clamp(low, high)).collect()
    }

    fn text(&self, place: f64) -> String {
        if self.log && !(-3.5..4.5).contains(&place) {
            return format!("1e{}", place.round());
        }
        let value = if self.log { 10_f64.powf(place) } else { place };
        let text = format!("{value:.6}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        if text == "-0" { "0".into() } else { text.to_string() }
    }
}

/// An axis as plotters wants it: its ends and its tick marks.
struct Ticks {
    ends: (f64, f64),
    marks: Vec<f64>,
}

impl Ranged for Ticks {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.ends.0) / (self.ends.1 - self.ends.0);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.ends.0..self.ends.1
    }
}

/// A coordinate system with what is drawn in it.
#[derive(Debug, Clone, Default)]
pub struct Panel {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub marks: Vec<Mark>,
}

impl Panel {
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self { title: title.into(), x, y, marks: Vec::new() }
    }

    pub fn with(mut self, marks: impl IntoIterator<Item = Mark>) -> Self {
        self.marks.extend(marks);
        self
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, plotters::coord::Shift>) -> Result<(), Box<dyn Error>>
    where
        DB::ErrorType: 'static,
    {
        let values = |which: fn(&Point) -> f64| self.marks.iter().flat_map(Mark::points).map(which);
        let (x, y) = (self.x.ends(values(|p| p.0)), self.y.ends(values(|p| p.1)));
        let (width, height) = area.dim_in_pixel();
        let x = Ticks { marks: self.x.ticks(x, (width / 75).max(3) as usize), ends: x };
        let y = Ticks { marks: self.y.ticks(y, (height / 45).max(2) as usize), ends: y };
        // The title above the margin, so that the uppermost number of the axis does not reach into it.
        let titled = match self.title.as_str() {
            "" => area.clone(),
            title => area.titled(title, (FONT, TEXT + 1).into_font())?,
        };
        let mut builder = ChartBuilder::on(&titled);
        builder.margin(6).margin_right(16);
        builder.x_label_area_size(self.x.room(26)).y_label_area_size(self.y.room(38));
        let mut chart = builder.build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(Color(225, 225, 225))
            .axis_style(Color(90, 90, 90))
            .label_style((FONT, TEXT - 1))
            .axis_desc_style((FONT, TEXT))
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .x_label_formatter(&|place| self.x.text(*place))
            .y_label_formatter(&|place| self.y.text(*place))
            .draw()?;
        let place = |point: &Point| (self.x.place(point.0), self.y.place(point.1));
        let finite = |point: &&Point| point.0.is_finite() && point.1.is_finite();
        for mark in &self.marks {
            let points: Vec<Point> = mark.points().iter().filter(finite).map(place).collect();
            match mark {
                Mark::Line { color, width, .. } => {
                    chart.draw_series([PathElement::new(points, color.stroke_width(*width))])?;
                }
                Mark::Dots { color, size, .. } => {
                    chart.draw_series(points.into_iter().map(|point| Circle::new(point, *size, color.filled())))?;
                }
                Mark::Area { color, .. } => {
                    chart.draw_series([Polygon::new(points, color.filled())])?;
                }
                Mark::Note { text, .. } => {
                    let style = (FONT, TEXT - 1).into_font().into_text_style(area);
                    chart.draw_series(points.into_iter().map(|point| Text::new(text.clone(), point, style.clone())))?;
                }
            }
        }
        Ok(())
    }
}

/// A picture.
#[derive(Debug, Clone)]
pub struct Figure {
    title: String,
    panels: Vec<Panel>,
    columns: usize,
    panel: (u32, u32),
    legend: Vec<(String, Color)>,
}

impl Figure {
    /// Panels in rows of `columns`, each of this size in pixels.
    pub fn grid(title: impl Into<String>, columns: usize, panel: (u32, u32), panels: Vec<Panel>) -> Self {
        Self { title: title.into(), panels, columns, panel, legend: Vec::new() }
    }

    /// One large panel.
    pub fn single(title: impl Into<String>, panel: Panel) -> Self {
        Self::grid(title, 1, (720, 440), vec![panel])
    }

    /// Says which colour stands for what.
    pub fn legend<S: Into<String>>(mut self, entries: impl IntoIterator<Item = (S, Color)>) -> Self {
        self.legend.extend(entries.into_iter().map(|(name, color)| (name.into(), color)));
        self
    }

    /// Writes the picture.
    pub fn draw(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let rows = self.panels.len().div_ceil(self.columns);
        let width = self.panel.0 * self.columns as u32;
        let lines = self.legend_lines(f64::from(width));
        let head = 40 + 22 * lines.len() as u32;
        let root = SVGBackend::new(path, (width, head + self.panel.1 * rows as u32)).into_drawing_area();
        root.fill(&WHITE)?;
        let (header, body) = root.split_vertically(head);
        let middle = (FONT, TITLE).into_font().into_text_style(&header).pos(Pos::new(HPos::Center, VPos::Center));
        header.draw(&Text::new(self.title.clone(), (width as i32 / 2, 22), middle))?;
        for (number, line) in lines.iter().enumerate() {
            self.draw_legend_line(&header, line, 48 + 22 * number as i32, width)?;
        }
        for (panel, area) in self.panels.iter().zip(body.split_evenly((rows, self.columns))) {
            panel.draw(&area)?;
        }
        root.present()?;
        Ok(())
    }

    /// The entries of the legend in lines that are not too wide.
    fn legend_lines(&self, width: f64) -> Vec<&[(String, Color)]> {
        let (mut lines, mut rest) = (Vec::new(), &self.legend[..]);
        while !rest.is_empty() {
            let fits = (1..=rest.len()).rev().find(|&n| extent(&rest[..n]) < width - 20.0).unwrap_or(1);
            let (line, others) = rest.split_at(fits);
            lines.push(line);
            rest = others;
        }
        lines
    }

    fn draw_legend_line<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, plotters::coord::Shift>,
        line: &[(String, Color)],
        y: i32,
        width: u32,
    ) -> Result<(), Box<dyn Error>>
    where
        DB::ErrorType: 'static,
    {
        let mut x = ((f64::from(width) - extent(line)) / 2.0) as i32;
        let style = (FONT, TEXT).into_font().into_text_style(area).pos(Pos::new(HPos::Left, VPos::Center));
        for (name, color) in line {
            area.draw(&PathElement::new(vec![(x, y), (x + 24, y)], color.stroke_width(4)))?;
            area.draw(&Text::new(name.clone(), (x + 30, y), style.clone()))?;
            x += extent(&[(name.clone(), *color)]) as i32;
        }
        Ok(())
    }
}

/// How wide a line of the legend is, about.
fn extent(entries: &[(String, Color)]) -> f64 {
    entries.iter().map(|(name, _)| 30.0 + LETTER * name.chars().count() as f64 + 18.0).sum()
}

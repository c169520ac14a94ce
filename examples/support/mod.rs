//! What the examples share, so that each file is its experiment alone: arguments, data, tables, CSV, pictures.
//!
//! No part of the library: nothing here is needed to use it.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "each example uses a part of it")]

mod arguments;
mod curves;
pub mod figure;
pub mod gradients;
pub mod histograms;
pub mod landscape;
pub mod overfit;
pub mod race;
mod table;
pub mod trials;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use gradus::rand::{Rng, RngExt};

pub use arguments::{Arguments, Data, Outcome, main, main_with_flags};
pub use curves::{Curve, Curves};
pub use figure::Axis;
pub use table::Table;

/// `count` row numbers out of `rows`, with replacement: how the book draws its batches.
pub fn draw(rows: usize, count: usize, rng: &mut impl Rng) -> Vec<usize> {
    (0..count).map(|_| rng.random_range(0..rows)).collect()
}

/// The mean of each window of `window` values, at the window's middle: a smooth curve of few points.
pub fn smooth(values: &[f64], window: usize) -> Vec<(f64, f64)> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let window = window.clamp(1, values.len().max(1));
    (0..)
        .step_by((window / 2).max(1))
        .take_while(|start| start + window <= values.len())
        .map(|start| ((start as f64) + (window as f64 + 1.0) / 2.0, mean(&values[start..start + window])))
        .collect()
}

/// The mean of some values.
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count)
}

/// Values with their numbers, from `first`: points of a curve.
pub fn numbered<'a>(first: usize, values: impl IntoIterator<Item = &'a f64>) -> Vec<(f64, f64)> {
    values.into_iter().zip(first..).map(|(&value, number)| (number as f64, value)).collect()
}

/// `97.2 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A line on standard error that says how far a long run is; nothing where that is no terminal.
pub struct Progress {
    what: String,
    total: usize,
    shown: Option<usize>,
}

impl Progress {
    pub fn new(what: impl Display, total: usize) -> Self {
        Self { what: what.to_string(), total, shown: None }
    }

    /// `done` of the total are done.
    pub fn set(&mut self, done: usize) {
        let percent = 100 * done / self.total.max(1);
        if self.shown != Some(percent) && io::stderr().is_terminal() {
            self.shown = Some(percent);
            eprint!("\r{}: {percent:>3} %", self.what);
            let _ = io::stderr().flush();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            eprint!("\r{:width$}\r", "", width = self.what.len() + 8);
        }
    }
}

//! What the examples share, so that each file is its experiment alone: arguments, data, tables, CSV, pictures.
//!
//! No part of the library: nothing here is needed to use it.

#![allow(dead_code, unreachable_pub, reason = "each example uses a part of it")]

pub mod contour;
pub mod figure;
pub mod overfit;
pub mod race;
pub mod table;

use std::fmt::Display;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gradus::rand::{Rng, RngExt};
use gradus::{Dataset, Digits};

/// What ends an example early.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The arguments that every example takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Arguments {
    /// The folder of MNIST; the embedded digits without.
    pub data: Option<PathBuf>,
    /// The seed of everything random.
    pub seed: u64,
    /// Where the CSV and the picture go.
    pub out: PathBuf,
    /// A shortened run: seconds, to see that it works.
    pub quick: bool,
    /// Arguments that only this example knows, those that were given.
    pub flags: Vec<String>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { data: None, seed: 0, out: PathBuf::from("target/gradus"), quick: false, flags: Vec::new() }
    }
}

const OPTIONS: &str = "  --data DIR   the folder with the four files of MNIST (default: the digits inside the crate)
  --seed N     the seed of everything random (default 0)
  --out DIR    where the CSV file and the picture go (default target/gradus)
  --quick      a shortened run of a few seconds
  --help       this text";

/// The body of every `main`: reads the arguments, runs, reports an error in words.
///
/// The exit code is 0, 1 if the run failed, 2 if the arguments were wrong.
pub fn main(name: &str, about: &str, run: impl FnOnce(&Arguments) -> Outcome) -> ExitCode {
    main_with_flags(name, about, &[], run)
}

/// The same for an example with flags of its own, `(flag, what it does)`.
pub fn main_with_flags(
    name: &str,
    about: &str,
    flags: &[(&str, &str)],
    run: impl FnOnce(&Arguments) -> Outcome,
) -> ExitCode {
    let known: Vec<&str> = flags.iter().map(|(flag, _)| *flag).collect();
    let arguments = match parse(std::env::args().skip(1), &known) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{about}\n\ncargo run --release --example {name} -- [OPTIONS]\n\n{OPTIONS}");
            flags.iter().for_each(|(flag, does)| println!("  {flag:<12} {does}"));
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("error: {problem}\n\ncargo run --release --example {name} -- [OPTIONS]\n\n{OPTIONS}");
            flags.iter().for_each(|(flag, does)| eprintln!("  {flag:<12} {does}"));
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The arguments, `None` where help is asked for, or what is wrong with them.
fn parse(given: impl Iterator<Item = String>, known: &[&str]) -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments::default();
    let mut given = given;
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--data" => arguments.data = Some(PathBuf::from(value()?)),
            "--out" => arguments.out = PathBuf::from(value()?),
            "--seed" => {
                let value = value()?;
                arguments.seed =
                    value.parse().map_err(|_| format!("--seed: expected a whole number, found {value:?}"))?;
            }
            "--quick" => arguments.quick = true,
            "--help" | "-h" => return Ok(None),
            flag if known.contains(&flag) => arguments.flags.push(argument),
            _ => return Err(format!("unknown argument {argument:?}")),
        }
    }
    Ok(Some(arguments))
}

impl Arguments {
    /// Whether a flag of the example's own was given.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|given| given == flag)
    }

    /// `full`, or with `--quick` no more than `quick`.
    pub fn steps(&self, full: usize, quick: usize) -> usize {
        if self.quick { full.min(quick) } else { full }
    }

    /// The data of the run, and a line about them.
    pub fn load(&self) -> Outcome<Data> {
        let data = match &self.data {
            Some(dir) => Data::mnist(dir)?,
            None => Data::digits()?,
        };
        println!("{}; seed {}", data.about, self.seed);
        Ok(data)
    }

    /// A file of the output folder, which is made if need be.
    pub fn file(&self, name: &str) -> Outcome<PathBuf> {
        fs::create_dir_all(&self.out).map_err(|error| format!("cannot make {}: {error}", self.out.display()))?;
        Ok(self.out.join(name))
    }

    /// Writes a CSV file: the header, then a line a row.
    pub fn csv(&self, name: &str, header: &str, rows: impl IntoIterator<Item = String>) -> Outcome {
        let path = self.file(name)?;
        let mut text = format!("{header}\n");
        rows.into_iter().for_each(|row| {
            text.push_str(&row);
            text.push('\n');
        });
        fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        println!("wrote {}", path.display());
        Ok(())
    }

    /// Draws a picture into the output folder.
    pub fn svg(&self, name: &str, figure: &figure::Figure) -> Outcome {
        let path = self.file(name)?;
        figure.draw(&path).map_err(|error| format!("cannot draw {}: {error}", path.display()))?;
        println!("wrote {}", path.display());
        Ok(())
    }
}

/// What an experiment learns from, and what it is judged on.
#[derive(Debug, Clone)]
pub struct Data {
    pub train: Dataset,
    pub test: Dataset,
    pub about: String,
}

impl Data {
    /// The embedded digits in an order that is always the same, 30 % held back.
    pub fn digits() -> Outcome<Self> {
        let (train, test) = Digits::load()?.shuffle(&mut gradus::rng(0)).split(0.3)?;
        Ok(Self::new("embedded digits", train, test))
    }

    /// MNIST as its files have it.
    pub fn mnist(dir: &Path) -> Outcome<Self> {
        let (train, test) = gradus::mnist(dir)?;
        Ok(Self::new("MNIST", train, test))
    }

    fn new(name: &str, train: Dataset, test: Dataset) -> Self {
        let about =
            format!("{name}: {} rows of {} to learn from, {} held back", train.len(), train.width(), test.len());
        Self { train, test, about }
    }
}

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

//! The arguments that every example takes: where its data come from and where its files go.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use gradus::prelude::*;

use super::figure::Figure;

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
pub fn main(about: &str, run: impl FnOnce(&Arguments) -> Outcome) -> ExitCode {
    main_with_flags(about, &[], run)
}

/// The same for an example with flags of its own, `(flag, what it does)`.
pub fn main_with_flags(about: &str, flags: &[(&str, &str)], run: impl FnOnce(&Arguments) -> Outcome) -> ExitCode {
    let flag_lines: String = flags.iter().map(|(flag, does)| format!("\n  {flag:<12} {does}")).collect();
    let name = env!("CARGO_CRATE_NAME");
    let usage = format!("cargo run --release --example {name} -- [OPTIONS]\n\n{OPTIONS}{flag_lines}");
    let known: Vec<&str> = flags.iter().map(|(flag, _)| *flag).collect();
    let (code, problem) = match parse(std::env::args().skip(1), &known) {
        Ok(None) => {
            println!("{about}\n\n{usage}");
            return ExitCode::SUCCESS;
        }
        Ok(Some(arguments)) => (1, run(&arguments).err().map(|error| error.to_string())),
        Err(problem) => (2, Some(format!("{problem}\n\n{usage}"))),
    };
    problem.map_or(ExitCode::SUCCESS, |problem| {
        eprintln!("error: {problem}");
        ExitCode::from(code)
    })
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

    /// The data of the run, and a line about them: MNIST as its files have it, or the embedded digits in an order that
    /// is always the same, 30 % held back.
    pub fn load<F: Scalar>(&self) -> Outcome<Data<F>> {
        let (name, (train, test)) = match &self.data {
            Some(dir) => ("MNIST", mnist(dir)?),
            None => ("embedded digits", Digits::load()?.shuffle(&mut rng(0)).split(0.3)?),
        };
        let (rows, width, held_back) = (train.len(), train.width(), test.len());
        let about = format!("{name}: {rows} rows of {width} to learn from, {held_back} held back");
        println!("{about}; seed {}", self.seed);
        Ok(Data { train, test, about })
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
    pub fn svg(&self, name: &str, figure: &Figure) -> Outcome {
        let path = self.file(name)?;
        figure.draw(&path).map_err(|error| format!("cannot draw {}: {error}", path.display()))?;
        println!("wrote {}", path.display());
        Ok(())
    }
}

/// What an experiment learns from, and what it is judged on.
#[derive(Debug, Clone)]
pub struct Data<F = f32> {
    pub train: Dataset<F>,
    pub test: Dataset<F>,
    pub about: String,
}

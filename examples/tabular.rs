//! A table of numbers, words and gaps: a penguin's species from its measures, learned, saved, and asked in another process.
//!
//! ```text
//! cargo run --release --example tabular -- [--seed N --out DIR --quick --predict]
//! ```
//!
//! The 344 Palmer penguins of `examples/data`. A number that is missing becomes the mean of the training rows, a word a
//! column of its own for each value, `NA` among them. A fifth of each species is held back to judge by, a fifth of the rest
//! to stop by: where the validation loss has not fallen for 30 epochs, training ends, and the best network is kept. To
//! expect: all 69 penguins that were held back are known (with the seeds 1 to 3, all but one at most), and a second process,
//! which has nothing but the file of the model, gives the same answers.

mod support;

use std::error::Error;
use std::process::{Command, ExitCode};

use gradus::data::matrix;
use gradus::metric::{self, Average, ConfusionMatrix};
use gradus::ndarray::Array2;
use gradus::prelude::*;
use serde::{Deserialize, Serialize};
use support::{Arguments, Outcome, percent};

/// A line of the file.
#[derive(Debug, Deserialize)]
struct Penguin {
    species: String,
    island: String,
    sex: String,
    // Whatever is no number, as `NA`, is none.
    #[serde(deserialize_with = "csv::invalid_option")]
    bill_length_mm: Option<f32>,
    #[serde(deserialize_with = "csv::invalid_option")]
    bill_depth_mm: Option<f32>,
    #[serde(deserialize_with = "csv::invalid_option")]
    flipper_length_mm: Option<f32>,
    #[serde(deserialize_with = "csv::invalid_option")]
    body_mass_g: Option<f32>,
}

impl Penguin {
    fn numbers(&self) -> [Option<f32>; 4] {
        [self.bill_length_mm, self.bill_depth_mm, self.flipper_length_mm, self.body_mass_g]
    }
}

/// What makes a row of a penguin. It is saved with the network.
#[derive(Debug, Serialize, Deserialize)]
struct Columns {
    /// In place of numbers that are missing.
    means: [f32; 4],
    islands: Categories,
    sexes: Categories,
}

impl Columns {
    fn of(penguins: &[&Penguin]) -> Result<Self, gradus::Error> {
        let mean = |column: usize| {
            let there: Vec<f32> = penguins.iter().filter_map(|penguin| penguin.numbers()[column]).collect();
            there.iter().sum::<f32>() / there.len() as f32
        };
        Ok(Self {
            means: std::array::from_fn(mean),
            islands: Categories::of(penguins.iter().map(|penguin| &penguin.island))?,
            sexes: Categories::of(penguins.iter().map(|penguin| &penguin.sex))?,
        })
    }

    fn rows(&self, penguins: &[&Penguin]) -> Result<Array2<f32>, gradus::Error> {
        let row = |penguin: &&Penguin| {
            let numbers = penguin.numbers().into_iter().zip(self.means).map(|(number, mean)| number.unwrap_or(mean));
            let words = [self.islands.one_hot(&penguin.island)?, self.sexes.one_hot(&penguin.sex)?];
            Ok(numbers.chain(words.concat()).collect::<Vec<_>>())
        };
        matrix(&penguins.iter().map(row).collect::<Result<Vec<_>, _>>()?)
    }
}

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/penguins.csv");

fn penguins() -> Result<Vec<Penguin>, csv::Error> {
    csv::Reader::from_path(FILE)?.deserialize().collect()
}

/// Trains until the validation loss has not fallen for thirty epochs, and leaves the best network.
fn fit(
    net: &mut Sequential,
    train: &Dataset,
    validation: &Dataset,
    seed: u64,
    epochs: usize,
) -> Result<(), gradus::Error> {
    let history = Trainer::new(SoftmaxCrossEntropy, Adam { learning_rate: 0.01, ..Adam::default() })
        .batch_size(20)
        .epochs(epochs)
        .weight_decay(WeightDecay::L2(1e-3))
        .seed(seed)
        .validate(validation)
        .early_stopping(Monitor::Loss, 30)
        .fit(net, train)?;
    let least = history.epochs.iter().filter_map(|epoch| epoch.validation_loss).fold(f64::INFINITY, f64::min);
    println!("stopped after {} epochs; the least validation loss is {least:.4}", history.epochs.len());
    Ok(())
}

/// The trained model, and how it took the penguins that were held back.
pub fn learn(seed: u64, epochs: usize) -> Result<(Model, ConfusionMatrix), Box<dyn Error>> {
    let penguins = penguins()?;
    let species = Categories::of(penguins.iter().map(|penguin| &penguin.species))?;
    let labels = penguins.iter().map(|penguin| species.label(&penguin.species)).collect::<Result<Vec<_>, _>>()?;

    // The parts, as the numbers of their lines: what fills gaps may know the training rows alone.
    let mut rng = gradus::rng(seed);
    let numbers = Array2::from_shape_fn((penguins.len(), 1), |(line, _)| line as f32);
    let all = Dataset::classification(numbers, labels, species.len())?;
    let (rest, test) = all.stratified_split(0.2, &mut rng)?;
    let (train, validation) = rest.stratified_split(0.2, &mut rng)?;
    let lines = |part: &Dataset| part.rows().iter().map(|&line| &penguins[line as usize]).collect::<Vec<_>>();
    let columns = Columns::of(&lines(&train))?;
    let part = |part: &Dataset| Dataset::new(columns.rows(&lines(part))?, part.targets().clone());
    let (train, validation, test) = (part(&train)?, part(&validation)?, part(&test)?);
    println!("{} penguins to learn from, {} to stop by, {} held back", train.len(), validation.len(), test.len());

    let scale = Normalizer::of(&train);
    let (train, validation) = (train.normalize(&scale)?, validation.normalize(&scale)?);
    let mut net = Sequential::mlp(train.width(), &[16], train.classes()).build(&mut rng)?;
    fit(&mut net, &train, &validation, seed, epochs)?;

    let columns = serde_json::to_string(&columns)?;
    let model = Model::new(net).scale_inputs(scale)?.name_classes(species.names())?.note("columns", columns);
    let matrix = model.measure(ConfusionMatrix::of, &test)?.named(model.class_names())?;
    println!("\nrows are what was right, columns what was answered\n{matrix}\n");
    println!("accuracy {}, F1 {:.3}", percent(matrix.accuracy()), matrix.f1(Average::Macro));
    println!("area under the ROC curve {:.4}", model.measure(metric::roc_auc, &test)?);
    Ok((model, matrix))
}

/// The species of every penguin of the file, by a model and nothing else.
pub fn answers(model: &Model) -> Result<String, Box<dyn Error>> {
    let columns: Columns = serde_json::from_str(&model.notes()["columns"])?;
    let penguins = penguins()?;
    let classes = model.classify(&columns.rows(&penguins.iter().collect::<Vec<_>>())?)?;
    let names: Vec<&str> = classes.iter().map(|&class| model.class_names()[class].as_str()).collect();
    Ok(names.join("\n") + "\n")
}

fn run(arguments: &Arguments) -> Outcome {
    let path = arguments.file("penguins.safetensors")?;
    if arguments.has("--predict") {
        print!("{}", answers(&Model::open(path)?)?);
        return Ok(());
    }
    let (model, _) = learn(arguments.seed, arguments.steps(500, 60))?;
    model.save(&path)?;
    println!("wrote {}", path.display());

    let other = Command::new(std::env::current_exe()?).arg("--predict").arg("--out").arg(&arguments.out).output()?;
    if !other.status.success() || other.stdout != answers(&model)?.as_bytes() {
        return Err(format!("another process answers otherwise: {}", String::from_utf8_lossy(&other.stderr)).into());
    }
    println!("another process, which opened that file, gives the same answer for all penguins");
    Ok(())
}

fn main() -> ExitCode {
    let predict = [("--predict", "prints the species that the saved model gives every penguin")];
    support::main_with_flags("A penguin's species from a table of numbers, words and gaps.", &predict, run)
}

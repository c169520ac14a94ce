//! A run that is stopped and resumed ends with the same bits, and a saved network answers as before.
//!
//! ```text
//! cargo run --release --features onnx --example save_and_load -- [--data DIR --seed N --out DIR --quick]
//! ```
//!
//! To expect: four times the same accuracy on the rows held back for validation, 95.6 % on the embedded digits: a run in
//! one go, the same run stopped half way and resumed (bit for bit the same network), its saved weights in a new network,
//! and the network that the file itself describes. Then that of the best epoch on the test data, 94.4 %. With the feature `onnx` also a file for any engine.

mod support;

use std::process::ExitCode;

use gradus::prelude::*;
use support::{Arguments, Outcome, percent};

fn run(arguments: &Arguments) -> Outcome {
    let data = arguments.load()?;
    let (train, validation) = data.train.shuffle(&mut rng(arguments.seed)).split(0.2)?;
    let epochs = arguments.steps(20, 6);
    let untrained = Sequential::<f32>::input(train.width())
        .affine(100, Init::He)
        .batch_norm()
        .relu()
        .dropout(0.2)
        .affine(train.classes(), Init::Xavier)
        .build(&mut rng(arguments.seed))?;
    let trainer = || Trainer::new(SoftmaxCrossEntropy, Adam::default()).seed(arguments.seed).validate(&validation);

    // In one go.
    let mut net = untrained.clone();
    trainer().epochs(epochs).fit(&mut net, &train)?;
    println!("in one go:            {}", percent(net.accuracy(&validation)?));

    // Stopped half way: what is left of the first process is a file.
    let (checkpoint, best) = (arguments.file("run.safetensors")?, arguments.file("best.safetensors")?);
    let stoppable = || trainer().checkpoint_every(1, &checkpoint).keep_best(Monitor::Accuracy, &best);
    stoppable().epochs(epochs / 2).fit(&mut untrained.clone(), &train)?;
    let mut resumed = untrained.clone();
    let history = stoppable().epochs(epochs).resume(&checkpoint).fit(&mut resumed, &train)?;
    println!("stopped and resumed:  {}", percent(resumed.accuracy(&validation)?));
    let same = if resumed.to_bytes()? == net.to_bytes()? { "bit for bit the same" } else { "NOT the same" };
    println!("                      {} epochs recorded, {same} network", history.epochs.len());

    // The weights alone, in an untrained network; PyTorch reads this file too.
    let weights = arguments.file("weights.safetensors")?;
    net.save(&weights)?;
    let mut loaded = untrained.clone();
    loaded.load(&weights)?;
    println!("saved and loaded:     {}", percent(loaded.accuracy(&validation)?));
    println!("opened from its file: {}", percent(Sequential::<f32>::open(&weights)?.accuracy(&validation)?));

    // The epoch that did best on the validation rows, held to rows that had no say in anything.
    loaded.load(&best)?;
    println!("best epoch, test:     {}", percent(loaded.accuracy(&data.test)?));
    println!("wrote {}, {} and {}", weights.display(), checkpoint.display(), best.display());

    export(arguments, &loaded)
}

#[cfg(feature = "onnx")]
fn export(arguments: &Arguments, net: &Sequential<f32>) -> Outcome {
    let path = arguments.file("network.onnx")?;
    net.save_onnx(&path, gradus::save::onnx::Output::Probabilities)?;
    println!("wrote {}: probabilities, for any engine", path.display());
    Ok(())
}

#[cfg(not(feature = "onnx"))]
fn export(_: &Arguments, _: &Sequential<f32>) -> Outcome {
    println!("with --features onnx the network would also be written for other engines");
    Ok(())
}

fn main() -> ExitCode {
    support::main("A run that is stopped and resumed, and a network that leaves.", run)
}

//! Training without a `Trainer`: ten lines of one's own reach the same end, and can catch a run that diverges.
//!
//! ```text
//! cargo run --release --example training_loop -- [--data DIR --seed N --out DIR --quick]
//! ```
//!
//! To expect: 10 epochs of a net with BatchNorm and Dropout, loss from 2.5 down to 0.47, 91.8 % on the test data; then the
//! same net at a learning rate of 1e20, whose second step fails with an error and changes nothing.

mod support;

use std::process::ExitCode;

use gradus::prelude::*;
use support::{Arguments, Axis, Curve, Curves, Outcome, numbered, percent};

/// Trains and gives the accuracy on the validation data after each epoch.
fn train<O: Optimizer<f32>>(
    net: &mut Sequential,
    updater: &mut Updater<f32, O>,
    (train, validation): (&Dataset, &Dataset),
    epochs: usize,
    rng: &mut gradus::Generator,
) -> Result<Vec<f64>, Error> {
    let mut accuracies = Vec::new();
    for epoch in 1..=epochs {
        let mut sum = 0.0;
        for batch in train.shuffled_batches(100, rng)? {
            let rows = batch.rows.nrows() as f64;
            let output = net.forward(batch.rows, &mut Pass::new(rng)); // Dropout draws from the pass
            let (loss, grad) = SoftmaxCrossEntropy.value_and_grad(output, &batch.targets);
            net.backward_params(grad); // nobody needs the gradient of the rows
            updater.step(net)?; // parameters and BatchNorm's running statistics, or an error and nothing changed
            sum += loss * rows;
        }
        accuracies.push(net.accuracy(validation)?);
        let mean = sum / train.len() as f64;
        println!("epoch {epoch:>2}: loss {mean:.3}, validation accuracy {}", percent(accuracies[epoch - 1]));
    }
    Ok(accuracies)
}

fn run(arguments: &Arguments) -> Outcome {
    let data = arguments.load()?;
    let mut rng = gradus::rng(arguments.seed);
    let (train_rows, validation) = data.train.shuffle(&mut rng).split(0.2)?;
    let (parts, epochs) = ((&train_rows, &validation), arguments.steps(10, 2));
    let untrained = Sequential::<f32>::input(train_rows.width())
        .affine(100, Init::He)
        .batch_norm()
        .relu()
        .dropout(0.2)
        .affine(train_rows.classes(), Init::He)
        .build(&mut rng)?;

    let mut net = untrained.clone();
    let accuracies = train(&mut net, &mut Updater::new(Adam::default()), parts, epochs, &mut rng)?;
    println!("test accuracy {}", percent(net.accuracy(&data.test)?));

    // A learning rate that is far too large: the step that fails changes nothing, and the loop may end or go on.
    let mut wild = Updater::new(SGD { learning_rate: 1e20 });
    let mut lost = untrained.clone();
    match train(&mut lost, &mut wild, parts, epochs, &mut rng) {
        Err(Error::Diverged { step, what, .. }) => println!("learning rate 1e20: at step {step} {what} is not finite"),
        other => println!("learning rate 1e20: {other:?}"),
    }

    Curves::new("A training loop of one's own", Axis::new("epoch"), Axis::new("validation accuracy"))
        .panel("", [Curve::dotted("Adam", numbered(1, &accuracies))])
        .show(arguments, "training_loop")
}

fn main() -> ExitCode {
    support::main("Training without a Trainer: every line of the loop is your own.", run)
}

//! The book's network on every rank of a job: on MNIST where a folder is named, else on the digits of the library.
//!
//! ```text
//! cargo build --release --manifest-path crates/gradus-mpi/Cargo.toml --example train
//! mpirun -n 2 target/release/examples/train [FOLDER]
//! ```
//!
//! Expect a line an epoch from rank 0, and the same last line on any number of ranks: but for the rounding of sums it is one
//! run.

use std::ops::ControlFlow;

use gradus::prelude::*;

fn main() {
    gradus_mpi::run(|world| {
        let (train, test) = match std::env::args().nth(1) {
            Some(folder) => mnist::<f32>(folder)?,
            None => Digits::load()?.shuffle(&mut rng(1)).split(0.2)?,
        };
        let mut net = Sequential::mlp(train.width(), &[100; 4], train.classes()).build(&mut rng(2))?;
        let trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default()).batch_size(128).epochs(5).progress(false);
        let history = trainer.validate(&test).across(world.clone()).fit_with(&mut net, &train, |epoch| {
            println!("epoch {}: loss {:.4}", epoch.epoch, epoch.loss);
            ControlFlow::Continue(())
        })?;
        if world.rank() == 0 {
            let last = history.epochs.last().and_then(|epoch| epoch.validation_accuracy).unwrap_or_default();
            println!("{} ranks, {} steps, {:.2} % right", world.size(), history.losses.len(), 100.0 * last);
        }
        Ok::<(), Error>(())
    });
}

//! Networks learn.

use gradus::prelude::*;

/// The promise of the README: held-out accuracy of at least 95 % within 30 epochs.
#[test]
fn digits_are_learnt() -> Result<(), Error> {
    let mut rng = rng(42);
    let (train, test) = Digits::load()?.shuffle(&mut rng).split(0.2)?;
    let mut net = Sequential::<f32>::input(train.width())
        .affine(100, Init::He)
        .batch_norm()
        .relu()
        .dropout(0.2)
        .affine(100, Init::He)
        .batch_norm()
        .relu()
        .dropout(0.2)
        .affine(train.classes(), Init::Xavier)
        .build(&mut rng)?;
    let history = Trainer::new(SoftmaxCrossEntropy, Adam::default())
        .batch_size(100)
        .epochs(20)
        .weight_decay(WeightDecay::L2(1e-4))
        .validate(&test)
        .fit(&mut net, &train)?;
    println!("{net}\n{:?}", history.epochs.last());
    assert!(net.accuracy(&test)? >= 0.95, "{:?}", history.epochs);
    Ok(())
}

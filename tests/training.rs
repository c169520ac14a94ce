//! Networks learn.

use gradus::ndarray::{Array2, arr1, array};
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

/// A network that hands its rows on, each number times a weight of its own.
fn scaled(weights: [f64; 3]) -> Sequential<f64> {
    let affine = Affine::from_parts(Array2::from_diag(&arr1(&weights)), arr1(&[0.0; 3])).unwrap();
    Sequential::from_layers(3, vec![Box::new(affine)]).unwrap()
}

#[test]
fn a_row_is_right_where_its_class_is_the_first_of_the_largest() {
    let rows = array![[1.0, 1.0, 0.0], [0.0, 2.0, 2.0], [3.0, 1.0, 3.0], [0.0, 0.0, 0.0]];
    let right = |labels: [usize; 4], net: &Sequential<f64>| {
        let data = Dataset::classification(rows.clone(), labels.to_vec(), 3).unwrap();
        let one_hot = Array2::from_shape_fn((4, 3), |(n, j)| f64::from(u8::from(labels[n] == j)));
        let dense = Dataset::regression(rows.clone(), one_hot).unwrap();
        let (one, other) = (net.accuracy(&data).unwrap(), net.accuracy(&dense).unwrap());
        assert_eq!(one, other);
        one
    };
    let net = scaled([1.0; 3]);
    assert_eq!(net.classify(&rows).unwrap(), [0, 1, 0, 0]);
    assert_eq!(right([0, 1, 0, 0], &net), 1.0);
    assert_eq!(right([1, 2, 2, 1], &net), 0.0);
    assert_eq!(right([2, 0, 1, 2], &net), 0.0);
    // No number is larger than one that is none: such rows are never right.
    for weights in [[f64::NAN, 1.0, 1.0], [1.0, 1.0, f64::NAN]] {
        for class in 0..3 {
            assert_eq!(right([class; 4], &scaled(weights)), 0.0, "{weights:?}, class {class}");
        }
    }
}

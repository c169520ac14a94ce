//! Data, layers and networks that cannot be.

use gradus::ndarray::{Array1, Array2, array};
use gradus::prelude::*;

use super::data;

#[test]
fn data_that_are_none_are_refused() {
    let rows = || array![[0.0, 1.0], [2.0, 3.0]];
    let classes = |rows, labels| Dataset::<f64>::classification(rows, labels, 2);
    expect_error!(classes(Array2::zeros((0, 2)), vec![]), Invalid, "rows: expected at least one, found none");
    expect_error!(classes(rows(), vec![0]), Invalid, "targets: expected 2, found 1");
    expect_error!(
        classes(array![[0.0, 1.0], [f64::NAN, 3.0]], vec![0, 1]),
        Invalid,
        "rows, row 1, column 0: expected a finite number, found NaN"
    );
    expect_error!(
        Dataset::regression(rows(), array![[0.0], [f64::INFINITY]]),
        Invalid,
        "targets, row 1, column 0: expected a finite number, found inf"
    );
    expect_error!(
        classes(rows(), vec![0, 2]),
        Invalid,
        "row 1: expected a label below 2 (the number of classes), found 2"
    );
    expect_error!(data(3, 2, 2).batches(0), Invalid, "batch_size: expected at least 1, found 0");
}

#[test]
fn layers_that_cannot_be_are_refused() {
    let mut rng = rng(1);
    for (ratio, found) in [(1.0, "1"), (-0.1, "-0.1"), (1.5, "1.5"), (f64::NAN, "NaN")] {
        let message = format!("Dropout ratio: expected a share in [0, 1), found {found}");
        expect_error!(Dropout::<f32>::new(ratio), Invalid, &message);
    }
    for (std, found) in [(-1.0, "-1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let message = format!("Init::Normal std: expected a finite std of at least 0, found {found}");
        expect_error!(Affine::<f32>::new(3, 2, Init::Normal(std), &mut rng), Invalid, &message);
    }
    // Finite, but not as the number type that is asked for.
    let uniform = Init::Uniform(-1.0).sample::<f32>(1, 1, &mut rng);
    expect_error!(uniform, Invalid, "Init::Uniform limit: expected a finite limit of at least 0, found -1");
    let orthogonal = Init::Orthogonal(f64::NAN).sample::<f32>(1, 1, &mut rng);
    expect_error!(orthogonal, Invalid, "Init::Orthogonal gain: expected a finite gain of at least 0, found NaN");
    let message = format!("Init::Constant: expected a finite value, found {}", 1e300);
    expect_error!(Init::Constant(1e300).sample::<f32>(1, 1, &mut rng), Invalid, &message);
    assert_eq!(Init::Constant(1e300).sample::<f64>(1, 1, &mut rng).unwrap()[[0, 0]], 1e300);

    expect_error!(
        Affine::<f32>::new(0, 2, Init::He, &mut rng),
        Invalid,
        "Affine(0, 2), inputs and outputs: expected at least one, found none"
    );
    expect_error!(
        Affine::<f32>::from_parts(Array2::zeros((3, 2)), Array1::zeros(3)),
        Invalid,
        "biases of Affine (one for each column of the weights): expected 2, found 3"
    );
    expect_error!(
        Affine::<f32>::from_parts(Array2::zeros((3, 0)), Array1::zeros(0)),
        Invalid,
        "Affine weights of shape (3, 0): expected at least one, found none"
    );
    expect_error!(BatchNorm::<f32>::new(0), Invalid, "BatchNorm(0), columns: expected at least one, found none");
    for (epsilon, found) in [(0.0, "0"), (-1e-5, "-0.00001"), (f64::NAN, "NaN")] {
        let message = format!("BatchNorm epsilon: expected a positive finite value, found {found}");
        expect_error!(BatchNorm::<f32>::new(3).unwrap().with_epsilon(epsilon), Invalid, &message);
    }
    for (momentum, found) in [(1.1, "1.1"), (-0.1, "-0.1"), (f64::NAN, "NaN")] {
        let message = format!("BatchNorm momentum: expected a share in [0, 1], found {found}");
        expect_error!(BatchNorm::<f32>::new(3).unwrap().with_momentum(momentum), Invalid, &message);
    }
}

#[test]
fn layers_that_do_not_fit_together_are_refused() {
    let affine = |inputs, outputs| Affine::<f32>::new(inputs, outputs, Init::He, &mut rng(1)).unwrap();
    let build = |net: gradus::Builder<f32>| net.build(&mut rng(1));
    let net = || Sequential::<f32>::input(64);
    expect_error!(
        build(net().affine(100, Init::He).relu().layer(affine(99, 10))),
        Invalid,
        "input width of layer 2 (Affine): expected 99, found 100 from layer 1 (ReLU)"
    );
    expect_error!(
        build(net().layer(BatchNorm::new(63).unwrap())),
        Invalid,
        "input width of layer 0 (BatchNorm): expected 63, found 64 from the network's input"
    );
    let inner = build(Sequential::input(7).affine(3, Init::He)).unwrap();
    expect_error!(
        build(net().affine(8, Init::He).layer(inner)),
        Invalid,
        "input width of layer 1 (Sequential(7 > Affine 3)): expected 7, found 8 from layer 0 (Affine)"
    );
    expect_error!(
        build(net().affine(5, Init::He).relu().dropout(1.5)),
        Invalid,
        "layer 2, Dropout ratio: expected a share in [0, 1), found 1.5"
    );
    expect_error!(
        build(net().relu().affine(5, Init::Normal(f64::NAN))),
        Invalid,
        "layer 1, Init::Normal std: expected a finite std of at least 0, found NaN"
    );
    expect_error!(
        build(net().affine(0, Init::He)),
        Invalid,
        "layer 0, Affine(64, 0), inputs and outputs: expected at least one, found none"
    );
    expect_error!(build(net()), Invalid, "a network's inputs (64) and layers (0): expected at least one, found none");
    expect_error!(
        build(Sequential::input(0).relu()),
        Invalid,
        "a network's inputs (0) and layers (1): expected at least one, found none"
    );
}

/// An array with no elements may not have any side.
#[test]
fn an_empty_matrix_has_sides_that_arrays_have() {
    for (inputs, outputs) in [(usize::MAX, 0), (0, usize::MAX)] {
        let found =
            format!("shape of the weights: expected a matrix that fits into memory, found {inputs} x {outputs}");
        expect_error!(Init::He.sample::<f32>(inputs, outputs, &mut rng(1)), Invalid, &found);
    }
    assert_eq!(Init::He.sample::<f32>(3, 0, &mut rng(1)).unwrap().dim(), (3, 0));
}

/// What no memory holds is refused before it is asked for.
#[test]
fn sizes_beyond_any_memory_are_refused() {
    for (inputs, outputs) in [(1 << 62, 1), (1, 1 << 62), (1 << 32, 1 << 32), (usize::MAX, usize::MAX)] {
        let found = format!("{inputs} x {outputs}");
        let message = format!("shape of the weights: expected a matrix that fits into memory, found {found}");
        for init in [Init::Zeros, Init::Constant(1.0), Init::He, Init::GlorotUniform] {
            expect_error!(init.sample::<f32>(inputs, outputs, &mut rng(1)), Invalid, &message);
            expect_error!(Affine::<f64>::new(inputs, outputs, init, &mut rng(1)), Invalid, &message);
        }
        let net = Sequential::<f32>::input(inputs).affine(outputs, Init::He).build(&mut rng(1));
        expect_error!(net, Invalid, &format!("layer 0, {message}"));
    }
    for width in [1 << 62, usize::MAX] {
        let message = format!("BatchNorm columns: expected a number that fits into memory, found {width}");
        expect_error!(BatchNorm::<f32>::new(width), Invalid, &message);
        let net = Sequential::<f32>::input(width).batch_norm().build(&mut rng(1));
        expect_error!(net, Invalid, &format!("layer 0, {message}"));
    }
    for rows in [usize::MAX, usize::MAX / 2, 1 << 60] {
        let mut net = super::net(4, 3);
        let trainer = Trainer::new(SoftmaxCrossEntropy, SGD::default()).sampling(Sampling::WithReplacement);
        let message = format!("batch_size: expected rows that fit into memory, found {rows}");
        expect_error!(trainer.batch_size(rows).fit(&mut net, &data(12, 4, 3)), Invalid, &message);
    }
    // An epoch takes each row once: there is no batch larger than the data.
    let mut net = super::net(4, 3);
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, SGD::default()).batch_size(usize::MAX).epochs(2);
    assert_eq!(trainer.fit(&mut net, &data(12, 4, 3)).unwrap().losses.len(), 2);
}

/// An epsilon that is 0 or infinite as a number of the layer's type.
#[test]
fn an_epsilon_that_the_number_type_does_not_have_is_refused() {
    for epsilon in [1e-46, 1e39, 0.0, f64::NAN] {
        let message = format!("BatchNorm epsilon: expected a positive finite value, found {epsilon}");
        expect_error!(BatchNorm::<f32>::new(2).unwrap().with_epsilon(epsilon), Invalid, &message);
    }
    assert_eq!(BatchNorm::<f64>::new(2).unwrap().with_epsilon(1e-46).unwrap().epsilon(), 1e-46);
}

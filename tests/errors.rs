//! Every bad input has its error, which says what, where, what was expected and what was found; and changes nothing.
//! What a `Dataset`, its parts and IDX files refuse is in `tests/data.rs` and `tests/idx.rs`.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use gradus::ndarray::{Array1, Array2, ShapeBuilder, array};
use gradus::prelude::*;
use support::bits;

/// The message of an error of this variant.
macro_rules! expect_error {
    ($result:expr, $variant:ident, $message:expr) => {{
        let error = $result.map(|_| ()).expect_err("it should be refused");
        assert!(matches!(error, Error::$variant { .. }), "expected Error::{}, found {error:?}", stringify!($variant));
        let message: &str = $message;
        assert_eq!(error.to_string(), message);
    }};
}

fn data(rows: usize, width: usize, classes: usize) -> Dataset<f64> {
    let x = Array2::from_shape_fn((rows, width), |(i, j)| ((3 * i + 5 * j) % 7) as f64 - 3.0);
    Dataset::classification(x, (0..rows).map(|i| i % classes).collect(), classes).unwrap()
}

fn net(width: usize, classes: usize) -> Sequential<f64> {
    let net = Sequential::input(width).affine(5, Init::He).batch_norm().relu().dropout(0.2);
    net.affine(classes, Init::Xavier).build(&mut rng(1)).unwrap()
}

#[test]
fn data_that_are_no_data() {
    let rows = || array![[0.0, 1.0], [2.0, 3.0]];
    let classes = |rows, labels| Dataset::<f64>::classification(rows, labels, 2);
    expect_error!(classes(Array2::zeros((0, 2)), vec![]), Empty, "rows: expected at least one, found none");
    expect_error!(classes(rows(), vec![0]), Mismatch, "targets: expected 2, found 1");
    expect_error!(
        classes(array![[0.0, 1.0], [f64::NAN, 3.0]], vec![0, 1]),
        NotFinite,
        "rows, row 1, column 0: expected a finite number, found NaN"
    );
    expect_error!(
        Dataset::regression(rows(), array![[0.0], [f64::INFINITY]]),
        NotFinite,
        "targets, row 1, column 0: expected a finite number, found inf"
    );
    expect_error!(
        classes(rows(), vec![0, 2]),
        Label,
        "row 1: expected a label below 2 (the number of classes), found 2"
    );
    expect_error!(data(3, 2, 2).batches(0), Hyperparameter, "batch_size: expected at least 1, found 0");
}

#[test]
fn layers_that_cannot_be() {
    let mut rng = rng(1);
    for (ratio, found) in [(1.0, "1"), (-0.1, "-0.1"), (1.5, "1.5"), (f64::NAN, "NaN")] {
        let message = format!("Dropout ratio: expected a share in [0, 1), found {found}");
        expect_error!(Dropout::<f32>::new(ratio, &mut rng), Hyperparameter, &message);
    }
    for (std, found) in [(-1.0, "-1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let message = format!("Init::Normal std: expected a finite std of at least 0, found {found}");
        expect_error!(Affine::<f32>::new(3, 2, Init::Normal(std), &mut rng), Hyperparameter, &message);
    }
    // Finite, but not as the number type that is asked for.
    let message = format!("Init::Constant: expected a finite value, found {}", 1e300);
    expect_error!(Init::Constant(1e300).sample::<f32, _>(1, 1, &mut rng), Hyperparameter, &message);
    assert_eq!(Init::Constant(1e300).sample::<f64, _>(1, 1, &mut rng).unwrap()[[0, 0]], 1e300);

    expect_error!(
        Affine::<f32>::new(0, 2, Init::He, &mut rng),
        Empty,
        "Affine(0, 2), inputs and outputs: expected at least one, found none"
    );
    expect_error!(
        Affine::<f32>::from_parts(Array2::zeros((3, 2)), Array1::zeros(3)),
        Mismatch,
        "biases of Affine (one a column of the weights): expected 2, found 3"
    );
    expect_error!(
        Affine::<f32>::from_parts(Array2::zeros((3, 0)), Array1::zeros(0)),
        Empty,
        "Affine weights of shape (3, 0): expected at least one, found none"
    );
    expect_error!(BatchNorm::<f32>::new(0), Empty, "BatchNorm(0), columns: expected at least one, found none");
    for (epsilon, found) in [(0.0, "0"), (-1e-5, "-0.00001"), (f64::NAN, "NaN")] {
        let message = format!("BatchNorm epsilon: expected a positive finite value, found {found}");
        expect_error!(BatchNorm::<f32>::new(3).unwrap().with_epsilon(epsilon), Hyperparameter, &message);
    }
    for (momentum, found) in [(1.1, "1.1"), (-0.1, "-0.1"), (f64::NAN, "NaN")] {
        let message = format!("BatchNorm momentum: expected a share in [0, 1], found {found}");
        expect_error!(BatchNorm::<f32>::new(3).unwrap().with_momentum(momentum), Hyperparameter, &message);
    }
}

#[test]
fn networks_that_do_not_fit_together() {
    let affine = |inputs, outputs| Affine::<f32>::new(inputs, outputs, Init::He, &mut rng(1)).unwrap();
    let build = |net: gradus::Builder<f32>| net.build(&mut rng(1));
    let net = || Sequential::<f32>::input(64);
    expect_error!(
        build(net().affine(100, Init::He).relu().layer(affine(99, 10))),
        Width,
        "layer 2 (Affine) takes a width of 99, but layer 1 (ReLU) gives 100"
    );
    expect_error!(
        build(net().layer(BatchNorm::new(63).unwrap())),
        Width,
        "layer 0 (BatchNorm) takes a width of 63, but the network's input gives 64"
    );
    let inner = build(Sequential::input(7).affine(3, Init::He)).unwrap();
    expect_error!(
        build(net().affine(8, Init::He).layer(inner)),
        Width,
        "layer 1 (Sequential(7 > Affine 3)) takes a width of 7, but layer 0 (Affine) gives 8"
    );
    expect_error!(
        build(net().affine(5, Init::He).relu().dropout(1.5)),
        Hyperparameter,
        "layer 2, Dropout ratio: expected a share in [0, 1), found 1.5"
    );
    expect_error!(
        build(net().relu().affine(5, Init::Normal(f64::NAN))),
        Hyperparameter,
        "layer 1, Init::Normal std: expected a finite std of at least 0, found NaN"
    );
    expect_error!(
        build(net().affine(0, Init::He)),
        Empty,
        "layer 0, Affine(64, 0), inputs and outputs: expected at least one, found none"
    );
    expect_error!(build(net()), Empty, "a network's inputs (64) and layers (0): expected at least one, found none");
    expect_error!(
        build(Sequential::input(0).relu()),
        Empty,
        "a network's inputs (0) and layers (1): expected at least one, found none"
    );
}

#[test]
fn rows_of_another_width_than_the_network() {
    let (net, rows) = (net(4, 3), Array2::zeros((2, 5)));
    let message = "width of the rows (the network's input): expected 4, found 5";
    expect_error!(net.predict(&rows), Mismatch, message);
    expect_error!(net.predict_probabilities(&rows), Mismatch, message);
    expect_error!(net.classify(&rows), Mismatch, message);
    expect_error!(net.activations(&rows), Mismatch, message);
    expect_error!(net.accuracy(&data(6, 5, 3)), Mismatch, message);
    expect_error!(net.loss(&SoftmaxCrossEntropy, &data(6, 5, 3)), Mismatch, message);
    let message = "width of the network's output (one column a class or target): expected 4, found 3";
    expect_error!(net.accuracy(&data(6, 4, 4)), Mismatch, message);
    expect_error!(net.loss(&SoftmaxCrossEntropy, &data(6, 4, 4)), Mismatch, message);
    let values = Dataset::regression(Array2::zeros((2, 4)), array![[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]).unwrap();
    expect_error!(
        net.accuracy(&values),
        Targets,
        "accuracy: expected class labels or one-hot rows, found dense targets"
    );
}

/// `fit` with bad settings or data: an error, and the network is untouched.
#[test]
fn fit_refuses_before_it_begins() {
    let (train, wide, many) = (data(12, 4, 3), data(12, 5, 3), data(12, 4, 4));
    let mut net = net(4, 3);
    let before = bits(&net);
    let fresh = || Trainer::new(SoftmaxCrossEntropy, SGD::default()).epochs(2);
    let width = "width of the rows (the network's input): expected 4, found 5";
    let output = "width of the network's output (one column a class or target): expected 4, found 3";
    expect_error!(
        fresh().batch_size(0).fit(&mut net, &train),
        Hyperparameter,
        "batch_size: expected at least 1, found 0"
    );
    expect_error!(fresh().fit(&mut net, &wide), Mismatch, width);
    expect_error!(fresh().fit(&mut net, &many), Mismatch, output);
    expect_error!(fresh().validate(&wide).fit(&mut net, &train), Mismatch, width);
    expect_error!(fresh().validate(&many).fit(&mut net, &train), Mismatch, output);
    for (lambda, found) in [(-1.0, "-1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let message = format!("weight decay: expected a finite value of at least 0, found {found}");
        for decay in [WeightDecay::L2(lambda), WeightDecay::Decoupled(lambda)] {
            expect_error!(fresh().weight_decay(decay).fit(&mut net, &train), Hyperparameter, &message);
        }
    }
    assert_eq!(bits(&net), before);
    assert!(fresh().fit(&mut net, &train).is_ok());
    assert_ne!(bits(&net), before);
}

#[test]
fn hyper_parameters_out_of_range() {
    fn refused(optimizer: impl Optimizer<f64>, message: &str) {
        let (train, mut net) = (data(12, 4, 3), net(4, 3));
        let before = bits(&net);
        let mut trainer = Trainer::new(SoftmaxCrossEntropy, optimizer);
        expect_error!(trainer.fit(&mut net, &train), Hyperparameter, message);
        let mut batch = train.batches(4).unwrap().next().unwrap();
        expect_error!(trainer.step(&mut net, &mut batch), Hyperparameter, message);
        expect_error!(trainer.updater_mut().step(&mut net), Hyperparameter, message);
        expect_error!(trainer.updater_mut().step_slice(&mut [1.0], &[1.0]), Hyperparameter, message);
        assert_eq!(trainer.updater().steps(), 0);
        assert_eq!(bits(&net), before);
    }
    for (x, found) in [(-0.1, "-0.1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let message =
            |rule: &str| format!("{rule} learning_rate: expected a finite value of at least 0, found {found}");
        refused(SGD { learning_rate: x }, &message("SGD"));
        refused(Momentum { learning_rate: x, ..Momentum::default() }, &message("Momentum"));
        refused(AdaGrad { learning_rate: x, ..AdaGrad::default() }, &message("AdaGrad"));
        refused(Adam { learning_rate: x, ..Adam::default() }, &message("Adam"));
    }
    for (x, found) in [(-0.1, "-0.1"), (0.0, "0"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let message = |rule: &str| format!("{rule} epsilon: expected a finite value above 0, found {found}");
        refused(AdaGrad { epsilon: x, ..AdaGrad::default() }, &message("AdaGrad"));
        refused(Adam { epsilon: x, ..Adam::default() }, &message("Adam"));
    }
    for (x, found) in [(-0.1, "-0.1"), (1.0, "1"), (f64::NAN, "NaN")] {
        refused(
            Momentum { momentum: x, ..Momentum::default() },
            &format!("Momentum momentum: expected a value in [0, 1), found {found}"),
        );
        refused(
            Adam { beta1: x, ..Adam::default() },
            &format!("Adam beta1: expected a value in [0, 1), found {found}"),
        );
        refused(
            Adam { beta2: x, ..Adam::default() },
            &format!("Adam beta2: expected a value in [0, 1), found {found}"),
        );
    }
}

#[test]
fn batches_that_do_not_fit() {
    let mut net = net(4, 3);
    let before = bits(&net);
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default());
    let labels = |labels, classes| Targets::Labels { labels, classes };
    let mut step = |rows, targets| trainer.step(&mut net, &mut Batch { rows, targets });
    expect_error!(
        step(Array2::zeros((2, 5)), labels(vec![0, 1], 3)),
        Mismatch,
        "width of the rows (the network's input): expected 4, found 5"
    );
    expect_error!(
        step(Array2::zeros((2, 4)), labels(vec![0, 1], 2)),
        Mismatch,
        "width of the network's output (one column a class or target): expected 2, found 3"
    );
    expect_error!(
        step(Array2::zeros((2, 4)), labels(vec![0, 1, 2], 3)),
        Mismatch,
        "targets of a batch (one a row, at least one): expected 2, found 3"
    );
    expect_error!(
        step(Array2::zeros((0, 4)), labels(vec![], 3)),
        Mismatch,
        "targets of a batch (one a row, at least one): expected 1, found 0"
    );
    expect_error!(
        step(Array2::zeros((2, 4)), labels(vec![0, 3], 3)),
        Label,
        "row 1: expected a label below 3 (the number of classes), found 3"
    );
    assert_eq!(bits(&net), before);
}

/// A single output column goes with two classes only where a loss knows what to make of it.
#[test]
fn one_column_for_two_classes() {
    let two = data(6, 4, 2);
    let mut single = Sequential::input(4).affine(1, Init::He).build(&mut rng(1)).unwrap();
    expect_error!(
        Trainer::new(SoftmaxCrossEntropy, SGD::default()).fit(&mut single, &two),
        Mismatch,
        "width of the network's output (one column a class or target): expected 2, found 1"
    );
    assert!(Trainer::new(BinaryCrossEntropy, SGD::default()).fit(&mut single, &two).is_ok());
    assert!(Trainer::new(MeanSquaredError, SGD::default()).fit(&mut single, &two).is_ok());
    assert!(single.accuracy(&two).is_ok());
    expect_error!(
        Trainer::new(BinaryCrossEntropy, SGD::default()).fit(&mut single, &data(6, 4, 3)),
        Mismatch,
        "width of the network's output (one column a class or target): expected 3, found 1"
    );
}

#[test]
fn an_updater_given_another_network_says_so() {
    let train = data(12, 4, 3);
    let (mut first, mut other) = (net(4, 3), Sequential::input(4).affine(6, Init::He).batch_norm());
    let mut second = Sequential::input(4).affine(5, Init::He).batch_norm().affine(3, Init::He);
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default()).epochs(1);
    trainer.fit(&mut first, &train).unwrap();
    let steps = trainer.updater().steps();

    other = other.affine(3, Init::He);
    let mut other = other.build(&mut rng(1)).unwrap();
    let before = bits(&other);
    expect_error!(
        trainer.fit(&mut other, &train),
        State,
        "the optimizer's state belongs to another network or rule: at 0.weight it was made for 0.weight (4, 5), found 0.weight (4, 6)"
    );
    assert_eq!(bits(&other), before, "the running statistics too");

    // More parameters, and fewer.
    second = second.affine(3, Init::He);
    let mut second = second.build(&mut rng(1)).unwrap();
    expect_error!(
        trainer.updater_mut().step(&mut second),
        State,
        "the optimizer's state belongs to another network or rule: at 3.weight it was made for none, found 3.weight (3, 3)"
    );
    let third = Sequential::input(4).affine(5, Init::He).batch_norm();
    expect_error!(
        trainer.updater_mut().step(&mut third.build(&mut rng(1)).unwrap()),
        State,
        "the optimizer's state belongs to another network or rule: at 4.weight it was made for 4.weight (5, 3), found none"
    );
    assert_eq!(trainer.updater().steps(), steps);

    let mut updater = Updater::new(Momentum::default());
    updater.step_slice(&mut [1.0, 2.0], &[0.1, 0.1]).unwrap();
    expect_error!(
        updater.step_slice(&mut [1.0], &[0.1]),
        State,
        "the optimizer's state belongs to another network or rule: at the slice it was made for the slice (1, 2), found the slice (1, 1)"
    );
    expect_error!(
        updater.step_slice(&mut [1.0, 2.0], &[0.1]),
        Mismatch,
        "gradients (one a parameter): expected 2, found 1"
    );
}

/// The net after `steps` steps, one by one.
fn after(steps: usize, optimizer: SGD<f64>, train: &Dataset<f64>) -> Sequential<f64> {
    let mut net = net(4, 3);
    // As many epochs as steps, of one batch each: the same batches as in a longer run.
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, optimizer).batch_size(12).epochs(steps);
    trainer.fit(&mut net, train).unwrap();
    net
}

fn diverged(result: Result<History, Error>) -> (u64, String, History, String) {
    let error = result.expect_err("the run should diverge");
    let message = error.to_string();
    match error {
        Error::Diverged { step, what, history } => (step, what, *history, message),
        other => panic!("expected Error::Diverged, found {other:?}"),
    }
}

#[test]
fn a_run_that_diverges_loses_nothing() {
    let train = data(12, 4, 3);
    let optimizer = SGD { learning_rate: 1e160 };
    let mut net = net(4, 3);
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, optimizer).batch_size(12).epochs(50);
    let (step, what, history, message) = diverged(trainer.fit(&mut net, &train));
    assert!(step > 1, "the first step is finite");
    assert_eq!(
        message,
        format!(
            "training diverged at step {step}: {what} is not finite; the parameters are those from before that step \
             (a smaller learning rate or gradient clipping may help)"
        )
    );
    let before = step as usize - 1;
    assert_eq!((history.losses.len(), history.epochs.len()), (before, before));
    assert!(history.losses.iter().all(|loss| loss.is_finite()));
    assert_eq!(trainer.updater().steps(), before as u64);
    assert_eq!(bits(&net), bits(&after(before, optimizer, &train)), "parameters and running statistics");
}

/// Nor the masks that are still to be drawn.
#[test]
fn a_step_that_diverges_draws_no_mask() {
    let net = || Sequential::input(1).dropout(0.5).affine(1, Init::Constant(1.0)).build(&mut rng(1)).unwrap();
    let mask = |net: &mut Sequential<f64>| net.forward(Array2::ones((100, 1)));
    let (mut used, targets) = (net(), Targets::Dense(array![[0.0]]));
    let mut batch = Batch { rows: array![[f64::INFINITY]], targets };
    let error = Trainer::new(MeanSquaredError, SGD::default()).step(&mut used, &mut batch).unwrap_err();
    assert!(matches!(error, Error::Diverged { .. }), "{error:?}");
    assert_eq!(mask(&mut used), mask(&mut net()));
}

/// A gradient that was put in by hand.
#[test]
fn a_gradient_of_another_shape_is_refused() {
    let mut net = net(4, 3);
    let before = bits(&net);
    net.params_mut(&mut |param| {
        if param.name == "0.bias" {
            param.grad = Array2::zeros((1, 1));
        }
    });
    let shape = net.layers()[0].width(4).unwrap();
    let message = format!(
        "the layer of 0.bias does not keep the contract of a layer: expected a gradient of shape (1, {shape}), found (1, 1)"
    );
    expect_error!(Updater::new(SGD::default()).step(&mut net), Contract, &message);
    assert_eq!(bits(&net), before);
}

/// A loss of one's own may take targets of another width than the output: then no row is right.
#[test]
fn a_label_beyond_the_outputs_is_wrong() {
    #[derive(Debug)]
    struct Sum;
    impl Loss<f64> for Sum {
        fn value_and_grad(&self, output: Array2<f64>, _: &Targets<f64>) -> (f64, Array2<f64>) {
            (output.sum(), Array2::ones(output.dim()))
        }
        fn check(&self, _: usize, _: &Targets<f64>) -> Result<(), Error> {
            Ok(())
        }
    }
    let train = data(12, 4, 7);
    let history = Trainer::new(Sum, SGD::default()).epochs(1).validate(&train).fit(&mut net(4, 2), &train).unwrap();
    let right = train.labels().unwrap().iter().filter(|&&label| label < 2).count();
    assert!(right < 12 && history.epochs[0].validation_accuracy.unwrap() <= right as f64 / 12.0);
}

/// The loss may be finite where a gradient is not.
#[test]
fn a_gradient_that_is_not_finite_is_named() {
    let x = array![[1e200, 1.0]];
    let train = Dataset::regression(x, array![[0.0]]).unwrap();
    let weight = array![[1e-200], [1e150]];
    let affine = Affine::from_parts(weight, array![0.0]).unwrap();
    let mut net = Sequential::input(2).layer(affine).build(&mut rng(1)).unwrap();
    let before = bits(&net);
    let result = Trainer::new(MeanSquaredError, SGD { learning_rate: 0.1 }).fit(&mut net, &train);
    let (step, what, history, _) = diverged(result);
    assert_eq!((step, what.as_str()), (1, "the gradient of 0.weight"));
    assert!(history.losses.is_empty());
    assert_eq!(bits(&net), before);
}

/// A loss that is not finite is named with its value.
#[test]
fn a_loss_that_is_not_finite_is_named() {
    let train = Dataset::regression(array![[1e200]], array![[0.0]]).unwrap();
    let affine = Affine::from_parts(array![[1e200]], array![0.0]).unwrap();
    let mut net = Sequential::input(1).layer(affine).build(&mut rng(1)).unwrap();
    let (_, what, ..) = diverged(Trainer::new(MeanSquaredError, SGD::default()).fit(&mut net, &train));
    assert_eq!(what, "the loss (inf)");
}

/// What a bug of the calling code panics with.
fn panics<R>(call: impl FnOnce() -> R) -> String {
    let payload = catch_unwind(AssertUnwindSafe(call)).err().expect("it should panic");
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload.downcast_ref::<&str>().expect("a message").to_string(),
    }
}

#[test]
fn misuse_panics_with_the_layer_and_both_shapes() {
    let x = || Array2::<f64>::ones((2, 3));
    let layers: Vec<Box<dyn Layer<f64>>> = vec![
        Box::new(Affine::new(3, 3, Init::He, &mut rng(1)).unwrap()),
        Box::new(BatchNorm::new(3).unwrap()),
        Box::new(ReLU::new()),
        Box::new(Sigmoid::new()),
        Box::new(Tanh::new()),
        Box::new(Dropout::new(0.2, &mut rng(1)).unwrap()),
    ];
    for mut layer in layers {
        let name = layer.name();
        let message = panics(|| layer.backward(x()));
        assert!(
            message.starts_with(&format!("{name}: backward was given a gradient of shape (2, 3), but")),
            "{message}"
        );
        assert!(message.ends_with("(0 x 0: there was none)"), "{message}");
        layer.forward(x());
        let message = panics(|| layer.backward(Array2::ones((5, 3))));
        assert!(message.contains("of shape (5, 3), but the last forward gave (2, 3)"), "{message}");
        if matches!(name.as_str(), "Affine" | "BatchNorm") {
            for message in
                [panics(|| layer.forward(Array2::ones((2, 4)))), panics(|| layer.infer(Array2::ones((2, 4))))]
            {
                assert_eq!(message, format!("{name}: expected an input of shape (N, 3), found (2, 4)"));
            }
        }
    }
    let labels = Targets::Labels { labels: vec![0, 1], classes: 4 };
    assert_eq!(
        panics(|| SoftmaxCrossEntropy.value(&x(), &labels)),
        "loss: outputs of shape (2, 3), but 2 targets of width 4"
    );
    assert!(panics(|| net(4, 3).freeze(3..9, true)).contains("out of range"));
}

/// Column-major arrays are turned at the door, not refused.
#[test]
fn any_layout_will_do() {
    let mut net = net(4, 3);
    let rows = data(6, 4, 3).into_parts().0;
    let mut turned = Array2::zeros(rows.raw_dim().f());
    turned.assign(&rows);
    assert!(!turned.is_standard_layout());
    assert_eq!(net.predict(&turned).unwrap(), net.predict(&rows).unwrap());
    assert_eq!(net.activations(&turned).unwrap(), net.activations(&rows).unwrap());
    // A layer that works in place takes no other layout, so the network turns it at its door.
    let mut in_place = Sequential::input(4).tanh().batch_norm().build(&mut rng(1)).unwrap();
    assert_eq!(in_place.infer(turned.clone()), in_place.infer(rows.clone()));
    assert_eq!(in_place.forward(turned.clone()), in_place.forward(rows.clone()));
    assert_eq!(in_place.backward(turned.clone()), in_place.backward(rows.clone()));
    assert_eq!(softmax(turned.clone()), softmax(rows.clone()));
    let dense = Targets::Dense(turned.clone());
    for (output, targets) in [(&turned, &dense), (&rows, &dense), (&turned, &Targets::Dense(rows.clone()))] {
        for loss in [&SoftmaxCrossEntropy as &dyn Loss<f64>, &MeanSquaredError, &BinaryCrossEntropy] {
            assert_eq!(
                loss.value_and_grad(output.clone(), targets),
                loss.value_and_grad(rows.clone(), &Targets::Dense(rows.clone()))
            );
        }
    }
    let targets = Targets::Labels { labels: vec![0, 1, 2, 0, 1, 2], classes: 3 };
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, SGD::default());
    assert!(trainer.step(&mut net, &mut Batch { rows: turned, targets }).is_ok());
}

//! Networks, trainers and updaters given what does not fit them.

use gradus::ndarray::{Array2, array};
use gradus::prelude::*;

use super::{data, net};
use crate::support::bits;

#[test]
fn rows_of_another_width_than_the_network_are_refused() {
    let (net, rows) = (net(4, 3), Array2::zeros((2, 5)));
    let message = "width of the rows (the network's input): expected 4, found 5";
    expect_error!(net.predict(&rows), Invalid, message);
    expect_error!(net.predict_probabilities(&rows), Invalid, message);
    expect_error!(net.classify(&rows), Invalid, message);
    expect_error!(net.activations(&rows), Invalid, message);
    expect_error!(net.accuracy(&data(6, 5, 3)), Invalid, message);
    expect_error!(net.loss(&SoftmaxCrossEntropy, &data(6, 5, 3)), Invalid, message);
    let message = "width of the network's output (one column for each class or target): expected 4, found 3";
    expect_error!(net.accuracy(&data(6, 4, 4)), Invalid, message);
    expect_error!(net.loss(&SoftmaxCrossEntropy, &data(6, 4, 4)), Invalid, message);
    let values = Dataset::regression(Array2::zeros((2, 4)), array![[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]).unwrap();
    expect_error!(
        net.accuracy(&values),
        Invalid,
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
    let output = "width of the network's output (one column for each class or target): expected 4, found 3";
    expect_error!(fresh().batch_size(0).fit(&mut net, &train), Invalid, "batch_size: expected at least 1, found 0");
    expect_error!(fresh().fit(&mut net, &wide), Invalid, width);
    expect_error!(fresh().fit(&mut net, &many), Invalid, output);
    expect_error!(fresh().validate(&wide).fit(&mut net, &train), Invalid, width);
    expect_error!(fresh().validate(&many).fit(&mut net, &train), Invalid, output);
    for (lambda, found) in [(-1.0, "-1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let message = format!("weight decay: expected a finite value of at least 0, found {found}");
        for decay in [WeightDecay::L2(lambda), WeightDecay::Decoupled(lambda)] {
            expect_error!(fresh().weight_decay(decay).fit(&mut net, &train), Invalid, &message);
        }
    }
    assert_eq!(bits(&net), before);
    assert!(fresh().fit(&mut net, &train).is_ok());
    assert_ne!(bits(&net), before);
}

#[test]
fn hyper_parameters_out_of_range_are_refused() {
    fn refused(optimizer: impl Optimizer<f64>, message: &str) {
        let (train, mut net) = (data(12, 4, 3), net(4, 3));
        let before = bits(&net);
        let mut trainer = Trainer::new(SoftmaxCrossEntropy, optimizer);
        expect_error!(trainer.fit(&mut net, &train), Invalid, message);
        let mut batch = train.batches(4).unwrap().next().unwrap();
        expect_error!(trainer.step(&mut net, &mut batch), Invalid, message);
        expect_error!(trainer.updater_mut().step(&mut net), Invalid, message);
        expect_error!(trainer.updater_mut().step_slice(&mut [1.0], &[1.0]), Invalid, message);
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
fn batches_that_do_not_fit_are_refused() {
    let mut net = net(4, 3);
    let before = bits(&net);
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default());
    let labels = |labels, classes| Targets::Labels { labels, classes };
    let mut step = |rows, targets| trainer.step(&mut net, &mut Batch { rows, targets });
    expect_error!(
        step(Array2::zeros((2, 5)), labels(vec![0, 1], 3)),
        Invalid,
        "width of the rows (the network's input): expected 4, found 5"
    );
    expect_error!(
        step(Array2::zeros((2, 4)), labels(vec![0, 1], 2)),
        Invalid,
        "width of the network's output (one column for each class or target): expected 2, found 3"
    );
    expect_error!(
        step(Array2::zeros((2, 4)), labels(vec![0, 1, 2], 3)),
        Invalid,
        "targets of a batch (one for each row, at least one): expected 2, found 3"
    );
    expect_error!(
        step(Array2::zeros((0, 4)), labels(vec![], 3)),
        Invalid,
        "targets of a batch (one for each row, at least one): expected 1, found 0"
    );
    expect_error!(
        step(Array2::zeros((2, 4)), labels(vec![0, 3], 3)),
        Invalid,
        "row 1: expected a label below 3 (the number of classes), found 3"
    );
    assert_eq!(bits(&net), before);
}

/// A single output column goes with two classes only where a loss knows what to make of it.
#[test]
fn one_column_is_enough_for_two_classes_where_the_loss_says_so() {
    let two = data(6, 4, 2);
    let mut single = Sequential::input(4).affine(1, Init::He).build(&mut rng(1)).unwrap();
    expect_error!(
        Trainer::new(SoftmaxCrossEntropy, SGD::default()).fit(&mut single, &two),
        Invalid,
        "width of the network's output (one column for each class or target): expected 2, found 1"
    );
    assert!(Trainer::new(BinaryCrossEntropy, SGD::default()).fit(&mut single, &two).is_ok());
    assert!(Trainer::new(MeanSquaredError, SGD::default()).fit(&mut single, &two).is_ok());
    assert!(single.accuracy(&two).is_ok());
    expect_error!(
        Trainer::new(BinaryCrossEntropy, SGD::default()).fit(&mut single, &data(6, 4, 3)),
        Invalid,
        "width of the network's output (one column for each class or target): expected 3, found 1"
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
        Invalid,
        "parameter 0 (the optimizer has state for another one): expected 0.weight (4, 5), found 0.weight (4, 6)"
    );
    assert_eq!(bits(&other), before, "the running statistics too");

    // More parameters, and fewer.
    second = second.affine(3, Init::He);
    let mut second = second.build(&mut rng(1)).unwrap();
    expect_error!(
        trainer.updater_mut().step(&mut second),
        Invalid,
        "parameter 6 (the optimizer has state for another one): expected no parameter, found 3.weight (3, 3)"
    );
    let third = Sequential::input(4).affine(5, Init::He).batch_norm();
    expect_error!(
        trainer.updater_mut().step(&mut third.build(&mut rng(1)).unwrap()),
        Invalid,
        "parameter 4 (the optimizer has state for another one): expected 4.weight (5, 3), found no parameter"
    );
    assert_eq!(trainer.updater().steps(), steps);

    let mut updater = Updater::new(Momentum::default());
    updater.step_slice(&mut [1.0, 2.0], &[0.1, 0.1]).unwrap();
    expect_error!(
        updater.step_slice(&mut [1.0], &[0.1]),
        Invalid,
        "parameter 0 (the optimizer has state for another one): expected the slice (1, 2), found the slice (1, 1)"
    );
    expect_error!(
        updater.step_slice(&mut [1.0, 2.0], &[0.1]),
        Invalid,
        "gradients (one for each parameter): expected 2, found 1"
    );
}

/// A state that was put together by hand, or is of another rule.
#[test]
fn a_state_that_does_not_fit_the_rule_is_refused() {
    let mut updater = Updater::new(Adam::default());
    updater.step_slice(&mut [1.0, 2.0], &[0.1, 0.1]).unwrap();
    let good = updater.state().clone();
    let numbers = "the optimizer's state, numbers for the slice";
    for (numbers_left, message) in
        [(0, format!("{numbers}: expected 4, found 0")), (3, format!("{numbers}: expected 4, found 3"))]
    {
        let mut state = good.clone();
        state.parameters[0].slots.truncate(numbers_left);
        expect_error!(updater.restore(state), Invalid, &message);
        assert_eq!(*updater.state(), good);
    }
    let mut other = Updater::new(AdamW::default());
    expect_error!(other.restore(good), Invalid, "the optimizer's state, rule: expected AdamW, found Adam");
    assert_eq!(other.steps(), 0);
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
    let message = format!("the layer of 0.bias: expected a gradient of shape (1, {shape}), found (1, 1)");
    expect_error!(Updater::new(SGD::default()).step(&mut net), Layer, &message);
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

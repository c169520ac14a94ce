//! Networks learn.

use std::collections::BTreeSet;

use gradus::ndarray::{Array2, ShapeBuilder, arr1, array};
use gradus::prelude::*;

/// The promise of the README: held-out accuracy of at least 95 % within 30 epochs.
#[test]
fn digits_are_learnt() -> Result<(), Error> {
    let mut rng = rng(42);
    let (train, validation) = Digits::load()?.shuffle(&mut rng).split(0.2)?;
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
        .validate(&validation)
        .fit(&mut net, &train)?;
    println!("{net}\n{:?}", history.epochs.last());
    assert!(net.accuracy(&validation)? >= 0.95, "{:?}", history.epochs);
    Ok(())
}

/// Writes down the first number and the label of every row of every batch, and asks for no step.
#[derive(Debug, Default)]
struct Spy(std::sync::Mutex<Vec<Vec<(usize, usize)>>>);

impl Loss<f32> for &Spy {
    fn value_and_grad(&self, output: Array2<f32>, targets: &Targets<f32>) -> (f64, Array2<f32>) {
        let Targets::Labels { labels, .. } = targets else { panic!("labels were given") };
        assert_eq!(output.nrows(), labels.len());
        self.0
            .lock()
            .unwrap()
            .push(output.column(0).iter().map(|&id| id as usize).zip(labels.iter().copied()).collect());
        (0.0, Array2::zeros(output.raw_dim()))
    }
}

/// The batches of two epochs over 103 rows, of which row i begins with i and has the label i mod 3.
fn batches(width: usize, sampling: Sampling) -> Vec<Vec<(usize, usize)>> {
    fits(width, sampling, 0, &[2])
}

/// The same of several calls of `fit`, each of so many epochs.
fn fits(width: usize, sampling: Sampling, seed: u64, epochs: &[usize]) -> Vec<Vec<(usize, usize)>> {
    let rows = Array2::from_shape_fn((103, width), |(i, j)| if j == 0 { i as f32 } else { 0.5 });
    let data = Dataset::classification(rows, (0..103).map(|i| i % 3).collect(), 3).unwrap();
    let first = Array2::from_shape_fn((width, 3), |(i, j)| if i + j == 0 { 1.0 } else { 0.0 });
    let affine = Affine::from_parts(first, arr1(&[0.0; 3])).unwrap();
    let mut net = Sequential::from_layers(width, vec![Box::new(affine)]).unwrap();
    let spy = Spy::default();
    let mut trainer = Trainer::new(&spy, SGD::default()).batch_size(10).sampling(sampling).seed(seed).progress(false);
    for &epochs in epochs {
        trainer = trainer.epochs(epochs);
        trainer.fit(&mut net, &data).unwrap();
    }
    spy.0.into_inner().unwrap()
}

/// Of both widths: batches that another thread gathers meanwhile, and such that are not worth it.
#[test]
fn an_epoch_takes_every_row_once_with_its_label() {
    for width in [3, 7000] {
        let batches = batches(width, Sampling::Shuffled);
        let sizes: Vec<_> = batches.iter().map(Vec::len).collect();
        assert_eq!(sizes, [[10; 10].as_slice(), &[3]].concat().repeat(2));
        let epochs: Vec<_> = batches.chunks(11).map(<[_]>::concat).collect();
        for epoch in &epochs {
            assert_eq!(epoch.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>(), (0..103).collect());
            assert!(epoch.iter().all(|(id, label)| id % 3 == *label));
        }
        assert_ne!(epochs[0], epochs[1]);
    }
}

#[test]
fn rows_drawn_again_and_again_keep_their_labels() {
    for width in [3, 7000] {
        let batches = batches(width, Sampling::WithReplacement);
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [10; 20]);
        assert!(batches.iter().flatten().all(|(id, label)| id % 3 == *label));
        assert!(batches.iter().collect::<BTreeSet<_>>().len() == 20, "a batch came twice");
    }
}

/// However many calls the epochs are parted into.
#[test]
fn the_rows_of_an_epoch_follow_from_the_seed_and_its_number() {
    for sampling in [Sampling::Shuffled, Sampling::WithReplacement] {
        let all = fits(3, sampling, 7, &[4]);
        assert_eq!(fits(3, sampling, 7, &[1, 2, 1]), all);
        assert_eq!(all[..all.len() / 4], fits(3, sampling, 7, &[1]));
        let other = fits(3, sampling, 8, &[4]);
        assert!(all.iter().zip(&other).all(|(one, other)| one != other));
    }
}

/// A schedule has its rates beside the rule's own, for as long as it is there.
#[test]
fn a_schedule_does_not_change_the_rule() {
    let data = Digits::load::<f32>().unwrap().take(300).unwrap();
    let halves = |step: u64| 0.5_f64.powi(step as i32);
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, SGD { learning_rate: 0.3 }).epochs(2).schedule(halves);
    assert_eq!(trainer.updater().learning_rate(), 1.0);
    let history = trainer.fit(&mut Sequential::mlp(64, &[10], 10).build(&mut rng(1)).unwrap(), &data).unwrap();
    // Three steps an epoch, at 1, 1/2, 1/4, 1/8…
    let rates: Vec<f64> = history.epochs.iter().map(|epoch| epoch.learning_rate).collect();
    assert_eq!((rates, trainer.updater().learning_rate()), (vec![0.25, 0.03125], 0.015625));
    assert_eq!(trainer.updater().optimizer, SGD { learning_rate: 0.3 });
}

/// Hands numbers on, column after column.
#[derive(Debug, Clone)]
struct Turned;

impl Layer<f64> for Turned {
    fn forward(&mut self, input: Array2<f64>, _pass: &mut Pass<'_>) -> Array2<f64> {
        self.infer(input)
    }
    fn backward(&mut self, grad: Array2<f64>) -> Array2<f64> {
        grad
    }
    fn infer(&self, input: Array2<f64>) -> Array2<f64> {
        let mut turned = Array2::zeros(input.raw_dim().f());
        turned.assign(&input);
        turned
    }
}

#[test]
fn a_last_layer_of_another_layout_trains_alike() {
    let rows = Array2::from_shape_fn((30, 3), |(i, j)| ((i * 7 + j * 3) % 11) as f64 - 5.0);
    let data = Dataset::classification(rows, (0..30).map(|i| i * i % 3).collect(), 3).unwrap();
    let fit = |turned: bool| {
        let mut layers: Vec<Box<dyn Layer<f64>>> = vec![Box::new(Affine::new(3, 3, Init::He, &mut rng(1)).unwrap())];
        layers.extend(turned.then(|| Box::new(Turned) as Box<dyn Layer<f64>>));
        let mut net = Sequential::from_layers(3, layers).unwrap();
        let history = Trainer::new(SoftmaxCrossEntropy, SGD::default()).epochs(3).fit(&mut net, &data).unwrap();
        history.epochs.iter().map(|epoch| (epoch.loss, epoch.accuracy)).collect::<Vec<_>>()
    };
    let plain = fit(false);
    assert!(plain.iter().all(|(_, accuracy)| accuracy.is_some()));
    assert_eq!(fit(true), plain);
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
    // NaN is nobody's class, and a row of nothing else is never right.
    let nan = f64::NAN;
    for (weights, classes) in [([nan, 1.0, 1.0], [1, 1, 2, 1]), ([1.0, 1.0, nan], [0, 1, 0, 0])] {
        assert_eq!(scaled(weights).classify(&rows).unwrap(), classes);
        assert_eq!(right(classes, &scaled(weights)), 1.0);
    }
    for class in 0..3 {
        assert_eq!(right([class; 4], &scaled([nan; 3])), 0.0, "class {class}");
    }
}

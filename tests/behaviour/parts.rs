//! A batch in parts, one for each replica of the network.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use gradus::ndarray::{Array2, s};
use gradus::optim::Clip;
use gradus::prelude::*;
use gradus::rand::{Rng, RngExt};

use crate::support::{Scratch, expect_close};

/// 41 rows: batches of 20, 20 and 1.
pub(crate) fn data() -> Dataset<f64> {
    let mut rng = rng(3);
    let rows = Array2::from_shape_simple_fn((41, 6), || rng.random::<f64>() - 0.5);
    Dataset::classification(rows, (0..41).map(|i| i * i % 3).collect(), 3).unwrap()
}

/// Layers that look at the whole batch, and one that draws.
pub(crate) fn net() -> Sequential<f64> {
    let net = Sequential::input(6).affine(9, Init::He).batch_norm().relu().dropout(0.3);
    net.affine(7, Init::He).batch_norm().tanh().affine(3, Init::Xavier).build(&mut rng(1)).unwrap()
}

/// Everything that happens between the gradients and the next step.
pub(crate) fn trainer() -> Trainer<f64, SoftmaxCrossEntropy, Adam> {
    let trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default()).batch_size(20).epochs(6).seed(5).progress(false);
    trainer.weight_decay(WeightDecay::L2(0.01)).clip(Clip::Norm(0.4)).validate(&data())
}

/// That two runs are the same but for rounding.
#[track_caller]
pub(crate) fn expect_same_run(what: &str, found: (&History, &Sequential<f64>), expected: (&History, &Sequential<f64>)) {
    assert_eq!(found.0.losses.len(), expected.0.losses.len(), "{what}");
    for (i, (&found, &expected)) in found.0.losses.iter().zip(&expected.0.losses).enumerate() {
        expect_close(format_args!("{what}: loss {i}"), found, expected, 1e-11);
    }
    for (found, expected) in found.0.epochs.iter().zip(&expected.0.epochs) {
        let [a, b] = [found, expected].map(|record| record.validation_loss.unwrap());
        expect_close(format_args!("{what}: validation of epoch {}", found.epoch), a, b, 1e-11);
        assert_eq!((found.accuracy, found.validation_accuracy), (expected.accuracy, expected.validation_accuracy));
    }
    let values = |net: &Sequential<f64>| {
        let mut values = Vec::new();
        net.params(&mut |param| param.value.iter().for_each(|&x| values.push((param.name.clone(), x))));
        values
    };
    for ((name, found), (_, expected)) in values(found.1).into_iter().zip(values(expected.1)) {
        expect_close(format_args!("{what}: {name}"), found, expected, 1e-10);
    }
}

/// Parts without rows among them: the last batch has one row for seven.
#[test]
fn replicas_train_like_one_network_but_for_rounding() {
    let mut whole = net();
    let expected = trainer().fit(&mut whole, &data()).unwrap();
    for count in [2, 3, 7] {
        let mut parts = net();
        let found = trainer().replicas(count).fit(&mut parts, &data()).unwrap();
        expect_same_run(&format!("{count} replicas"), (&found, &parts), (&expected, &whole));
        let mut again = net();
        assert_eq!(trainer().replicas(count).fit(&mut again, &data()).unwrap(), found);
        assert_eq!(again.to_bytes().unwrap(), parts.to_bytes().unwrap());
    }
}

/// A loop of one's own, with dense targets, in batches whose rows are not in standard layout.
#[test]
fn a_step_of_replicas_is_that_of_one_network_but_for_rounding() {
    let (mut whole, mut parts) = (net(), net());
    let trainer = || Trainer::new(MeanSquaredError, Momentum::default()).seed(5);
    let (mut alone, mut replicas) = (trainer(), trainer().replicas(3));
    for (step, batch) in data().batches(20).unwrap().enumerate() {
        let targets = Targets::Dense(batch.rows.slice(s![.., ..3]).map(|x| x * x));
        let mut batch = Batch { rows: batch.rows, targets };
        let mut turned =
            Batch { rows: batch.rows.t().as_standard_layout().into_owned().reversed_axes(), ..batch.clone() };
        let expected = alone.step(&mut whole, &mut batch).unwrap();
        let found = replicas.step(&mut parts, &mut turned).unwrap();
        expect_close(format_args!("step {step}"), found, expected, 1e-12);
    }
    let rows = data().rows().clone();
    let (found, expected) = (parts.predict(&rows).unwrap(), whole.predict(&rows).unwrap());
    found.iter().zip(&expected).for_each(|(&found, &expected)| expect_close("output", found, expected, 1e-11));
}

/// The step changes the parameters where they are: the copies have given up their share of them.
#[test]
fn parameters_stay_where_they_are() {
    let places = |net: &Sequential<f64>| {
        let mut places = Vec::new();
        net.params(&mut |param| places.push(param.value.as_ptr()));
        places
    };
    let mut net = net();
    let before = places(&net);
    trainer().replicas(3).fit(&mut net, &data()).unwrap();
    assert_eq!(places(&net), before);
}

#[test]
fn replicas_leave_frozen_layers_alone() {
    let (mut whole, mut parts) = (net(), net());
    whole.freeze(0..2, true);
    parts.freeze(0..2, true);
    let expected = trainer().fit(&mut whole, &data()).unwrap();
    let found = trainer().replicas(3).fit(&mut parts, &data()).unwrap();
    expect_same_run("frozen", (&found, &parts), (&expected, &whole));
    parts.layers()[0].params(&mut |param| {
        let mut values = Vec::new();
        net().layers()[0].params(&mut |param| values.push((param.name.clone(), param.value.clone())));
        assert!(values.contains(&(param.name.clone(), param.value.clone())));
    });
    // And thawed again they are trained.
    parts.freeze(0..2, false);
    let before = parts.clone();
    trainer().replicas(3).epochs(1).fit(&mut parts, &data()).unwrap();
    assert_ne!(parts.to_bytes().unwrap(), before.to_bytes().unwrap());
}

/// What a layer saw of its part.
type Seen = (usize, usize, usize, u64, u64);

/// y = x; says what it was told, and panics where it is asked to.
#[derive(Debug, Clone)]
struct Spy {
    seen: Arc<Mutex<Vec<Seen>>>,
    /// The row that makes it panic.
    fragile: Option<usize>,
}

impl Layer<f64> for Spy {
    fn forward(&mut self, input: Array2<f64>, pass: &mut Pass<'_>) -> Array2<f64> {
        let (rows, first) = (input.nrows(), pass.first_row());
        let seen = (first, rows, pass.batch_rows(rows), pass.seed(), pass.rng().next_u64());
        self.seen.lock().unwrap().push(seen);
        assert!(!self.fragile.is_some_and(|row| (first..first + rows).contains(&row)), "a layer of one's own");
        input
    }
    fn backward(&mut self, grad: Array2<f64>) -> Array2<f64> {
        grad
    }
    fn infer(&self, input: Array2<f64>) -> Array2<f64> {
        input
    }
}

fn with_spy(fragile: Option<usize>) -> (Sequential<f64>, Arc<Mutex<Vec<Seen>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let net = Sequential::input(6).layer(Spy { seen: Arc::clone(&seen), fragile }).affine(4, Init::He).batch_norm();
    (net.affine(3, Init::He).build(&mut rng(1)).unwrap(), seen)
}

/// The seed is the batch's, the generator the part's.
#[test]
fn a_pass_tells_a_layer_its_part() {
    let (mut net, seen) = with_spy(None);
    let mut trainer = trainer().replicas(3);
    for mut batch in data().batches(20).unwrap().take(2) {
        trainer.step(&mut net, &mut batch).unwrap();
    }
    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    seen[..3].sort_unstable();
    seen[3..].sort_unstable();
    let places: Vec<_> = seen.iter().map(|&(first, rows, of, ..)| (first, rows, of)).collect();
    assert_eq!(places, [(0, 6, 20), (6, 7, 20), (13, 7, 20)].repeat(2));
    let (seeds, draws): (BTreeSet<_>, BTreeSet<_>) = seen.iter().map(|&(.., seed, draw)| (seed, draw)).unzip();
    assert_eq!((seeds.len(), draws.len()), (2, 6));
}

/// In any part; the others wait for its sums in BatchNorm and must not wait for ever. The trainer serves the next step.
#[test]
fn a_layer_that_panics_in_a_part_reaches_the_caller() {
    let mut trainer = trainer().replicas(3);
    for row in [0, 10, 19] {
        let (mut net, _) = with_spy(Some(row));
        let before = net.to_bytes().unwrap();
        let mut batch = data().batches(20).unwrap().next().unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| trainer.step(&mut net, &mut batch))).unwrap_err();
        assert_eq!(*panic.downcast::<&str>().unwrap(), "a layer of one's own", "{row}");
        assert_eq!(net.to_bytes().unwrap(), before);
        let (mut net, _) = with_spy(None);
        trainer.step(&mut net, &mut data().batches(20).unwrap().next().unwrap()).unwrap();
    }
}

#[test]
fn a_number_of_replicas_that_cannot_be_is_refused() {
    for count in [0, 1025, usize::MAX] {
        let mut trainer = trainer().replicas(count);
        let expected = format!("replicas: expected 1 to 1024, found {count}");
        assert_eq!(trainer.fit(&mut net(), &data()).unwrap_err().to_string(), expected);
        let mut batch = data().batches(20).unwrap().next().unwrap();
        assert_eq!(trainer.step(&mut net(), &mut batch).unwrap_err().to_string(), expected);
    }
}

/// The bits depend on the number of replicas, so a run that goes on has to have as many.
#[test]
fn a_checkpoint_keeps_the_number_of_replicas() {
    let folder = Scratch::new("replicas");
    let path = folder.0.join("run.safetensors");
    let mut whole = net();
    let expected = trainer().replicas(2).fit(&mut whole, &data()).unwrap();
    trainer().replicas(2).epochs(3).checkpoint_every(3, &path).fit(&mut net(), &data()).unwrap();
    let mut resumed = net();
    let other = trainer().replicas(3).resume(&path).fit(&mut resumed, &data()).unwrap_err().to_string();
    assert!(other.ends_with("replicas: saved with another setting: expected 3, found 2"), "{other}");
    assert_eq!(trainer().replicas(2).resume(&path).fit(&mut resumed, &data()).unwrap(), expected);
    assert_eq!(resumed.to_bytes().unwrap(), whole.to_bytes().unwrap());
}

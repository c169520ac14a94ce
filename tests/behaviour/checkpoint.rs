//! Runs that are stopped and go on: the same bits, whatever happens on the way.

mod damage;
mod killed;

use std::fs;
use std::path::Path;

use gradus::prelude::*;
use safetensors::SafeTensors;
use serde_json::Value;

use crate::support::Scratch;

fn data<F: Scalar>() -> (Dataset<F>, Dataset<F>) {
    Digits::load().unwrap().take(350).unwrap().split(0.2).unwrap()
}

fn build<F: Scalar>() -> Sequential<F> {
    let mut rng = rng(1);
    let inner = Sequential::input(30).affine(20, Init::He).relu().dropout(0.3).build(&mut rng).unwrap();
    let net = Sequential::input(64).affine(30, Init::He).batch_norm().relu().dropout(0.2);
    net.layer(inner).affine(10, Init::Xavier).build(&mut rng).unwrap()
}

/// An optimizer of one's own, with state: p ← p - η m, m ← ½ (m + g).
#[derive(Debug, Clone)]
struct Mine {
    rate: f64,
    share: f64,
}

impl<F: Scalar> Optimizer<F> for Mine {
    fn slots(&self) -> usize {
        1
    }
    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        for ((p, &g), m) in param.iter_mut().zip(grad).zip(slots[0].iter_mut()) {
            *m = F::of(self.share) * (*m + g);
            *p -= F::of(step.rate.as_f64() / (step.number as f64).sqrt()) * *m;
        }
    }
    fn learning_rate(&self) -> f64 {
        self.rate
    }
}

/// A run of `epochs`, and one stopped after `first` of them and resumed with nothing but the file.
fn resumes<F: Scalar, L: Loss<F>, O: Optimizer<F>>(name: &str, trainer: impl Fn() -> Trainer<F, L, O>) {
    let scratch = Scratch::new(name);
    let path = scratch.file("run");
    let (train, _) = data();
    let mut net = build::<F>();
    let all = trainer().epochs(6).fit(&mut net, &train).unwrap();
    for first in [1, 3, 5] {
        trainer().epochs(first).checkpoint_every(10, &path).fit(&mut build(), &train).unwrap();
        let mut resumed = build::<F>();
        let history = trainer().epochs(6).resume(&path).fit(&mut resumed, &train).unwrap();
        assert_eq!(history, all, "{name}, {first}");
        assert_eq!(resumed.to_bytes().unwrap(), net.to_bytes().unwrap(), "{name}, {first}");
    }
}

#[test]
fn a_resumed_run_has_the_same_bits() {
    let (_, test) = data::<f32>();
    resumes("adam", || Trainer::new(SoftmaxCrossEntropy, Adam::default()).validate(&test));
    resumes("sgd", || Trainer::<f32, _, _>::new(SoftmaxCrossEntropy, SGD { learning_rate: 0.1 }).seed(4));
    resumes("momentum", || {
        let optimizer: Box<dyn Optimizer<f32>> = Box::new(Momentum::default());
        Trainer::new(SoftmaxCrossEntropy, optimizer).sampling(Sampling::WithReplacement).batch_size(33)
    });
    let (_, test) = data::<f64>();
    resumes("adagrad", || {
        Trainer::new(SoftmaxCrossEntropy, AdaGrad::default()).weight_decay(WeightDecay::L2(1e-3)).validate(&test)
    });
    resumes("mine", || Trainer::<f64, _, _>::new(SoftmaxCrossEntropy, Mine { rate: 0.1, share: 0.5 }));
}

#[test]
fn schedules_and_clipping_go_on_where_they_were() {
    let (_, test) = data::<f32>();
    resumes("cosine", || {
        let cosine = Cosine { learning_rate: 0.05, minimum: 0.001, steps: 15 };
        Trainer::<f32, _, _>::new(SoftmaxCrossEntropy, AdamW::default()).schedule(cosine).clip(Clip::Norm(0.5))
    });
    resumes("plateau", || {
        let plateau = ReduceOnPlateau { learning_rate: 0.5, patience: 0, threshold: 0.3, ..Default::default() };
        Trainer::new(SoftmaxCrossEntropy, Momentum::default()).schedule(plateau).validate(&test)
    });
}

#[test]
fn a_frozen_layer_stays_so() {
    let scratch = Scratch::new("frozen");
    let path = scratch.file("run");
    let (train, _) = data::<f32>();
    let build = || {
        let mut net = build();
        net.freeze(0..2, true);
        net
    };
    let trainer = || Trainer::new(SoftmaxCrossEntropy, Adam::default());
    let mut net = build();
    trainer().epochs(4).fit(&mut net, &train).unwrap();
    trainer().epochs(2).checkpoint_every(1, &path).fit(&mut build(), &train).unwrap();
    let mut resumed = build();
    trainer().epochs(4).resume(&path).fit(&mut resumed, &train).unwrap();
    assert_eq!(resumed.to_bytes().unwrap(), net.to_bytes().unwrap());
}

#[test]
fn weights_can_be_taken_from_a_checkpoint_and_a_loop_of_ones_own_can_write_one() {
    let scratch = Scratch::new("own-loop");
    let path = scratch.file("run");
    let (train, _) = data::<f32>();
    let (mut net, mut trainer) = (build(), Trainer::new(SoftmaxCrossEntropy, Adam::default()));
    let steps = |net: &mut Sequential<f32>, trainer: &mut Trainer<f32, _, _>| {
        for mut batch in train.batches(50).unwrap() {
            trainer.step(net, &mut batch).unwrap();
        }
    };
    steps(&mut net, &mut trainer);
    let history = History { losses: vec![0.1, f64::NAN, 1.0 / 3.0], epochs: vec![] };
    trainer.save_checkpoint(&net, &history, &path).unwrap();
    let mut weights = build::<f32>();
    weights.load(&path).unwrap();
    assert_eq!(weights.to_bytes().unwrap(), net.to_bytes().unwrap());

    let (mut other, mut other_trainer) = (build(), Trainer::new(SoftmaxCrossEntropy, Adam::default()));
    let losses = other_trainer.load_checkpoint(&mut other, &path).unwrap().losses;
    assert!(losses.iter().map(|x| x.to_bits()).eq(history.losses.iter().map(|x| x.to_bits())));
    steps(&mut net, &mut trainer);
    steps(&mut other, &mut other_trainer);
    assert_eq!(other.to_bytes().unwrap(), net.to_bytes().unwrap());
    assert_eq!(other_trainer.updater().steps(), 2 * 6);
}

#[test]
fn a_finished_run_is_only_read() {
    let scratch = Scratch::new("finished");
    let path = scratch.file("run");
    let (train, _) = data::<f32>();
    let trainer = || Trainer::new(SoftmaxCrossEntropy, SGD::default()).epochs(2);
    let mut net = build();
    let history = trainer().checkpoint_every(1, &path).fit(&mut net, &train).unwrap();
    let mut again = build();
    assert_eq!(trainer().resume(&path).fit(&mut again, &train).unwrap(), history);
    assert_eq!(again.to_bytes().unwrap(), net.to_bytes().unwrap());
}

#[test]
fn the_best_epoch_is_kept() {
    let scratch = Scratch::new("best");
    let (best, run) = (scratch.file("best"), scratch.file("run"));
    let (train, test) = data::<f32>();
    // So fast that it overshoots: the best epoch is not the last one.
    let trainer = || {
        let optimizer = Momentum { learning_rate: 1.0, ..Momentum::default() };
        Trainer::new(SoftmaxCrossEntropy, optimizer).validate(&test).keep_best(Monitor::Loss, &best)
    };
    let history = trainer().epochs(8).fit(&mut build(), &train).unwrap();
    let losses: Vec<f64> = history.epochs.iter().map(|epoch| epoch.validation_loss.unwrap()).collect();
    let smallest = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(losses[7] > smallest, "{losses:?}");
    let mut kept = build();
    kept.load(&best).unwrap();
    assert_eq!(kept.loss(&SoftmaxCrossEntropy, &test).unwrap(), smallest);

    // What comes after is worse, in another call too.
    let whole = fs::read(&best).unwrap();
    let (mut net, mut again) = (build(), trainer().epochs(8));
    again.fit(&mut net, &train).unwrap();
    again.updater_mut().optimizer.learning_rate = 2.0;
    let worse = again.fit(&mut net, &train).unwrap();
    assert!(worse.epochs.iter().all(|epoch| epoch.validation_loss.unwrap() > smallest), "{worse:?}");
    assert_eq!(fs::read(&best).unwrap(), whole);

    fs::remove_file(&best).unwrap();
    trainer().epochs(3).checkpoint_every(1, &run).fit(&mut build(), &train).unwrap();
    trainer().epochs(8).resume(&run).fit(&mut build(), &train).unwrap();
    assert_eq!(fs::read(&best).unwrap(), whole);

    let without = Trainer::new(SoftmaxCrossEntropy, SGD::default()).keep_best(Monitor::Loss, &best);
    let says = without.clone().fit(&mut build(), &train).unwrap_err().to_string();
    assert!(says.contains("rows of validation data, to find the best epoch by"), "{says}");
    let says = without.checkpoint_every(0, &run).fit(&mut build(), &train).unwrap_err().to_string();
    assert!(says.contains("checkpoint_every: expected at least 1 epoch, found 0"), "{says}");
}

/// The best of all that a trainer has done is in the checkpoint, also where it was in a `fit` before.
#[test]
fn a_resumed_run_does_not_replace_a_better_network() {
    let scratch = Scratch::new("better");
    let (best, run) = (scratch.file("best"), scratch.file("run"));
    let (train, test) = data::<f32>();
    let trainer = |learning_rate| {
        let trainer = Trainer::new(SoftmaxCrossEntropy, Momentum { learning_rate, ..Momentum::default() });
        trainer.validate(&test).keep_best(Monitor::Loss, &best)
    };
    let mut net = build();
    let mut first = trainer(0.1).epochs(12);
    let losses =
        |history: &History| -> Vec<f64> { history.epochs.iter().map(|e| e.validation_loss.unwrap()).collect() };
    let good = losses(&first.fit(&mut net, &train).unwrap()).into_iter().fold(f64::INFINITY, f64::min);
    let whole = fs::read(&best).unwrap();

    // From new weights and much too fast: worse, stopped, and resumed by another trainer.
    first.updater_mut().optimizer.learning_rate = 1.5;
    let mut second = first.epochs(2).checkpoint_every(1, &run);
    let worse = losses(&second.fit(&mut build(), &train).unwrap());
    let resumed = losses(&trainer(1.5).epochs(4).resume(&run).fit(&mut build(), &train).unwrap());
    assert_eq!(resumed[..2], worse);
    // The run alone would have had an epoch to keep.
    assert!(resumed.iter().all(|&loss| loss > good), "{good}: {resumed:?}");
    assert_eq!(fs::read(&best).unwrap(), whole);
}

/// A loss is no accuracy: what is kept by the one does not keep the other from being kept.
#[test]
fn a_resumed_run_may_keep_the_best_by_another_figure() {
    let scratch = Scratch::new("monitor");
    let (best, run) = (scratch.file("best"), scratch.file("run"));
    let (train, test) = data::<f32>();
    let trainer = || Trainer::new(SoftmaxCrossEntropy, Adam::default()).validate(&test);
    let first = trainer().epochs(1).checkpoint_every(1, &run).keep_best(Monitor::Accuracy, &best);
    first.clone().fit(&mut build(), &train).unwrap();
    fs::remove_file(&best).unwrap();
    let mut second = trainer().epochs(4).resume(&run).keep_best(Monitor::Loss, &best);
    let history = second.fit(&mut build(), &train).unwrap();
    let losses: Vec<f64> = history.epochs.iter().map(|epoch| epoch.validation_loss.unwrap()).collect();
    let smallest = losses[1..].iter().copied().fold(f64::INFINITY, f64::min);
    assert!(smallest < losses[0], "{losses:?}");
    let mut kept = build();
    kept.load(&best).unwrap();
    assert_eq!(kept.loss(&SoftmaxCrossEntropy, &test).unwrap(), smallest);
}

fn checkpoint(path: &Path) -> Vec<u8> {
    let (train, _) = data::<f32>();
    let trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default());
    trainer.epochs(2).checkpoint_every(1, path).fit(&mut build(), &train).unwrap();
    fs::read(path).unwrap()
}

/// A checkpoint with another text in its metadata.
fn edited(bytes: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    const KEY: &str = "gradus.checkpoint";
    let (_, found) = SafeTensors::read_metadata(bytes).unwrap();
    let mut metadata = found.metadata().clone().unwrap();
    let mut run = serde_json::from_str(&metadata[KEY]).unwrap();
    change(&mut run);
    metadata.insert(KEY.into(), run.to_string());
    safetensors::serialize(SafeTensors::deserialize(bytes).unwrap().iter(), Some(metadata)).unwrap()
}

/// What only one side knows, as another version may, keeps no run from going on.
#[test]
fn a_setting_that_one_side_does_not_know_is_not_compared() {
    let scratch = Scratch::new("settings");
    let path = scratch.file("run");
    let saved = checkpoint(&path);
    let (train, _) = data::<f32>();
    let resumed = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let mut net = build();
        Trainer::new(SoftmaxCrossEntropy, Adam::default()).epochs(4).resume(&path).fit(&mut net, &train)?;
        net.to_bytes()
    };
    let expected = resumed(&saved).unwrap();
    let more = edited(&saved, |run| run["settings"]["optimizer.amsgrad"] = "false".into());
    assert_eq!(resumed(&more).unwrap(), expected);
    let names = |run: &Value| run["settings"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut all = Vec::new();
    drop(edited(&saved, |run| all = names(run)));
    assert_eq!(
        all,
        [
            "batch_size",
            "clip",
            "clip.limit",
            "loss",
            "optimizer",
            "optimizer.beta1",
            "optimizer.beta2",
            "optimizer.epsilon",
            "replicas",
            "sampling",
            "schedule",
            "schedule.rates",
            "training_rows",
            "weight_decay",
            "weight_decay.lambda",
            "weight_decay.roles",
        ]
    );
    for name in all {
        let less = edited(&saved, |run| drop(run["settings"].as_object_mut().unwrap().remove(&name)));
        assert_eq!(resumed(&less).unwrap(), expected, "{name}");
        let other = edited(&saved, |run| run["settings"][&name] = "another".into());
        let says = resumed(&other).unwrap_err().to_string();
        let problem = format!("{name}: saved with another setting: expected ");
        assert!(says.contains(&problem) && says.ends_with(", found another"), "{says}");
    }
}

#[test]
fn another_run_is_refused() {
    let scratch = Scratch::new("refused");
    let path = scratch.file("run");
    checkpoint(&path);
    let (train, _) = data::<f32>();
    fn refusal<O: Optimizer<f32>>(
        mut trainer: Trainer<f32, impl Loss<f32>, O>,
        net: &mut Sequential<f32>,
        train: &Dataset,
    ) -> String {
        let (before, state) = (net.to_bytes().unwrap(), trainer.updater().state().clone());
        let says = trainer.fit(net, train).unwrap_err().to_string();
        assert_eq!(net.to_bytes().unwrap(), before, "{says}");
        assert_eq!(*trainer.updater().state(), state, "{says}");
        says
    }
    let from = |says: String| says.replace(&path.display().to_string(), "FILE");
    let adam = || Trainer::new(SoftmaxCrossEntropy, Adam::default()).resume(&path);
    let refused = |trainer, setting: &str, values: &str| {
        let says = from(refusal(trainer, &mut build(), &train));
        assert_eq!(says, format!("FILE, {setting}: saved with another setting: {values}"));
    };
    refused(adam().batch_size(10), "batch_size", "expected 10, found 100");
    refused(adam().sampling(Sampling::WithReplacement), "sampling", "expected WithReplacement, found Shuffled");
    refused(adam().weight_decay(WeightDecay::L2(0.1)), "weight_decay", "expected L2, found none");
    let roles = [Role::Weight, Role::Scale];
    refused(adam().decay_roles(&roles), "weight_decay.roles", "expected Weight, Scale, found Weight");
    refused(adam().clip(Clip::Norm(1.0)), "clip", "expected norm, found none");
    refused(adam().schedule(0.1), "schedule", "expected f64, found none");
    let other = Adam { beta1: 0.8, learning_rate: 0.5, ..Adam::default() };
    let other = Trainer::new(SoftmaxCrossEntropy, other).resume(&path);
    refused(other, "optimizer.beta1", "expected 0.8, found 0.9");
    let says = from(refusal(Trainer::new(MeanSquaredError, Adam::default()).resume(&path), &mut build(), &train));
    assert_eq!(says, "FILE, loss: saved with another setting: expected MeanSquaredError, found SoftmaxCrossEntropy");
    let says = from(refusal(Trainer::new(SoftmaxCrossEntropy, SGD::default()).resume(&path), &mut build(), &train));
    assert_eq!(says, "FILE, optimizer: saved with another setting: expected SGD, found Adam");
    let says = from(refusal(adam(), &mut build(), &train.take(100).unwrap()));
    assert_eq!(says, "FILE, training_rows: saved with another setting: expected 100, found 280");
    let mut other = Sequential::mlp(64, &[5], 10).build(&mut rng(1)).unwrap();
    let says = from(refusal(adam(), &mut other, &train));
    assert!(says.starts_with("FILE, gradus.architecture: expected Sequential(64 > Affine 5 "), "{says}");
    build::<f32>().save(&path).unwrap();
    let says = from(refusal(adam(), &mut build(), &train));
    assert_eq!(says, "FILE, the header: expected a checkpoint, found weights alone");
    let says = refusal(Trainer::new(SoftmaxCrossEntropy, Adam::default()).resume("no-such-file"), &mut build(), &train);
    assert!(says.contains("cannot open no-such-file"), "{says}");
}

/// Other rates at the steps that were taken are another schedule; what it does later is not of the file.
#[test]
fn another_schedule_is_refused() {
    let scratch = Scratch::new("schedule");
    let path = scratch.file("run");
    let (train, _) = data::<f32>();
    let trainer = |factor| {
        let schedule = StepDecay { learning_rate: 0.1, every: 4, factor };
        Trainer::new(SoftmaxCrossEntropy, SGD::default()).epochs(2).schedule(schedule)
    };
    trainer(0.5).checkpoint_every(1, &path).fit(&mut build(), &train).unwrap();
    trainer(0.5).resume(&path).fit(&mut build::<f32>(), &train).unwrap();
    let says = trainer(0.25).resume(&path).fit(&mut build::<f32>(), &train).unwrap_err().to_string();
    let rates = "schedule.rates: saved with another setting: expected 1.000000e-1, 1.000000e-1, 2.500000e-2, \
                 found 1.000000e-1, 1.000000e-1, 5.000000e-2";
    assert!(says.ends_with(rates), "{says}");
}

/// The rule's own rate is what may be changed between two parts of a run; the seed is the run's.
#[test]
fn a_resumed_run_has_the_rate_of_the_code_and_the_seed_of_the_file() {
    let scratch = Scratch::new("rate");
    let path = scratch.file("run");
    checkpoint(&path);
    let (train, _) = data::<f32>();
    let resumed = |learning_rate, seed| {
        let adam = Adam { learning_rate, ..Adam::default() };
        let mut trainer = Trainer::new(SoftmaxCrossEntropy, adam).seed(seed).epochs(3).resume(&path);
        let mut net = build();
        let history = trainer.fit(&mut net, &train).unwrap();
        assert_eq!(trainer.updater().optimizer.learning_rate, learning_rate);
        let rates: Vec<f64> = history.epochs.iter().map(|epoch| epoch.learning_rate).collect();
        assert_eq!(rates, [0.001, 0.001, learning_rate]);
        net.to_bytes().unwrap()
    };
    assert_eq!(resumed(0.001, 0), resumed(0.001, 5));
    assert_ne!(resumed(0.001, 0), resumed(0.01, 0));
}

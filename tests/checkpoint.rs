//! Runs that are stopped and go on: the same bits, whatever happens on the way.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gradus::ndarray::Array2;
use gradus::prelude::*;
use gradus::rand::RngExt;
use support::Scratch;

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
    fn update(&self, step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        for ((p, &g), m) in param.iter_mut().zip(grad).zip(slots[0].iter_mut()) {
            *m = F::of(self.share) * (*m + g);
            *p -= F::of(self.rate / (step as f64).sqrt()) * *m;
        }
    }
    fn learning_rate(&self) -> F {
        F::of(self.rate)
    }
    fn set_learning_rate(&mut self, rate: F) {
        self.rate = rate.as_f64();
    }
}

/// A run of `epochs`, and one stopped after `first` of them and resumed with nothing but the file.
fn resumes<'a, F: Scalar, L: Loss<F>, O: Optimizer<F>>(name: &str, trainer: impl Fn() -> Trainer<'a, F, L, O>) {
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
    resumes("sgd", || Trainer::new(SoftmaxCrossEntropy, SGD { learning_rate: 0.1 }).seed(4));
    resumes("momentum", || {
        let optimizer: Box<dyn Optimizer<f32>> = Box::new(Momentum::default());
        Trainer::new(SoftmaxCrossEntropy, optimizer).sampling(Sampling::WithReplacement).batch_size(33)
    });
    let (_, test) = data::<f64>();
    resumes("adagrad", || {
        Trainer::new(SoftmaxCrossEntropy, AdaGrad::<f64>::default()).weight_decay(WeightDecay::L2(1e-3)).validate(&test)
    });
    resumes("mine", || Trainer::<f64, _, _>::new(SoftmaxCrossEntropy, Mine { rate: 0.1, share: 0.5 }));
}

#[test]
fn schedules_and_clipping_go_on_too() {
    let (_, test) = data::<f32>();
    resumes("cosine", || {
        let cosine = Cosine { learning_rate: 0.05, minimum: 0.001, steps: 15 };
        Trainer::new(SoftmaxCrossEntropy, AdamW::<f32>::default()).schedule(cosine).clip(Clip::Norm(0.5))
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
    let steps = |net: &mut Sequential<f32>, trainer: &mut Trainer<'_, f32, _, _>| {
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

fn checkpoint(path: &Path) -> Vec<u8> {
    let (train, _) = data::<f32>();
    let trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default());
    trainer.epochs(2).checkpoint_every(1, path).fit(&mut build(), &train).unwrap();
    fs::read(path).unwrap()
}

#[test]
fn another_run_is_refused() {
    let scratch = Scratch::new("refused");
    let path = scratch.file("run");
    checkpoint(&path);
    let (train, _) = data::<f32>();
    fn refusal<O: Optimizer<f32>>(
        mut trainer: Trainer<'_, f32, impl Loss<f32>, O>,
        net: &mut Sequential<f32>,
        train: &Dataset,
    ) -> String {
        let (before, rate) = (net.to_bytes().unwrap(), trainer.updater().optimizer.learning_rate());
        let says = trainer.fit(net, train).unwrap_err().to_string();
        assert_eq!(net.to_bytes().unwrap(), before, "{says}");
        assert_eq!((trainer.updater().optimizer.learning_rate(), trainer.updater().steps()), (rate, 0), "{says}");
        says
    }
    let adam = || Trainer::new(SoftmaxCrossEntropy, Adam::default()).resume(&path);
    let refused = |trainer, what: &str| {
        let says = refusal(trainer, &mut build(), &train);
        assert!(says.contains(&format!(": saved with another {what}")), "{says}");
    };
    refused(adam().batch_size(10), "batch size: expected 10, found 100");
    refused(adam().sampling(Sampling::WithReplacement), "sampling");
    refused(adam().weight_decay(WeightDecay::L2(0.1)), "weight decay");
    refused(adam().clip(Clip::Norm(1.0)), "clipping");
    refused(adam().schedule(Constant { learning_rate: 0.1 }), "schedule: expected Constant with rates 1");
    let other = Adam { beta1: 0.8, learning_rate: 0.5, ..Adam::default() };
    refused(Trainer::new(SoftmaxCrossEntropy, other).resume(&path), "optimizer: expected Adam");
    let says = refusal(Trainer::new(MeanSquaredError, Adam::default()).resume(&path), &mut build(), &train);
    assert!(says.contains("another loss"), "{says}");
    let says = refusal(Trainer::new(SoftmaxCrossEntropy, SGD::default()).resume(&path), &mut build(), &train);
    assert!(says.contains("another"), "{says}");
    let says = refusal(adam(), &mut build(), &train.take(100).unwrap());
    assert!(says.contains("another number of training rows: expected 100, found 280"), "{says}");
    let mut other = Sequential::mlp(64, &[5], 10).build(&mut rng(1)).unwrap();
    let says = refusal(adam(), &mut other, &train);
    assert!(says.contains("another architecture"), "{says}");
    build::<f32>().save(&path).unwrap();
    let says = refusal(adam(), &mut build(), &train);
    assert!(says.contains("expected a checkpoint, found weights alone"), "{says}");
    let says = refusal(Trainer::new(SoftmaxCrossEntropy, Adam::default()).resume("no-such-file"), &mut build(), &train);
    assert!(says.contains("cannot open no-such-file"), "{says}");
    // A learning rate is taken from the file.
    checkpoint(&path);
    let mut slow = Trainer::new(SoftmaxCrossEntropy, Adam { learning_rate: 0.5, ..Adam::default() }).resume(&path);
    slow.fit(&mut build(), &train).unwrap();
    assert_eq!(slow.updater().optimizer.learning_rate, 0.001);
}

/// A small checkpoint, and what loading such bytes says.
fn small() -> (Sequential<f32>, Trainer<'static, f32, SoftmaxCrossEntropy, Adam>) {
    let net = Sequential::input(2).affine(2, Init::He).dropout(0.5).build(&mut rng(1)).unwrap();
    (net, Trainer::new(SoftmaxCrossEntropy, Adam::default()))
}

fn small_bytes(scratch: &Scratch) -> Vec<u8> {
    let (mut net, mut trainer) = small();
    let rows = Array2::from_shape_fn((8, 2), |(i, j)| (i * 2 + j) as f32);
    let train = Dataset::classification(rows, vec![0, 1, 0, 1, 0, 1, 0, 1], 2).unwrap();
    trainer = trainer.epochs(2).checkpoint_every(1, scratch.file("small"));
    trainer.fit(&mut net, &train).unwrap();
    fs::read(scratch.file("small")).unwrap()
}

/// Loads damaged bytes; an error must have changed nothing.
fn load(bytes: &[u8]) -> Result<History, Error> {
    let (mut net, mut trainer) = small();
    let result = trainer.load_checkpoint_bytes(&mut net, bytes);
    if result.is_err() {
        let (old, old_trainer) = small();
        assert_eq!(net.to_bytes().unwrap(), old.to_bytes().unwrap());
        assert_eq!(format!("{trainer:?}"), format!("{old_trainer:?}"));
    }
    result
}

#[test]
fn truncated_anywhere_is_an_error() {
    let bytes = small_bytes(&Scratch::new("truncated"));
    load(&bytes).unwrap();
    for end in 0..bytes.len() {
        load(&bytes[..end]).unwrap_err();
    }
}

#[test]
fn a_flipped_bit_is_an_error_or_a_value() {
    let good = small_bytes(&Scratch::new("flipped"));
    let mut errors = 0;
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        errors += usize::from(load(&bytes).is_err());
    }
    assert!(errors > good.len() && errors < good.len() * 8, "{errors}");
}

#[test]
fn random_damage_is_an_error_or_a_value() {
    let good = small_bytes(&Scratch::new("random"));
    let mut rng = rng(9);
    for _ in 0..10_000 {
        let mut bytes = good.clone();
        for _ in 0..rng.random_range(1..5) {
            let (at, from) = (rng.random_range(0..bytes.len()), rng.random_range(0..bytes.len()));
            match rng.random_range(0..4) {
                0 => bytes[at] = rng.random(),
                1 => bytes[at] = b"0919{}[],:\"-e\\"[rng.random_range(0..14)],
                2 => drop(bytes.drain(at..(at + 5).min(bytes.len()))),
                _ => bytes[at] = bytes[from],
            }
            bytes.resize(bytes.len().max(1), 0);
        }
        drop(load(&bytes));
    }
}

#[test]
fn a_generator_of_zeros_is_refused() {
    let good = String::from_utf8_lossy(&small_bytes(&Scratch::new("zeros"))).into_owned();
    let at = good.find(r#"\"order\":{\"s\":["#).expect("the generator") + r#"\"order\":{\"s\":["#.len();
    let bytes = small_bytes(&Scratch::new("zeros-2"));
    let end = at + good[at..].find(']').unwrap();
    let zeros = format!("{:<width$}", "0,0,0,0", width = end - at);
    let bytes = [&bytes[..at], zeros.as_bytes(), &bytes[end..]].concat();
    let says = load(&bytes).unwrap_err().to_string();
    assert!(says.contains("a random generator of zeros"), "{says}");
}

// The rest runs this test binary again, as another process.

/// The names under which a child finds what it has to do.
const CHILD: &str = "GRADUS_TEST_CHILD";

fn child(test: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD, directory).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

const EPOCHS: usize = 20;

/// One process of the run: from the checkpoint if there is one, to the end if it is let.
#[test]
fn child_trains() {
    let Some(directory) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let path = directory.join("run");
    let (train, test) = data::<f32>();
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default()).epochs(EPOCHS).validate(&test);
    trainer = trainer.checkpoint_every(1, &path).keep_best(Monitor::Loss, directory.join("best"));
    if path.exists() {
        trainer = trainer.resume(&path);
    }
    let mut net = build();
    let history = trainer.fit(&mut net, &train).unwrap();
    fs::write(directory.join("history"), format!("{history:?}")).unwrap();
    net.save(directory.join("end")).unwrap();
}

fn is_writing(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(".run."))
}

/// Lets a process live for some moments, or until it writes a checkpoint, and kills it. Gives whether a checkpoint was
/// left half written.
fn kill(mut process: Child, directory: &Path, wait: Duration, in_the_write: bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < wait && process.try_wait().unwrap().is_none() {
        if in_the_write && began.elapsed() > wait / 2 && is_writing(directory) {
            break;
        }
        if !in_the_write {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    process.kill().unwrap(); // SIGKILL
    process.wait().unwrap();
    is_writing(directory)
}

#[test]
fn a_run_killed_at_any_moment_ends_with_the_same_bits() {
    let (whole, killed) = (Scratch::new("whole"), Scratch::new("killed"));
    let began = Instant::now();
    assert!(child("child_trains", &whole.0).status().unwrap().success());
    let duration = began.elapsed();
    let mut rng = rng(3);
    let (mut kills, mut in_the_write) = (0, 0);
    while kills < 40 && !killed.file("end").exists() {
        let process = child("child_trains", &killed.0).spawn().unwrap();
        let wait = duration.mul_f64(rng.random_range(0.0..0.25));
        in_the_write += usize::from(kill(process, &killed.0, wait, kills % 2 == 1));
        kills += 1;
    }
    assert!(child("child_trains", &killed.0).status().unwrap().success());
    println!("killed {kills} times, {in_the_write} of them in the middle of a write; a run takes {duration:?}");
    for file in ["end", "run", "best", "history"] {
        let (expected, found) = (fs::read(whole.file(file)).unwrap(), fs::read(killed.file(file)).unwrap());
        assert!(expected == found, "{file} differs after {kills} kills");
    }
    assert!(!is_writing(&killed.0), "what killed processes left has not been removed");
}

/// A file system that takes no more than a few kilobytes a file stands for a full disk.
#[test]
fn child_fills_the_disk() {
    let Some(directory) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let (train, _) = data::<f32>();
    let trainer =
        Trainer::new(SoftmaxCrossEntropy, Adam::default()).epochs(2).checkpoint_every(1, directory.join("run"));
    let error = trainer.clone().fit(&mut build(), &train).unwrap_err();
    assert!(matches!(error, Error::Io { action: "write", .. }), "{error}");
    fs::write(directory.join("message"), error.to_string()).unwrap();
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_and_the_old_checkpoint_stays() {
    let scratch = Scratch::new("full");
    let old = checkpoint(&scratch.file("run"));
    let program = std::env::current_exe().unwrap();
    // 512-byte blocks; the signal that would end the process is turned into an error of `write`.
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" --exact child_fills_the_disk"])
        .arg(program)
        .env(CHILD, &scratch.0)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let message = fs::read_to_string(scratch.file("message")).unwrap();
    assert!(message.starts_with("cannot write") && message.contains("arge"), "{message}");
    assert_eq!(fs::read(scratch.file("run")).unwrap(), old);
    assert!(!is_writing(&scratch.0));
}

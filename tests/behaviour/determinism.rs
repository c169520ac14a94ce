//! The same seed gives the same bits: in two runs, and on any number of threads.
//!
//! The number of threads is that of a whole process, so each runs in a process of its own: this very program again,
//! told by the environment to print one run and stop.

use gradus::ndarray::Array2;
use gradus::prelude::*;

use crate::support::process;

const RUN: &str = "GRADUS_DETERMINISM_RUN";

/// FNV-1a over the bits of every number: short to print, and different where a bit is.
#[derive(Debug)]
struct Digest(u64);

impl Digest {
    fn add<'a, F: Scalar>(&mut self, values: impl IntoIterator<Item = &'a F>) {
        for value in values {
            for byte in value.as_f64().to_bits().to_le_bytes() {
                self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
}

/// Trains and predicts at sizes that are worth splitting: one line that two equal runs share.
fn run<F: Scalar, O: Optimizer<F>>(
    name: &str,
    optimizer: O,
    widths: [usize; 3],
    rows: usize,
    replicas: usize,
) -> String {
    let mut rng = rng(7);
    let x = Array2::from_shape_fn((rows, widths[0]), |(i, j)| F::of(((i * 31 + j * 17) % 101) as f64 / 50.0 - 1.0));
    let data = Dataset::classification(x, (0..rows).map(|i| i * i % 10).collect(), 10).unwrap();
    let net = Sequential::input(widths[0]).affine(widths[1], Init::He).batch_norm().relu().dropout(0.2);
    let net = net.affine(widths[2], Init::He).batch_norm().sigmoid().affine(10, Init::Xavier);
    let mut net = net.build(&mut rng).unwrap();
    let mut trainer =
        Trainer::new(SoftmaxCrossEntropy, optimizer).batch_size((rows / 2 + 50).min(rows)).epochs(1).progress(false);
    trainer = trainer.replicas(replicas).weight_decay(WeightDecay::L2(1e-4)).validate(&data);
    let history = trainer.fit(&mut net, &data).unwrap();
    let mut digest = Digest(0xcbf2_9ce4_8422_2325);
    net.params(&mut |param| digest.add(&param.value));
    digest.add(&history.losses);
    digest.add(&net.predict(data.rows()).unwrap());
    let accuracy = net.accuracy(&data).unwrap();
    format!("{name} {:016x} {accuracy}", digest.0)
}

fn all() -> String {
    let large = [784, 512, 600];
    [
        run::<f32, _>("Adam", Adam::default(), large, 300, 1),
        run::<f64, _>("Adam in f64", Adam::default(), large, 300, 1),
        run::<f32, _>("SGD", SGD::default(), [300, 600, 400], 256, 1),
        run::<f32, _>("Momentum", Momentum::default(), [300, 600, 400], 256, 1),
        run::<f32, _>("AdaGrad", AdaGrad::default(), [300, 600, 400], 256, 1),
        // More rows than columns: another way to split.
        run::<f32, _>("many rows", Adam::default(), [40, 260, 140], 3000, 1),
        run::<f32, _>("three replicas", Adam::default(), large, 300, 3),
    ]
    .join("\n")
}

/// Not a test of its own: what a process that was told to runs.
#[test]
fn one_run_prints_its_digests() {
    if std::env::var_os(RUN).is_some() {
        println!("[{}]", all());
    }
}

/// What one run prints in a process with this many threads.
fn with_threads(threads: &str) -> String {
    let mut command = process(module_path!(), "one_run_prints_its_digests");
    let output = command.env(RUN, "1").env("RAYON_NUM_THREADS", threads).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let (_, rest) = printed.split_once('[').expect("a run prints its digests");
    rest.split_once(']').expect("all of them").0.to_string()
}

#[test]
fn two_runs_have_the_same_bits_on_any_number_of_threads() {
    let one = with_threads("1");
    assert_eq!(one.lines().count(), 7);
    for threads in ["1", "2", "3"] {
        assert_eq!(with_threads(threads), one, "{threads} threads");
    }
}

/// Another seed, other bits: the digest does look.
#[test]
fn other_seeds_give_other_bits() {
    let net = |seed| {
        let mut net = Sequential::<f32>::mlp(64, &[30], 10).build(&mut rng(1)).unwrap();
        let data = Digits::load().unwrap().take(300).unwrap();
        Trainer::new(SoftmaxCrossEntropy, SGD::default()).epochs(1).seed(seed).fit(&mut net, &data).unwrap();
        let mut digest = Digest(0);
        net.params(&mut |param| digest.add(&param.value));
        digest.0
    };
    assert_eq!(net(1), net(1));
    assert_ne!(net(1), net(2));
}

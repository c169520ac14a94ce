//! What several tests share.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

pub mod study;

use std::fmt::Display;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use approx::relative_eq;
use gradus::layer::Param;
use gradus::ndarray::Array2;
use gradus::prelude::*;
use serde_json::Value;

/// A training pass forwards, always with the same draws, after which buffers have the values that a step gives them.
#[track_caller]
pub fn forward<F: Scalar>(layer: &mut (impl Layer<F> + ?Sized), input: Array2<F>) -> Array2<F> {
    let output = layer.forward(input, &mut Pass::new(&mut rng(1)));
    layer.params_mut(&mut Param::commit);
    output
}

/// That a number is the one expected: `|found - expected| ≤ tolerance · max(1, |expected|)`.
#[track_caller]
pub fn expect_close(what: impl Display, found: f64, expected: f64, tolerance: f64) {
    assert!(
        relative_eq!(found, expected, epsilon = tolerance, max_relative = tolerance),
        "{what}: expected {expected:e}, found {found:e}, {:.1e} apart (allowed {tolerance:.0e})",
        (found - expected).abs()
    );
}

/// The same of every number of a list.
#[track_caller]
pub fn expect_all_close(what: impl Display, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        expect_close(format_args!("{what} [{i}]"), found, expected, tolerance);
    }
}

/// This very program, to run one test of it in a process of its own: `process(module_path!(), "a_test")`.
pub fn process(module: &str, test: &str) -> Command {
    let (_program, module) = module.split_once("::").expect("a module of a program of tests");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("{module}::{test}"), "--nocapture"]);
    command
}

/// A directory of a test's own in the one of the build, gone with it.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        // Tests of one program run side by side, and may like the same name.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{process}-{count}"));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn names(&self) -> Vec<String> {
        fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.0);
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

/// The folder of MNIST's four files.
pub fn mnist_folder() -> PathBuf {
    std::env::var_os("GRADUS_MNIST").expect("GRADUS_MNIST has to name the folder of MNIST's four files").into()
}

/// Every value and buffer of a network by its name, bit by bit.
pub fn bits<F: Scalar>(net: &Sequential<F>) -> Vec<(String, Vec<u64>)> {
    let mut bits = Vec::new();
    net.params(&mut |p| bits.push((p.name.clone(), p.value.iter().map(|x| x.as_f64().to_bits()).collect())));
    bits
}

/// The golden cases of this kind, of optimizers and schedules.
pub fn cases(kind: &str) -> Vec<Value> {
    let files = [include_str!("../golden/optimizers.json"), include_str!("../golden/optimizers_more.json")];
    let files = files.map(|text| serde_json::from_str::<Value>(text).unwrap());
    let all = files.into_iter().flat_map(|file| file["cases"].as_array().unwrap().clone());
    all.filter(|case| case["kind"] == kind).collect()
}

pub fn vector(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// A user's own rule: the book's Adam, with ε (1e-7) beside the uncorrected root.
#[derive(Debug, Clone)]
pub struct BookAdam {
    pub learning_rate: f64,
    pub beta1: f64,
    pub beta2: f64,
}

impl<F: Scalar> Optimizer<F> for BookAdam {
    fn slots(&self) -> usize {
        2
    }
    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let (one, t) = (F::one(), step.number as f64);
        let correction = (1.0 - self.beta2.powf(t)).sqrt() / (1.0 - self.beta1.powf(t));
        let (rate, beta1, beta2) = (step.rate * F::of(correction), F::of(self.beta1), F::of(self.beta2));
        let [m, v] = slots else { unreachable!("two slots") };
        for i in 0..param.len() {
            m[i] += (one - beta1) * (grad[i] - m[i]);
            v[i] += (one - beta2) * (grad[i] * grad[i] - v[i]);
            param[i] -= rate * m[i] / (v[i].sqrt() + F::of(1e-7));
        }
    }
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }
}

//! What several tests share.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

pub mod study;

use std::fs;
use std::path::PathBuf;

use gradus::prelude::*;
use serde_json::Value;

/// A directory of a test's own in the one of the build, gone with it.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
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
#[derive(Debug)]
pub struct BookAdam<F> {
    pub learning_rate: F,
    pub beta1: F,
    pub beta2: F,
}

impl<F: Scalar> Optimizer<F> for BookAdam<F> {
    fn slots(&self) -> usize {
        2
    }
    fn update(&self, step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let (one, t, &Self { learning_rate, beta1, beta2 }) = (F::one(), F::of(step as f64), self);
        let rate = learning_rate * (one - beta2.powf(t)).sqrt() / (one - beta1.powf(t));
        let [m, v] = slots else { unreachable!("two slots") };
        for i in 0..param.len() {
            m[i] += (one - beta1) * (grad[i] - m[i]);
            v[i] += (one - beta2) * (grad[i] * grad[i] - v[i]);
            param[i] -= rate * m[i] / (v[i].sqrt() + F::of(1e-7));
        }
    }
    fn learning_rate(&self) -> F {
        self.learning_rate
    }
    fn set_learning_rate(&mut self, rate: F) {
        self.learning_rate = rate;
    }
}

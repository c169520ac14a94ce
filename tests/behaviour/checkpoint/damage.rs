//! Checkpoints that are damaged: an error that changes nothing, or a value.

use std::fs;

use gradus::ndarray::Array2;
use gradus::prelude::*;
use gradus::rand::RngExt;
use safetensors::SafeTensors;
use serde_json::Value;

use super::edited;
use crate::support::Scratch;

/// A small checkpoint, and what loading such bytes says.
fn small() -> (Sequential<f32>, Trainer<f32, SoftmaxCrossEntropy, Adam>) {
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
fn a_checkpoint_cut_anywhere_is_an_error() {
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

/// More steps than any run takes: sums and products of such numbers would overflow.
#[test]
fn counters_beyond_all_measure_are_refused() {
    let good = small_bytes(&Scratch::new("counters"));
    for counter in ["/steps", "/drawn", "/parameters/0.weight"] {
        let set = |steps: u64| edited(&good, |run| *run.pointer_mut(counter).unwrap() = steps.into());
        load(&set(1 << 53)).unwrap();
        let says = load(&set(u64::MAX)).unwrap_err().to_string();
        let expected = "the bytes, gradus.checkpoint: expected counters of at most 9007199254740992, found ";
        assert_eq!(says, format!("{expected}{}", u64::MAX), "{counter}");
    }
}

#[test]
fn a_checkpoint_of_another_version_is_refused() {
    let good = small_bytes(&Scratch::new("version"));
    // The first version did not say which it is.
    let first = edited(&good, |run| drop(run.as_object_mut().unwrap().remove("version")));
    let third = edited(&good, |run| run["version"] = 3.into());
    for (bytes, version) in [(first, 1), (third, 3)] {
        let says = load(&bytes).unwrap_err().to_string();
        let problem = format!("expected a checkpoint of version 2, found version {version}");
        assert_eq!(says, format!("the bytes, gradus.checkpoint: {problem}"));
    }
}

/// The rule is named beside its settings, too: it decides what the numbers of the state are.
#[test]
fn the_state_of_another_rule_is_refused() {
    let good = small_bytes(&Scratch::new("rule"));
    let bytes = edited(&good, |run| run["rule"] = "Momentum".into());
    let says = load(&bytes).unwrap_err().to_string();
    assert_eq!(says, "the bytes, optimizer: saved with another setting: expected Adam, found Momentum");
}

#[test]
fn a_parameter_without_its_state_is_refused() {
    let good = small_bytes(&Scratch::new("parameters"));
    let says = |change: fn(&mut serde_json::Map<String, Value>)| {
        let bytes = edited(&good, |run| change(run["parameters"].as_object_mut().unwrap()));
        load(&bytes).unwrap_err().to_string()
    };
    assert_eq!(
        says(|all| drop(all.remove("0.bias"))),
        "the bytes, the optimizer's state: expected one of 0.bias, found none"
    );
    assert_eq!(
        says(|all| drop(all.insert("7.bias".into(), 1.into()))),
        "the bytes, the optimizer's state: expected none of 7.bias, found one"
    );
    // A whole file without two numbers a weight that Adam needs.
    let mut file = Vec::new();
    let lost = "optimizer.slots.0.weight";
    let found = SafeTensors::deserialize(&good).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&good).unwrap();
    let rest = found.iter().filter(|(name, _)| *name != lost);
    file.extend(safetensors::serialize(rest, metadata.metadata().clone()).unwrap());
    let says = load(&file).unwrap_err().to_string();
    assert_eq!(says, "the bytes, tensor optimizer.slots.0.weight: expected F32 [2, 2, 2], found none");
}

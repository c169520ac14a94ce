//! Numbers that rounding must not spoil: long sums, infinite logits, large counts, small variances.

use gradus::layer::{Attribute, Graph};
use gradus::ndarray::{Array2, array};
use gradus::prelude::*;
use safetensors::SafeTensors;

use crate::support::{expect_close, forward};

const ROWS: usize = 60_000;
const WIDTH: usize = 40; // more than a register block, and a rest

/// Column j has the mean j / 4 + 1; the values are exact in `f32`.
fn long(shift: usize) -> Array2<f32> {
    Array2::from_shape_fn((ROWS, WIDTH), |(i, j)| {
        let part = ((i * 7919 + 31 * j + shift) % 2003) as f32 / 2003.0;
        part + j as f32 / 4.0 + 0.5
    })
}

fn column_mean(x: &Array2<f32>, j: usize, f: impl Fn(f64) -> f64) -> f64 {
    x.column(j).iter().map(|&x| f(f64::from(x))).sum::<f64>() / ROWS as f64
}

#[test]
fn bias_gradients_of_many_rows_are_exact_to_rounding() {
    let mut affine = Affine::<f32>::new(1, WIDTH, Init::Zeros, &mut rng(1)).unwrap();
    for g in [long(0), Array2::from_elem((ROWS, WIDTH), 0.1), Array2::from_elem((ROWS, WIDTH), 1.0 / 3.0)] {
        forward(&mut affine, Array2::ones((ROWS, 1)));
        affine.backward_params(g.clone());
        for j in 0..WIDTH {
            let truth = column_mean(&g, j, |g| g) * ROWS as f64;
            let found = f64::from(affine.bias.as_ref().unwrap().grad[[0, j]]);
            assert!((found / truth - 1.0).abs() < 1e-6, "column {j}: {found} of {truth}");
        }
    }
}

#[test]
fn moments_and_gradients_of_many_normalized_rows_are_exact_to_rounding() {
    let mut norm = BatchNorm::<f32>::new(WIDTH).unwrap().with_momentum(1.0).unwrap();
    let (x, g) = (long(0).mapv(|x| 4.0 * x), long(5));
    let normalized = forward(&mut norm, x.clone()); // gamma is 1, beta 0
    norm.backward(&g + &normalized);
    for j in 0..WIDTH {
        let mean = column_mean(&x, j, |x| x);
        let variance = column_mean(&x, j, |x| (x - mean).powi(2)) * ROWS as f64 / (ROWS - 1) as f64;
        let pairs = || (0..ROWS).map(|i| (f64::from(g[[i, j]] + normalized[[i, j]]), f64::from(normalized[[i, j]])));
        let (dbeta, dgamma) = (pairs().map(|(g, _)| g).sum::<f64>(), pairs().map(|(g, x)| g * x).sum::<f64>());
        for (what, found, truth) in [
            ("mean", norm.running_mean.value[[0, j]], mean),
            ("variance", norm.running_var.value[[0, j]], variance),
            ("dbeta", norm.beta.grad[[0, j]], dbeta),
            ("dgamma", norm.gamma.grad[[0, j]], dgamma),
        ] {
            assert!((f64::from(found) / truth - 1.0).abs() < 1e-6, "{what} {j}: {found} of {truth}");
        }
    }
}

/// A logit of -inf is a class that cannot be: of no weight in the loss where it is not the right one.
#[test]
fn cross_entropy_of_infinite_logits_is_the_limit() {
    let inf = f64::INFINITY;
    for (logits, label, loss, grad) in [
        (array![[0.0, -inf]], 0, 0.0, array![[0.0, 0.0]]),
        (array![[0.0, -inf, 0.0]], 2, 2.0_f64.ln(), array![[0.5, 0.0, -0.5]]),
        (array![[0.0, -inf]], 1, inf, array![[1.0, -1.0]]),
    ] {
        let width = logits.ncols();
        let one_hot = Array2::from_shape_fn((1, width), |(_, j)| f64::from(u8::from(j == label)));
        for targets in [Targets::Labels { labels: vec![label], classes: width }, Targets::Dense(one_hot)] {
            let found = SoftmaxCrossEntropy.value_and_grad(logits.clone(), &targets);
            assert_eq!(found, (loss, grad.clone()), "{targets:?}");
            let found = SoftmaxCrossEntropy.value_and_grad(
                logits.mapv(|x| x as f32),
                &match &targets {
                    Targets::Labels { labels, classes } => {
                        Targets::Labels { labels: labels.clone(), classes: *classes }
                    }
                    Targets::Dense(t) => Targets::Dense(t.mapv(|t| t as f32)),
                },
            );
            expect_close("the loss in f32", found.0.min(1e9), loss.min(1e9), 1e-7);
            assert_eq!(found.1, grad.mapv(|g| g as f32));
        }
    }
    for (logit, label, loss, slope) in
        [(-inf, 0, 0.0, 0.0), (inf, 1, 0.0, 0.0), (-inf, 1, inf, -1.0), (inf, 0, inf, 1.0)]
    {
        for targets in [Targets::Labels { labels: vec![label], classes: 2 }, Targets::Dense(array![[label as f64]])] {
            let found = BinaryCrossEntropy.value_and_grad(array![[logit]], &targets);
            assert_eq!(found, (loss, array![[slope]]), "{logit} {targets:?}");
        }
    }
    // NaN stays NaN.
    let one_hot = Targets::Dense(array![[1.0, 0.0]]);
    for logits in [array![[0.0, f64::NAN]], array![[f64::NAN, 0.0]], array![[-inf, -inf]]] {
        assert!(SoftmaxCrossEntropy.value(&logits, &one_hot).is_nan());
        assert!(
            BinaryCrossEntropy.value(&array![[f64::NAN]], &Targets::Dense(array![[logits[[0, 0]].max(0.0)]])).is_nan()
        );
    }
}

/// The count of batches goes on where `f32` has no next whole number, and is kept by files.
#[test]
fn batches_are_counted_beyond_the_numbers_of_f32() {
    fn count<F: Scalar>(from: i64) {
        let mut net = Sequential::<F>::input(2).batch_norm().build(&mut rng(1)).unwrap();
        let mut bytes = net.to_bytes().unwrap();
        let place = {
            let file = SafeTensors::deserialize(&bytes).unwrap();
            let data = file.tensor("0.num_batches_tracked").unwrap().data();
            let offset = data.as_ptr().addr() - bytes.as_ptr().addr();
            offset..offset + data.len()
        };
        bytes[place.clone()].copy_from_slice(&from.to_le_bytes());
        net.load_bytes(&bytes).unwrap();
        assert!(net.to_bytes().unwrap() == bytes, "{from}");
        for more in 1..=3 {
            forward(&mut net, array![[F::one(), F::zero()], [F::zero(), F::one()]]);
            let bytes = net.to_bytes().unwrap();
            assert_eq!(i64::from_le_bytes(bytes[place.clone()].try_into().unwrap()), from + more);
        }
    }
    for from in [0, 1, (1 << 24) - 2, 1 << 24, (1 << 25) + 1, (1 << 48) - 1, (1 << 53) - 5, (1 << 53) - 3, 1 << 60] {
        count::<f32>(from);
        count::<f64>(from);
    }
}

/// An attribute of an exported graph is an `f32`: what it lacks of ε is in the exported variance.
#[test]
fn an_exported_batch_norm_has_the_epsilon_of_the_layer() {
    for epsilon in [1e-5, 1e-3, 1e-50, 0.7, 1e200] {
        for variance in [0.0, 1e-12, 1e-7, 1.0] {
            let mut norm = BatchNorm::<f64>::new(1).unwrap().with_epsilon(epsilon).unwrap();
            norm.running_var.value.fill(variance);
            let mut graph = Graph::default();
            norm.export(&mut graph).unwrap();
            let Attribute::Float(attribute) = graph.nodes[0].attributes[0].1 else { panic!("{:?}", graph.nodes) };
            let exported = graph.constants.iter().find(|constant| constant.name == "running_var").unwrap().values[0];
            assert!(exported >= 0.0 && attribute.is_finite());
            let (found, truth) = (exported + f64::from(attribute), variance + epsilon);
            assert!((found / truth - 1.0).abs() < 1e-15, "{epsilon:e}, {variance:e}: {found:e} of {truth:e}");
        }
    }
}

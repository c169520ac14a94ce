//! One training step: forward, loss, backward, update. The batches are ready before the clock starts (and come
//! from memory, not from the cache, as in training); drawing and gathering them is measured by `book_sgd_epoch`.
//!
//! `cargo bench --bench train_step`, one thread: `RAYON_NUM_THREADS=1 taskset -c 1 cargo bench --bench train_step`.

use criterion::{BatchSize, BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use gradus::prelude::*;
use gradus::rand::RngExt;
use gradus::{Builder, ndarray::Array2};

/// Data of this shape and the batches they make, more than a second-level cache holds.
fn batches<F: Scalar>(size: usize, width: usize, classes: usize) -> Vec<Batch<F>> {
    let mut rng = gradus::rng(1);
    let count = (16_000_000 / (size * width)).clamp(4, 200);
    let rows = Array2::from_shape_simple_fn((size * count, width), || F::of(rng.random()));
    let labels = (0..rows.nrows()).map(|_| rng.random_range(0..classes)).collect();
    Dataset::classification(rows, labels, classes).unwrap().batches(size).unwrap().collect()
}

fn case<F: Scalar>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: &str,
    batch: usize,
    net: Builder<F>,
    optimizer: impl Optimizer<F>,
) {
    replicas(group, (id, 1), batch, net, optimizer);
}

fn replicas<F: Scalar>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    (id, count): (&str, usize),
    batch: usize,
    net: Builder<F>,
    optimizer: impl Optimizer<F>,
) {
    let id = if count == 1 { id.to_string() } else { format!("{id}_replicas{count}") };
    let mut net = net.build(&mut gradus::rng(2)).unwrap();
    let batches = batches::<F>(batch, net.inputs(), net.outputs());
    let mut next = batches.iter().cycle();
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, optimizer).replicas(count);
    let at_a_time = BatchSize::NumIterations(batches.len() as u64);
    group.bench_function(id, |b| {
        b.iter_batched_ref(|| next.next().unwrap().clone(), |batch| trainer.step(&mut net, batch).unwrap(), at_a_time);
    });
}

/// 784-100×4-10.
fn book<F: Scalar>() -> Builder<F> {
    Sequential::mlp(784, &[100; 4], 10)
}

fn with_batch_norm() -> Builder<f32> {
    (0..5).fold(Sequential::input(784), |net, _| net.affine(100, Init::He).batch_norm().relu()).affine(10, Init::He)
}

fn with_dropout() -> Builder<f32> {
    (0..6).fold(Sequential::input(784), |net, _| net.affine(100, Init::He).relu().dropout(0.2)).affine(10, Init::He)
}

/// An epoch of `fit` on 60,000 rows, 469 steps: what drawing, gathering and recording add to a step.
fn fit(group: &mut BenchmarkGroup<'_, WallTime>) {
    let mut rng = gradus::rng(1);
    let rows = Array2::from_shape_simple_fn((60_000, 784), || rng.random());
    let labels = (0..rows.nrows()).map(|_| rng.random_range(0..10)).collect();
    let data = Dataset::classification(rows, labels, 10).unwrap();
    let mut net = book::<f32>().build(&mut rng).unwrap();
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, SGD::default()).batch_size(128).epochs(1).progress(false);
    group.bench_function("book_sgd_epoch", |b| b.iter(|| trainer.fit(&mut net, &data).unwrap()));
}

fn train_step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("train_step");
    let group = &mut group;
    case(group, "tiny", 32, Sequential::<f32>::mlp(64, &[32], 10), SGD::default());
    case(group, "book_sgd", 128, book::<f32>(), SGD::default());
    case(group, "book_momentum", 128, book::<f32>(), Momentum::default());
    case(group, "book_adagrad", 128, book::<f32>(), AdaGrad::default());
    case(group, "book_adam", 128, book::<f32>(), Adam::default());

    case(group, "book_bn", 100, with_batch_norm(), SGD::default());
    case(group, "book_dropout", 100, with_dropout(), SGD::default());
    for count in [2, 8] {
        replicas(group, ("book_sgd", count), 128, book::<f32>(), SGD::default());
        replicas(group, ("book_adam", count), 128, book::<f32>(), Adam::default());
        replicas(group, ("book_bn", count), 100, with_batch_norm(), SGD::default());
        replicas(group, ("book_dropout", count), 100, with_dropout(), SGD::default());
    }

    let mut net = Sequential::<f32>::input(784);
    for _ in 0..4 {
        net = net.affine(100, Init::Xavier).sigmoid();
    }
    case(group, "book_sigmoid", 128, net.affine(10, Init::Xavier), SGD::default());

    let mut net = Sequential::<f32>::input(784);
    for _ in 0..4 {
        net = net.affine(100, Init::Xavier).tanh();
    }
    case(group, "book_tanh", 128, net.affine(10, Init::Xavier), SGD::default());

    case(group, "book_sgd_f64", 128, book::<f64>(), SGD::default());
    group.sample_size(10);
    case(group, "large", 256, Sequential::<f32>::mlp(784, &[1024; 2], 10), Adam::default());
    fit(group);
    case(group, "xl", 512, Sequential::<f32>::mlp(2048, &[4096; 2], 1000), SGD::default());
}

criterion_group!(benches, train_step);
criterion_main!(benches);

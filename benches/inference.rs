//! Prediction with the book net, 784-100×4-10: one row, and ten thousand.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gradus::prelude::*;
use gradus::{ndarray::Array2, rand::RngExt};
use std::hint::black_box;

fn inference(criterion: &mut Criterion) {
    let mut rng = gradus::rng(1);
    let net = Sequential::<f32>::mlp(784, &[100; 4], 10).build(&mut rng).unwrap();
    let mut group = criterion.benchmark_group("inference");
    for (id, rows) in [("one_sample", 1), ("ten_thousand", 10_000)] {
        let rows = Array2::from_shape_simple_fn((rows, 784), || rng.random::<f32>());
        group.throughput(Throughput::Elements(rows.nrows() as u64));
        group.bench_function(id, |b| b.iter(|| net.predict(black_box(&rows)).unwrap()));
    }
}

criterion_group!(benches, inference);
criterion_main!(benches);

//! The three products of a layer, beside ndarray's `dot`, at the shapes of the other benches.
//!
//! Ids: `forward/N×in×out`, `weight_gradient/…` (xᵀg), `input_gradient/…` (gWᵀ); `…/dot` is ndarray's.

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use gradus::kernel::{affine, input_gradient, weight_gradient};
use gradus::{Scalar, ndarray::Array2, ndarray::linalg::general_mat_mul, rand::RngExt};

const SHAPES: [(usize, usize, usize); 14] = [
    (1, 784, 100),
    (1, 100, 100),
    (32, 64, 32),
    (32, 32, 10),
    (128, 784, 100),
    (128, 100, 100),
    (128, 100, 10),
    (256, 784, 100),
    (256, 784, 1024),
    (256, 1024, 1024),
    (256, 1024, 10),
    (512, 2048, 4096),
    (512, 4096, 4096),
    (512, 4096, 1000),
];

fn case<F: Scalar>(group: &mut BenchmarkGroup<'_, WallTime>, (n, i, o): (usize, usize, usize), kind: &str) {
    let mut rng = gradus::rng(1);
    let mut random = |shape| Array2::from_shape_simple_fn(shape, || F::of(rng.random::<f64>() - 0.5));
    let (mut x, mut w, b, mut g) = (random((n, i)), random((i, o)), random((1, o)), random((n, o)));
    let (one, zero) = (F::one(), F::zero());
    let id = |what: &str, whose: &str| format!("{what}/{n}x{i}x{o}{kind}{whose}");
    group.throughput(Throughput::Elements((2 * n * i * o) as u64));
    group.bench_function(id("forward", ""), |t| t.iter(|| affine(&x, &w, &b, &mut g)));
    group.bench_function(id("forward", "/dot"), |t| {
        t.iter(|| {
            g.assign(&b);
            general_mat_mul(one, &x, &w, one, &mut g);
        });
    });
    if n > 1 {
        group.bench_function(id("weight_gradient", ""), |t| t.iter(|| weight_gradient(&x, &g, &mut w)));
        group.bench_function(id("weight_gradient", "/dot"), |t| {
            t.iter(|| general_mat_mul(one, &x.t(), &g, zero, &mut w));
        });
        group.bench_function(id("input_gradient", ""), |t| t.iter(|| input_gradient(&g, &w, &mut x)));
        group.bench_function(id("input_gradient", "/dot"), |t| {
            t.iter(|| general_mat_mul(one, &g, &w.t(), zero, &mut x));
        });
    }
}

fn gemm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gemm");
    group.sample_size(10);
    for shape in SHAPES {
        case::<f32>(&mut group, shape, "");
    }
    for shape in [(128, 784, 100), (256, 1024, 1024)] {
        case::<f64>(&mut group, shape, "/f64");
    }
}

criterion_group!(benches, gemm);
criterion_main!(benches);

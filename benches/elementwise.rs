//! exp, sigmoid and tanh over 12,800 values (a layer of the book net), softmax over 128 rows of 10 and of 1,000.
//! `…/std` is a loop over the standard library's function.

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use gradus::kernel::{exp, sigmoid, tanh, vectorize};
use gradus::{Scalar, loss::softmax, ndarray::Array2, rand::RngExt};

const VALUES: usize = 12_800;

fn case<F: Scalar>(group: &mut BenchmarkGroup<'_, WallTime>, kind: &str) {
    let mut rng = gradus::rng(1);
    let x: Vec<F> = (0..VALUES).map(|_| F::of(rng.random_range(-8.0..8.0))).collect();
    let mut y = [F::zero(); VALUES];
    group.throughput(Throughput::Elements(VALUES as u64));
    macro_rules! function {
        ($f:path, $id:literal, $std:expr) => {
            group.bench_function(format!("{}{kind}", $id), |b| {
                b.iter(|| vectorize(|| y.iter_mut().zip(&x).for_each(|(y, &x)| *y = $f(x))));
            });
            group.bench_function(format!("{}{kind}/std", $id), |b| {
                b.iter(|| y.iter_mut().zip(&x).for_each(|(y, &x)| *y = $std(x)));
            });
        };
    }
    function!(exp, "exp", F::exp);
    function!(sigmoid, "sigmoid", |x: F| F::one() / (F::one() + (-x).exp()));
    function!(tanh, "tanh", F::tanh);

    for width in [10, 1000] {
        let mut rows = Array2::from_shape_simple_fn((128, width), || F::of(rng.random_range(-8.0..8.0)));
        group.throughput(Throughput::Elements(rows.len() as u64));
        group.bench_function(format!("softmax{kind}/128x{width}"), |b| {
            b.iter(|| rows = softmax(std::mem::take(&mut rows)));
        });
    }
}

fn elementwise(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("elementwise");
    case::<f32>(&mut group, "");
    case::<f64>(&mut group, "/f64");
}

criterion_group!(benches, elementwise);
criterion_main!(benches);

//! One update of N parameters: at 1,000 the cost of a call, at 100,000 the caches', at 10,000,000 the memory's.

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use gradus::prelude::*;
use gradus::rand::RngExt;

fn case(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, optimizer: impl Optimizer<f32> + Copy) {
    for n in [1_000, 100_000, 10_000_000] {
        let mut rng = gradus::rng(1);
        let mut param: Vec<f32> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
        let grad: Vec<f32> = (0..n).map(|_| rng.random_range(-0.01..0.01)).collect();
        let mut updater = Updater::new(optimizer);
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(format!("{name}/{n}"), |b| b.iter(|| updater.step_slice(&mut param, &grad).unwrap()));
    }
}

fn optimizer_step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("optimizer_step");
    case(&mut group, "sgd", SGD::default());
    case(&mut group, "momentum", Momentum::default());
    case(&mut group, "adagrad", AdaGrad::default());
    case(&mut group, "adam", Adam::default());
    case(&mut group, "amsgrad", AMSGrad::default());
    case(&mut group, "adamw", AdamW::default());
    case(&mut group, "nesterov", Nesterov::default());
    case(&mut group, "rmsprop", RMSProp::default());
    case(&mut group, "adadelta", AdaDelta::default());
    case(&mut group, "adamax", AdaMax::default());
    case(&mut group, "nadam", NAdam::default());
    case(&mut group, "radam", RAdam::default());
    case(&mut group, "lion", Lion::default());
    case(&mut group, "adabelief", AdaBelief::default());

    // What the memory allows: a copy moves as many bytes as an SGD step with two thirds of the parameters.
    let (from, mut to) = (vec![1.0_f32; 10_000_000], vec![0.0_f32; 10_000_000]);
    group.throughput(Throughput::Elements(10_000_000));
    group.bench_function("copy/10000000", |b| b.iter(|| to.copy_from_slice(std::hint::black_box(&from))));
}

criterion_group!(benches, optimizer_step);
criterion_main!(benches);

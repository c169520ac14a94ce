//! A training step in its steady state allocates nothing: buffers go round.
//!
//! The allocator counts what the thread of the test asks for. (The matrix products keep their packing buffers, a
//! thread each; were they to allocate in every call, this would fail.)
#![allow(unsafe_code)] // an allocator cannot be written without

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use gradus::ndarray::Array2;
use gradus::prelude::*;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends may free and allocate after its counter is gone; nobody counts then.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it came; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is the one asked for here.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `run` allocates.
fn allocations(run: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    run();
    ALLOCATIONS.get() - before
}

#[test]
fn the_allocator_counts() {
    assert_eq!(allocations(|| drop(vec![1, 2, 3])), 1);
    assert_eq!(allocations(|| drop((Box::new(1), String::from("a")))), 2);
    assert_eq!(allocations(|| ()), 0);
}

/// Everything there is in one net, another network among it.
fn net<F: Scalar>(width: usize, outputs: usize) -> Sequential<F> {
    let mut rng = rng(1);
    let inner = Sequential::input(30).affine(20, Init::He).batch_norm().sigmoid().dropout(0.2).build(&mut rng).unwrap();
    let net = Sequential::input(width).affine(50, Init::He).batch_norm().relu().dropout_with(0.1, DropoutForm::Book);
    let net = net.affine_without_bias(30, Init::Xavier).layer_norm().tanh().layer(inner);
    let net = net.leaky_relu(0.1).prelu().prelu_per_column().elu(1.0).gelu().gelu_with(GELUForm::Tanh).silu();
    net.softplus(1.0).affine(outputs, Init::Glorot).build(&mut rng).unwrap()
}

/// Full batches with a short one in between, twenty rounds after two of getting ready.
fn expect_none<F: Scalar, L: Loss<F>, O: Optimizer<F>>(
    what: &str,
    mut net: Sequential<F>,
    data: &Dataset<F>,
    mut trainer: Trainer<F, L, O>,
) {
    let mut batch = Batch::default();
    let rows: Vec<usize> = (0..data.len()).rev().collect();
    let mut round = || {
        for rows in [&rows[..64], &rows[64..128], &rows[128..137], &rows[5..69]] {
            data.gather(rows, &mut batch);
            assert!(trainer.step(&mut net, &mut batch).unwrap().is_finite());
        }
    };
    round();
    round();
    let found = allocations(|| (0..20).for_each(|_| round()));
    assert_eq!(found, 0, "{what}: allocations in 80 steps");
}

fn digits<F: Scalar>() -> Dataset<F> {
    Digits::load().unwrap().take(200).unwrap()
}

fn rules<F: Scalar>() -> Vec<Box<dyn Optimizer<F>>> {
    vec![
        Box::new(Nesterov::default()),
        Box::new(RMSProp::default()),
        Box::new(AdaDelta::default()),
        Box::new(AdamW::default()),
        Box::new(AdaMax::default()),
        Box::new(NAdam::default()),
        Box::new(RAdam::default()),
        Box::new(AdaBelief::default()),
        Box::new(Lion::default()),
    ]
}

fn with_each_optimizer<F: Scalar>() {
    fn trainer<F: Scalar, O: Optimizer<F>>(optimizer: O) -> Trainer<F, SoftmaxCrossEntropy, O> {
        Trainer::new(SoftmaxCrossEntropy, optimizer)
    }
    let data = digits::<F>();
    for decay in [WeightDecay::None, WeightDecay::L2(1e-3), WeightDecay::Decoupled(1e-3)] {
        let net = || net::<F>(64, 10);
        expect_none("SGD", net(), &data, trainer(SGD::default()).weight_decay(decay));
        expect_none("Momentum", net(), &data, trainer(Momentum::default()).weight_decay(decay));
        expect_none("AdaGrad", net(), &data, trainer(AdaGrad::default()).weight_decay(decay));
        expect_none("Adam", net(), &data, trainer(Adam::default()).weight_decay(decay));
        for rule in rules::<F>() {
            let name = rule.name();
            let scheduled = trainer(rule).weight_decay(decay).clip(Clip::Norm(0.5)).schedule(OneCycle::default());
            expect_none(&name, net(), &data, scheduled);
        }
        let boxed: Box<dyn Optimizer<F>> = Box::new(Adam::default());
        expect_none("a boxed Adam", net(), &data, trainer(boxed).weight_decay(decay));
    }
}

#[test]
fn a_step_allocates_nothing_in_f32() {
    with_each_optimizer::<f32>();
}

#[test]
fn a_step_allocates_nothing_in_f64() {
    with_each_optimizer::<f64>();
}

#[test]
fn a_step_with_another_loss_or_a_frozen_layer_allocates_nothing() {
    let data = digits::<f32>();
    let mut frozen = net(64, 10);
    frozen.freeze(0..2, true);
    expect_none("binary cross-entropy", frozen, &data, Trainer::new(BinaryCrossEntropy, SGD::default()));
    let (rows, _) = data.into_parts();
    let copy = Dataset::regression(rows.clone(), rows).unwrap();
    expect_none("dense targets", net(64, 64), &copy, Trainer::new(MeanSquaredError, Adam::default()));
    let one_hot = Array2::from_shape_fn((200, 10), |(i, j)| f32::from(i % 10 == j));
    let one_hot = Dataset::regression(copy.into_parts().0, one_hot).unwrap();
    expect_none("one-hot targets", net(64, 10), &one_hot, Trainer::new(SoftmaxCrossEntropy, Adam::default()));
}

/// Of the thread that asks for it, which takes a part itself. Without the feature `parallel` threads are not kept.
#[test]
#[cfg(feature = "parallel")]
fn a_step_of_replicas_allocates_nothing() {
    let trainer = || Trainer::new(SoftmaxCrossEntropy, Adam::default());
    expect_none("replicas", net(64, 10), &digits::<f32>(), trainer().replicas(3));
}

/// Layers wide enough for several threads: handing a share of the work to another thread takes a few small allocations
/// (none without the feature `parallel`), and no more with more steps.
#[test]
fn wide_layers_allocate_for_their_threads_only() {
    let data = digits::<f32>();
    let mut net = Sequential::mlp(64, &[700, 600], 10).build(&mut rng(1)).unwrap();
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default());
    let (mut batch, rows): (_, Vec<usize>) = (Batch::default(), (0..64).collect());
    let mut steps = |count: usize| {
        for _ in 0..count {
            data.gather(&rows, &mut batch);
            trainer.step(&mut net, &mut batch).unwrap();
        }
    };
    steps(5);
    let found = allocations(|| steps(20));
    let most = if cfg!(feature = "parallel") { 20 * 10 } else { 0 };
    assert!(found <= most, "{found} allocations in 20 steps");
}

/// `fit` allocates for its buffers, its history and its validation, not for its steps: ten times as many steps in an
/// epoch take as many allocations, but for the growing history.
#[test]
fn fit_allocates_by_the_epoch() {
    let data = digits::<f32>();
    let fit = |sampling, batch_size| {
        let mut net = net(64, 10);
        let mut trainer = Trainer::new(SoftmaxCrossEntropy, SGD::default());
        trainer = trainer.sampling(sampling).batch_size(batch_size).epochs(3).progress(false);
        allocations(|| assert_eq!(trainer.fit(&mut net, &data).unwrap().losses.len(), 3 * 200 / batch_size))
    };
    for sampling in [Sampling::Shuffled, Sampling::WithReplacement] {
        let (few, many) = (fit(sampling, 20), fit(sampling, 2));
        assert!(many <= few + 10, "{sampling:?}: {few} allocations in 30 steps, {many} in 300");
    }
}

//! Runs whose numbers do not stay finite.

use std::sync::{Arc, Mutex};

use gradus::ndarray::{Array2, array};
use gradus::optim::UpdaterState;
use gradus::prelude::*;

use super::{data, net};
use crate::support::bits;

/// The net and the optimizer after `steps` steps, one by one.
fn after(steps: usize, optimizer: Momentum, train: &Dataset<f64>) -> (Sequential<f64>, UpdaterState<f64>) {
    let mut net = net(4, 3);
    // As many epochs as steps, of one batch each: the same batches as in a longer run.
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, optimizer).batch_size(12).epochs(steps);
    trainer.fit(&mut net, train).unwrap();
    (net, trainer.updater().state().clone())
}

fn diverged(result: Result<History, Error>) -> (u64, String, History, String) {
    let error = result.expect_err("the run should diverge");
    let message = error.to_string();
    match error {
        Error::Diverged { step, what, history } => (step, what, *history, message),
        other => panic!("expected Error::Diverged, found {other:?}"),
    }
}

#[test]
fn a_run_that_diverges_loses_nothing() {
    let train = data(12, 4, 3);
    let optimizer = Momentum { learning_rate: 1e160, ..Momentum::default() };
    let mut net = net(4, 3);
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, optimizer).batch_size(12).epochs(50);
    let (step, what, history, message) = diverged(trainer.fit(&mut net, &train));
    assert!(step > 1, "the first step is finite");
    assert_eq!(
        message,
        format!(
            "training diverged at step {step}: {what} is not finite; the network is as it was before that step \
             (a smaller learning rate or gradient clipping may help)"
        )
    );
    let before = step as usize - 1;
    assert_eq!((history.losses.len(), history.epochs.len()), (before, before));
    assert!(history.losses.iter().all(|loss| loss.is_finite()));
    let (net_before, state_before) = after(before, optimizer, &train);
    assert_eq!(bits(&net), bits(&net_before), "parameters and running statistics");
    assert_eq!(*trainer.updater().state(), state_before);
}

/// A batch whose rows all have this value.
fn batch(value: f64) -> Batch<f64> {
    Batch { rows: Array2::from_elem((6, 4), value), targets: data(6, 4, 3).targets().clone() }
}

/// After a step that failed the run goes on as if there had been none: the same bits, running statistics, optimizer's
/// state and masks.
#[test]
fn a_step_that_diverges_leaves_no_trace() {
    let train = data(6, 4, 3);
    let run = |is_disturbed: bool| {
        let mut net = net(4, 3);
        let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default()).clip(Clip::Norm(1.0));
        for _ in 0..3 {
            let mut good = train.batches(6).unwrap().next().unwrap();
            trainer.step(&mut net, &mut good).unwrap();
            for value in [f64::NAN, f64::INFINITY, 1e200] {
                if is_disturbed {
                    let (before, state) = (bits(&net), trainer.updater().state().clone());
                    let error = trainer.step(&mut net, &mut batch(value)).unwrap_err();
                    assert!(matches!(error, Error::Diverged { .. }), "{error:?}");
                    assert_eq!(bits(&net), before);
                    assert_eq!(*trainer.updater().state(), state);
                }
            }
        }
        (bits(&net), trainer.updater().state().clone())
    };
    assert_eq!(run(true), run(false));
}

/// Hands numbers on and writes them down.
#[derive(Debug, Clone, Default)]
struct Watch(Arc<Mutex<Vec<Array2<f64>>>>);

impl Layer<f64> for Watch {
    fn forward(&mut self, input: Array2<f64>, _pass: &mut Pass<'_>) -> Array2<f64> {
        self.0.lock().unwrap().push(input.clone());
        input
    }
    fn backward(&mut self, grad: Array2<f64>) -> Array2<f64> {
        grad
    }
    fn infer(&self, input: Array2<f64>) -> Array2<f64> {
        input
    }
}

/// What layers draw depends on the seed and the number of the step, so a step can be tried again with another loss.
#[test]
fn a_step_taken_again_draws_the_same_masks() {
    let masks = Watch::default();
    let net = Sequential::input(50).dropout(0.5).layer(masks.clone()).affine(1, Init::Constant(1.0));
    let mut net = net.build(&mut rng(1)).unwrap();
    let mut trainer = Trainer::new(MeanSquaredError, SGD { learning_rate: 1e-3 });
    let ones = |target| Batch { rows: Array2::ones((1, 50)), targets: Targets::Dense(array![[target]]) };
    let error = trainer.step(&mut net, &mut ones(1e200)).unwrap_err();
    assert!(matches!(error, Error::Diverged { step: 1, .. }), "{error:?}");
    let mut trainer = trainer.clip(Clip::Value(0.1));
    for target in [0.0, 0.0] {
        trainer.step(&mut net, &mut ones(target)).unwrap();
    }
    let masks = masks.0.lock().unwrap();
    assert_eq!(masks[1], masks[0]);
    assert_ne!(masks[2], masks[1]);
}

/// Loss and gradients may be finite where a running statistic is not.
#[test]
fn a_running_statistic_that_is_not_finite_is_named() {
    let train = Dataset::regression(array![[1e200], [-1e200]], array![[0.0], [1.0]]).unwrap();
    let mut net = Sequential::input(1).batch_norm().build(&mut rng(1)).unwrap();
    let before = bits(&net);
    let (step, what, ..) = diverged(Trainer::new(MeanSquaredError, SGD::default()).fit(&mut net, &train));
    assert_eq!((step, what.as_str()), (1, "the next value of 0.running_var"));
    assert_eq!(bits(&net), before);
    // A frozen layer keeps what it has.
    net.freeze(0..1, true);
    Trainer::new(MeanSquaredError, SGD::default()).fit(&mut net, &train).unwrap();
    assert_eq!(bits(&net), before);
}

/// In a loop of one's own an updater looks at the gradients, of all parameters before it changes the first.
#[test]
fn an_updater_takes_no_step_by_a_gradient_that_is_not_finite() {
    let mut net = net(4, 3);
    let mut updater = Updater::new(Adam::default());
    let mut step = |net: &mut Sequential<f64>, bias: f64| {
        net.forward(Array2::ones((6, 4)), &mut Pass::new(&mut rng(2)));
        net.backward_params(Array2::ones((6, 3)));
        net.params_mut(&mut |param| {
            if param.name == "4.bias" {
                param.grad[[0, 2]] = bias;
            }
        });
        let state = updater.state().clone();
        updater.step(net).inspect_err(|_| assert_eq!(*updater.state(), state))
    };
    step(&mut net, 1.0).unwrap();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let before = bits(&net);
        let error = step(&mut net, bad).unwrap_err();
        let Error::Diverged { step: 2, what, history } = &error else { panic!("{error:?}") };
        assert_eq!((what.as_str(), &**history), ("the gradient of 4.bias", &History::default()));
        assert_eq!(bits(&net), before);
    }
    let before = bits(&net);
    step(&mut net, 1.0).unwrap();
    assert!(bits(&net).iter().zip(&before).all(|(after, before)| after != before));
}

/// The loss may be finite where a gradient is not.
#[test]
fn a_gradient_that_is_not_finite_is_named() {
    let x = array![[1e200, 1.0]];
    let train = Dataset::regression(x, array![[0.0]]).unwrap();
    let weight = array![[1e-200], [1e150]];
    let affine = Affine::from_parts(weight, array![0.0]).unwrap();
    let mut net = Sequential::input(2).layer(affine).build(&mut rng(1)).unwrap();
    let before = bits(&net);
    let result = Trainer::new(MeanSquaredError, SGD { learning_rate: 0.1 }).fit(&mut net, &train);
    let (step, what, history, _) = diverged(result);
    assert_eq!((step, what.as_str()), (1, "the gradient of 0.weight"));
    assert!(history.losses.is_empty());
    assert_eq!(bits(&net), before);
}

/// A loss that is not finite is named with its value.
#[test]
fn a_loss_that_is_not_finite_is_named() {
    let train = Dataset::regression(array![[1e200]], array![[0.0]]).unwrap();
    let affine = Affine::from_parts(array![[1e200]], array![0.0]).unwrap();
    let mut net = Sequential::input(1).layer(affine).build(&mut rng(1)).unwrap();
    let (_, what, ..) = diverged(Trainer::new(MeanSquaredError, SGD::default()).fit(&mut net, &train));
    assert_eq!(what, "the loss (inf)");
}

/// The last step may be the one that throws the network off: no later one would find out.
#[test]
fn a_last_step_that_leaves_a_parameter_infinite_is_a_divergence() {
    let rows = Array2::from_shape_fn((8, 2), |(i, j)| (i + j) as f32 - 4.0);
    let train = Dataset::classification(rows, (0..8).map(|i| i % 2).collect(), 2).unwrap();
    for epochs in [1, 3] {
        let mut net = Sequential::input(2).affine(2, Init::Normal(1.0)).build(&mut rng(1)).unwrap();
        let trainer = Trainer::new(SoftmaxCrossEntropy, SGD { learning_rate: 3e38 });
        let mut trainer = trainer.weight_decay(WeightDecay::L2(1e37)).batch_size(8).epochs(epochs);
        let error = trainer.fit(&mut net, &train).unwrap_err();
        let Error::Diverged { step, what, history } = &error else { panic!("{error:?}") };
        // The step that would have gone on from there, and all that was recorded before it.
        assert_eq!((*step, what.as_str()), (2, "parameter 0.weight"));
        assert_eq!((history.losses.len(), history.epochs.len()), (1, 1));
    }
}

/// A schedule that has no rate for a moment: that step is refused, the next one is as if nothing had been.
#[test]
fn a_rate_that_is_nan_once_spoils_its_own_step_only() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    let run = |bad: usize| {
        let mut net = net(4, 3);
        let asked = Arc::new(AtomicUsize::new(0));
        let rate = move |_| if asked.fetch_add(1, Ordering::Relaxed) == bad { f64::NAN } else { 0.01 };
        let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default()).schedule(rate);
        let mut errors = 0;
        while trainer.updater().steps() < 4 {
            let before = (bits(&net), trainer.updater().state().clone());
            if let Err(error) = trainer.step(&mut net, &mut data(6, 4, 3).batches(6).unwrap().next().unwrap()) {
                let message = "step 3, learning rate of the schedule: expected a finite value of at least 0, found NaN";
                assert_eq!(error.to_string(), message);
                assert_eq!((bits(&net), trainer.updater().state().clone()), before);
                errors += 1;
            }
        }
        (bits(&net), trainer.updater().state().clone(), errors)
    };
    let (disturbed, calm) = (run(2), run(usize::MAX));
    assert_eq!((disturbed.2, calm.2), (1, 0));
    assert_eq!((disturbed.0, disturbed.1), (calm.0, calm.1));
}

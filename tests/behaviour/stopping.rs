//! Runs that end early: of themselves, or because a closure says so.

use std::ops::ControlFlow;
use std::sync::Arc;

use gradus::collective::{Collective, threads};
use gradus::prelude::*;
use gradus::train::StepRecord;

use crate::parts::{data, net};
use crate::support::Scratch;

type Adams = Trainer<f64, SoftmaxCrossEntropy, Adam>;

/// A rate so high that the validation loss soon gets worse.
fn trainer() -> Adams {
    let adam = Adam { learning_rate: 0.05, ..Adam::default() };
    let trainer = Trainer::new(SoftmaxCrossEntropy, adam).batch_size(20).epochs(60).seed(5).progress(false);
    trainer.validate(&data().shuffle(&mut rng(9)).take(15).unwrap())
}

fn stopping() -> Adams {
    trainer().early_stopping(Monitor::Loss, 4)
}

fn losses(history: &History) -> Vec<f64> {
    history.epochs.iter().map(|epoch| epoch.validation_loss.unwrap()).collect()
}

#[test]
fn a_run_stops_after_its_patience_and_gives_the_best_network_back() {
    // What every epoch leaves, of a run that does not stop.
    let (mut whole, mut nets) = (net(), Vec::new());
    let all = trainer().fit_with(&mut whole, &data(), |epoch| nets.push(epoch.net.to_bytes().unwrap())).unwrap();
    let mut best = 0;
    let all_losses = losses(&all);
    let stop = (0..).find(|&epoch| {
        best = if all_losses[epoch] < all_losses[best] { epoch } else { best };
        epoch - best == 4
    });
    let stop = stop.unwrap();
    assert!(stop < 50 && best > 0, "the run of this test gets worse after {best}, and stops after {stop}");

    let mut stopped = net();
    let history = stopping().fit(&mut stopped, &data()).unwrap();
    assert_eq!(history.epochs, all.epochs[..=stop]);
    assert_eq!(stopped.to_bytes().unwrap(), nets[best]);

    let mut patient = net();
    let history = trainer().early_stopping(Monitor::Loss, usize::MAX).fit(&mut patient, &data()).unwrap();
    assert_eq!(history, all);
    let least = all_losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(patient.to_bytes().unwrap(), nets[all_losses.iter().position(|&loss| loss == least).unwrap()]);
}

/// Stopped anywhere, also where the best epoch was long ago, or after it had stopped of itself.
#[test]
fn a_resumed_run_stops_where_the_whole_one_does() {
    let folder = Scratch::new("stopping");
    let path = folder.0.join("run.safetensors");
    let mut whole = net();
    let expected = stopping().fit(&mut whole, &data()).unwrap();
    let epochs = expected.epochs.len();
    for stop in 1..=epochs {
        let first = stopping()
            .checkpoint_every(1, &path)
            .fit_with(&mut net(), &data(), |epoch| if epoch.epoch == stop { Err("a power failure") } else { Ok(()) });
        assert_eq!(first.unwrap_err().to_string(), "a power failure");
        if stop == 1 {
            assert!(!path.exists(), "an error comes before the checkpoint of its epoch");
            continue;
        }
        let mut resumed = net();
        let history = stopping().resume(&path).fit(&mut resumed, &data()).unwrap();
        assert_eq!(history, expected, "stopped in epoch {stop}");
        assert_eq!(resumed.to_bytes().unwrap(), whole.to_bytes().unwrap(), "stopped in epoch {stop}");
    }
    stopping().checkpoint_every(1, &path).fit(&mut net(), &data()).unwrap();
    let mut again = net();
    assert_eq!(stopping().resume(&path).fit(&mut again, &data()).unwrap(), expected);
    assert_eq!(again.to_bytes().unwrap(), whole.to_bytes().unwrap());
    // The network of the last epoch is what `load` takes of a checkpoint, and a run that does not stop goes on with.
    let mut last = net();
    last.load(&path).unwrap();
    assert_ne!(last.to_bytes().unwrap(), whole.to_bytes().unwrap());
    let history = trainer().epochs(epochs + 2).resume(&path).fit(&mut last, &data()).unwrap();
    assert_eq!(history.epochs.len(), epochs + 2);
}

fn on_ranks<T: Send>(size: usize, work: impl Fn(Arc<dyn Collective>) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let work = &work;
        let ranks = threads(size).into_iter().map(|rank| scope.spawn(move || work(Arc::new(rank))));
        let ranks: Vec<_> = ranks.collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

#[test]
fn ranks_and_replicas_stop_together() {
    let expected = stopping().fit(&mut net(), &data()).unwrap().epochs.len();
    let folder = Scratch::new("stopping on ranks");
    let path = folder.0.join("run.safetensors");
    let run = |trainer: &(dyn Fn() -> Adams + Sync)| {
        on_ranks(3, |ranks| {
            let mut net = net();
            let history = trainer().across(ranks).fit(&mut net, &data()).unwrap();
            (history, net.to_bytes().unwrap())
        })
    };
    let whole = run(&|| stopping().replicas(2).checkpoint_every(1, &path));
    assert_eq!(whole[0].0.epochs.len(), expected);
    assert!(whole.iter().all(|run| *run == whole[0]));
    // Rank 0 alone reads the file.
    let resumed = run(&|| stopping().replicas(2).resume(&path));
    assert!(resumed.iter().all(|run| *run == whole[0]));
}

#[test]
fn what_cannot_stop_early_is_refused() {
    let error = |trainer: Adams, data: &Dataset<f64>| trainer.clone().fit(&mut net(), data).unwrap_err().to_string();
    let found = error(trainer().early_stopping(Monitor::Loss, 0), &data());
    assert_eq!(found, "early_stopping: expected a patience of at least 1 epoch, found 0");
    let unvalidated = Trainer::new(SoftmaxCrossEntropy, Adam::default()).early_stopping(Monitor::Loss, 3);
    assert_eq!(
        error(unvalidated, &data()),
        "rows of validation data, to stop early by: expected at least one, found none"
    );
    let dense =
        Dataset::regression(data().rows().clone(), data().rows().slice(gradus::ndarray::s![.., ..3]).to_owned());
    let dense = dense.unwrap();
    let mut trainer = Trainer::new(MeanSquaredError, SGD::default()).validate(&dense).progress(false);
    trainer = trainer.early_stopping(Monitor::Accuracy, 3);
    let found = trainer.fit(&mut net(), &dense).unwrap_err().to_string();
    assert!(found.starts_with("accuracy, to find the best epoch by: expected class labels"), "{found}");
}

#[derive(Debug)]
struct OutOfPaper(u32);

impl std::fmt::Display for OutOfPaper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no paper after {} lines", self.0)
    }
}

impl std::error::Error for OutOfPaper {}

#[test]
fn an_error_of_a_closure_ends_the_run_and_reaches_the_caller() {
    let mut net = net();
    let result =
        trainer().fit_with(&mut net, &data(), |epoch| if epoch.epoch == 2 { Err(OutOfPaper(2)) } else { Ok(()) });
    match result.unwrap_err() {
        Error::Callback(error) => assert_eq!(error.downcast_ref::<OutOfPaper>().unwrap().0, 2),
        other => panic!("{other:?}"),
    }
    // The crate's own errors stay what they are.
    let result = trainer().fit_with(&mut net, &data(), |_| Err::<(), _>(Error::invalid("luck", "some", "none")));
    assert!(matches!(result.unwrap_err(), Error::Invalid { .. }));
    let result = trainer().fit_with_steps(&mut net, &data(), |_| Err::<ControlFlow<()>, _>(OutOfPaper(1)), |_| ());
    assert_eq!(result.unwrap_err().to_string(), "no paper after 1 lines");
}

/// Where the run is stopped in an epoch, what was done stays done; the run goes on from the last checkpoint.
#[test]
fn steps_are_seen_and_may_stop_the_run() {
    let folder = Scratch::new("steps");
    let path = folder.0.join("run.safetensors");
    let mut whole = net();
    let mut seen = Vec::new();
    let expected = trainer().epochs(4).fit_with_steps(&mut whole, &data(), |step| seen.push(*step), |_| ()).unwrap();
    assert_eq!(seen.iter().map(|step| step.loss).collect::<Vec<_>>(), expected.losses);
    assert_eq!(seen.iter().map(|step| step.number).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    assert_eq!(seen.iter().map(|step| step.epoch).collect::<Vec<_>>(), [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
    assert!(seen.iter().all(|step| step.learning_rate == 0.05));

    let stop = |step: &StepRecord| if step.number == 8 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let mut stopped = net();
    let mut trainer_ = trainer().epochs(4).checkpoint_every(1, &path);
    let history = trainer_.fit_with_steps(&mut stopped, &data(), stop, |_| ()).unwrap();
    assert_eq!((&history.losses[..], &history.epochs[..]), (&expected.losses[..8], &expected.epochs[..2]));
    assert_eq!(trainer_.updater().steps(), 8);
    let mut resumed = net();
    assert_eq!(trainer().epochs(4).resume(&path).fit(&mut resumed, &data()).unwrap(), expected);
    assert_eq!(resumed.to_bytes().unwrap(), whole.to_bytes().unwrap());

    let histories = on_ranks(3, |ranks| {
        let rank = ranks.rank();
        let mut calls = 0;
        let after_step = |step: &StepRecord| {
            calls += 1;
            stop(step)
        };
        let history =
            trainer().epochs(4).across(ranks).fit_with_steps(&mut net(), &data(), after_step, |_| ()).unwrap();
        assert_eq!(calls, if rank == 0 { 8 } else { 0 });
        history
    });
    assert!(histories.iter().all(|history| history.losses.len() == 8 && *history == histories[0]));
}

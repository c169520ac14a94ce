//! One run on several ranks, which are threads here: each takes its rows of every batch.

use std::sync::Arc;
use std::thread;

use gradus::collective::{Collective, ThreadRank, threads};
use gradus::prelude::*;
use gradus::search::{Budgets, Space, Study, TrialRecord};

use crate::parts::{data, expect_same_run, net, trainer};
use crate::support::Scratch;

type Adams = Trainer<f64, SoftmaxCrossEntropy, Adam>;

/// What `work` gives on each of so many ranks.
fn on_ranks<T: Send>(size: usize, work: impl Fn(Arc<ThreadRank>) -> T + Sync) -> Vec<thread::Result<T>> {
    let work = &work;
    thread::scope(|scope| {
        let ranks = threads(size).into_iter().map(|rank| scope.spawn(move || work(Arc::new(rank))));
        let ranks: Vec<_> = ranks.collect();
        ranks.into_iter().map(|rank| rank.join()).collect()
    })
}

/// A run on so many ranks: the history and the network of each.
fn fit(size: usize, trainer: impl Fn() -> Adams + Sync) -> Vec<(History, Sequential<f64>)> {
    let results = on_ranks(size, |rank| {
        let mut net = net();
        let history = trainer().across(rank).fit(&mut net, &data()).unwrap();
        (history, net)
    });
    results.into_iter().map(Result::unwrap).collect()
}

/// The message of each rank's error, where one has another trainer, network or data than the others.
fn errors(work: impl Fn(usize) -> (Adams, Sequential<f64>, Dataset<f64>) + Sync) -> Vec<String> {
    let results = on_ranks(3, |rank| {
        let (trainer, mut net, data) = work(rank.rank());
        trainer.across(rank).fit(&mut net, &data).unwrap_err().to_string()
    });
    results.into_iter().map(Result::unwrap).collect()
}

/// BatchNorm, Dropout, clipping, decay, a last batch of one row, and ranks that have none of it.
#[test]
fn ranks_train_like_one_process_but_for_rounding() {
    let mut whole = net();
    let expected = trainer().fit(&mut whole, &data()).unwrap();
    for (size, replicas) in [(1, 1), (2, 1), (3, 1), (4, 1), (2, 3)] {
        let what = format!("{size} ranks of {replicas} replicas");
        let ranks = fit(size, || trainer().replicas(replicas));
        for (history, net) in &ranks {
            expect_same_run(&what, (history, net), (&expected, &whole));
            assert_eq!(*history, ranks[0].0, "{what}");
            assert_eq!(net.to_bytes().unwrap(), ranks[0].1.to_bytes().unwrap(), "{what}");
        }
        let again = fit(size, || trainer().replicas(replicas));
        assert_eq!(again[0].1.to_bytes().unwrap(), ranks[0].1.to_bytes().unwrap(), "{what}, again");
    }
}

/// A large parameter is summed where it lies, the others together.
#[test]
fn large_gradients_are_summed_as_well() {
    let data = &Digits::load::<f64>().unwrap().take(60).unwrap();
    let net = || Sequential::<f64>::mlp(64, &[1100, 70], 10).build(&mut rng(1)).unwrap();
    let trainer = || Trainer::new(SoftmaxCrossEntropy, Momentum::default()).batch_size(30).epochs(1).progress(false);
    let mut whole = net();
    trainer().fit(&mut whole, data).unwrap();
    let expected = whole.predict(data.rows()).unwrap();
    for output in on_ranks(2, |rank| {
        let mut net = net();
        trainer().across(rank).fit(&mut net, data).unwrap();
        net.predict(data.rows()).unwrap()
    }) {
        let differences = (output.unwrap() - &expected).mapv(f64::abs);
        assert!(differences.iter().all(|&difference| difference < 1e-10));
    }
}

/// Other networks, seeds and states than those of rank 0 do not matter: all begin with what that has.
#[test]
fn all_ranks_begin_with_the_run_of_rank_0() {
    let expected = fit(2, trainer);
    let results = on_ranks(2, |rank| {
        let mut net = net();
        let mut trainer = trainer();
        if rank.rank() == 1 {
            net.params_mut(&mut |param| param.value.mapv_inplace(|x| x + 1.0));
            trainer = trainer.seed(77);
        }
        let history = trainer.across(rank).fit(&mut net, &data()).unwrap();
        (history, net.to_bytes().unwrap())
    });
    for result in results {
        let (history, bytes) = result.unwrap();
        assert_eq!((history, bytes), (expected[0].0.clone(), expected[0].1.to_bytes().unwrap()));
    }
}

#[test]
fn ranks_that_are_about_to_do_something_else_are_told() {
    let other = |rank: usize, is: usize, other: Adams| if rank == is { other } else { trainer() };
    let found = errors(|rank| (other(rank, 1, trainer().batch_size(10)), net(), data()));
    assert_eq!(found[1], "rank 1: expected batch_size: 20, as rank 0 has, found batch_size: 10");
    assert_eq!((&found[0], &found[2]), (&format!("rank 1: {}", found[1]), &format!("rank 1: {}", found[1])));

    let found = errors(|rank| (other(rank, 2, trainer().epochs(7)), net(), data()));
    assert_eq!(found[2], "rank 2: expected epochs: 6, as rank 0 has, found epochs: 7");

    let smaller = || Sequential::input(6).affine(3, Init::He).build(&mut rng(1)).unwrap();
    let found = errors(|rank| (trainer(), if rank == 0 { smaller() } else { net() }, data()));
    assert!(found[1].starts_with("rank 1: expected network: Sequential(6 > Affine 3), as rank 0 has"), "{}", found[1]);

    let changed = |rank: usize| {
        let (mut rows, targets) = data().into_parts();
        rows[[7, 2]] += if rank == 1 { 1e-9 } else { 0.0 };
        Dataset::new(rows, targets).unwrap()
    };
    let found = errors(|rank| (trainer(), net(), changed(rank)));
    assert!(found[1].starts_with("rank 1: expected training data: "), "{}", found[1]);

    // An error of one rank's own.
    let found = errors(|rank| (other(rank, 1, trainer().batch_size(0)), net(), data()));
    assert_eq!(found[1], "batch_size: expected at least 1, found 0");
    assert_eq!((&found[0], &found[2]), (&format!("rank 1: {}", found[1]), &format!("rank 1: {}", found[1])));
}

#[test]
fn a_run_that_diverges_diverges_on_every_rank() {
    let found = errors(|_| {
        let mut trainer = trainer().clip(gradus::optim::Clip::None);
        trainer.updater_mut().optimizer.learning_rate = 1e300;
        (trainer, net(), data())
    });
    assert!(found[0].starts_with("training diverged at step 2"), "{}", found[0]);
    assert!(found.iter().all(|error| *error == found[0]));
}

/// What a layer of one rank does wrong ends the others too.
#[test]
fn a_rank_that_panics_ends_the_others() {
    let results = on_ranks(3, |rank| {
        let number = rank.rank();
        let mut epochs = 0;
        let result = trainer().across(rank).fit_with(&mut net(), &data(), |_| {
            epochs += 1;
            assert!(epochs < 2, "in the closure of rank {number}");
            std::ops::ControlFlow::Continue(())
        });
        result.unwrap_err().to_string()
    });
    let messages: Vec<_> =
        results.into_iter().map(|result| *result.unwrap_err().downcast::<&str>().unwrap_or_default()).collect();
    assert_eq!(messages[1..], ["another rank has left the group"; 2]);
}

/// Rank 0 alone has files and calls the closure; what it says holds for all.
#[test]
fn files_and_the_end_of_a_run_are_those_of_rank_0() {
    let folder = Scratch::new("ranks");
    let path = folder.0.join("run.safetensors");
    let best = folder.0.join("best.safetensors");
    let results = on_ranks(3, |rank| {
        let (mut calls, number) = (0, rank.rank());
        let trainer = trainer().checkpoint_every(1, &path).keep_best(Monitor::Loss, &best);
        let history = trainer.across(rank).fit_with(&mut net(), &data(), |epoch| {
            calls += 1;
            if epoch.epoch == 4 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
        });
        assert_eq!(calls, if number == 0 { 4 } else { 0 });
        history.unwrap()
    });
    let histories: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert!(histories.iter().all(|history| history.epochs.len() == 4 && *history == histories[0]));
    assert!(path.exists() && best.exists());
    // A checkpoint of three ranks goes on with two, or with one, and ends like the run that was not stopped.
    let mut whole = net();
    let expected = trainer().fit(&mut whole, &data()).unwrap();
    let mut alone = net();
    let found = trainer().resume(&path).fit(&mut alone, &data()).unwrap();
    expect_same_run("resumed alone", (&found, &alone), (&expected, &whole));
    for (history, net) in fit(2, || trainer().resume(&path)) {
        expect_same_run("resumed on two", (&history, &net), (&expected, &whole));
    }
}

#[test]
fn a_file_that_rank_0_cannot_write_or_read_is_an_error_of_all() {
    let nowhere = std::path::Path::new("no such folder").join("run.safetensors");
    let found = errors(|_| (trainer().checkpoint_every(1, &nowhere), net(), data()));
    assert!(found[0].starts_with("cannot "), "{}", found[0]);
    assert!(found[1..].iter().all(|error| *error == format!("rank 0: {}", found[0])), "{found:?}");
    let found = errors(|_| (trainer().resume(&nowhere), net(), data()));
    assert!(found[1..].iter().all(|error| *error == format!("rank 0: {}", found[0])), "{found:?}");
}

/// A study of each kind of search: its records without their times.
fn search(study: Study) -> Result<Vec<TrialRecord>, Error> {
    let mut study = study.threads(2).progress(false);
    study.random(7, |trial| match trial.number() {
        2 => Err("no luck".into()),
        3 => panic!("in an objective"),
        _ => Ok(trial.f64("x")),
    })?;
    study.tpe(15, |trial| Ok((trial.f64("x") - 0.3).abs()))?;
    study.successive_halving(6, Budgets { min: 1, max: 4, factor: 2 }, |trial| {
        // What was kept is found again, whichever rank had the trial.
        let rungs = trial.resume::<usize>().unwrap_or(0);
        trial.keep(rungs + 1);
        Ok(trial.f64("x") + rungs as f64)
    })?;
    let records = study.trials().into_iter().cloned();
    Ok(records.map(|mut record| (record.seconds = 0.0, record).1).collect())
}

fn study() -> Study {
    Study::minimize(Space::new().uniform("x", 0.0..1.0), 5).unwrap()
}

#[test]
fn a_study_on_ranks_has_the_results_of_one_process() {
    let expected = search(study()).unwrap();
    assert_eq!(expected.len(), 28);
    for size in [1, 2, 3] {
        for records in on_ranks(size, |rank| search(study().across(rank)).unwrap()) {
            assert_eq!(records.unwrap(), expected, "{size} ranks");
        }
    }
}

/// One log that all ranks write, or one of each; a study that is begun again runs nothing twice.
#[test]
fn ranks_of_a_study_may_have_logs() {
    let folder = Scratch::new("ranks of a study");
    let expected = search(study()).unwrap();
    for shared in [true, false] {
        for _again in 0..2 {
            let results = on_ranks(3, |rank| {
                let name = if shared { "all".to_string() } else { format!("rank {}", rank.rank()) };
                search(study().log(folder.0.join(name)).unwrap().across(rank)).unwrap()
            });
            results.into_iter().for_each(|records| assert_eq!(records.unwrap(), expected, "{shared}"));
        }
    }
    assert_eq!(Study::read(folder.0.join("all")).unwrap().trials().len(), 28);
    let parts = (0..3).map(|rank| Study::read(folder.0.join(format!("rank {rank}"))).unwrap().trials().len());
    assert_eq!(parts.collect::<Vec<_>>(), [10, 9, 9]);
}

#[test]
fn ranks_with_different_studies_or_a_bad_log_are_told() {
    let errors = |study: &(dyn Fn(usize) -> Study + Sync)| {
        let results = on_ranks(3, |rank| search(study(rank.rank()).across(rank)).unwrap_err().to_string());
        results.into_iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    let found = errors(&|rank| if rank == 1 { study().about("else") } else { study() });
    assert!(found[1].starts_with("rank 1: expected study: ") && found[1].contains("as rank 0 has, found study: "));
    assert!(found[0] == found[2] && found[0] == format!("rank 1: {}", found[1]), "{found:?}");

    let folder = Scratch::new("a log of one rank");
    let path = folder.0.join("log");
    let found = errors(&|rank| {
        if rank != 2 {
            return study();
        }
        let study = study().log(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        study
    });
    assert!(
        found[2].contains("log") && found[0] == format!("rank 2: {}", found[2]) && found[1] == found[0],
        "{found:?}"
    );
}

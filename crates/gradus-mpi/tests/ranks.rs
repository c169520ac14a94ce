//! Jobs of several ranks on this machine: this very program under `mpirun`, told by its argument which job it is part of.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gradus::collective::Collective;
use gradus::prelude::*;
use gradus::search::{Space, Study};

/// Open MPI on one machine, in a container too: no network, more ranks than cores, as root.
const OPTIONS: &str = "--allow-run-as-root --oversubscribe --mca pml ob1 --mca btl self,vader \
                       --mca oob_tcp_if_include lo --mca plm isolated --bind-to none";

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("train") => gradus_mpi::run(|world| train(&*world.clone(), trainer().across(world))),
        Some("search") => gradus_mpi::run(search),
        Some("fail") => gradus_mpi::run(|world| fail(&*world, Err(Error::invalid("a rank", "luck", "none")))),
        Some("panic") => gradus_mpi::run(|world| {
            assert!(world.rank() != 1, "in the program of rank 1");
            fail(&*world, Ok(()))
        }),
        Some("die") => gradus_mpi::run(|world| {
            if world.rank() == 1 {
                std::process::abort();
            }
            fail(&*world, Ok(()))
        }),
        // What a runner of tests asks for.
        Some("--list") => println!("jobs: test"),
        _ => jobs(),
    }
}

fn jobs() {
    // A run of one process, to compare with.
    let alone = finished(job("train", 1));
    for ranks in [2, 4] {
        let (found, again) = (finished(job("train", ranks)), finished(job("train", ranks)));
        assert_eq!(found, again, "two runs of {ranks} ranks");
        assert_eq!(found.len(), alone.len());
        for (found, alone) in found.iter().zip(&alone) {
            assert!((found - alone).abs() <= 1e-9 * alone.abs().max(1.0), "{ranks} ranks: {found}, one: {alone}");
        }
    }
    let alone = finished(job("search", 1));
    assert_eq!(finished(job("search", 3)), alone);
    for (what, message) in
        [("fail", "rank 1: a rank: expected luck, found none"), ("panic", "in the program of rank 1")]
    {
        let Output { status, stderr, .. } = job(what, 4);
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(!status.success() && stderr.contains(message), "{what}: {status}\n{stderr}");
    }
    assert!(!job("die", 2).status.success());
    println!("test result: ok. 9 passed; 0 failed; jobs of 1 to 4 ranks");
}

/// Runs a job; one that has not ended after a minute never will.
fn job(what: &str, ranks: usize) -> Output {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("mpirun");
    command.args(OPTIONS.split_whitespace()).args(["-n", &ranks.to_string()]).arg(program).arg(what);
    command.env("RAYON_NUM_THREADS", "1").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("mpirun: is Open MPI installed?");
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("{what} on {ranks} ranks has not ended");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// The numbers that a job has printed.
fn finished(Output { status, stdout, stderr }: Output) -> Vec<f64> {
    assert!(status.success(), "{status}\n{}", String::from_utf8_lossy(&stderr));
    let numbers: Vec<f64> = String::from_utf8(stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.len() > 100);
    numbers
}

/// Batches of 100, 100, 100 and 1, of which most ranks have nothing.
fn trainer() -> Trainer<f64, SoftmaxCrossEntropy, Adam> {
    let trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default()).epochs(2).replicas(2).progress(false);
    trainer.weight_decay(WeightDecay::L2(1e-3)).validate(&digits())
}

fn digits() -> Dataset<f64> {
    Digits::load().and_then(|digits| digits.take(301)).expect("digits are part of the library")
}

/// Prints every loss and some outputs, on rank 0.
fn train(world: &dyn Collective, mut trainer: Trainer<f64, SoftmaxCrossEntropy, Adam>) -> Result<(), Error> {
    let net = Sequential::input(64).affine(40, Init::He).batch_norm().relu().dropout(0.3);
    let mut net = net.affine(10, Init::He).build(&mut rng(1 + world.rank() as u64))?;
    let history = trainer.fit(&mut net, &digits())?;
    if world.rank() == 0 {
        let outputs = net.predict(digits().take(20)?.rows())?;
        history.losses.iter().chain(&outputs).for_each(|number| println!("{number}"));
    }
    Ok(())
}

/// Prints the score of every trial, on rank 0.
fn search(world: Arc<dyn Collective>) -> Result<(), Error> {
    let study = Study::minimize(Space::new().uniform("x", 0.0..1.0), 1)?.threads(1).progress(false);
    let mut study = study.across(world.clone());
    study.tpe(120, |trial| Ok((trial.f64("x") - 0.3).abs()))?;
    if world.rank() == 0 {
        study.trials().iter().for_each(|trial| println!("{}", trial.score.as_ref().unwrap()));
    }
    Ok(())
}

/// Rank 1 ends so; the others wait for it.
fn fail(world: &dyn Collective, end: Result<(), Error>) -> Result<(), Error> {
    if world.rank() == 1 {
        return end;
    }
    world.sum_f64(&[1.0], &mut [0.0]);
    Ok(())
}

//! Runs that are killed at any moment or out of room: each runs this program of tests again, as another process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gradus::prelude::*;
use gradus::rand::RngExt;

use super::{build, checkpoint, data};
use crate::support::{Scratch, process};

/// The names under which a child finds what it has to do.
const CHILD: &str = "GRADUS_TEST_CHILD";

fn child(test: &str, directory: &Path) -> Command {
    let mut command = process(module_path!(), test);
    command.env(CHILD, directory).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

const EPOCHS: usize = 20;

/// One process of the run: from the checkpoint if there is one, to the end if it is let.
#[test]
fn child_trains() {
    let Some(directory) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let path = directory.join("run");
    let (train, test) = data::<f32>();
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default()).epochs(EPOCHS).validate(&test);
    trainer = trainer.checkpoint_every(1, &path).keep_best(Monitor::Loss, directory.join("best"));
    if path.exists() {
        trainer = trainer.resume(&path);
    }
    let mut net = build();
    let history = trainer.fit(&mut net, &train).unwrap();
    fs::write(directory.join("history"), format!("{history:?}")).unwrap();
    net.save(directory.join("end")).unwrap();
}

fn is_writing(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(".run."))
}

/// Lets a process live for some moments, or until it writes a checkpoint, and kills it. Gives whether a checkpoint was
/// left half written.
fn kill(mut process: Child, directory: &Path, wait: Duration, in_the_write: bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < wait && process.try_wait().unwrap().is_none() {
        if in_the_write && began.elapsed() > wait / 2 && is_writing(directory) {
            break;
        }
        if !in_the_write {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    process.kill().unwrap(); // SIGKILL
    process.wait().unwrap();
    is_writing(directory)
}

#[test]
fn a_run_killed_at_any_moment_ends_with_the_same_bits() {
    let (whole, killed) = (Scratch::new("whole"), Scratch::new("killed"));
    let began = Instant::now();
    assert!(child("child_trains", &whole.0).status().unwrap().success());
    let duration = began.elapsed();
    let mut rng = rng(3);
    let (mut kills, mut in_the_write) = (0, 0);
    while kills < 40 && !killed.file("end").exists() {
        let process = child("child_trains", &killed.0).spawn().unwrap();
        let wait = duration.mul_f64(rng.random_range(0.0..0.25));
        in_the_write += usize::from(kill(process, &killed.0, wait, kills % 2 == 1));
        kills += 1;
    }
    assert!(child("child_trains", &killed.0).status().unwrap().success());
    println!("killed {kills} times, {in_the_write} of them in the middle of a write; a run takes {duration:?}");
    for file in ["end", "run", "best", "history"] {
        let (expected, found) = (fs::read(whole.file(file)).unwrap(), fs::read(killed.file(file)).unwrap());
        assert!(expected == found, "{file} differs after {kills} kills");
    }
    assert!(!is_writing(&killed.0), "what killed processes left has not been removed");
}

/// A file system that takes no more than a few kilobytes a file stands for a full disk.
#[test]
fn child_fills_the_disk() {
    let Some(directory) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let (train, _) = data::<f32>();
    let trainer =
        Trainer::new(SoftmaxCrossEntropy, Adam::default()).epochs(2).checkpoint_every(1, directory.join("run"));
    let error = trainer.clone().fit(&mut build(), &train).unwrap_err();
    assert!(matches!(error, Error::Io { action: "write", .. }), "{error}");
    fs::write(directory.join("message"), error.to_string()).unwrap();
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_and_the_old_checkpoint_stays() {
    let scratch = Scratch::new("full");
    let old = checkpoint(&scratch.file("run"));
    let program = process(module_path!(), "child_fills_the_disk");
    // 512-byte blocks; the signal that would end the process is turned into an error of `write`.
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\""])
        .arg(program.get_program())
        .args(program.get_args())
        .env(CHILD, &scratch.0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let message = fs::read_to_string(scratch.file("message")).unwrap();
    assert!(message.starts_with("cannot write") && message.contains("arge"), "{message}");
    assert_eq!(fs::read(scratch.file("run")).unwrap(), old);
    assert!(!is_writing(&scratch.0));
}

/// The networks that the next process saves in turn.
fn saved_in_turn() -> [Sequential<f32>; 2] {
    let mut first = build();
    first.params_mut(&mut |param| param.value.fill(0.25));
    [first, build()]
}

/// Saves to one path until it is killed.
#[test]
fn child_saves_in_a_loop() {
    let Some(directory) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let nets = saved_in_turn();
    for net in nets.iter().cycle() {
        net.save(directory.join("run")).unwrap();
    }
}

/// Kills a process that saves this many times, each at another moment, and reads what it leaves.
fn kill_savers(kills: usize) {
    let scratch = Scratch::new("savers");
    let path = scratch.file("run");
    let whole = saved_in_turn().map(|net| net.to_bytes().unwrap());
    let mut rng = rng(5);
    let mut in_the_write = 0;
    for kill_number in 0..kills {
        // Whether a saver has begun is seen by the file of which there was none.
        let _ = fs::remove_file(&path);
        let process = child("child_saves_in_a_loop", &scratch.0).spawn().unwrap();
        let began = Instant::now();
        while !path.exists() {
            assert!(began.elapsed() < Duration::from_secs(60), "waited a minute for the first save");
            std::thread::sleep(Duration::from_millis(1));
        }
        let wait = Duration::from_micros(rng.random_range(0..20_000));
        in_the_write += usize::from(kill(process, &scratch.0, wait, kill_number % 2 == 1));
        let found = fs::read(&path).unwrap();
        assert!(whole.contains(&found), "kill {kill_number} left a file that is no whole save");
        build::<f32>().load(&path).unwrap();
    }
    println!("killed {kills} times, {in_the_write} of them in the middle of a write");
    saved_in_turn()[0].save(&path).unwrap();
    assert_eq!(scratch.names(), ["run"], "what killed processes left has not been removed");
}

#[test]
fn a_file_is_whole_after_twenty_kills() {
    kill_savers(20);
}

#[test]
#[ignore = "takes ten seconds"]
fn a_file_is_whole_after_two_hundred_kills() {
    kill_savers(200);
}

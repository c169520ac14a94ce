//! The log of a study: exact, cut off anywhere, of another study, and shared by processes.

mod damage;

use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gradus::Error;
use gradus::search::{Budgets, Failure, Space, Study, Trial, TrialRecord};

use crate::support::study::{results, score, search_all_ways, space};
use crate::support::{Scratch, process};

#[test]
fn csv_and_log_give_back_every_bit() {
    let scratch = Scratch::new("bits");
    let path = scratch.file("study.jsonl");
    let mut study = Study::minimize(space(), u64::MAX).unwrap().log(&path).unwrap();
    study
        .random(20, |trial| {
            trial.track("odd, \"name\"", 1, f64::NAN);
            trial.track("odd, \"name\"", 2, f64::NEG_INFINITY);
            let _ = trial.report(1, 0.1 + 0.2);
            match trial.number() {
                0 => Err("a \"quoted\",\nlong ü message".into()),
                1 => Ok(-0.0),
                2 => Ok(f64::MIN_POSITIVE / 3.0),
                3 => Ok(f64::MAX),
                number => Ok(score(trial.point()) / number as f64),
            }
        })
        .unwrap();
    let read = Study::read(&path).unwrap();
    assert_eq!(format!("{:?}", results(&read)), format!("{:?}", results(&study)));
    assert_eq!(read.to_csv(), study.to_csv());
    assert_eq!((read.direction(), read.space(), read.round()), (study.direction(), study.space(), 1));

    let csv = study.to_csv();
    assert!(csv.starts_with("trial,round,budget,score,error,stopped,seconds,learning_rate,weight_decay,dropout,"));
    assert!(csv.contains("\"a \"\"quoted\"\",\nlong ü message\""));
    let line = csv.lines().find(|line| line.starts_with("7,1,")).unwrap();
    let fields: Vec<&str> = line.split(',').collect();
    assert_eq!(fields[3].parse::<f64>().unwrap(), study.trials()[7].score.clone().unwrap());
    assert_eq!(fields[7].parse::<f64>().unwrap(), study.trials()[7].point.f64("learning_rate"));
}

/// A study whose log was cut off anywhere, as by a kill, resumes to the same results.
#[test]
fn a_log_cut_anywhere_resumes_to_the_same_end() {
    let scratch = Scratch::new("cut");
    let path = scratch.file("study.jsonl");
    let run = || -> Result<Study, Error> {
        let mut study = Study::maximize(space(), 42)?.log(&path)?;
        search_all_ways(&mut study)?;
        Ok(study)
    };
    let whole = results(&run().unwrap());
    let bytes = std::fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..bytes.len()).filter(|&i| bytes[i] == b'\n').collect();
    let cuts =
        [0, 1, ends[0] - 1, ends[0], ends[0] + 1, ends[1], ends[2] - 1, ends[2] + 1, ends[60] + 20, ends[150] - 1];
    for cut in cuts {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let study = run().unwrap();
        assert_eq!(results(&study), whole, "cut at {cut}");
        let torn = cut > ends[0] && bytes[cut - 1] != b'\n';
        assert_eq!(study.notes().len(), usize::from(torn), "{:?}", study.notes());
        let lines = std::fs::read_to_string(&path).unwrap();
        let finished = lines.lines().filter(|line| line.contains("\"trial\"")).count();
        assert_eq!(finished, bytes.split(|&b| b == b'\n').filter(|l| l.windows(7).any(|w| w == b"\"trial\"")).count());
    }
}

/// A power failure may leave a last line that is ended but has no contents.
#[test]
fn a_last_line_of_rubbish_is_dropped_and_said() {
    let scratch = Scratch::new("rubbish");
    let path = scratch.file("study.jsonl");
    let run = |trials| -> Result<Study, Error> {
        let mut study = Study::maximize(space(), 1)?.log(&path)?;
        study.random(trials, |trial| Ok(score(trial.point())))?;
        Ok(study)
    };
    run(3).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend(b"\0\0\0\n");
    std::fs::write(&path, bytes).unwrap();
    let study = run(5).unwrap();
    assert!(study.notes()[0].ends_with("dropped a torn last line of 4 bytes"), "{:?}", study.notes());
    assert_eq!(results(&study), results(&Study::read(&path).unwrap()));
    assert_eq!(study.trials().len(), 5);
}

/// Two processes may finish the same trial, if one found the other's lock free.
#[test]
fn of_two_lines_of_one_trial_the_first_stands() {
    let scratch = Scratch::new("twice");
    let path = scratch.file("study.jsonl");
    let run = || -> Result<Study, Error> {
        let mut study = Study::maximize(space(), 1)?.log(&path)?;
        study.random(5, |trial| Ok(score(trial.point())))?;
        Ok(study)
    };
    let whole = results(&run().unwrap());
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.lines().find(|line| line.contains("\"trial\":3")).unwrap();
    let (before, after) = line.split_once("\"score\":").unwrap();
    let again = format!("{before}\"score\":1000{}", &after[after.find(',').unwrap()..]);
    std::fs::write(&path, format!("{text}{again}\n")).unwrap();
    assert_eq!(results(&run().unwrap()), whole);
    assert_eq!(results(&Study::read(&path).unwrap()), whole);
}

#[test]
fn a_finished_log_runs_nothing_again() {
    let scratch = Scratch::new("again");
    let path = scratch.file("study.jsonl");
    let run = |path: &Path| {
        let calls = AtomicUsize::new(0);
        let mut study = Study::maximize(space(), 1).unwrap().log(path).unwrap();
        study
            .random(10, |trial| {
                calls.fetch_add(1, Ordering::Relaxed);
                if trial.number() == 3 { Err("recorded".into()) } else { Ok(score(trial.point())) }
            })
            .unwrap();
        (results(&study), calls.into_inner())
    };
    let first = run(&path);
    assert_eq!(run(&path), (first.0, 0));
    assert_eq!(scratch.names(), ["study.jsonl"], "lock files are removed");
}

#[test]
fn the_log_of_another_study_is_refused() {
    let scratch = Scratch::new("other");
    let path = scratch.file("study.jsonl");
    let mut study = Study::maximize(space(), 1).unwrap().log(&path).unwrap();
    study.random(20, |trial| Ok(score(trial.point()))).unwrap();
    let before = std::fs::read(&path).unwrap();
    let refused = |study: Result<Study, Error>, expected: &str| {
        let error = study.and_then(|study| study.log(&path)).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    };
    refused(
        Study::maximize(space(), 2),
        "study.jsonl, the seed: this is the log of another study: expected 2, found 1",
    );
    refused(
        Study::minimize(space(), 1),
        "the direction: this is the log of another study: expected minimize, found maximize",
    );
    refused(
        Study::maximize(space(), 1).map(|study| study.about("50 epochs")),
        "what they are about: this is the log of another study: expected \"50 epochs\", found \"\"",
    );
    let rate = |range| Space::new().log_uniform("learning_rate", range);
    refused(
        Study::maximize(rate(1e-5..1e-2), 1),
        "the dimension learning_rate: this is the log of another study: expected log_uniform 1e-5..1e-2, found log_uniform 1e-6..1e-2",
    );
    refused(
        Study::maximize(rate(1e-6..1e-2), 1),
        "the dimension weight_decay: this is the log of another study: expected no such dimension, found log_uniform 1e-8..1e-4",
    );
    refused(
        Study::maximize(space().uniform("momentum", 0.5..1.0), 1),
        "the dimension momentum: this is the log of another study: expected uniform 0.5..1, found no such dimension",
    );
    // The same study with another search method.
    let mut other = Study::maximize(space(), 1).unwrap().log(&path).unwrap();
    let error = other.tpe(20, |trial| Ok(score(trial.point()))).unwrap_err().to_string();
    assert!(error.contains("trial 10: this is the log of another study: expected learning_rate "), "{error}");

    // The same study with other budgets.
    let halved = scratch.file("halved.jsonl");
    let halve = |min| {
        let mut study = Study::maximize(space(), 1)?.log(&halved)?;
        study.successive_halving(6, Budgets { min, max: 9, factor: 3 }, |trial| Ok(score(trial.point())))
    };
    halve(1).unwrap();
    let error = halve(2).unwrap_err().to_string();
    assert!(error.contains(", budget 2, found ") && error.ends_with(", budget 1"), "{error}");

    let foreign = scratch.file("notes.txt");
    for text in ["one line\n", "no end", "{\"a\": 1}\n{}\n"] {
        std::fs::write(&foreign, text).unwrap();
        let error = Study::maximize(space(), 1).unwrap().log(&foreign).unwrap_err();
        assert!(matches!(&error, Error::Format { place, .. } if place == "byte 0"), "{error}");
        assert_eq!(std::fs::read_to_string(&foreign).unwrap(), text, "the file is not changed");
    }
    // A malformed line before the last is an error.
    let mut broken = before.clone();
    let middle = broken.iter().position(|&b| b == b'\n').unwrap() + 3;
    broken[middle] = b'#';
    std::fs::write(&path, &broken).unwrap();
    let error = Study::maximize(space(), 1).unwrap().log(&path).unwrap_err();
    assert!(matches!(&error, Error::Format { place, .. } if *place == format!("byte {}", middle - 2)), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), broken);
}

#[test]
fn a_log_of_another_version_is_refused() {
    let scratch = Scratch::new("version");
    let path = scratch.file("study.jsonl");
    let space = || Space::new().uniform("x", 0.0..1.0);
    drop(Study::maximize(space(), 1).unwrap().log(&path).unwrap());
    let newer = std::fs::read_to_string(&path).unwrap().replace("\"gradus study\":2", "\"gradus study\":3");
    let older = "{\"about\":\"\",\"direction\":\"maximize\",\"gradus study\":1,\"seed\":1,\"space\":[{\"high\":1.0,\
                 \"kind\":\"float\",\"log\":false,\"low\":0.0,\"name\":\"x\"}]}\n";
    for (text, version) in [(older, 1), (newer.as_str(), 3)] {
        std::fs::write(&path, text).unwrap();
        let expected = format!("byte 0: expected a log of version 2, found version {version}");
        for result in [Study::read(&path), Study::maximize(space(), 1).unwrap().log(&path)] {
            let error = result.unwrap_err().to_string();
            assert!(error.ends_with(&expected), "{error}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "the file is not changed");
    }
}

#[test]
fn a_point_outside_the_space_is_an_error_with_its_position() {
    let scratch = Scratch::new("outside");
    let path = scratch.file("study.jsonl");
    let mut study = Study::maximize(space(), 1).unwrap().threads(1).log(&path).unwrap();
    study.random(5, |trial| Ok(score(trial.point()))).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.lines().find(|line| line.contains("\"trial\":2")).unwrap();
    let start = format!("byte {}", text.find(line).unwrap());
    let require_refused = |broken: &str| {
        std::fs::write(&path, text.replace(line, broken)).unwrap();
        let error = Study::read(&path).unwrap_err();
        let Error::Format { place, problem, .. } = &error else { panic!("{error}") };
        assert_eq!((place, problem.as_str()), (&start, "expected a claim or a trial"), "{broken}");
    };
    let cases = [
        ("learning_rate", "1.0"),
        ("learning_rate", "\"inf\""),
        ("dropout", "null"),
        ("layers", "7"),
        ("layers", "2.5"),
        ("layers", "\"relu\""),
        ("hidden", "9223372036854775808"),
        ("activation", "\"gelu\""),
        ("activation", "1"),
    ];
    for (name, value) in cases {
        let pair = line.find(&format!("[\"{name}\",")).unwrap();
        let end = pair + line[pair..].find(']').unwrap();
        let broken = format!("{}[\"{name}\",{value}{}", &line[..pair], &line[end..]);
        require_refused(&broken);
        require_refused(&line.replace(&format!("[\"{name}\","), "[\"other\","));
    }
}

#[test]
fn the_order_of_the_dimensions_does_not_matter() {
    let scratch = Scratch::new("order");
    let path = scratch.file("study.jsonl");
    let run = |space: Space, trials| {
        let mut study = Study::maximize(space, 1).unwrap().log(&path).unwrap();
        study.random(trials, |trial| Ok(trial.f64("x") + trial.int("n") as f64)).unwrap();
        results(&study)
    };
    let first = run(Space::new().uniform("x", 0.0..1.0).int("n", 1..=9), 5);
    let second = run(Space::new().int("n", 1..=9).uniform("x", 0.0..1.0), 6);
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.score, second.score);
        assert_eq!(second.point.values().map(|(name, _)| name).collect::<Vec<_>>(), ["n", "x"]);
    }
    assert_eq!(second.len(), 6);
}

const SHARED_TRIALS: usize = 40;

/// The study that the processes of the next tests share: every run of a trial creates a file.
fn shared_search(folder: &Path, name: &str) -> Study {
    let mut study = Study::maximize(space(), 77).unwrap().threads(2).log(folder.join("study.jsonl")).unwrap();
    let objective = |trial: &mut Trial| -> Result<f64, Failure> {
        let begun = folder.join(format!("trial-{}-{name}", trial.number()));
        std::fs::write(&begun, "")?;
        // Each of the two processes `a` and `b` waits until the other has started a trial.
        let other = match name {
            "a" => "b",
            "b" => "a",
            alone => alone,
        };
        wait_for("the other to begin a trial", || runs(folder).iter().any(|run| run.1 == other));
        // The process that will be killed never finishes these.
        while name == "killed" && [4, 5].contains(&trial.number()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(5));
        Ok(score(trial.point()))
    };
    study.random(SHARED_TRIALS / 2, objective).unwrap();
    study.narrow(0.3).unwrap();
    study.random(SHARED_TRIALS / 2, objective).unwrap();
    study
}

/// Not a test: the program of the processes that the next two tests start.
#[test]
fn worker_shares_the_search() {
    let Ok(folder) = std::env::var("GRADUS_SEARCH_TEST") else { return };
    let (folder, name) = folder.split_once('|').unwrap();
    let study = shared_search(Path::new(folder), name);
    std::fs::write(Path::new(folder).join(format!("result-{name}")), format!("{:?}", results(&study))).unwrap();
}

/// A process that is killed when the test ends, even if it fails.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Path, name: &str) -> Process {
    let told = format!("{}|{name}", folder.display());
    let mut command = process(module_path!(), "worker_shares_the_search");
    Process(command.env("GRADUS_SEARCH_TEST", told).stdout(Stdio::null()).spawn().unwrap())
}

/// The trials that were run, each with the name of the process.
fn runs(folder: &Path) -> Vec<(usize, String)> {
    let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let parse = |name: String| {
        let (number, who) = name.strip_prefix("trial-")?.split_once('-')?;
        Some((number.parse().ok()?, who.to_string()))
    };
    names.filter_map(parse).collect()
}

fn alone() -> Vec<TrialRecord> {
    let mut study = Study::maximize(space(), 77).unwrap();
    study.random(SHARED_TRIALS / 2, |trial| Ok(score(trial.point()))).unwrap();
    study.narrow(0.3).unwrap();
    study.random(SHARED_TRIALS / 2, |trial| Ok(score(trial.point()))).unwrap();
    results(&study)
}

#[test]
fn two_processes_share_a_study() {
    let scratch = Scratch::new("two");
    let folder = &scratch.0;
    let mut children = ["a", "b"].map(|name| start(folder, name));
    assert!(children.iter_mut().all(|child| child.0.wait().unwrap().success()));
    let expected = format!("{:?}", alone());
    for name in ["a", "b"] {
        assert_eq!(std::fs::read_to_string(folder.join(format!("result-{name}"))).unwrap(), expected);
    }
    let runs = runs(folder);
    let numbers: std::collections::BTreeSet<usize> = runs.iter().map(|run| run.0).collect();
    assert_eq!((runs.len(), numbers.len()), (SHARED_TRIALS, SHARED_TRIALS), "each trial once: {runs:?}");
    assert!(["a", "b"].iter().all(|name| runs.iter().any(|run| run.1 == *name)), "both ran trials: {runs:?}");
}

/// One process is killed while it runs two trials; another, which was waiting for them, runs them, and its results are
/// the same.
#[test]
fn the_trials_of_a_killed_process_are_run_by_another() {
    let scratch = Scratch::new("killed");
    let folder = &scratch.0;
    let mut killed = start(folder, "killed");
    let begun = |trial: usize, name: &str| folder.join(format!("trial-{trial}-{name}")).exists();
    wait_for("trials 4 and 5 to begin", || begun(4, "killed") && begun(5, "killed"));
    let mut other = start(folder, "other");
    let finished_by_other = || runs(folder).iter().filter(|run| run.1 == "other").count();
    // All of the first round but 0 to 5.
    wait_for("the other to finish all trials but those two", || finished_by_other() == SHARED_TRIALS / 2 - 6);
    std::thread::sleep(Duration::from_millis(100));
    assert!(!begun(4, "other") && !begun(5, "other"), "a claim is valid while its owner runs");
    killed.0.kill().unwrap(); // SIGKILL
    killed.0.wait().unwrap();
    assert!(other.0.wait().unwrap().success());
    assert_eq!(std::fs::read_to_string(folder.join("result-other")).unwrap(), format!("{:?}", alone()));
    assert!(begun(4, "other") && begun(5, "other"));
    let left = scratch.names();
    assert!(!left.iter().any(|name| name.ends_with(".lock")), "{left:?}");
    // A later run finds all trials in the log.
    assert_eq!(format!("{:?}", results(&shared_search(folder, "late"))), format!("{:?}", alone()));
    assert!(runs(folder).iter().all(|run| run.1 != "late"));
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

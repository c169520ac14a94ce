//! Logs that were changed from outside: by hand, by another program, by an attacker.

use std::fs;
use std::path::Path;

use gradus::Error;
use gradus::search::{Space, Study};

use crate::support::Scratch;
use crate::support::study::{results, score, space};

/// A study of five trials, one after another.
fn run(path: &Path) -> Result<Study, Error> {
    let mut study = Study::maximize(space(), 1)?.threads(1).log(path)?;
    study.random(5, |trial| Ok(score(trial.point())))?;
    Ok(study)
}

/// Where the line of this trial begins, and the line.
fn line(text: &str, trial: usize) -> (usize, &str) {
    let line = text.lines().find(|line| line.contains(&format!("\"trial\":{trial},"))).unwrap();
    (text.find(line).unwrap(), line)
}

fn format_error(result: Result<Study, Error>) -> (String, String) {
    match result {
        Err(Error::Format { place, problem, .. }) => (place, problem),
        other => panic!("expected an error of the format, found {other:?}"),
    }
}

/// The file whose lock an owner holds is named after it: other files are nothing to it.
#[test]
fn an_owner_names_no_file_elsewhere() {
    let scratch = Scratch::new("owner");
    let folder = scratch.file("logs");
    // A log's name, a dot and the owner `/../../x` lead through this folder.
    fs::create_dir_all(folder.join("study.jsonl.")).unwrap();
    let (path, elsewhere) = (folder.join("study.jsonl"), scratch.file("x.lock"));
    fs::write(&elsewhere, "somebody's").unwrap();
    drop(Study::maximize(space(), 1).unwrap().log(&path).unwrap());
    let header = fs::read_to_string(&path).unwrap();
    for owner in
        ["/../../x", "../x", "", "1-2", "1-2-3-4", "1-2-3/x", "1--3", "-1-2-3", "1-G-3", "1-A-3", "1-2-\u{663}"]
    {
        let claim = format!("{{\"claim\":0,\"rung\":0,\"owner\":\"{owner}\"}}\n");
        for text in [format!("{header}{claim}"), format!("{header}{claim}{claim}")] {
            fs::write(&path, &text).unwrap();
            let (place, problem) = format_error(run(&path));
            assert_eq!((place, problem.as_str()), (format!("byte {}", header.len()), "expected a claim or a trial"));
            format_error(Study::read(&path));
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "the file is not changed");
            assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "somebody's", "{owner}");
        }
    }
    // The claim of a process that is gone.
    fs::write(&path, format!("{header}{{\"claim\":0,\"rung\":0,\"owner\":\"4711-1a2b-0\"}}\n")).unwrap();
    assert_eq!(run(&path).unwrap().trials().len(), 5);
}

/// A number one more than the largest would be 0, or a panic.
#[test]
fn numbers_beyond_all_measure_are_refused() {
    let scratch = Scratch::new("numbers");
    let path = scratch.file("study.jsonl");
    run(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    for trial in [2, 4] {
        let (start, line) = line(&text, trial);
        for (name, value) in [("trial", trial), ("round", 1), ("rung", 0)] {
            for large in [usize::MAX, 1 << 31] {
                let broken = line.replace(&format!("\"{name}\":{value},"), &format!("\"{name}\":{large},"));
                assert_ne!(broken, line);
                fs::write(&path, text.replace(line, &broken)).unwrap();
                let expected = format!("expected trials, rounds and rungs of at most 2147483647, found {large}");
                assert_eq!(format_error(Study::read(&path)), (format!("byte {start}"), expected.clone()));
                assert_eq!(format_error(run(&path)), (format!("byte {start}"), expected));
            }
        }
    }
    let claim = format!("{{\"claim\":{},\"rung\":0,\"owner\":\"1-2-3\"}}\n", usize::MAX);
    fs::write(&path, format!("{text}{claim}{claim}")).unwrap();
    assert!(format_error(run(&path)).1.starts_with("expected trials, rounds and rungs of at most"));
    let largest =
        text.replace("\"trial\":4,", "\"trial\":2147483647,").replace("\"round\":1,", "\"round\":2147483647,");
    fs::write(&path, largest).unwrap();
    let mut study = Study::read(&path).unwrap();
    study.random(1, |trial| Ok(score(trial.point()))).unwrap();
    study.narrow(1.0).unwrap();
}

/// What is done to a log in the middle of a study is an error that names it. The trials remain, also the one that could
/// not be written.
#[test]
fn a_log_that_is_changed_under_a_study_is_an_error() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 6] = [
        ("removed", |path| fs::remove_file(path).unwrap()),
        ("emptied", |path| fs::write(path, "").unwrap()),
        ("cut", |path| {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() - 10).unwrap();
        }),
        ("replaced by its copy", |path| {
            let copy = path.with_extension("copy");
            fs::copy(path, &copy).unwrap();
            fs::rename(copy, path).unwrap();
        }),
        ("replaced by a folder", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("written over", |path| {
            let length = fs::metadata(path).unwrap().len() as usize;
            fs::write(path, format!("{}\n", "x".repeat(2 * length))).unwrap();
        }),
    ];
    for (name, change) in changes {
        if cfg!(not(unix)) && name == "replaced by its copy" {
            continue;
        }
        for threads in [1, 2] {
            let scratch = Scratch::new("changed");
            let path = scratch.file("study.jsonl");
            let mut study = Study::maximize(space(), 1).unwrap().threads(threads).log(&path).unwrap();
            let result = study.random(8, |trial| {
                if trial.number() == 3 {
                    change(&path);
                }
                Ok(score(trial.point()))
            });
            let says = result.expect_err(name).to_string();
            assert!(says.contains(&path.display().to_string()), "{name}: {says}");
            let numbers: Vec<_> = study.trials().iter().map(|trial| trial.number).collect();
            assert!(numbers.starts_with(&[0, 1, 2, 3]) && numbers.len() < 8, "{name}: {numbers:?}");
        }
    }
}

#[test]
fn a_log_that_comes_back_gets_what_could_not_be_written() {
    let scratch = Scratch::new("back");
    let (path, away) = (scratch.file("study.jsonl"), scratch.file("away"));
    let mut study = Study::maximize(space(), 1).unwrap().threads(1).log(&path).unwrap();
    let runs = std::sync::atomic::AtomicUsize::new(0);
    let search = |study: &mut Study| {
        study.random(8, |trial| {
            if trial.number() == 3 {
                fs::rename(&path, &away).unwrap();
            }
            runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(score(trial.point()))
        })
    };
    search(&mut study).unwrap_err();
    search(&mut study).unwrap_err();
    fs::rename(&away, &path).unwrap();
    search(&mut study).unwrap();
    assert_eq!(runs.into_inner(), 8);
    assert_eq!(results(&Study::read(&path).unwrap()), results(&study));
    assert_eq!(study.trials().len(), 8);
}

/// A process that is killed leaves its lock file. What is another's stays.
#[test]
fn lock_files_of_dead_processes_are_removed() {
    let scratch = Scratch::new("locks");
    let path = scratch.file("study.jsonl");
    let names = ["study.jsonl.4711-1a2b-0.lock", "study.jsonl.mine.lock", "other.jsonl.4711-1a2b-0.lock"];
    for name in names {
        fs::write(scratch.file(name), "").unwrap();
    }
    let alive = fs::File::create(scratch.file("study.jsonl.4712-1a2b-0.lock")).unwrap();
    alive.lock().unwrap();
    run(&path).unwrap();
    let mut left = scratch.names();
    left.sort();
    assert_eq!(
        left,
        ["other.jsonl.4711-1a2b-0.lock", "study.jsonl", "study.jsonl.4712-1a2b-0.lock", "study.jsonl.mine.lock"]
    );
}

#[cfg(unix)]
#[test]
fn what_is_not_a_file_is_no_log() {
    let scratch = Scratch::new("no-file");
    let pipe = scratch.file("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [Path::new("/dev/zero"), &pipe, &scratch.0] {
        for result in [Study::read(path), Study::maximize(space(), 1).unwrap().log(path)] {
            let says = result.unwrap_err().to_string();
            assert!(says.starts_with("cannot open") && says.ends_with("it is not a regular file"), "{says}");
        }
    }
}

/// A line without an end is not read into memory as a whole.
#[test]
fn an_endless_line_is_refused() {
    let scratch = Scratch::new("endless");
    let path = scratch.file("study.jsonl");
    drop(Study::maximize(space(), 1).unwrap().log(&path).unwrap());
    let header = fs::metadata(&path).unwrap().len();
    for start in [header, 0] {
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(start).unwrap();
        if file.set_len(1 << 40).is_err() {
            return; // The file system has no sparse files.
        }
        let expected = (format!("byte {start}"), "expected a line of at most 67108864 bytes".to_string());
        assert_eq!(format_error(Study::read(&path)), expected);
        assert_eq!(format_error(Study::maximize(space(), 1).unwrap().log(&path)), expected);
    }
}

#[test]
fn a_dimension_named_twice_is_refused_everywhere() {
    let scratch = Scratch::new("dimensions");
    let path = scratch.file("study.jsonl");
    let space = || Space::new().uniform("x", 0.0..1.0);
    drop(Study::maximize(space(), 1).unwrap().log(&path).unwrap());
    let text = fs::read_to_string(&path).unwrap();
    let start = text.find("[[\"x\"").or(text.find("[{")).unwrap() + 1;
    let mut depth = 0;
    let end = text[start..].find(|c| {
        depth += i32::from("[{".contains(c)) - i32::from("]}".contains(c));
        depth == 0 && "]}".contains(c)
    });
    let dimension = &text[start..=start + end.unwrap()];
    let twice = text.replace(dimension, &format!("{dimension},{dimension}"));
    fs::write(&path, &twice).unwrap();
    for result in [Study::read(&path), Study::maximize(space(), 1).unwrap().log(&path)] {
        let (place, problem) = format_error(result);
        assert_eq!(place, "byte 0");
        assert_eq!(problem, "dimension x: expected a name of its own, found uniform 0..1");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), twice);
    Study::maximize(space().uniform("x", 0.0..1.0), 1).unwrap_err();
}

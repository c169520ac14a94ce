//! The rooms of the crate import downwards only: whoever reads one need not know those above it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground floor up; a room may import those of the floors below its own.
const FLOORS: [&[&str]; 11] = [
    &["array", "json", "rng", "scalar"],
    &["history", "kernel"],
    &["error"],
    &["collective", "data", "init", "schedule"],
    &["layer", "loss"],
    &["metric"],
    &["check", "optim", "sequential"],
    &["model"],
    &["save"],
    &["search", "train"],
    &["lib"],
];

fn floor(room: &str) -> usize {
    FLOORS.iter().position(|rooms| rooms.contains(&room)).unwrap_or_else(|| panic!("{room} is in no floor"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let nested = folders.iter().flat_map(|folder| self::files(folder));
    nested.chain(files).filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The rooms named after `crate::` in the code of a file, unit tests left out.
fn imports(code: &str) -> BTreeSet<String> {
    let code = code.split("#[cfg(test)]").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let rooms = lines.flat_map(|line| line.split("crate::").skip(1)).map(|rest| {
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        match name.as_str() {
            "Error" => "error".to_string(),
            "Scalar" => "scalar".to_string(),
            "params" => "layer".to_string(),
            _ => name,
        }
    });
    rooms.collect()
}

#[test]
fn rooms_import_downwards_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut arrows = 0;
    for path in files(&src) {
        let room = path.strip_prefix(&src).unwrap().iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        for import in imports(&fs::read_to_string(&path).unwrap()) {
            if room != "lib" && import != room {
                assert!(floor(&import) < floor(room), "{}: {room} imports {import}", path.display());
                arrows += 1;
            }
        }
    }
    assert!(arrows > 100, "{arrows}");
}

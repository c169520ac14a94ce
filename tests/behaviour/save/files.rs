//! What saving does to files: several writers, permissions, links, and headers of any kind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use gradus::prelude::*;
use safetensors::SafeTensors;

use super::{file, io_message, message, net, small};
use crate::support::{Scratch, process};

/// The name under which a child finds what it has to do.
const CHILD: &str = "GRADUS_TEST_SAVE";

const SAVES: usize = 40;

/// Several threads save to one path, each another network; every save has to succeed.
fn save_in_threads(path: &Path) {
    std::thread::scope(|scope| {
        for thread in 1..=3 {
            scope.spawn(move || {
                let net = net::<f32>(thread);
                for _ in 0..SAVES {
                    net.save(path).unwrap();
                }
            });
        }
    });
}

#[test]
fn child_saves() {
    let Some(path) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    save_in_threads(&path);
}

#[test]
fn many_writers_of_one_path_all_succeed() {
    let scratch = Scratch::new("writers");
    let path = scratch.file("net");
    let whole = [1, 2, 3].map(|seed| net::<f32>(seed).to_bytes().unwrap());
    net::<f32>(1).save(&path).unwrap();
    let child = || process(module_path!(), "child_saves").env(CHILD, &path).stdout(Stdio::null()).spawn().unwrap();
    let mut children = [(); 3].map(|()| child());
    let mut reads = 0;
    std::thread::scope(|scope| {
        let own = scope.spawn(|| save_in_threads(&path));
        while !own.is_finished() || children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
            let found = fs::read(&path).unwrap();
            assert!(whole.contains(&found), "read {reads} is no whole save");
            reads += 1;
        }
    });
    for child in &mut children {
        assert!(child.wait().unwrap().success(), "a save failed in another process");
    }
    assert_eq!(scratch.names(), ["net"]);
}

#[cfg(unix)]
#[test]
fn permissions_stay() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new("mode");
    let path = scratch.file("net");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    small().save(&path).unwrap();
    fs::write(scratch.file("plain"), "").unwrap();
    assert_eq!(mode(&path), mode(&scratch.file("plain")), "a new file is as any other");
    for kept in [0o600, 0o640, 0o400, 0o666, 0o755] {
        fs::set_permissions(&path, fs::Permissions::from_mode(kept)).unwrap();
        small().save(&path).unwrap();
        assert_eq!(mode(&path), kept, "{kept:o}");
    }
}

#[cfg(unix)]
#[test]
fn a_dangling_link_stays_a_link() {
    use std::os::unix::fs::symlink;
    let scratch = Scratch::new("dangling");
    fs::create_dir(scratch.file("real")).unwrap();
    symlink("real/second", scratch.file("first")).unwrap();
    symlink("net", scratch.file("real/second")).unwrap();
    small().save(scratch.file("first")).unwrap();
    assert!(["first", "real/second"].iter().all(|name| fs::symlink_metadata(scratch.file(name)).unwrap().is_symlink()));
    assert!(fs::symlink_metadata(scratch.file("real/net")).unwrap().is_file());
    small().load(scratch.file("first")).unwrap();

    symlink("nowhere/net", scratch.file("lost")).unwrap();
    symlink("round", scratch.file("round")).unwrap();
    for link in ["lost", "round"] {
        io_message(small().save(scratch.file(link)));
        assert!(fs::symlink_metadata(scratch.file(link)).unwrap().is_symlink(), "{link}");
    }
}

/// Opening a pipe waits for its other end.
#[cfg(unix)]
#[test]
fn a_pipe_is_no_leftover() {
    let scratch = Scratch::new("pipe");
    let (path, pipe) = (scratch.file("net"), scratch.file(".net.4711-0.tmp"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || done.send(small().save(&path)));
    wait.recv_timeout(Duration::from_secs(20)).expect("the save waits for the pipe").unwrap();
    assert!(pipe.exists());
}

/// The bytes of a file with other values of a tensor of `f32`.
fn with_value(bytes: &[u8], tensor: &str, at: usize, value: f32) -> Vec<u8> {
    let start = SafeTensors::deserialize(bytes).unwrap().tensor(tensor).unwrap().data().as_ptr() as usize;
    let start = start - bytes.as_ptr() as usize + 4 * at;
    let mut changed = bytes.to_vec();
    changed[start..start + 4].copy_from_slice(&value.to_le_bytes());
    changed
}

/// Every prediction would be NaN. (A layer's own buffers may be anything: see `Gain`.)
#[test]
fn running_statistics_that_cannot_be_are_named() {
    let good = net::<f32>(1).to_bytes().unwrap();
    let cases = [
        ("1.running_var", f32::NAN, "finite numbers of at least 0"),
        ("1.running_var", -0.5, "finite numbers of at least 0"),
        ("1.running_var", f32::INFINITY, "finite numbers of at least 0"),
        ("1.running_mean", f32::NAN, "finite numbers"),
        ("1.running_mean", f32::NEG_INFINITY, "finite numbers"),
    ];
    for (tensor, bad, expected) in cases {
        let says = message(&mut net::<f32>(2), &with_value(&good, tensor, 1, bad));
        assert_eq!(says, format!("the bytes, tensor {tensor}: expected {expected}, found {bad} at row 0, column 1"));
        let mut broken = net::<f32>(1);
        broken.params_mut(&mut |p| {
            if p.name == tensor {
                p.value[[0, 1]] = bad;
            }
        });
        let says = broken.to_bytes().unwrap_err().to_string();
        assert!(says.starts_with(&format!("the network, tensor {tensor}: expected {expected}, found {bad}")), "{says}");
    }
    for (tensor, good_too) in [("1.running_var", 0.0), ("1.running_mean", -3.0)] {
        net::<f32>(2).load_bytes(&with_value(&good, tensor, 1, good_too)).unwrap();
    }
}

/// Headers of this many bytes that are all small things, and how they are to be refused.
const LARGE: usize = 12 << 20;

fn large_headers() -> [(String, &'static str); 5] {
    let fill = |begin: &str, one: &dyn Fn(usize) -> String, end: &str| {
        let mut text = String::from(begin);
        let mut count = 0;
        while text.len() < LARGE {
            text += &one(count);
            count += 1;
        }
        text.pop();
        text + end
    };
    let tensor = |i| format!("\"{i:x}\":{{\"dtype\":\"I8\",\"shape\":[0],\"data_offsets\":[0,0]}},");
    let dimensions = (r#"{"a":{"dtype":"I8","shape":["#, r#"],"data_offsets":[0,1]}}"#);
    [
        (fill("{", &tensor, "}"), "expected at most"),
        (
            fill(r#"{"__metadata__":{"#, &|i| format!("\"{i:x}\":\"\","), "}}"),
            "tensor 1.bias: expected F32 [2], found none",
        ),
        (fill(r#"{"__metadata__":{"#, &|_| "\"\":\"\",".into(), "}}"), "tensor 1.bias: expected F32 [2], found none"),
        (fill(dimensions.0, &|_| "1,".into(), dimensions.1), "expected at most"),
        (fill(r#"{"a":["#, &|_| "[],".into(), "]}"), "a defect"),
    ]
}

/// Not a test: loads one of the headers and says how much memory that took.
#[test]
fn child_loads_a_large_header() {
    let Some(which) = std::env::var_os(CHILD) else { return };
    let (header, expected) = large_headers()[which.to_str().unwrap().parse::<usize>().unwrap()].clone();
    let bytes = file(&header, usize::from(header.contains("\"a\":{")));
    drop(header);
    // The most from now on.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let before = most_memory();
    let says = small().load_bytes(&bytes).unwrap_err().to_string();
    let after = most_memory();
    assert!(says.contains(expected), "{says}");
    println!("took {} bytes more", after.saturating_sub(before));
}

/// The most memory this process has had so far.
fn most_memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[cfg(target_os = "linux")]
#[test]
fn a_large_header_takes_little_more_memory_than_its_bytes() {
    for which in 0..5 {
        let mut command = process(module_path!(), "child_loads_a_large_header");
        let output = command.env(CHILD, which.to_string()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{which}: {text}{}", String::from_utf8_lossy(&output.stderr));
        let took = text.split("took ").nth(1).unwrap().split(' ').next().unwrap().parse::<usize>().unwrap();
        assert!(took < 4 * LARGE, "header {which}: {took} bytes for {LARGE}");
    }
}

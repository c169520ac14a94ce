//! The lines of a study's log, in JSON.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Direction;
use super::space::Space;
use super::trial::TrialRecord;
use crate::error::Error;

const VERSION: u64 = 2;

/// More bytes than a trial's line has; memory is not taken for more.
pub(super) const MAX_LINE: u64 = 1 << 26;

/// More trials, rounds and rungs than any study has; numbers beyond it are damage.
const MOST: usize = i32::MAX as usize;

/// The first line: which study the log belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) direction: Direction,
    pub(super) seed: u64,
    pub(super) about: String,
    pub(super) space: Space,
}

/// A line after the first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    /// A process has started a trial.
    Claim {
        #[serde(rename = "claim")]
        number: usize,
        rung: usize,
        owner: String,
    },
    /// A finished trial.
    Finished(Box<TrialRecord>),
}

/// The version stands in the first line of every log, whatever else that version writes there.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    #[serde(rename = "gradus study")]
    version: u64,
    #[serde(flatten)]
    header: T,
}

/// The first line of a log.
pub(super) fn first_line(header: &Header) -> String {
    line(&Versioned { version: VERSION, header })
}

/// A [`Line`] or a [`TrialRecord`] as a line.
pub(super) fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("structs with named fields are JSON") + "\n"
}

/// Reads the first line of a log; the error says what was expected.
pub(super) fn parse_first(line: &[u8]) -> Result<Header, String> {
    match serde_json::from_slice(line) {
        Ok(Versioned { version: VERSION, header: () }) => {}
        Ok(Versioned { version, .. }) => {
            return Err(format!("expected a log of version {VERSION}, found version {version}"));
        }
        Err(_) => return Err("expected the first line of a study's log".into()),
    }
    let header: Header =
        serde_json::from_slice(line).map_err(|_| "expected a direction, a seed and a space".to_string())?;
    header.space.check().map_err(|error| error.to_string())?;
    Ok(header)
}

/// Reads a later line; the error says what was expected of a line of a log of this space.
pub(super) fn parse(line: &[u8], space: &Space) -> Result<Line, String> {
    let expected = || "expected a claim or a trial".to_string();
    let mut line = serde_json::from_slice(line).map_err(|_| expected())?;
    let most = match &mut line {
        Line::Claim { owner, .. } if !is_owner(owner) => return Err(expected()),
        Line::Claim { number, rung, .. } => *number.max(rung),
        Line::Finished(record) => {
            record.point = space.checked(&record.point).ok_or_else(expected)?;
            record.number.max(record.round).max(record.rung)
        }
    };
    if most > MOST {
        return Err(format!("expected trials, rounds and rungs of at most {MOST}, found {most}"));
    }
    Ok(line)
}

/// Whether a line is JSON of any kind: what a power failure leaves is not.
pub(super) fn is_json(line: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

/// The name of a process that claims trials: its id, the time in hexadecimal digits, a number.
pub(super) fn owner(process: u32, time: u128, number: u32) -> String {
    format!("{process}-{time:x}-{number}")
}

/// Whether a text may be a name of [`owner`]. A file is named after it, so it must not be a path.
pub(super) fn is_owner(name: &str) -> bool {
    let (decimal, hexadecimal) = (|c: u8| c.is_ascii_digit(), |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    let is = |part: &str, digit: fn(u8) -> bool| !part.is_empty() && part.bytes().all(digit);
    let parts: Vec<&str> = name.split('-').collect();
    matches!(parts[..], [process, time, number] if is(process, decimal) && is(time, hexadecimal) && is(number, decimal))
}

/// The lines of a file from a position on, none of them longer than memory should hold.
pub(super) struct Lines<'a> {
    reader: BufReader<&'a File>,
    path: &'a Path,
    position: u64,
}

/// A line with its end, if it has one.
#[derive(Default)]
pub(super) struct ReadLine {
    pub(super) bytes: Vec<u8>,
}

impl ReadLine {
    pub(super) fn is_ended(&self) -> bool {
        self.bytes.last() == Some(&b'\n')
    }

    pub(super) fn contents(&self) -> &[u8] {
        self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes)
    }
}

impl<'a> Lines<'a> {
    /// `position` is that of the file.
    pub(super) fn new(file: &'a File, path: &'a Path, position: u64) -> Self {
        Self { reader: BufReader::new(file), path, position }
    }

    pub(super) fn next(&mut self) -> Result<Option<ReadLine>, Error> {
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut bytes);
        let size = read.map_err(Error::io("read", self.path))? as u64;
        if size > MAX_LINE {
            return Err(format_error(self.path, self.position, too_long()));
        }
        self.position += size;
        Ok(if size == 0 { None } else { Some(ReadLine { bytes }) })
    }

    pub(super) fn is_at_end(&mut self) -> Result<bool, Error> {
        Ok(self.reader.fill_buf().map_err(Error::io("read", self.path))?.is_empty())
    }
}

pub(super) fn too_long() -> String {
    format!("expected a line of at most {MAX_LINE} bytes")
}

pub(super) fn format_error(path: &Path, offset: u64, problem: String) -> Error {
    Error::format(path.display().to_string(), format!("byte {offset}"), problem)
}

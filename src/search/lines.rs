//! The lines of a study's log, in JSON.

use serde::{Deserialize, Serialize};

use super::Direction;
use super::space::Space;
use super::trial::TrialRecord;

const VERSION: u64 = 2;

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
    serde_json::from_slice(line).map_err(|_| "expected a direction, a seed and a space".into())
}

/// Reads a later line; `None` if it is not a line of a log of this space.
pub(super) fn parse(line: &[u8], space: &Space) -> Option<Line> {
    let mut line = serde_json::from_slice(line).ok()?;
    if let Line::Finished(record) = &mut line {
        record.point = space.checked(&record.point)?;
    }
    Some(line)
}

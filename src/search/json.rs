//! The lines of a log. Numbers come back as they went: floats by their shortest exact form, seeds as integers.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::Direction;
use super::space::{Dimension, Point, Space, Value};
use super::trial::{Curve, Key, TrialRecord};

/// What a line after the first says.
#[derive(Debug)]
pub(super) enum Line {
    /// Somebody has begun this trial.
    Claim(Key, String),
    /// This trial is finished.
    Finished(Box<TrialRecord>),
}

/// What the first line says: whose log it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    pub(super) direction: Direction,
    pub(super) seed: u64,
    pub(super) about: String,
    pub(super) space: Space,
}

const VERSION: u64 = 1;

pub(super) fn header(header: &Header) -> String {
    let space: Vec<Json> = header.space.dimensions().map(|(name, dimension)| of_dimension(name, dimension)).collect();
    let direction = header.direction.name();
    let (seed, about) = (header.seed, &header.about);
    line(&json!({"gradus study": VERSION, "direction": direction, "seed": seed, "about": about, "space": space}))
}

pub(super) fn claim(key: Key, owner: &str) -> String {
    line(&json!({"claim": key.0, "rung": key.1, "owner": owner}))
}

pub(super) fn record(record: &TrialRecord) -> String {
    let point: Map<String, Json> =
        record.point.values().map(|(name, value)| (name.to_string(), of_value(value))).collect();
    let tracks: Map<String, Json> = record.tracks.iter().map(|(name, curve)| (name.clone(), of_curve(curve))).collect();
    let mut json = json!({
        "trial": record.number, "round": record.round, "rung": record.rung, "budget": record.budget, "point": point,
        "stopped": record.stopped, "reports": of_curve(&record.reports), "tracks": tracks, "seconds": record.seconds,
    });
    match &record.score {
        Ok(score) => json["score"] = json!(score),
        Err(error) => json["error"] = json!(error),
    }
    line(&json)
}

fn line(json: &Json) -> String {
    format!("{json}\n")
}

fn of_dimension(name: &str, dimension: &Dimension) -> Json {
    match dimension {
        Dimension::Float { low, high, log } => {
            json!({"name": name, "kind": "float", "low": low, "high": high, "log": log})
        }
        Dimension::Int { low, high, log } => {
            json!({"name": name, "kind": "int", "low": low, "high": high, "log": log})
        }
        Dimension::Choice(options) => json!({"name": name, "kind": "choice", "options": options}),
    }
}

fn of_value(value: &Value) -> Json {
    match value {
        Value::Float(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Choice(value) => json!(value),
    }
}

fn of_curve(curve: &Curve) -> Json {
    // JSON has no NaN and no infinity: these go as text.
    let number = |value: f64| if value.is_finite() { json!(value) } else { json!(value.to_string()) };
    curve.iter().map(|&(step, value)| json!([step, number(value)])).collect()
}

/// What the first line says, or what it should have held.
pub(super) fn parse_header(line: &[u8]) -> Result<Header, String> {
    let json: Json =
        serde_json::from_slice(line).map_err(|_| "expected the first line of a study's log".to_string())?;
    match json["gradus study"].as_u64() {
        Some(VERSION) => {}
        Some(version) => return Err(format!("expected a log of version {VERSION}, found version {version}")),
        None => return Err("expected the first line of a study's log".into()),
    }
    to_header(&json).ok_or_else(|| "expected a direction, a seed and a space".into())
}

fn to_header(json: &Json) -> Option<Header> {
    let space = json["space"].as_array()?.iter().map(to_dimension).collect::<Option<_>>()?;
    Some(Header {
        direction: Direction::from_name(json["direction"].as_str()?)?,
        seed: json["seed"].as_u64()?,
        about: json["about"].as_str()?.into(),
        space: Space::from_dimensions(space),
    })
}

fn to_dimension(json: &Json) -> Option<(String, Dimension)> {
    let dimension = match json["kind"].as_str()? {
        "float" => {
            let (low, high, log) = (json["low"].as_f64()?, json["high"].as_f64()?, json["log"].as_bool()?);
            Dimension::Float { low, high, log }
        }
        "int" => {
            let (low, high, log) = (json["low"].as_i64()?, json["high"].as_i64()?, json["log"].as_bool()?);
            Dimension::Int { low, high, log }
        }
        "choice" => {
            let options = json["options"].as_array()?.iter().map(|option| option.as_str().map(String::from));
            Dimension::Choice(options.collect::<Option<_>>()?)
        }
        _ => return None,
    };
    Some((json["name"].as_str()?.into(), dimension))
}

/// What a later line says; `None` if that is nothing a log of this space holds.
pub(super) fn parse(line: &[u8], space: &Space) -> Option<Line> {
    let json: Json = serde_json::from_slice(line).ok()?;
    if let Some(number) = to_usize(&json["claim"]) {
        return Some(Line::Claim((number, to_usize(&json["rung"])?), json["owner"].as_str()?.into()));
    }
    let score = match json["error"].as_str() {
        Some(error) => Err(error.to_string()),
        None => Ok(json["score"].as_f64()?),
    };
    let tracks = json["tracks"].as_object()?.iter();
    Some(Line::Finished(Box::new(TrialRecord {
        number: to_usize(&json["trial"])?,
        round: to_usize(&json["round"])?,
        rung: to_usize(&json["rung"])?,
        budget: if json["budget"].is_null() { None } else { Some(to_usize(&json["budget"])?) },
        point: to_point(&json["point"], space)?,
        score,
        stopped: json["stopped"].as_bool()?,
        reports: to_curve(&json["reports"])?,
        tracks: tracks
            .map(|(name, curve)| Some((name.clone(), to_curve(curve)?)))
            .collect::<Option<BTreeMap<_, _>>>()?,
        seconds: json["seconds"].as_f64()?,
    })))
}

fn to_usize(json: &Json) -> Option<usize> {
    json.as_u64()?.try_into().ok()
}

fn to_point(json: &Json, space: &Space) -> Option<Point> {
    let values = space.dimensions().map(|(name, dimension)| {
        let value = match dimension {
            Dimension::Float { .. } => Value::Float(json[name].as_f64()?),
            Dimension::Int { .. } => Value::Int(json[name].as_i64()?),
            Dimension::Choice(_) => Value::Choice(json[name].as_str()?.into()),
        };
        Some((name.to_string(), value))
    });
    Some(Point { values: values.collect::<Option<_>>()? })
}

fn to_curve(json: &Json) -> Option<Curve> {
    let number = |json: &Json| json.as_f64().or_else(|| json.as_str()?.parse().ok());
    json.as_array()?.iter().map(|pair| Some((to_usize(&pair[0])?, number(&pair[1])?))).collect()
}

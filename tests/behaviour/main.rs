//! Behaviour: what is learnt, what stays the same, what is refused, what is written and read.

#[path = "../support/mod.rs"]
mod support;

mod checkpoint;
mod data;
mod determinism;
mod errors;
mod idx;
mod metric;
mod model;
mod parts;
mod properties;
mod ranks;
mod rooms;
mod save;
mod search;
mod search_log;
mod stopping;
mod threads;
mod training;
mod types;

//! Numbers: those of PyTorch and of the book, gradients, distributions, learning rates.

#[path = "../support/mod.rs"]
mod support;

mod golden;
mod gradients;
mod metrics;
mod optimizers;
mod precision;
mod schedules;
mod statistics;

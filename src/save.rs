//! Saved networks and runs.
//!
//! A file of weights is a [safetensors](https://github.com/huggingface/safetensors) file with the names and layouts of
//! `torch.nn.Sequential`'s `state_dict`, so `load_state_dict(load_file(path))` works unchanged, and so does the way back:
//!
//! | here | there |
//! |---|---|
//! | [`Role::Weight`](crate::Role::Weight), `(in, out)` | `(out, in)` |
//! | any other role, a row `(1, n)` | `(n)` |
//! | [`Role::Counter`](crate::Role::Counter) | a whole number, `I64`, without dimensions |
//!
//! The architecture is code: loading fills a network that was built, all of it or nothing.

mod checkpoint;
mod container;
mod file;
#[cfg(feature = "onnx")]
pub mod onnx;
mod weights;

pub(crate) use checkpoint::{Checkpoint, Loaded};
pub(crate) use container::Reader;

//! Saved networks and runs: [`Sequential::save`](crate::Sequential::save), [`Trainer::checkpoint_every`](crate::Trainer::checkpoint_every)
//! and, with the feature `onnx`, `Sequential::save_onnx`.
//!
//! ```
//! use gradus::prelude::*;
//! let net = Sequential::<f32>::mlp(8, &[4], 2).build(&mut gradus::rng(1))?;
//! let mut other = Sequential::<f32>::mlp(8, &[4], 2).build(&mut gradus::rng(2))?;
//! other.load_bytes(&net.to_bytes()?)?;
//! assert_eq!(other.to_bytes()?, net.to_bytes()?);
//! # Ok::<(), Error>(())
//! ```
//!
//! A file of weights is a [safetensors](https://github.com/huggingface/safetensors) file with the names and layouts of
//! `torch.nn.Sequential`'s `state_dict`, so `load_state_dict(load_file(path))` works unchanged, and so does the way back:
//!
//! | here | there |
//! |---|---|
//! | [`Role::Weight`](crate::layer::Role::Weight), `(in, out)` | `(out, in)` |
//! | any other role, a row `(1, n)` | `(n)` |
//! | [`Role::Counter`](crate::layer::Role::Counter) | a whole number, `I64`, without dimensions |
//!
//! The file also says how its network is made: [`Sequential::open`](crate::Sequential::open) makes it again, with layers of
//! your own by a [`Registry`]. Loading fills a network that was built, all of it or nothing; that is the way of PyTorch's
//! files, which do not say it.

mod container;
mod file;
mod model;
#[cfg(feature = "onnx")]
pub mod onnx;
mod open;
mod registry;
mod run;
mod weights;

pub(crate) use container::Reader;
pub(crate) use file::{open, require_regular, sync_directory_of};
pub use registry::{Described, Registry};
pub(crate) use run::{Checkpoint, Loaded, other_setting};

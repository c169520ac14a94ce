//! gradus

mod data;
mod error;
#[allow(dead_code, unused_imports, unreachable_pub)] // until the layers use all of it
mod kernel;
mod scalar;
mod train;

pub use data::{Batch, Batches, Dataset, Digits, Idx, KFold, Normalizer, Targets, mnist};
pub use error::Error;
pub use kernel::vectorize;
pub use scalar::Scalar;
pub use train::History;

pub use ndarray;
pub use rand;

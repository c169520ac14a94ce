//! gradus

mod error;
mod kernel;
mod scalar;
mod train;

pub use error::Error;
pub use kernel::vectorize;
pub use scalar::Scalar;
pub use train::History;

pub use ndarray;
pub use rand;

//! gradus

pub mod check;
mod data;
mod error;
mod init;
mod kernel;
mod layer;
mod loss;
mod optim;
mod rng;
mod scalar;
mod sequential;
mod train;

pub use data::{Batch, Batches, Dataset, Digits, Idx, KFold, Normalizer, Targets, mnist};
pub use error::Error;
pub use init::Init;
pub use kernel::vectorize;
pub use layer::{Affine, BatchNorm, Dropout, DropoutForm, Layer, Param, ReLU, Role, Sigmoid, Tanh};
pub use loss::{BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy, softmax};
pub use optim::{AdaGrad, Adam, Momentum, Optimizer, SGD, Updater, WeightDecay};
pub use rng::{Generator, rng};
pub use scalar::Scalar;
pub use sequential::{Builder, Sequential};
pub use train::{Epoch, EpochRecord, History, Sampling, Trainer};

pub use ndarray;
pub use rand;

/// Everything a training program needs: `use gradus::prelude::*;`.
pub mod prelude {
    pub use crate::{
        AdaGrad, Adam, Affine, BatchNorm, BinaryCrossEntropy, Dataset, Digits, Dropout, DropoutForm, Epoch, Error,
        History, Init, Layer, Loss, MeanSquaredError, Momentum, Optimizer, ReLU, SGD, Sampling, Scalar, Sequential,
        Sigmoid, SoftmaxCrossEntropy, Tanh, Targets, Trainer, Updater, WeightDecay, mnist, rng, softmax,
    };
}

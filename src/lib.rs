//! Multilayer neural networks that train on a CPU, in code you can read next to chapter 6 of
//! *Deep Learning from Scratch*.
//!
//! ```no_run
//! use gradus::prelude::*;
//!
//! let mut rng = gradus::rng(42);
//! let (train, validation) = Digits::load()?.shuffle(&mut rng).split(0.2)?;
//! let mut net = Sequential::<f32>::input(train.width())
//!     .affine(100, Init::He).batch_norm().relu().dropout(0.2)
//!     .affine(train.classes(), Init::Xavier)
//!     .build(&mut rng)?;
//! let history = Trainer::new(SoftmaxCrossEntropy, Adam::default())
//!     .epochs(20)
//!     .validate(&validation)
//!     .fit(&mut net, &train)?;
//! println!("{} steps, {:.1} %", history.losses.len(), 100.0 * net.accuracy(&validation)?);
//! net.save("digits.safetensors")?; // PyTorch reads it too
//! # Ok::<(), Error>(())
//! ```
//!
//! # Contents
//!
//! | for | see |
//! |---|---|
//! | networks | [`Sequential`] and its [`Builder`], [`Init`] |
//! | layers | [`Layer`], [`Param`], [`Role`]; [`Affine`], [`Sigmoid`], [`ReLU`], [`Tanh`], [`BatchNorm`], [`Dropout`] |
//! | losses | [`Loss`]; [`SoftmaxCrossEntropy`], [`MeanSquaredError`], [`BinaryCrossEntropy`] |
//! | optimizers | [`Optimizer`], [`Updater`], [`WeightDecay`], [`Clip`]; [`SGD`], [`Momentum`], [`Nesterov`], [`AdaGrad`], [`RMSProp`], [`AdaDelta`], [`Adam`], [`AdamW`], [`AdaMax`], [`NAdam`], [`RAdam`], [`AdaBelief`], [`Lion`] |
//! | learning rates | [`Schedule`]; [`Constant`], [`StepDecay`], [`Exponential`], [`Cosine`], [`CosineRestarts`], [`LinearWarmup`], [`OneCycle`], [`ReduceOnPlateau`]; [`RangeTest`] |
//! | training | [`Trainer`], [`History`], [`Epoch`], [`Sampling`] |
//! | experiments | [`search`]; [`Ensemble`], [`Summary`], [`Histogram`] |
//! | data | [`Dataset`], [`Targets`], [`Digits`], [`mnist`](mnist()), [`Idx`], [`Normalizer`], [`KFold`] |
//! | files | [`Sequential::save`], [`Sequential::load`]; [`Trainer::checkpoint_every`], [`Trainer::resume`], [`Monitor`]; `onnx` (a feature) |
//! | checking your own layers | [`check`] |
//! | errors | [`Error`] |
//! | numbers | [`Scalar`], [`rng`](rng()), [`vectorize`], [`sweep`] |
//!
//! # Conventions
//!
//! - A batch is a matrix with a row a sample: `(N, width)`. Weights are `(in, out)`, `y = x W + b`.
//! - `f32` where nothing is said; `f64` everywhere else is a type parameter away.
//! - `&mut self` trains, `&self` infers: no mode to forget.
//! - Randomness is an argument. The same seed gives the same bits on any number of threads.
//! - What the world gets wrong (data, files, hyper-parameters, a run that diverges) returns an [`Error`]; what the
//!   calling code gets wrong (a `backward` without a `forward`) panics, and the function says so under *Panics*.

pub mod check;
mod data;
mod ensemble;
mod error;
mod init;
mod kernel;
mod layer;
mod loss;
mod optim;
mod rng;
mod save;
mod scalar;
pub mod search;
mod sequential;
mod summary;
mod train;

pub use data::{Batch, Batches, Dataset, Digits, Idx, KFold, Normalizer, Targets, mnist};
pub use ensemble::Ensemble;
pub use error::Error;
pub use init::Init;
pub use kernel::{sweep, vectorize};
pub use layer::{Affine, BatchNorm, Dropout, DropoutForm, Layer, Param, ReLU, Role, Sigmoid, Tanh};
pub use loss::{BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy, softmax};
pub use optim::{
    AdaBelief, AdaDelta, AdaGrad, AdaMax, Adam, AdamW, Clip, Constant, Cosine, CosineRestarts, Exponential,
    LinearWarmup, Lion, Momentum, MomentumForm, NAdam, Nesterov, OneCycle, Optimizer, ParamState, Plateau, RAdam,
    RMSProp, ReduceOnPlateau, SGD, Schedule, StepDecay, Updater, UpdaterState, WeightDecay,
};
pub use rng::{Generator, rng};
#[cfg(feature = "onnx")]
pub use save::onnx;
pub use scalar::Scalar;
pub use sequential::{Builder, Sequential};
pub use summary::{Histogram, Summary};
pub use train::{Epoch, EpochRecord, History, Monitor, RangeTest, RateSweep, Sampling, Trainer};

pub use ndarray;
pub use rand;

/// Everything a training program needs: `use gradus::prelude::*;`.
pub mod prelude {
    pub use crate::{
        AdaBelief, AdaDelta, AdaGrad, AdaMax, Adam, AdamW, Affine, Batch, BatchNorm, BinaryCrossEntropy, Clip,
        Constant, Cosine, CosineRestarts, Dataset, Digits, Dropout, DropoutForm, Epoch, Error, Exponential, History,
        Init, Layer, LinearWarmup, Lion, Loss, MeanSquaredError, Momentum, MomentumForm, Monitor, NAdam, Nesterov,
        OneCycle, Optimizer, RAdam, RMSProp, RangeTest, ReLU, ReduceOnPlateau, Role, SGD, Sampling, Scalar, Schedule,
        Sequential, Sigmoid, SoftmaxCrossEntropy, StepDecay, Tanh, Targets, Trainer, Updater, WeightDecay, mnist, rng,
        softmax,
    };
}

/// The code of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Kernels, for the benches of this crate alone: no part of the interface.
#[doc(hidden)]
pub mod bench {
    pub use crate::kernel::{affine, exp, input_gradient, sigmoid, tanh, weight_gradient};
}

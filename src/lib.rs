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
//! # The rooms
//!
//! | room | what is in it | in the book |
//! |---|---|---|
//! | [`layer`] | the trait [`Layer`] and its layers: Affine, activations (ReLU, GELU, …), BatchNorm, LayerNorm, Dropout | 5.4 to 5.6, 6.3, 6.4.3 |
//! | [`loss`] | the trait [`Loss`]: cross-entropy, squared error | 4.2 |
//! | [`optim`] | the trait [`Optimizer`]: SGD, Momentum, AdaGrad, Adam and more; [`Updater`](optim::Updater), weight decay, clipping | 6.1, 6.4.2 |
//! | [`schedule`] | the trait [`Schedule`](schedule::Schedule): learning rates that change | |
//! | [`data`] | data sets, splits, folds, normalisation, IDX files, MNIST, digits that are part of the crate | 3.6, 6.5.1 |
//! | [`metric`] | accuracy, confusion, F1, ROC, R² and more; summaries and histograms of activations | 6.2 |
//! | [`train`] | [`Trainer`], [`History`], checkpoints, the range test for learning rates | 4.5 |
//! | [`save`] | files: what a saved network and a checkpoint look like, opened without code; ONNX | |
//! | [`search`] | hyper-parameter search: random, narrowing, halving, TPE | 6.5 |
//! | [`collective`] | sums over threads or machines that train together | |
//! | [`check`] | numerical gradients, and the contract of a layer of your own | 4.4 |
//! | [`kernel`] | where speed lives, and how a layer or rule of your own gets it | |
//!
//! Networks themselves are at the root: [`Sequential`], its [`Builder`], [`Init`] (6.2), [`Ensemble`] (6.4.3), and [`Model`], what is
//! saved and served. A program
//! takes what it needs from the [`prelude`].
//!
//! # Your own data
//!
//! A matrix, a row a sample, with a class or numbers for each. Arrays are those of [`ndarray`] 0.17, which is re-exported.
//!
//! ```
//! use gradus::{data::matrix, ndarray::array, prelude::*};
//! let rows = vec![vec![5.1_f32, 3.5], vec![6.2, 2.9], vec![4.7, 3.2], vec![6.0, 2.2]];
//! let data = Dataset::classification(matrix(&rows)?, vec![0, 1, 0, 1], 2)?; // a class for each row, of two
//! let mut net = Sequential::mlp(data.width(), &[16], data.classes()).build(&mut rng(1))?;
//! Trainer::new(SoftmaxCrossEntropy, Adam { learning_rate: 0.01, ..Adam::default() }).epochs(100).fit(&mut net, &data)?;
//! assert_eq!(net.classify_row(&[4.9, 3.3])?, 0);
//! let numbers = Dataset::regression(array![[1.0], [2.0]], array![[1.5], [3.0]])?; // arrays `(N, width)`, `(N, out)`
//! # Ok::<(), Error>(())
//! ```
//!
//! Text becomes numbers by [`Categories`](data::Categories), columns come to one scale by a
//! [`Normalizer`](data::Normalizer), and a [`Model`] keeps both with the network. The README goes the whole way from a CSV
//! file; the example `tabular` has gaps and words too.
//!
//! # Conventions
//!
//! - A batch is a matrix, one row a sample: `(N, width)`. Weights are `(in, out)`, `y = x W + b`.
//! - Networks are of `f32` by default; `f64` everywhere else is a type parameter away. Hyper-parameters are `f64`.
//! - `&mut self` trains, `&self` infers: no mode to forget.
//! - Randomness is an argument. The same seed gives the same bits on any number of threads.
//! - What the world gets wrong (data, files, hyper-parameters, a run that diverges) returns an [`Error`]; what the
//!   calling code gets wrong (a `backward` without a `forward`) panics, and the function says so under *Panics*.

mod array;
pub mod check;
pub mod collective;
pub mod data;
mod error;
mod history;
mod init;
mod json;
pub mod kernel;
pub mod layer;
pub mod loss;
pub mod metric;
mod model;
pub mod optim;
mod rng;
pub mod save;
mod scalar;
pub mod schedule;
pub mod search;
mod sequential;
pub mod train;

pub use data::Digits;
pub use error::Error;
pub use history::History;
pub use init::Init;
pub use layer::Layer;
pub use loss::{Loss, SoftmaxCrossEntropy};
pub use model::Model;
pub use optim::{Adam, Optimizer, WeightDecay};
pub use rng::{Generator, rng};
pub use scalar::Scalar;
pub use sequential::{Builder, Ensemble, Sequential};
pub use train::Trainer;

pub use ndarray;
pub use rand;

/// Everything that a training program needs: `use gradus::prelude::*;`.
pub mod prelude {
    pub use crate::data::{Batch, Categories, Dataset, Digits, Normalizer, Targets, mnist};
    pub use crate::layer::{
        Affine, BatchNorm, Dropout, DropoutForm, ELU, GELU, GELUForm, Layer, LayerNorm, LeakyReLU, PReLU, Pass, ReLU,
        Role, SiLU, Sigmoid, Softplus, Tanh,
    };
    pub use crate::loss::{BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy, softmax};
    pub use crate::optim::{
        AMSGrad, AdaBelief, AdaDelta, AdaGrad, AdaMax, Adam, AdamW, Clip, Lion, Momentum, MomentumForm, NAdam,
        Nesterov, Optimizer, RAdam, RMSProp, SGD, Step, Updater, WeightDecay,
    };
    pub use crate::schedule::{
        Cosine, CosineRestarts, Exponential, LinearWarmup, OneCycle, ReduceOnPlateau, Schedule, StepDecay,
    };
    pub use crate::train::{Epoch, Monitor, RangeTest, Sampling, Trainer};
    pub use crate::{Ensemble, Error, Generator, History, Init, Model, Scalar, Sequential, rng};
}

/// The code of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

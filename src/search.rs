//! Hyper-parameter search: draw points from ranges, train each shortly, score it on validation data, narrow the
//! ranges, repeat.
//!
//! ```
//! use gradus::prelude::*;
//! use gradus::search::{Space, Study, Trial};
//!
//! let (train, validation) = Digits::load::<f32>()?.shuffle(&mut gradus::rng(1)).take(300)?.split(0.2)?;
//! let space = Space::new()
//!     .log_uniform("learning_rate", 1e-4..1e0)
//!     .log_uniform("weight_decay", 1e-8..1e-4)
//!     .log_int("hidden", 10..=40);
//!
//! let objective = |trial: &mut Trial| {
//!     let mut net = Sequential::mlp(train.width(), &[trial.usize("hidden")], train.classes()).build(trial.rng())?;
//!     Trainer::new(SoftmaxCrossEntropy, SGD { learning_rate: trial.f64("learning_rate") })
//!         .weight_decay(WeightDecay::L2(trial.f64("weight_decay")))
//!         .epochs(5)
//!         .seed(trial.seed())
//!         .progress(false)
//!         .validate(&validation)
//!         .fit_with(&mut net, &train, |epoch| trial.report(epoch.epoch, epoch.validation_accuracy.unwrap_or(0.0)))?;
//!     Ok(net.accuracy(&validation)?)
//! };
//!
//! let mut study = Study::maximize(space, 42)?;   // .log("study.jsonl")? to keep it, and to resume it
//! study.random(8, objective)?;
//! println!("{}", study.narrow(0.25)?);
//! study.random(8, objective)?;
//! println!("{}", study.table(10));
//! # assert_eq!(study.trials().len(), 16);
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! - A [`Space`] is a list of named ranges; a [`Point`] has a value for each. **In random search, the
//!   point and the generator of trial `k` depend on `k`, the seed and the space only**, not on other trials.
//! - A [`Study`] runs trials: [`random`](Study::random) and [`narrow`](Study::narrow) as in the book;
//!   [`tpe`](Study::tpe), which draws points near good ones; [`successive_halving`](Study::successive_halving) and
//!   [`hyperband`](Study::hyperband), which train only those points for long that score well after short training.
//! - Trials run on all processors, and [results do not depend on their number](Study::threads). A trial that fails,
//!   panics or diverges is recorded with its error; the study goes on.
//! - [`Study::log`] writes every finished trial to a file, resumes after a kill, and shares the work among processes.
//!   [`Study::across`] gives the trials to the ranks of a group, by MPI say.
//! - [`Study::table`], [`Study::write_csv`] and [`Study::importance`] show the results.
//!
//! With few data, let the score be a mean over folds ([`Dataset::k_fold`](crate::data::Dataset::k_fold) and
//! [`Dataset::stratified_k_fold`](crate::data::Dataset::stratified_k_fold)):
//!
//! ```
//! use gradus::prelude::*;
//! use gradus::search::{Space, Study};
//!
//! let data = Digits::load::<f32>()?.shuffle(&mut gradus::rng(1)).take(200)?;
//! let mut study = Study::maximize(Space::new().log_uniform("learning_rate", 1e-3..1e0), 42)?;
//! study.random(4, |trial| {
//!     let mut sum = 0.0;
//!     for (train, validation) in data.stratified_k_fold(5)? {
//!         let mut net = Sequential::mlp(train.width(), &[20], train.classes()).build(trial.rng())?;
//!         let sgd = SGD { learning_rate: trial.f64("learning_rate") };
//!         Trainer::new(SoftmaxCrossEntropy, sgd).epochs(5).progress(false).fit(&mut net, &train)?;
//!         sum += net.accuracy(&validation)?;
//!     }
//!     Ok(sum / 5.0)
//! })?;
//! # assert!(study.best().is_some());
//! # Ok::<(), gradus::Error>(())
//! ```

mod halving;
mod lines;
mod log;
mod narrow;
mod progress;
mod ranks;
mod report;
mod run;
mod space;
mod study;
mod tpe;
mod trial;

pub use halving::Budgets;
pub use narrow::Narrowing;
pub use report::Table;
pub use space::{Dimension, Point, Space, Value};
pub use study::Study;
pub use trial::{Curve, Failure, Trial, TrialRecord};

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whether a large score is good or a small one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Large scores are good, such as accuracies.
    Maximize,
    /// Small scores are good, such as losses.
    Minimize,
}

impl Direction {
    /// Whether `score` is better than `than`.
    pub fn is_better(self, score: f64, than: f64) -> bool {
        match self {
            Self::Maximize => score > than,
            Self::Minimize => score < than,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Maximize => "maximize",
            Self::Minimize => "minimize",
        })
    }
}

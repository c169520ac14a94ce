//! Search for hyper-parameters: draw points from ranges, train shortly, judge on validation data, narrow, repeat.
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
//!     Trainer::new(SoftmaxCrossEntropy, SGD { learning_rate: trial.f64("learning_rate") as f32 })
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
//! - A [`Space`] has named ranges; a [`Point`] is a value for each. **Trial `k` of seed `s` is the same point and has
//!   the same generator**, whatever ran before or beside it.
//! - A [`Study`] runs trials: [`random`](Study::random) and [`narrow`](Study::narrow) as in the book,
//!   [`tpe`](Study::tpe), which learns where to look, and [`successive_halving`](Study::successive_halving) and
//!   [`hyperband`](Study::hyperband), which give long training only to those that did well in short.
//! - Trials run on all processors, and [results do not depend on how many](Study::threads). One that fails, panics
//!   or diverges is recorded with its error; the study goes on.
//! - [`Study::log`] keeps every finished trial at once, resumes after a kill, and shares the work among processes.
//! - [`Study::table`], [`Study::write_csv`] and [`Study::importance`] show what came of it.
//!
//! The score may be a mean over folds, if data are few ([`Dataset::k_fold`](crate::Dataset::k_fold) and
//! [`Dataset::stratified_k_fold`](crate::Dataset::stratified_k_fold)):
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
//!         let sgd = SGD { learning_rate: trial.f64("learning_rate") as f32 };
//!         Trainer::new(SoftmaxCrossEntropy, sgd).epochs(5).progress(false).fit(&mut net, &train)?;
//!         sum += net.accuracy(&validation)?;
//!     }
//!     Ok(sum / 5.0)
//! })?;
//! # assert!(study.best().is_some());
//! # Ok::<(), gradus::Error>(())
//! ```

mod halving;
mod json;
mod log;
mod narrow;
mod progress;
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

/// Whether large scores are good or small ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Large ones, such as accuracies.
    Maximize,
    /// Small ones, such as losses.
    Minimize,
}

impl Direction {
    /// Whether the first score is better than the second.
    pub fn is_better(self, score: f64, than: f64) -> bool {
        match self {
            Self::Maximize => score > than,
            Self::Minimize => score < than,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Maximize => "maximize",
            Self::Minimize => "minimize",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Maximize, Self::Minimize].into_iter().find(|direction| direction.name() == name)
    }
}

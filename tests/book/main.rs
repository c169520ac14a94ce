//! The examples held to the book they follow.
//!
//! On the embedded digits the *claims* of chapter 6. On MNIST, when asked for, the *figures*, held against what the
//! book's own NumPy code (oreilly-japan/deep-learning-from-scratch at 07b1161, real MNIST, `np.random.seed(0…)` before
//! each script) gave over several seeds:
//!
//! ```text
//! GRADUS_MNIST=data/mnist cargo test --release --test book -- --ignored --nocapture --test-threads 1
//! ```
//!
//! A mean over k seeds of ours has to be within 4 standard errors, `4 SD √(1/n + 1/k)`, of the book's mean over its
//! n.

#![allow(clippy::duplicate_mod, reason = "every example brings its support module along")]

#[path = "../support/mod.rs"]
mod support;

mod claims;
mod figures;

use gradus::prelude::*;

/// An example as a module: its experiment is what is tested, its `main` is not.
macro_rules! examples {
    ($($name:ident $path:literal,)*) => {
        $(#[allow(dead_code, unreachable_pub, reason = "tables and pictures are not tested here")]
        #[path = $path]
        mod $name;)*
    };
}

examples! {
    activation_histograms "../../examples/activation_histograms.rs",
    batch_norm "../../examples/batch_norm.rs",
    decision_boundary "../../examples/decision_boundary.rs",
    dropout "../../examples/dropout.rs",
    ensemble "../../examples/ensemble.rs",
    gradient_check "../../examples/gradient_check.rs",
    hyperparameter_search "../../examples/hyperparameter_search.rs",
    optimizer_comparison "../../examples/optimizer_comparison.rs",
    optimizer_paths "../../examples/optimizer_paths.rs",
    symmetry "../../examples/symmetry.rs",
    tabular "../../examples/tabular.rs",
    weight_decay "../../examples/weight_decay.rs",
    weight_init_comparison "../../examples/weight_init_comparison.rs",
}

type Data = (Dataset, Dataset);

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.into_iter().collect();
    values.iter().sum::<f64>() / values.len() as f64
}

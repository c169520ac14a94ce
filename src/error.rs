//! What can go wrong, said so that it can be mended.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::train::History;

/// Everything the outside world can get wrong: data, files, hyper-parameters, a diverging run.
///
/// Mistakes in the calling code (a `backward` without a `forward`, two shapes that do not fit inside a
/// hand-written loop) panic instead, and their functions say so under *Panics*.
///
/// ```
/// use gradus::prelude::*;
/// let data = Digits::load::<f32>()?;
/// let mut net = Sequential::mlp(data.width(), &[20], data.classes()).build(&mut gradus::rng(1))?;
/// let mut trainer = Trainer::new(SoftmaxCrossEntropy, SGD { learning_rate: 1e30 });
/// match trainer.fit(&mut net, &data) {
///     Err(Error::Diverged { step, history, .. }) => assert_eq!(history.losses.len() as u64, step - 1),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to work on: no rows, no columns, no layers.
    Empty {
        /// What is empty.
        what: String,
    },
    /// Two sizes that have to agree do not.
    Mismatch {
        /// What was counted.
        what: String,
        /// The size it has to have.
        expected: usize,
        /// The size it has.
        found: usize,
    },
    /// A layer was put behind another whose output it cannot take.
    Width {
        /// The layer that cannot take its input, by position and name.
        layer: String,
        /// Where its input comes from.
        after: String,
        /// The width the layer takes.
        expected: usize,
        /// The width it is given.
        found: usize,
    },
    /// A value in the data is NaN or infinite.
    NotFinite {
        /// Which array it is in.
        what: String,
        /// Its row, from 0.
        row: usize,
        /// Its column, from 0.
        column: usize,
        /// The value.
        value: f64,
    },
    /// A class label is not below the number of classes.
    Label {
        /// The row it belongs to, from 0.
        row: usize,
        /// The label.
        label: usize,
        /// The number of classes.
        classes: usize,
    },
    /// The targets are not of the kind that is needed here.
    Targets {
        /// What needs them.
        what: String,
        /// The kind it needs.
        expected: String,
        /// The kind it was given.
        found: String,
    },
    /// A hyper-parameter is outside its range, or NaN.
    Hyperparameter {
        /// Its name.
        name: String,
        /// The values it may take.
        expected: String,
        /// The value it has.
        found: f64,
    },
    /// A dimension of a search space cannot be searched.
    Dimension {
        /// Its name.
        name: String,
        /// What it should have.
        expected: String,
        /// The range it has.
        found: String,
    },
    /// The log of another hyper-parameter study, or of another way of searching.
    Study {
        /// The log.
        path: PathBuf,
        /// Where the two part.
        what: String,
        /// What this study has there.
        expected: String,
        /// What the log has there.
        found: String,
    },
    /// An optimizer's state belongs to another network, or to another rule.
    State {
        /// The parameter where the two part.
        parameter: String,
        /// What the state was made for.
        expected: String,
        /// What the network has.
        found: String,
    },
    /// A layer breaks a promise of the `Layer` trait.
    Contract {
        /// The layer.
        layer: String,
        /// The promise, and what the layer does.
        problem: String,
    },
    /// The loss of a training step is NaN or infinite, or a gradient is. The parameters are those
    /// from before that step, which are not looked at themselves: a rate that is far too large may have made some
    /// infinite in the step before it.
    Diverged {
        /// The step, counted from 1.
        step: u64,
        /// What is not finite: the loss, or the gradient of a parameter.
        what: String,
        /// All that was recorded until then.
        history: Box<History>,
    },
    /// A file or a byte stream does not hold what its format promises.
    Format {
        /// The file, or what the bytes are.
        source: String,
        /// Where the trouble is, in bytes from the start (after decompression).
        offset: u64,
        /// What was expected and what was found.
        problem: String,
    },
    /// A tensor of a saved file does not fit the network.
    Tensor {
        /// The file, or what the bytes are.
        source: String,
        /// The tensor's name.
        tensor: String,
        /// What was expected of it.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A network cannot be written for other engines.
    Export {
        /// The layer that cannot be written, by position and name.
        layer: String,
        /// Why.
        problem: String,
    },
    /// A saved file belongs to another network or another run.
    Saved {
        /// The file, or what the bytes are.
        source: String,
        /// What differs.
        what: String,
        /// What this network or run has.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// The operating system refused a file.
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done with it.
        action: &'static str,
        /// Its reason.
        source: std::io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { what } => write!(f, "{what}: expected at least one, found none"),
            Self::Mismatch { what, expected, found } => write!(f, "{what}: expected {expected}, found {found}"),
            Self::Width { layer, after, expected, found } => {
                write!(f, "{layer} takes a width of {expected}, but {after} gives {found}")
            }
            Self::NotFinite { what, row, column, value } => {
                write!(f, "{what}, row {row}, column {column}: expected a finite number, found {value}")
            }
            Self::Label { row, label, classes } => {
                write!(f, "row {row}: expected a label below {classes} (the number of classes), found {label}")
            }
            Self::Targets { what, expected, found } => write!(f, "{what}: expected {expected}, found {found}"),
            Self::Hyperparameter { name, expected, found } => write!(f, "{name}: expected {expected}, found {found}"),
            Self::Dimension { name, expected, found } => {
                write!(f, "dimension {name}: expected {expected}, found {found}")
            }
            Self::Study { path, what, expected, found } => write!(
                f,
                "{} is the log of another study: they differ in {what}: expected {expected}, found {found}",
                path.display()
            ),
            Self::State { parameter, expected, found } => write!(
                f,
                "the optimizer's state belongs to another network or rule: at {parameter} it was made for {expected}, found {found}"
            ),
            Self::Contract { layer, problem } => write!(f, "{layer} does not keep the contract of a layer: {problem}"),
            Self::Diverged { step, what, .. } => write!(
                f,
                "training diverged at step {step}: {what} is not finite; the parameters are those from before that step \
                 (a smaller learning rate or gradient clipping may help)"
            ),
            Self::Format { source, offset, problem } => write!(f, "{source}, byte {offset}: {problem}"),
            Self::Tensor { source, tensor, expected, found } => {
                write!(f, "{source}, tensor {tensor}: expected {expected}, found {found}")
            }
            Self::Export { layer, problem } => write!(f, "{layer} cannot be exported: {problem}"),
            Self::Saved { source, what, expected, found } => {
                write!(f, "{source}: saved with another {what}: expected {expected}, found {found}")
            }
            Self::Io { path, action, source } => write!(f, "cannot {action} {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, action, source }
    }

    /// The same with the name of what the hyper-parameter belongs to.
    pub(crate) fn of(self, owner: &str) -> Self {
        match self {
            Self::Hyperparameter { name, expected, found } => {
                Self::Hyperparameter { name: format!("{owner} {name}"), expected, found }
            }
            other => other,
        }
    }

    pub(crate) fn hyperparameter(name: impl Into<String>, expected: impl Into<String>, found: f64) -> Self {
        Self::Hyperparameter { name: name.into(), expected: expected.into(), found }
    }
}

/// `Ok` when `holds`; NaN never does, so write the condition as what has to be true.
pub(crate) fn require(holds: bool, name: &str, expected: &str, found: f64) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::hyperparameter(name, expected, found)) }
}

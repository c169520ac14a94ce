//! What can go wrong, said so that it can be mended.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use crate::history::History;

/// Everything the outside world can get wrong: data, files, hyper-parameters, a run that diverges.
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
    /// A value that is not possible here: data, a shape, a hyper-parameter, a setting.
    Invalid {
        /// What it is, and where.
        what: String,
        /// What is possible.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A layer breaks the contract of [`Layer`](crate::layer::Layer), or cannot do what is asked of it.
    Layer {
        /// The layer, by its place in the network or its name.
        layer: String,
        /// What it does, or cannot do.
        problem: String,
    },
    /// The loss of a training step is not finite, or a gradient, or a running statistic, or a parameter that it would
    /// start from. The network and the optimizer are as they were before that step.
    Diverged {
        /// The step, counted from 1.
        step: u64,
        /// What is not finite.
        what: String,
        /// All that was recorded until then.
        history: Box<History>,
    },
    /// A file or a byte stream does not hold what its format promises, or belongs to another network, run or study.
    Format {
        /// The file, or what the bytes are.
        source: String,
        /// Where in it: a byte (after decompression), a tensor, a setting.
        place: String,
        /// What was expected and what was found.
        problem: String,
    },
    /// Another rank of a group that trains together has failed, and so this one cannot go on.
    Rank {
        /// Which one.
        rank: usize,
        /// Its error.
        problem: String,
    },
    /// What a closure that training calls has answered.
    Callback(Box<dyn std::error::Error + Send + Sync>),
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

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { what, expected, found } => write!(f, "{what}: expected {expected}, found {found}"),
            Self::Layer { layer, problem } => write!(f, "{layer}: {problem}"),
            Self::Diverged { step, what, .. } => write!(
                f,
                "training diverged at step {step}: {what} is not finite; the network is as it was before that step \
                 (a smaller learning rate or gradient clipping may help)"
            ),
            Self::Format { source, place, problem } => write!(f, "{source}, {place}: {problem}"),
            Self::Rank { rank, problem } => write!(f, "rank {rank}: {problem}"),
            Self::Callback(source) => source.fmt(f),
            Self::Io { path, action, source } => write!(f, "cannot {action} {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            // It says what its error says, so the cause is that one's.
            Self::Callback(error) => error.source(),
            _ => None,
        }
    }
}

impl Error {
    /// An [`Invalid`](Self::Invalid), for layers, rules and losses of your own.
    ///
    /// ```
    /// let error = gradus::Error::invalid("share", "a number in [0, 1]", 1.5);
    /// assert_eq!(error.to_string(), "share: expected a number in [0, 1], found 1.5");
    /// ```
    #[cold]
    pub fn invalid(what: impl Into<String>, expected: impl Display, found: impl Display) -> Self {
        Self::Invalid { what: what.into(), expected: expected.to_string(), found: found.to_string() }
    }

    pub(crate) fn empty(what: impl Into<String>) -> Self {
        Self::invalid(what, "at least one", "none")
    }

    pub(crate) fn format(source: impl Into<String>, place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Format { source: source.into(), place: place.into(), problem: problem.into() }
    }

    /// A [`Layer`](Self::Layer), for layers of your own.
    pub fn layer(layer: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Layer { layer: layer.into(), problem: problem.into() }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, action, source }
    }

    /// The same error with the owner of the value before its name.
    pub(crate) fn of(self, owner: impl Display) -> Self {
        match self {
            Self::Invalid { what, expected, found } => {
                Self::Invalid { what: format!("{owner} {what}"), expected, found }
            }
            other => other,
        }
    }
}

/// `Ok` when `holds`; NaN never does, so write the condition as what has to be true.
pub(crate) fn require(holds: bool, what: &str, expected: &str, found: impl Display) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::invalid(what, expected, found)) }
}

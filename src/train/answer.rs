use std::ops::ControlFlow;

use crate::error::Error;

/// What a closure may answer that training calls: nothing, to go on; a `ControlFlow`, to go on or to stop; or a `Result` of one
/// of these, whose error ends the run.
///
/// ```
/// use gradus::{Error, train::Answer};
/// use std::ops::ControlFlow;
/// assert_eq!(().flow()?, ControlFlow::Continue(()));
/// assert_eq!(Ok::<_, Error>(ControlFlow::Break(())).flow()?, ControlFlow::Break(()));
/// let error = Err::<(), _>("the disk is full").flow().unwrap_err();
/// assert_eq!(error.to_string(), "the disk is full");
/// # Ok::<(), Error>(())
/// ```
pub trait Answer {
    /// Whether to go on.
    ///
    /// # Errors
    /// Those of the closure: an [`Error`] as it is, any other as [`Error::Callback`].
    fn flow(self) -> Result<ControlFlow<()>, Error>;
}

impl Answer for () {
    fn flow(self) -> Result<ControlFlow<()>, Error> {
        Ok(ControlFlow::Continue(()))
    }
}

impl Answer for ControlFlow<()> {
    fn flow(self) -> Result<ControlFlow<()>, Error> {
        Ok(self)
    }
}

impl<A: Answer, E: Into<Box<dyn std::error::Error + Send + Sync>>> Answer for Result<A, E> {
    fn flow(self) -> Result<ControlFlow<()>, Error> {
        match self {
            Ok(answer) => answer.flow(),
            Err(error) => Err(match error.into().downcast::<Error>() {
                Ok(error) => *error,
                Err(error) => Error::Callback(error),
            }),
        }
    }
}

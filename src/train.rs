//! Training.

/// What a run recorded.
#[derive(Debug, Clone, Default)]
pub struct History {}

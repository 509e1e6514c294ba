//! What can go wrong, and who may try again.

/// Why a record was not taken. Nothing of it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the journal holds all the bytes it may; it drains as the database catches up")]
    Full,
    #[error("the journal's thread has as many records waiting as it may")]
    Busy,
    #[error("the journal failed and the process must restart")]
    Poisoned,
    #[error("the engine is stopping")]
    Stopping,
}

/// A record was taken and its group could not be made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitFailed {
    #[error("no space is left for the journal")]
    NoSpace,
    #[error("the journal failed and the process must restart")]
    Poisoned,
}

/// The journal cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path}: {source}")]
    Io {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
}

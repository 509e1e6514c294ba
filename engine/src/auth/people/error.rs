//! Why somebody is not signed in, or a user not changed.

use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The same for every reason.
    #[error("name and password do not match")]
    Refused,
    /// The refresh token is not good: unknown, used before, or of a session that ended.
    #[error("the session ended; sign in again")]
    Ended,
    #[error("too many failed attempts; try again later")]
    Throttled { retry_after: Duration },
    #[error("as many passwords are being checked as the engine does at once")]
    Busy,
    #[error("{field}: {reason}")]
    Field { field: &'static str, reason: String },
    #[error("no user is named {0:?}")]
    NoUser(String),
    #[error("a user named {0:?} exists already")]
    Exists(String),
    #[error("{0:?} is the last administrator who can sign in")]
    LastAdmin(String),
    #[error("there are {most} users already")]
    Full { most: i64 },
    #[error("the database did not answer in time")]
    Deadline,
    #[error(transparent)]
    Database(#[from] crate::copy::Error),
    #[error("hash a password: {0}")]
    Hash(String),
}

impl From<crate::auth::lease::Late> for Error {
    fn from(_: crate::auth::lease::Late) -> Self {
        Self::Deadline
    }
}

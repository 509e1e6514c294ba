//! Why a query was not answered, and which status that is.

use crate::auth::people;
use crate::auth::{Denied, keys};
use crate::registry;
use fiber_contract::ErrorCode;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no such resource")]
    NotFound,
    #[error("no node is named {0:?}")]
    NoNode(String),
    #[error(
        "no batch with the id {0} is known; receipts are kept for batches that came with X-Batch-ID"
    )]
    NoBatch(String),
    #[error("the body must be application/json")]
    NotJson,
    #[error("a request with cookies must come from the dashboard's own page")]
    ForeignPage,
    #[error(transparent)]
    People(people::Error),
    #[error(transparent)]
    Keys(keys::Error),
    #[error(transparent)]
    Registry(registry::Error),
    #[error("the body is not the JSON that belongs here: {0}")]
    BadJson(String),
    #[error("the body ended early")]
    BodyBroken,
    #[error("the body came too slowly")]
    BodyTooSlow,
    #[error("allowed here: {allow}")]
    MethodNotAllowed { allow: &'static str },
    #[error("the method is not known")]
    MethodUnknown,
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("too many requests without a valid token came from this address")]
    TooManyUnknown { wait: Duration },
    #[error("parameter {name}: {reason}")]
    Parameter { name: &'static str, reason: String },
    #[error("the body is larger than {limit_bytes} bytes")]
    BodyTooLarge { limit_bytes: usize },
    /// Of the request that asked for several.
    #[error(transparent)]
    Shared(std::sync::Arc<Error>),
    #[error("{0}; try again shortly")]
    Busy(&'static str),
    #[error("the database does not answer; try again shortly")]
    Database(#[source] DatabaseError),
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error("no connection: {0}")]
    Pool(#[from] deadpool_postgres::PoolError),
    #[error(transparent)]
    Query(#[from] tokio_postgres::Error),
    #[error("no answer within the deadline")]
    Deadline,
    #[error(transparent)]
    Writer(#[from] crate::copy::Error),
    #[error("the last check found it away")]
    KnownDown,
}

impl Error {
    pub(crate) fn parameter(name: &'static str, reason: impl Into<String>) -> Self {
        Self::Parameter {
            name,
            reason: reason.into(),
        }
    }

    /// The one place that pairs a failure with its code, and so with its status.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Shared(error) => error.code(),
            Self::NotFound | Self::NoNode(_) | Self::NoBatch(_) => ErrorCode::NotFound,
            Self::MethodNotAllowed { .. } => ErrorCode::MethodNotAllowed,
            Self::MethodUnknown => ErrorCode::NotImplemented,
            Self::Denied(denied) => denied.code(),
            Self::TooManyUnknown { .. } => ErrorCode::RateLimited,
            Self::BadJson(_) | Self::BodyBroken => ErrorCode::MalformedBatch,
            Self::BodyTooSlow => ErrorCode::RequestTimeout,
            Self::NotJson => ErrorCode::UnsupportedMedia,
            Self::ForeignPage => ErrorCode::Forbidden,
            Self::People(error) => of_people(error),
            Self::Keys(error) => of_keys(error),
            Self::Registry(error) => of_registry(error),
            Self::Parameter { .. } => ErrorCode::InvalidMetric,
            Self::BodyTooLarge { .. } => ErrorCode::PayloadTooLarge,
            Self::Busy(_) | Self::Database(_) => ErrorCode::Overloaded,
            Self::Internal(_) => ErrorCode::Internal,
        }
    }

    /// The rest of the request, if any, is not worth reading or cannot be found.
    pub(crate) const fn closes(&self) -> bool {
        matches!(
            self,
            Self::MethodUnknown | Self::BodyTooLarge { .. } | Self::BodyBroken | Self::BodyTooSlow
        )
    }
}

const fn of_people(error: &people::Error) -> ErrorCode {
    use people::Error as E;
    match error {
        E::Refused | E::Ended => ErrorCode::InvalidToken,
        E::Throttled { .. } => ErrorCode::RateLimited,
        E::Field { .. } => ErrorCode::InvalidMetric,
        E::NoUser(_) => ErrorCode::NotFound,
        E::Exists(_) | E::LastAdmin(_) | E::Full { .. } => ErrorCode::Conflict,
        E::Busy | E::Deadline | E::Database(_) => ErrorCode::Overloaded,
        E::Hash(_) => ErrorCode::Internal,
    }
}

const fn of_keys(error: &keys::Error) -> ErrorCode {
    use keys::Error as E;
    match error {
        E::NodeId(_) | E::Days { .. } => ErrorCode::InvalidMetric,
        E::NoSecret | E::TwoLive { .. } => ErrorCode::Conflict,
        E::Unknown(_) => ErrorCode::NotFound,
        E::Deadline | E::Database(_) => ErrorCode::Overloaded,
    }
}

const fn of_registry(error: &registry::Error) -> ErrorCode {
    use registry::Error as E;
    match error {
        E::Field { .. } => ErrorCode::InvalidMetric,
        E::NoNode(_) => ErrorCode::NotFound,
        E::Exists(_) => ErrorCode::Conflict,
        E::Deadline | E::Database(_) => ErrorCode::Overloaded,
    }
}

impl From<registry::Error> for Error {
    fn from(error: registry::Error) -> Self {
        match error {
            registry::Error::Database(cause) => Self::Database(cause.into()),
            registry::Error::Deadline => Self::Database(DatabaseError::Deadline),
            other => Self::Registry(other),
        }
    }
}

/// What the database said is for the log, not for the one who asks.
impl From<people::Error> for Error {
    fn from(error: people::Error) -> Self {
        match error {
            people::Error::Database(cause) => Self::Database(cause.into()),
            people::Error::Deadline => Self::Database(DatabaseError::Deadline),
            people::Error::Hash(_) => Self::Internal(Box::new(error)),
            other => Self::People(other),
        }
    }
}

impl From<keys::Error> for Error {
    fn from(error: keys::Error) -> Self {
        match error {
            keys::Error::Database(cause) => Self::Database(cause.into()),
            keys::Error::Deadline => Self::Database(DatabaseError::Deadline),
            other => Self::Keys(other),
        }
    }
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

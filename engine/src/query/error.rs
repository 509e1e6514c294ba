//! Why a query was not answered, and which status that is.

use crate::auth::Denied;
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
    #[error("the request target is too long")]
    TargetTooLong,
    #[error("{0}")]
    BadHead(&'static str),
    #[error("only 100-continue can be expected")]
    Expectation,
    #[error("parameter {name}: {reason}")]
    Parameter { name: &'static str, reason: String },
    #[error("the body is larger than {limit_bytes} bytes")]
    BodyTooLarge { limit_bytes: usize },
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
    pub(crate) const fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound | Self::NoNode(_) | Self::NoBatch(_) => ErrorCode::NotFound,
            Self::MethodNotAllowed { .. } => ErrorCode::MethodNotAllowed,
            Self::MethodUnknown => ErrorCode::NotImplemented,
            Self::Denied(denied) => denied.code(),
            Self::TooManyUnknown { .. } => ErrorCode::RateLimited,
            Self::TargetTooLong => ErrorCode::UriTooLong,
            Self::BadHead(_) | Self::BadJson(_) | Self::BodyBroken => ErrorCode::MalformedBatch,
            Self::BodyTooSlow => ErrorCode::RequestTimeout,
            Self::Expectation => ErrorCode::ExpectationFailed,
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
            Self::TargetTooLong
                | Self::BadHead(_)
                | Self::Expectation
                | Self::MethodUnknown
                | Self::BodyTooLarge { .. }
                | Self::BodyBroken
                | Self::BodyTooSlow
        )
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

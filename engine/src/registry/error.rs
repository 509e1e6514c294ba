//! Why a node was not changed.

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{field}: {reason}")]
    Field { field: &'static str, reason: String },
    #[error("no node is named {0:?}")]
    NoNode(String),
    #[error("a node named {0:?} is there already")]
    Exists(String),
    #[error("the database did not answer in time")]
    Deadline,
    #[error(transparent)]
    Database(#[from] crate::copy::Error),
}

impl From<tokio_postgres::Error> for Error {
    fn from(source: tokio_postgres::Error) -> Self {
        let doing = "read a node";
        Self::Database(crate::copy::Error::Database { doing, source })
    }
}

impl From<crate::auth::lease::Late> for Error {
    fn from(_: crate::auth::lease::Late) -> Self {
        Self::Deadline
    }
}

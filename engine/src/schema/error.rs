//! Why the schema could not be brought up to date.

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("connect to the database: {}", describe(.0))]
    Connect(#[source] tokio_postgres::Error),
    #[error("read the state of the schema: {}", describe(.0))]
    Database(#[source] tokio_postgres::Error),
    #[error("apply migration {name}: {}", describe(.source))]
    Failed {
        name: &'static str,
        source: tokio_postgres::Error,
    },
    #[error("migration {name} was applied and has changed since; add a new file instead")]
    Changed { name: &'static str },
    #[error("the migrations did not end within {deadline_s} s")]
    Deadline { deadline_s: u64 },
}

impl Error {
    /// The server's own code, where it answered.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Connect(source) | Self::Database(source) | Self::Failed { source, .. } => {
                source.code().map(tokio_postgres::error::SqlState::code)
            }
            Self::Changed { .. } | Self::Deadline { .. } => None,
        }
    }
}

/// `tokio_postgres::Error` prints only its kind; the operator needs the server's words.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(db), _) => format!("{} ({})", db.message(), db.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

//! What can go wrong between the journal and the tables, and what is to be done about it.

use crate::journal::OpenError;
use crate::schema;
use tokio_postgres::error::SqlState;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("connect to the database: {}", schema::describe(.0))]
    Connect(#[source] tokio_postgres::Error),
    #[error("bring the schema up to date: {0}")]
    Schema(#[from] schema::Error),
    #[error("{doing}: {}", schema::describe(.source))]
    Database {
        doing: &'static str,
        source: tokio_postgres::Error,
    },
    /// The socket is abandoned: the peer may never answer.
    #[error("{doing}: no answer within {deadline_s} s")]
    Deadline {
        doing: &'static str,
        deadline_s: u64,
    },
    #[error("{doing}: sent {sent} rows, the database took {taken}")]
    Count {
        doing: &'static str,
        sent: u64,
        taken: u64,
    },
    #[error("{doing}: another engine wrote the same rows")]
    OtherWriter { doing: &'static str },
    #[error("another session writes journal {journal}")]
    Locked { journal: uuid::Uuid },
    #[error("read the journal: {0}")]
    Journal(#[from] OpenError),
    #[error("the journal gave group {found} where {expected} was due")]
    OutOfOrder { expected: u64, found: u64 },
    #[cfg(test)]
    #[error("the model says {0:?}")]
    Simulated(Remedy),
}

/// What the writer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// A new session, after a pause, as often as it takes: the fault is not in the rows.
    NewSession,
    /// The same rows at once, trusting nothing remembered: somebody else wrote, too.
    TrustNothing,
    /// The same rows at once, finding those that the database refuses.
    Isolate,
    /// A new session that looks at the schema first.
    Migrate,
    /// The partitions first, then the same rows.
    MakePartitions,
}

impl Error {
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::OtherWriter { .. } => Remedy::TrustNothing,
            #[cfg(test)]
            Self::Simulated(remedy) => *remedy,
            Self::Database { source, .. } => remedy_of(source),
            _ => Remedy::NewSession,
        }
    }

    /// True when time heals it. Otherwise it is tried again as well, because no row may be given
    /// up, but a person must look.
    pub fn retriable(&self) -> bool {
        match self {
            Self::Database { source, .. } | Self::Connect(source) => retriable(source),
            Self::Schema(schema) => schema.sqlstate().is_none_or(time_heals),
            Self::Deadline { .. } | Self::OtherWriter { .. } | Self::Locked { .. } => true,
            Self::Count { .. } | Self::Journal(_) | Self::OutOfOrder { .. } => false,
            #[cfg(test)]
            Self::Simulated(_) => true,
        }
    }

    /// Of a smaller transaction it might have answered in time.
    pub(super) fn was_too_slow(&self) -> bool {
        matches!(self, Self::Deadline { .. }) || self.sqlstate() == Some("57014")
    }

    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Database { source, .. } | Self::Connect(source) => {
                source.code().map(SqlState::code)
            }
            Self::Schema(schema) => schema.sqlstate(),
            _ => None,
        }
    }
}

fn remedy_of(error: &tokio_postgres::Error) -> Remedy {
    let Some(db) = error.as_db_error() else {
        return Remedy::NewSession;
    };
    match db.code().code() {
        "23505" => Remedy::TrustNothing,
        // check_violation is also what a partitioned table without a fitting partition says; then
        // it names no constraint.
        "23514" if db.constraint().is_none() => Remedy::MakePartitions,
        "42P01" => Remedy::Migrate,
        code if refuses_rows(code) => Remedy::Isolate,
        _ => Remedy::NewSession,
    }
}

/// Classes 22 (data exception) and 23 (integrity constraint): the rows are at fault.
pub(super) fn refuses_rows(code: &str) -> bool {
    code.starts_with("22") || code.starts_with("23")
}

fn retriable(error: &tokio_postgres::Error) -> bool {
    // Without a code it is the socket.
    error.code().is_none_or(|code| time_heals(code.code()))
}

/// Connection, resources, intervention and rollback classes, the server's own trouble, read-only
/// (a failover under way) and lock timeouts.
fn time_heals(code: &str) -> bool {
    const CLASSES: [&str; 6] = ["08", "40", "53", "57", "58", "XX"];
    const CODES: [&str; 4] = ["25006", "25P03", "55P03", "3D000"];
    CLASSES.iter().any(|class| code.starts_with(class)) || CODES.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_heals_outages_and_not_bad_rows() {
        for code in [
            "08006", "53300", "57P01", "57P03", "40001", "25006", "55P03", "58030", "XX000",
        ] {
            assert!(time_heals(code), "{code}");
        }
        for code in ["22P05", "23505", "42P01", "42501", "28P01"] {
            assert!(!time_heals(code), "{code}");
        }
    }

    #[test]
    fn only_data_and_constraint_classes_blame_the_rows() {
        assert!(refuses_rows("22021") && refuses_rows("23514"));
        assert!(!refuses_rows("42601") && !refuses_rows("53100"));
    }
}

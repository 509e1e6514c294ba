//! The way to the database for reading: a small pool, read-only sessions, deadlines on both sides.

use super::error::DatabaseError;
use crate::config::Database;
use crate::limits::{QUERY_DB_CONNECTIONS, QUERY_DEADLINE, QUERY_STATEMENT_TIMEOUT};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use fiber_contract::UnixMicros;
use postgres_types::{FromSql, IsNull, ToSql, Type, accepts, private::BytesMut, to_sql_checked};
use std::error::Error;
use std::future::Future;
use std::time::Duration;
use tokio_postgres::{NoTls, Row};

/// How long a query waits for a free connection, and for a new one to be made.
const WAIT: Duration = Duration::from_secs(2);

/// To the read host if one is configured. Connects when the first query comes.
pub fn pool(database: &Database) -> Result<Pool, deadpool_postgres::BuildError> {
    let mut config = database.read_connection();
    config.options(format!(
        "-c statement_timeout={} -c default_transaction_read_only=on -c jit=off -c timezone=UTC",
        QUERY_STATEMENT_TIMEOUT.as_millis()
    ));
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    Pool::builder(Manager::from_config(config, NoTls, recycling))
        .max_size(QUERY_DB_CONNECTIONS)
        .wait_timeout(Some(WAIT))
        .create_timeout(Some(WAIT))
        .recycle_timeout(Some(WAIT))
        .runtime(Runtime::Tokio1)
        .build()
}

/// A connection from the pool. Every wait on it has an end; one that was not over by then takes the
/// connection with it, because the next user would wait for the same answer.
pub(crate) struct Session {
    client: Object,
}

impl Session {
    pub(crate) async fn open(pool: &Pool) -> Result<Self, DatabaseError> {
        Ok(Self {
            client: pool.get().await?,
        })
    }

    /// Prepared once per connection; the values travel apart from the text.
    pub(crate) async fn query(
        &self,
        text: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DatabaseError> {
        self.within(async {
            let statement = self.client.prepare_cached(text).await?;
            self.client.query(&statement, params).await
        })
        .await
    }

    /// The end of waiting for anything that this session does.
    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, DatabaseError> {
        match tokio::time::timeout(QUERY_DEADLINE, work).await {
            Ok(done) => Ok(done?),
            Err(_) => {
                self.abandon();
                Err(DatabaseError::Deadline)
            }
        }
    }

    /// Ends what the server still works on, if it listens; the pool drops connections that are
    /// closed, and a silent one is closed by `tcp_user_timeout`.
    fn abandon(&self) {
        let cancel = self.client.cancel_token();
        tokio::spawn(async move {
            let done = tokio::time::timeout(WAIT, cancel.cancel_query(NoTls)).await;
            if !matches!(done, Ok(Ok(()))) {
                tracing::debug!("cancel a query of a silent server");
            }
        });
    }
}

/// `timestamptz`, in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PgInstant(pub(crate) UnixMicros);

/// Between the Unix epoch and PostgreSQL's, 2000-01-01T00:00:00Z.
const PG_EPOCH_UNIX_MICROS: i64 = 946_684_800_000_000;

impl<'a> FromSql<'a> for PgInstant {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let micros = i64::from_be_bytes(raw.try_into()?);
        let micros = micros
            .checked_add(PG_EPOCH_UNIX_MICROS)
            .ok_or("an instant beyond i64")?;
        Ok(Self(UnixMicros(micros)))
    }

    accepts!(TIMESTAMPTZ);
}

impl ToSql for PgInstant {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let micros = self
            .0
            .0
            .checked_sub(PG_EPOCH_UNIX_MICROS)
            .ok_or("an instant before i64")?;
        out.extend_from_slice(&micros.to_be_bytes());
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_survives_the_wire_and_starts_at_postgres_epoch() {
        for micros in [0, PG_EPOCH_UNIX_MICROS, 1_795_460_400_123_456, -1] {
            let mut out = BytesMut::new();
            let instant = PgInstant(UnixMicros(micros));
            instant.to_sql(&Type::TIMESTAMPTZ, &mut out).unwrap();
            assert_eq!(
                PgInstant::from_sql(&Type::TIMESTAMPTZ, &out).unwrap(),
                instant
            );
        }
        assert_eq!(
            PgInstant::from_sql(&Type::TIMESTAMPTZ, &[0; 8])
                .unwrap()
                .0
                .0,
            PG_EPOCH_UNIX_MICROS
        );
    }
}

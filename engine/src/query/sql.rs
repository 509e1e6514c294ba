//! The way to the database for reading: a small pool, read-only sessions, deadlines on both sides.

use super::context::Context;
use super::error::DatabaseError;
use crate::config::Database;
use crate::limits::{
    QUERY_DB_CONNECTIONS, QUERY_DEADLINE, QUERY_FALLBACK_CONNECTIONS, QUERY_STATEMENT_TIMEOUT,
    READ_HOST_AWAY,
};
use crate::telemetry::metrics::Counter;
use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use futures_util::TryStreamExt;
use postgres_types::ToSql;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_postgres::{NoTls, Row};

pub(crate) use crate::copy::instant::PgInstant;

/// How long a query waits for a free connection, and for a new one to be made.
const WAIT: Duration = Duration::from_secs(2);

/// To the read host if one is configured. Connects when the first query comes.
pub fn pool(database: &Database) -> Result<Pool, deadpool_postgres::BuildError> {
    make(database.read_connection(), QUERY_DB_CONNECTIONS)
}

/// That one, and one to the writer's host if that is another.
pub fn pools(database: &Database) -> Result<(Pool, Option<Pool>), deadpool_postgres::BuildError> {
    let fallback = match &database.read_host {
        Some(read_host) if *read_host != database.host => {
            Some(make(database.connection(), QUERY_FALLBACK_CONNECTIONS)?)
        }
        _ => None,
    };
    Ok((pool(database)?, fallback))
}

fn make(
    mut config: tokio_postgres::Config,
    connections: usize,
) -> Result<Pool, deadpool_postgres::BuildError> {
    // A plan for any window is one for the longest: it sorts a whole account for one page of it.
    config.options(format!(
        "-c statement_timeout={} -c default_transaction_read_only=on -c jit=off -c timezone=UTC \
         -c plan_cache_mode=force_custom_plan",
        QUERY_STATEMENT_TIMEOUT.as_millis()
    ));
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    Pool::builder(Manager::from_config(config, NoTls, recycling))
        .max_size(connections)
        .wait_timeout(Some(WAIT))
        .create_timeout(Some(WAIT))
        .recycle_timeout(Some(WAIT))
        .runtime(Runtime::Tokio1)
        .build()
}

/// The writer's database, by the last look of its check.
pub(super) fn refuse_if_down(context: &Context) -> Result<(), DatabaseError> {
    if context.health.database_is_known_down() {
        return Err(DatabaseError::KnownDown);
    }
    Ok(())
}

/// Whether the read host can be reached, as far as the last try told. While it cannot, queries go to the
/// writer's host, over few connections; every `READ_HOST_AWAY` one of them tries again.
#[derive(Debug, Default)]
pub(crate) struct ReadHost {
    left_alone_until: Mutex<Option<Instant>>,
    /// Queries that went to the writer's host instead.
    pub(crate) fallbacks: Counter,
}

impl ReadHost {
    fn is_left_alone(&self, now: Instant) -> bool {
        let until = self.left_alone_until.lock();
        let until = until.unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| now < until)
    }

    fn is_away(&self, error: &DatabaseError) {
        let until = self.left_alone_until.lock();
        let mut until = until.unwrap_or_else(PoisonError::into_inner);
        if until.replace(Instant::now() + READ_HOST_AWAY).is_none() {
            tracing::warn!(%error, "the read host is away; queries go to the writer's host");
        }
    }

    fn is_there(&self) {
        let until = self.left_alone_until.lock();
        let mut until = until.unwrap_or_else(PoisonError::into_inner);
        if until.take().is_some() {
            tracing::info!("the read host answers");
        }
    }
}

/// No connection could be made, which is not the same as none being free.
fn is_unreachable(error: &DatabaseError) -> bool {
    matches!(
        error,
        DatabaseError::Pool(PoolError::Backend(_) | PoolError::Timeout(TimeoutType::Create))
    )
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

    /// For a request: at once an error while the background check finds the database away, so that
    /// a crowd of requests does not sit out the deadline. A read host of its own is not judged by
    /// the writer's.
    pub(crate) async fn for_request(context: &Context) -> Result<Self, DatabaseError> {
        let Some(fallback) = &context.fallback else {
            if context.config.database.read_host.is_none() {
                refuse_if_down(context)?;
            }
            return Self::open(&context.pool).await;
        };
        if !context.read_host.is_left_alone(Instant::now()) {
            match Self::open(&context.pool).await {
                Err(error) if is_unreachable(&error) => context.read_host.is_away(&error),
                opened => {
                    context.read_host.is_there();
                    return opened;
                }
            }
        }
        refuse_if_down(context)?;
        context.read_host.fallbacks.add(1);
        Self::open(fallback).await
    }

    /// For a transaction of its own.
    pub(crate) fn into_client(self) -> Object {
        self.client
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

    /// Gives each row to `take` as it comes, for answers that are folded and not kept.
    pub(crate) async fn each(
        &self,
        text: &str,
        params: &[&(dyn ToSql + Sync)],
        mut take: impl FnMut(&Row) -> Result<ControlFlow<()>, tokio_postgres::Error>,
    ) -> Result<(), DatabaseError> {
        self.within(async {
            let statement = self.client.prepare_cached(text).await?;
            let rows = self
                .client
                .query_raw(&statement, params.iter().copied())
                .await?;
            let mut rows = pin!(rows);
            while let Some(row) = rows.try_next().await? {
                if take(&row)?.is_break() {
                    break;
                }
            }
            Ok(())
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

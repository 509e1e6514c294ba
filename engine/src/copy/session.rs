//! One session with the database, every call of which has a deadline on this side: a peer that
//! drops all packets never answers, and then the socket is abandoned, not awaited.

use super::error::Error;
use super::row::{COPY_HEADER, COPY_TRAILER};
use crate::limits::COMMIT_DEADLINE;
use crate::model::JournalId;
use bytes::Bytes;
use futures_util::SinkExt as _;
use postgres_types::ToSql;
use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;
use tokio_postgres::{Client, NoTls, Row, Statement};

/// Bytes handed to the socket at once: enough that the per-message cost vanishes, little enough
/// that the database parses one while the next is put together.
const SLICE_BYTES: usize = 128 * 1024;
/// How long a session of a process that died may take to be noticed by the server.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(50);

pub(crate) struct Session {
    client: Client,
    task: tokio::task::JoinHandle<()>,
    statements: HashMap<&'static str, Statement>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("statements", &self.statements.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Closes the socket now. The server rolls back when it sees that.
        self.task.abort();
    }
}

impl Session {
    pub(crate) async fn open(
        config: &tokio_postgres::Config,
        application_name: &str,
    ) -> Result<Self, Error> {
        let mut config = config.clone();
        config.application_name(application_name);
        let connect = tokio::time::timeout(COMMIT_DEADLINE, config.connect(NoTls));
        let (client, connection) = connect
            .await
            .map_err(|_| deadline("connect to the database"))?
            .map_err(Error::Connect)?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "database session ended");
            }
        });
        let session = Self {
            client,
            task,
            statements: HashMap::new(),
        };
        // Asynchronous commit is safe here: a journal segment is only given up once the server has
        // flushed past the commit of its last group. The other settings end what we abandon, so
        // that it holds no lock for long.
        let settings = format!(
            "SET synchronous_commit = off; SET client_min_messages = warning;
             SET statement_timeout = {deadline_ms}; SET lock_timeout = {deadline_ms};
             SET idle_in_transaction_session_timeout = {deadline_ms};
             SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5;
             SET tcp_keepalives_count = 3; SET client_connection_check_interval = '5s'",
            deadline_ms = COMMIT_DEADLINE.as_millis()
        );
        session.batch("configure the session", &settings).await?;
        Ok(session)
    }

    /// Takes the lock that makes this session, and those that join it, the only writers of a journal.
    ///
    /// An abandoned session of this process may still hold it: those are ended by name. That of a
    /// process that died ends when the server sees its socket closed; that of one that lives is
    /// left alone, because two engines over one journal are the operator's mistake, not ours to
    /// decide.
    pub(crate) async fn lock_journal(
        &mut self,
        journal: JournalId,
        name: &str,
    ) -> Result<(), Error> {
        const SHARE: &str = "SELECT pg_advisory_lock_shared($1)";
        const UNLOCK: &str = "SELECT pg_advisory_unlock($1)";
        let key = lock_key(journal);
        let started = tokio::time::Instant::now();
        loop {
            const LOCK: &str = "SELECT pg_try_advisory_lock($1)";
            let rows = self.query("lock the journal", LOCK, &[&key]).await?;
            if rows.first().is_some_and(|row| row.get(0)) {
                // Others may join now, and nobody else can take it while one of them lives.
                self.query("share the journal", SHARE, &[&key]).await?;
                self.query("share the journal", UNLOCK, &[&key]).await?;
                return Ok(());
            }
            self.query(
                "end an abandoned session",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE application_name = $1 AND pid <> pg_backend_pid() AND usename = current_user",
                &[&name],
            )
            .await?;
            if started.elapsed() > LOCK_PATIENCE {
                return Err(Error::Locked { journal: journal.0 });
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
    }

    /// Joins the session that locked the journal.
    pub(crate) async fn share_journal(&mut self, journal: JournalId) -> Result<(), Error> {
        const LOCK: &str = "SELECT pg_try_advisory_lock_shared($1)";
        let key = lock_key(journal);
        let rows = self.query("join the journal", LOCK, &[&key]).await?;
        let is_shared = rows.first().is_some_and(|row| row.get(0));
        is_shared
            .then_some(())
            .ok_or(Error::Locked { journal: journal.0 })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs statements without parameters.
    pub(crate) async fn batch(&self, doing: &'static str, sql: &str) -> Result<(), Error> {
        bounded(doing, self.client.batch_execute(sql)).await
    }

    pub(crate) async fn execute(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error> {
        let statement = self.prepared(doing, sql).await?;
        bounded(doing, self.client.execute(&statement, params)).await
    }

    pub(crate) async fn query(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let statement = self.prepared(doing, sql).await?;
        bounded(doing, self.client.query(&statement, params)).await
    }

    /// Streams tuples through a `COPY … FROM STDIN (FORMAT binary)`; the server must take each.
    pub(crate) async fn copy<'a>(
        &mut self,
        doing: &'static str,
        sql: &'static str,
        tuples: impl Iterator<Item = &'a [u8]>,
    ) -> Result<u64, Error> {
        let statement = self.prepared(doing, sql).await?;
        let mut sent = 0;
        let taken = bounded(doing, async {
            let sink = self.client.copy_in(&statement).await?;
            let mut sink = std::pin::pin!(sink);
            let mut slice = Vec::with_capacity(SLICE_BYTES + SLICE_BYTES / 8);
            slice.extend_from_slice(&COPY_HEADER);
            for tuple in tuples {
                slice.extend_from_slice(tuple);
                sent += 1;
                if slice.len() >= SLICE_BYTES {
                    let full =
                        std::mem::replace(&mut slice, Vec::with_capacity(SLICE_BYTES + 8192));
                    sink.send(Bytes::from(full)).await?;
                }
            }
            slice.extend_from_slice(&COPY_TRAILER);
            sink.send(Bytes::from(slice)).await?;
            sink.finish().await
        })
        .await?;
        if taken == sent {
            Ok(sent)
        } else {
            Err(Error::Count { doing, sent, taken })
        }
    }

    async fn prepared(
        &mut self,
        doing: &'static str,
        sql: &'static str,
    ) -> Result<Statement, Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = bounded(doing, self.client.prepare(sql)).await?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

fn lock_key(journal: JournalId) -> i64 {
    xxhash_rust::xxh3::xxh3_64(journal.0.as_bytes()).cast_signed()
}

async fn bounded<T>(
    doing: &'static str,
    call: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(COMMIT_DEADLINE, call)
        .await
        .map_err(|_| deadline(doing))?
        .map_err(|source| Error::Database { doing, source })
}

fn deadline(doing: &'static str) -> Error {
    Error::Deadline {
        doing,
        deadline_s: COMMIT_DEADLINE.as_secs(),
    }
}

//! What the writer asks of a database. There is one in the product, `Session` over PostgreSQL, and
//! one in the simulation, which loses commits and answers by seed.

use super::error::Error;
use super::exact::{self, MAKE_STAGING};
use super::instant::PgInstant;
use super::ledger::{self, SetAside, Totals};
use super::names::{Names, Registered};
use super::plan::{Plan, PlanRow};
use super::retention;
use super::session::Session;
use super::shard::{Positions, Shard};
use crate::model::{GroupSeq, JournalId, SeriesKey};
use crate::publish::rollup::BucketStore;
use crate::schema::{self, Edition};
use fiber_contract::UnixMicros;
use std::future::Future;
use tokio::task::JoinHandle;

const COPY: &str = "COPY metrics (\"time\", series_key, node_key, latency_ms, uptime_pct,
    packet_loss, metadata) FROM STDIN (FORMAT binary)";

/// The limit in the lateral query makes it one descent of the index per chunk, newest chunk first.
const NEWEST: &str = "SELECT k.series_key, newest.\"time\"
    FROM UNNEST($1::int8[]) AS k (series_key)
    CROSS JOIN LATERAL (
        SELECT m.\"time\" FROM metrics m WHERE m.series_key = k.series_key
        ORDER BY m.\"time\" DESC LIMIT 1
    ) AS newest";

const POSITIONS: &str = "SELECT slots, max(last_seq) FROM commit_ledger
    WHERE journal_id = $1 GROUP BY slots";

const LOG_POSITIONS: &str = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::int8,
    (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::int8";

/// The first session waits for the others before it commits, and one of another engine may wait for that:
/// a circle that the server cannot see. One of the others waits for a lock in each such circle, so these give up early.
const JOINED: &str = "SET lock_timeout = '2s'";

/// Makes sessions.
pub(super) trait Database: Send + Sync + 'static {
    type Tables: Tables;

    /// The first session that writes this journal, with everything there that a transaction needs. No
    /// other one is left, so nothing that was begun is still under way.
    fn open(
        &mut self,
        journal: JournalId,
        name: &str,
    ) -> impl Future<Output = Result<(Self::Tables, Edition), Error>> + Send;

    /// Another session beside the first. Ask the first for something afterwards: if it answers, it
    /// was still the first when this one joined.
    fn join(
        &self,
        journal: JournalId,
        name: &str,
    ) -> impl Future<Output = Result<Self::Tables, Error>> + Send + use<Self> + 'static;

    /// The next session looks at the schema first.
    fn doubt_schema(&mut self);

    /// What runs beside a session.
    fn maintain(&self, edition: Edition) -> Option<JoinHandle<()>>;
}

/// One session.
pub(super) trait Tables: BucketStore + Send + 'static {
    fn is_closed(&self) -> bool;

    /// Runs a statement without parameters and rows.
    fn batch(
        &mut self,
        doing: &'static str,
        sql: &'static str,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    fn register(
        &mut self,
        names: &mut Names,
        plan: &Plan<'_>,
        isolate: bool,
    ) -> impl Future<Output = Result<Registered, Error>> + Send;

    /// Writes when nodes were seen, as far as it is due.
    fn touch(
        &mut self,
        names: &mut Names,
        plan: &Plan<'_>,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// The newest stored instant of each series that has one.
    fn newest(
        &mut self,
        series: &[i64],
    ) -> impl Future<Output = Result<Vec<(SeriesKey, UnixMicros)>, Error>> + Send;

    /// Rows of the plan that are new; one that is not is an error.
    fn copy_rows(
        &mut self,
        plan: &Plan<'_>,
        positions: &[usize],
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Rows that may be there.
    fn insert_rows(
        &mut self,
        rows: &[PlanRow<'_>],
        isolate: bool,
    ) -> impl Future<Output = Result<exact::Answer, Error>> + Send;

    fn note_conflicts(
        &mut self,
        conflicts: &[PlanRow<'_>],
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// The accounts of a transaction, and with them the position.
    fn account(
        &mut self,
        journal: JournalId,
        plan: &Plan<'_>,
        totals: Totals,
        set_aside: &[SetAside<'_>],
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Up to where everything is accounted for.
    fn positions(
        &mut self,
        journal: JournalId,
    ) -> impl Future<Output = Result<Positions, Error>> + Send;

    /// The account of a transaction whose answer was lost.
    fn totals(
        &mut self,
        journal: JournalId,
        shard: Shard,
        last: GroupSeq,
    ) -> impl Future<Output = Result<Option<Totals>, Error>> + Send;

    /// Ends of the server's log: written, and safe from a crash.
    fn log_positions(&mut self) -> impl Future<Output = Result<Option<(i64, i64)>, Error>> + Send;

    /// What rows of the span go into, in a transaction of its own.
    fn ensure_span(
        &mut self,
        span: (UnixMicros, UnixMicros),
    ) -> impl Future<Output = Result<(), Error>> + Send;

    fn prune(
        &mut self,
        journal: JournalId,
        position: GroupSeq,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

#[derive(Debug)]
pub(super) struct Postgres {
    config: tokio_postgres::Config,
    /// Set once the migrations ran; a missing table unsets it.
    schema_checked: Option<Edition>,
}

impl Postgres {
    pub(super) fn new(config: tokio_postgres::Config) -> Self {
        Self {
            config,
            schema_checked: None,
        }
    }
}

impl Database for Postgres {
    type Tables = Session;

    async fn open(&mut self, journal: JournalId, name: &str) -> Result<(Session, Edition), Error> {
        let edition = match self.schema_checked {
            Some(edition) => edition,
            None => schema::migrate(&self.config).await?.edition,
        };
        self.schema_checked = Some(edition);
        let mut session = Session::open(&self.config, name).await?;
        session.lock_journal(journal, name).await?;
        session
            .batch("make the staging table", MAKE_STAGING)
            .await?;
        retention::ensure_ahead(&mut session).await?;
        Ok((session, edition))
    }

    fn join(
        &self,
        journal: JournalId,
        name: &str,
    ) -> impl Future<Output = Result<Session, Error>> + Send + use<> {
        let (config, name) = (self.config.clone(), name.to_owned());
        async move {
            let mut session = Session::open(&config, &name).await?;
            session.share_journal(journal).await?;
            session.batch("configure a writer", JOINED).await?;
            session
                .batch("make the staging table", MAKE_STAGING)
                .await?;
            Ok(session)
        }
    }

    fn doubt_schema(&mut self) {
        self.schema_checked = None;
    }

    fn maintain(&self, edition: Edition) -> Option<JoinHandle<()>> {
        let maintenance = retention::run(self.config.clone(), edition);
        Some(tokio::spawn(maintenance))
    }
}

impl Tables for Session {
    fn is_closed(&self) -> bool {
        Self::is_closed(self)
    }

    async fn batch(&mut self, doing: &'static str, sql: &'static str) -> Result<(), Error> {
        Self::batch(self, doing, sql).await
    }

    async fn register(
        &mut self,
        names: &mut Names,
        plan: &Plan<'_>,
        isolate: bool,
    ) -> Result<Registered, Error> {
        names.register(self, plan, isolate).await
    }

    async fn touch(&mut self, names: &mut Names, plan: &Plan<'_>) -> Result<(), Error> {
        names.touch(self, plan.spans.keys().copied()).await
    }

    async fn newest(&mut self, series: &[i64]) -> Result<Vec<(SeriesKey, UnixMicros)>, Error> {
        let rows = self
            .query("load the newest instants", NEWEST, &[&series])
            .await?;
        let newest = rows
            .iter()
            .map(|row| (SeriesKey(row.get(0)), row.get::<_, PgInstant>(1).0));
        Ok(newest.collect())
    }

    async fn copy_rows(&mut self, plan: &Plan<'_>, positions: &[usize]) -> Result<(), Error> {
        let tuples = positions.iter().map(|at| plan.rows[*at].bytes);
        self.copy("copy rows", COPY, tuples).await.map(drop)
    }

    async fn insert_rows(
        &mut self,
        rows: &[PlanRow<'_>],
        isolate: bool,
    ) -> Result<exact::Answer, Error> {
        exact::write(self, rows, isolate).await
    }

    async fn note_conflicts(&mut self, conflicts: &[PlanRow<'_>]) -> Result<(), Error> {
        ledger::write_conflicts(self, conflicts).await
    }

    async fn account(
        &mut self,
        journal: JournalId,
        plan: &Plan<'_>,
        totals: Totals,
        set_aside: &[SetAside<'_>],
    ) -> Result<(), Error> {
        ledger::write(self, journal, plan, totals, set_aside).await
    }

    async fn positions(&mut self, journal: JournalId) -> Result<Positions, Error> {
        let rows = self
            .query("read the positions", POSITIONS, &[&journal.0])
            .await?;
        let mut positions = Positions::default();
        for row in rows {
            let last = GroupSeq(row.get::<_, i64>(1).cast_unsigned());
            positions.advance(Shard::of_column(row.get(0)), last);
        }
        Ok(positions)
    }

    async fn totals(
        &mut self,
        journal: JournalId,
        shard: Shard,
        last: GroupSeq,
    ) -> Result<Option<Totals>, Error> {
        ledger::read_totals(self, journal, shard, last).await
    }

    async fn log_positions(&mut self) -> Result<Option<(i64, i64)>, Error> {
        let rows = self
            .query("ask for the flushed position", LOG_POSITIONS, &[])
            .await?;
        Ok(rows.first().map(|row| (row.get(0), row.get(1))))
    }

    async fn ensure_span(&mut self, span: (UnixMicros, UnixMicros)) -> Result<(), Error> {
        retention::ensure_span(self, span).await
    }

    async fn prune(&mut self, journal: JournalId, position: GroupSeq) -> Result<(), Error> {
        ledger::prune(self, journal, position.0).await
    }
}

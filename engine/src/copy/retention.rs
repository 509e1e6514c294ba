//! What time does to the tables: partitions ahead, old data away. Once at the start and then every
//! hour, in a session of its own, so that a slow deletion never delays a commit.

use super::error::Error;
use super::instant::PgInstant;
use super::session::Session;
use crate::schema::Edition;
use fiber_contract::UnixMicros;
use fiber_contract::limits::RAW_RETENTION_S;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(3_600);
/// After a failure, such as a lock that was not to be had.
const RETRY: Duration = Duration::from_secs(60);
pub(super) const DAY_S: i64 = 86_400;
/// A sample may be a whole retention old, and the day it falls in starts earlier.
const PARTITIONS_BACK_S: i64 = RAW_RETENTION_S + DAY_S;
const PARTITIONS_AHEAD_S: i64 = 2 * DAY_S;
/// Rows deleted at once: a short transaction each.
const DELETE_ROWS: i64 = 10_000;
/// A round gives up after this many portions and goes on in the next: a bound, not a goal.
const DELETE_PORTIONS_MAX: usize = 1_000;

const ENSURE_PARTITIONS: &str = "SELECT fiber_ensure_partitions($1, $2)";
const ENSURE_CHUNKS: &str = "SELECT fiber_ensure_chunks($1, $2)";
const DROP_RAW: &str = "SELECT fiber_drop_raw_before($1)";

macro_rules! delete_from {
    ($table:literal, $time:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM ",
            $table,
            " WHERE ",
            $time,
            " < $1 LIMIT $2))"
        )
    };
}

/// Days kept, and the deletion. Receipts go with the raw samples that they are about; the account
/// stays as long as the longest rollup. `quarantine` is not here: it holds samples that were
/// acknowledged and are nowhere else, so a person decides.
const AGES: [(i64, &str); 9] = [
    (30, delete_from!("rollup_1m", "bucket")),
    (90, delete_from!("rollup_1h", "bucket")),
    (365, delete_from!("rollup_1d", "bucket")),
    // As long as a rollup that is read by them.
    (90, delete_from!("rollup_marks", "bucket")),
    (
        RAW_RETENTION_S / DAY_S,
        delete_from!("batches", "received_at"),
    ),
    (90, delete_from!("duplicate_conflicts", "at")),
    (365, delete_from!("ledger_hourly", "hour")),
    (365, delete_from!("refusals_hourly", "hour")),
    // Ended or run out; their refresh tokens go with them.
    (1, delete_from!("login_sessions", "expires_at")),
];

/// Community edition only; the other editions keep rows as they are. The order of the segments is
/// that of the queries.
const COMPRESS: &str = "DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM timescaledb_information.jobs
                   WHERE hypertable_name = 'metrics' AND proc_name = 'policy_compression') THEN
        ALTER TABLE metrics SET (timescaledb.compress,
            timescaledb.compress_segmentby = 'series_key',
            timescaledb.compress_orderby = '\"time\" DESC');
        PERFORM add_compression_policy('metrics', INTERVAL '3 days', if_not_exists => true);
    END IF;
END $$";

pub(super) async fn run(database: tokio_postgres::Config, edition: Edition) {
    loop {
        let pause = match round(&database, edition).await {
            Ok(()) => INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "maintenance failed; retrying");
                RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn round(database: &tokio_postgres::Config, edition: Edition) -> Result<(), Error> {
    let mut session = Session::open(database, "fiber-maintenance").await?;
    // Commits go first: a lock they hold is not worth waiting for.
    session
        .batch("configure maintenance", "SET lock_timeout = '5s'")
        .await?;
    let now = UnixMicros::now();
    ensure_ahead(&mut session).await?;
    session
        .query("drop old samples", DROP_RAW, &[&ago(now, RAW_RETENTION_S)])
        .await?;
    for (days, sql) in AGES {
        let before = ago(now, days * DAY_S);
        for _ in 0..DELETE_PORTIONS_MAX {
            let deleted = session
                .execute("delete old rows", sql, &[&before, &DELETE_ROWS])
                .await?;
            if deleted.cast_signed() < DELETE_ROWS {
                break;
            }
        }
    }
    if edition == Edition::Community {
        session.batch("set up compression", COMPRESS).await?;
    }
    Ok(())
}

/// The partitions of all samples that are accepted, or the chunks from now on: a hypertable makes those of late
/// samples by itself.
pub(super) async fn ensure_ahead(session: &mut Session) -> Result<(), Error> {
    let now = UnixMicros::now();
    let (back, ahead) = (ago(now, PARTITIONS_BACK_S), ago(now, -PARTITIONS_AHEAD_S));
    ensure(session, back, PgInstant(now), ahead).await
}

/// The partitions or chunks of a span.
pub(super) async fn ensure_span(
    session: &mut Session,
    (from, to): (UnixMicros, UnixMicros),
) -> Result<(), Error> {
    ensure(session, PgInstant(from), PgInstant(from), PgInstant(to)).await
}

/// One of the two statements finds nothing to do: which one, the database's edition decides.
async fn ensure(
    session: &mut Session,
    partitions_from: PgInstant,
    chunks_from: PgInstant,
    to: PgInstant,
) -> Result<(), Error> {
    session
        .query(
            "make partitions",
            ENSURE_PARTITIONS,
            &[&partitions_from, &to],
        )
        .await?;
    session
        .query("make chunks", ENSURE_CHUNKS, &[&chunks_from, &to])
        .await?;
    Ok(())
}

fn ago(now: UnixMicros, secs: i64) -> PgInstant {
    PgInstant(UnixMicros(now.0 - UnixMicros::from_secs(secs).0))
}

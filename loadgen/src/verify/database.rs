//! Reads the rows to compare. Read-only.

use super::merge::StoredRow;
use crate::ledger::{Ledger, SeriesName};
use crate::stack_env::DbConfig;
use crate::workload::sample::hash_row;
use anyhow::Context;
use futures_util::{StreamExt, pin_mut};
use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_postgres::{Client, NoTls};

pub(super) async fn connect(db: &DbConfig) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::Config::new()
        .host(&db.host)
        .port(db.port)
        .user(&db.user)
        .password(&db.password)
        .dbname(&db.database)
        .application_name("fiber-loadgen")
        .connect_timeout(Duration::from_secs(5))
        .connect(NoTls)
        .await
        .with_context(|| {
            format!(
                "connect to the database {} at {}:{}",
                db.database, db.host, db.port
            )
        })?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::error!(%error, "the database connection broke");
        }
    });
    Ok(client)
}

/// Where the ledger's series are in the database.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Series number in the ledger → series key.
    pub(super) known: HashMap<usize, i64>,
    /// Series of the ledger's nodes that the ledger does not name.
    pub(super) strangers: Vec<(i64, SeriesName)>,
}

pub(super) async fn series_of(client: &Client, ledger: &Ledger) -> anyhow::Result<Found> {
    let numbers: HashMap<_, _> = ledger.series.iter().zip(0..).collect();
    let rows = client
        .query(
            "SELECT s.series_key, n.node_id, s.target_host, s.probe_type \
             FROM series s JOIN nodes n USING (node_key) WHERE n.node_id = ANY($1)",
            &[&node_ids(ledger)],
        )
        .await
        .context("read the series of the run's nodes")?;
    let mut found = Found::default();
    for row in rows {
        let name = SeriesName {
            node_id: row.get(1),
            target_host: row.get(2),
            probe_type: row.get(3),
        };
        match numbers.get(&name) {
            Some(number) => drop(found.known.insert(*number, row.get(0))),
            None => found.strangers.push((row.get(0), name)),
        }
    }
    Ok(found)
}

fn node_ids(ledger: &Ledger) -> Vec<&str> {
    let mut ids: Vec<_> = ledger
        .series
        .iter()
        .map(|name| name.node_id.as_str())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Rows of the ledger's nodes in its span.
pub(super) async fn count(client: &Client, ledger: &Ledger) -> anyhow::Result<u64> {
    let Some((from, to)) = ledger.span_us() else {
        return Ok(0);
    };
    let row = client
        .query_one(
            "SELECT count(*) FROM metrics m WHERE m.\"time\" BETWEEN $2 AND $3 AND m.series_key = ANY( \
                 SELECT s.series_key FROM series s JOIN nodes n USING (node_key) WHERE n.node_id = ANY($1))",
            &[&node_ids(ledger), &instant(from), &instant(to)],
        )
        .await
        .context("count the rows of the run")?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

/// Duplicates that the engine counted for the ledger's nodes, in the hours of its span.
pub(super) async fn duplicates(client: &Client, ledger: &Ledger) -> anyhow::Result<u64> {
    let Some((from, to)) = ledger.span_us() else {
        return Ok(0);
    };
    const HOUR_US: i64 = 3_600_000_000;
    let from = instant(from.div_euclid(HOUR_US) * HOUR_US);
    let row = client
        .query_one(
            "SELECT coalesce(sum(duplicate), 0)::int8 FROM ledger_hourly JOIN nodes n USING (node_key) \
             WHERE n.node_id = ANY($1) AND hour BETWEEN $2 AND $3",
            &[&node_ids(ledger), &from, &instant(to)],
        )
        .await
        .context("read the engine's account of duplicates")?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

/// One series' rows in the order of time.
pub(super) async fn rows(
    client: &Client,
    series_key: i64,
    (from, to): (i64, i64),
) -> anyhow::Result<Vec<StoredRow>> {
    let from = instant(from);
    let to = instant(to);
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&series_key, &from, &to];
    let stream = client
        .query_raw(
            "SELECT \"time\", latency_ms, uptime_pct, packet_loss FROM metrics \
             WHERE series_key = $1 AND \"time\" BETWEEN $2 AND $3 ORDER BY \"time\"",
            parameters,
        )
        .await
        .context("read the rows of a series")?;
    pin_mut!(stream);
    let mut rows = Vec::new();
    while let Some(row) = stream.next().await {
        let row = row.context("read the rows of a series")?;
        let time: SystemTime = row.get(0);
        rows.push(StoredRow {
            time_us: micros(time),
            hash: hash_row(row.get(1), row.get(2), row.get(3)),
        });
    }
    Ok(rows)
}

fn instant(time_us: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(time_us.max(0).cast_unsigned())
}

fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

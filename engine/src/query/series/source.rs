//! The rows behind a series, read from the table that the plan names.

use super::Selection;
use super::fold::{RawFold, RollupFold};
use super::gaps::Observed;
use super::step::{Plan, Table};
use crate::limits::QUERY_SOURCE_ROWS_MAX;
use crate::model::NodeKey;
use crate::publish::rollup::{Bucket, LEVELS, Sketch};
use crate::query::error::{DatabaseError, Error};
use crate::query::sql::{PgInstant, Session};
use fiber_contract::UnixMicros;
use fiber_contract::query::{SeriesPoint, StepSketch};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use tokio_postgres::Row;

const OF_NODE: &str = "SELECT series_key FROM series WHERE node_key = $1";
const OF_REGION: &str =
    "SELECT s.series_key FROM series s JOIN nodes n USING (node_key) WHERE n.region = $1";
const OF_COUNTRY: &str =
    "SELECT s.series_key FROM series s JOIN nodes n USING (node_key) WHERE n.country = $1";
const OF_FLEET: &str = "SELECT series_key FROM series";

const RAW: &str = "
    SELECT m.\"time\", m.latency_ms, m.uptime_pct, m.packet_loss
    FROM metrics m
    WHERE m.series_key = ANY($1) AND m.\"time\" >= $2 AND m.\"time\" < $3
    LIMIT $4";

macro_rules! rollup_text {
    ($table:literal) => {
        concat!(
            "SELECT r.bucket, r.count, r.latency_count, r.latency_sum, r.latency_min,
                    r.latency_max, r.loss_sum, r.uptime_sum, r.sketch
             FROM ",
            $table,
            " r WHERE r.series_key = ANY($1) AND r.bucket >= $2 AND r.bucket < $3 LIMIT $4"
        )
    };
}

/// One text per level, in the order of `LEVELS`.
const ROLLUPS: [&str; LEVELS.len()] = [
    rollup_text!("rollup_1m"),
    rollup_text!("rollup_1h"),
    rollup_text!("rollup_1d"),
];

/// The points, and when anything was observed.
pub(super) struct Read {
    pub(super) points: Vec<SeriesPoint>,
    pub(super) observed: Vec<Observed>,
    /// Empty unless asked for.
    pub(super) sketches: Vec<StepSketch>,
}

pub(super) async fn series_keys(
    session: &Session,
    selection: &Selection,
) -> Result<Vec<i64>, DatabaseError> {
    let rows = match selection {
        Selection::Node(node_id) => session.query(OF_NODE, &[&NodeKey::of(node_id).0]).await?,
        Selection::Region(region) => session.query(OF_REGION, &[region]).await?,
        Selection::Country(country) => session.query(OF_COUNTRY, &[country]).await?,
        Selection::Fleet => session.query(OF_FLEET, &[]).await?,
    };
    rows.iter()
        .map(|row| row.try_get(0).map_err(DatabaseError::from))
        .collect()
}

pub(super) async fn read(
    session: &Session,
    plan: &Plan,
    keys: &[i64],
    sketch: bool,
) -> Result<Read, Error> {
    match plan.table {
        Table::Raw => raw(session, plan, keys, sketch).await,
        Table::Rollup(level) => rollup(session, plan, keys, level, sketch).await,
    }
}

async fn raw(session: &Session, plan: &Plan, keys: &[i64], sketch: bool) -> Result<Read, Error> {
    let mut fold = RawFold::new(plan.step_s);
    let mut times = BTreeSet::new();
    each(session, RAW, plan, keys, |row| {
        let PgInstant(time) = row.try_get(0)?;
        fold.add(time, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        times.insert(time);
        Ok(())
    })
    .await?;
    let observed = times
        .into_iter()
        .map(|at| Observed { from: at, to: at })
        .collect();
    Ok(Read {
        sketches: if sketch { fold.sketches() } else { Vec::new() },
        points: fold.points(),
        observed,
    })
}

async fn rollup(
    session: &Session,
    plan: &Plan,
    keys: &[i64],
    level: usize,
    sketch: bool,
) -> Result<Read, Error> {
    let mut fold = RollupFold::new(plan.step_s);
    let mut starts = BTreeSet::new();
    each(session, ROLLUPS[level], plan, keys, |row| {
        let PgInstant(start) = row.try_get(0)?;
        fold.add(start, &stored_bucket(row)?);
        starts.insert(start);
        Ok(())
    })
    .await?;
    let length_micros = LEVELS[level].step_s * 1_000_000;
    let whole = |from: UnixMicros| Observed {
        from,
        to: UnixMicros(from.0 + length_micros),
    };
    Ok(Read {
        sketches: if sketch { fold.sketches() } else { Vec::new() },
        points: fold.points(),
        observed: starts.into_iter().map(whole).collect(),
    })
}

/// Gives every row to `take`, and refuses when there are more than an answer may be made of.
async fn each(
    session: &Session,
    text: &str,
    plan: &Plan,
    keys: &[i64],
    mut take: impl FnMut(&Row) -> Result<(), tokio_postgres::Error>,
) -> Result<(), Error> {
    let limit = i64::try_from(QUERY_SOURCE_ROWS_MAX + 1).unwrap_or(i64::MAX);
    let mut rows = 0;
    let (from, to) = (PgInstant(plan.from), PgInstant(plan.to));
    session
        .each(text, &[&keys, &from, &to, &limit], |row| {
            rows += 1;
            if rows > QUERY_SOURCE_ROWS_MAX {
                return Ok(ControlFlow::Break(()));
            }
            take(row).map(ControlFlow::Continue)
        })
        .await?;
    if rows > QUERY_SOURCE_ROWS_MAX {
        let reason = format!("more than {QUERY_SOURCE_ROWS_MAX} rows: a longer step or less time");
        return Err(Error::parameter("step", reason));
    }
    Ok(())
}

/// The bucket in the columns 1 to 8 of `ROLLUPS`.
pub(in crate::query) fn stored_bucket(row: &Row) -> Result<Bucket, tokio_postgres::Error> {
    let bytes: Option<&[u8]> = row.try_get(8)?;
    let sketch = bytes
        .map(Sketch::from_bytes)
        .transpose()
        .unwrap_or_else(|error| {
            // The counts stay right; the percentiles of the step are those of its other buckets.
            tracing::error!(%error, "read the sketch of a bucket");
            None
        });
    Ok(Bucket {
        count: row.try_get(1)?,
        latency_count: row.try_get(2)?,
        latency_sum: row.try_get(3)?,
        latency_min: row.try_get(4)?,
        latency_max: row.try_get(5)?,
        loss_sum: row.try_get(6)?,
        uptime_sum: row.try_get(7)?,
        sketch: sketch.unwrap_or_default(),
        ..Bucket::new(NodeKey(0))
    })
}

//! The rows behind a series, read from the table that the plan names.

use super::fold::{RawFold, RollupFold};
use super::gaps::Observed;
use super::step::{Plan, Table};
use super::{Asked, Selection};
use crate::limits::QUERY_SOURCE_ROWS_MAX;
use crate::model::NodeKey;
use crate::publish::rollup::LEVELS;
use crate::query::buckets::{self, Buckets, Group, Step as BucketStep, Window};
use crate::query::context::Context;
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
    context: &Context,
    session: &Session,
    plan: &Plan,
    keys: &[i64],
    asked: &Asked,
) -> Result<Read, Error> {
    let level = match plan.table {
        Table::Raw => return raw(session, plan, keys, asked.sketch).await,
        Table::Rollup(level) => level,
    };
    let window = Window {
        group: match asked.selection {
            Selection::Fleet => Group::Fleet,
            Selection::Node(_) => Group::Node(keys),
            Selection::Region(_) | Selection::Country(_) => Group::Series(keys),
        },
        level,
        from: plan.from,
        to: plan.to,
        series: keys.len(),
    };
    rollup(&context.buckets, session, plan, &window, asked.sketch).await
}

async fn raw(session: &Session, plan: &Plan, keys: &[i64], sketch: bool) -> Result<Read, Error> {
    let mut fold = RawFold::new(plan.step_s);
    let mut times = BTreeSet::new();
    each_sample(session, plan, keys, |row| {
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
    kept: &Buckets,
    session: &Session,
    plan: &Plan,
    window: &Window<'_>,
    sketch: bool,
) -> Result<Read, Error> {
    let mut fold = RollupFold::new(plan.step_s);
    let mut starts = BTreeSet::new();
    let take = |step: &BucketStep| {
        for bucket in step.buckets() {
            fold.add(step.start, &bucket);
            starts.insert(step.start);
        }
    };
    buckets::each(kept, session, window, take).await?;
    let length_micros = LEVELS[window.level].step_s * 1_000_000;
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

/// Gives every sample to `take`, and refuses when there are more than an answer may be made of.
async fn each_sample(
    session: &Session,
    plan: &Plan,
    keys: &[i64],
    mut take: impl FnMut(&Row) -> Result<(), tokio_postgres::Error>,
) -> Result<(), Error> {
    let limit = i64::try_from(QUERY_SOURCE_ROWS_MAX + 1).unwrap_or(i64::MAX);
    let mut rows = 0;
    let (from, to) = (PgInstant(plan.from), PgInstant(plan.to));
    session
        .each(RAW, &[&keys, &from, &to, &limit], |row| {
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

//! Rollup buckets of many nodes, kept between questions.
//!
//! An hour of a thousand nodes is sixty thousand rows, and of those the next question wants nearly all
//! again: only the youngest minutes change. So what was read is kept, and the marks that every
//! commit leaves (`rollup_marks`) say what has to be read again. Late samples, a replay and other
//! engines leave marks like everybody, so an answer is as exact as one that reads all rows.
//!
//! The marks are read before the rows: what is committed in between is newer than its mark says, and
//! is read once more next time. Kept are the rows of the finer two levels; days are few and read as they are.
//!
//! Not noticed are rows that somebody changes by hand, until what was kept of them is too old
//! (`KEPT_BUCKETS_AGE`). Nothing is shared with other engines, and nothing outlives the process.

mod step;
mod store;

#[cfg(test)]
mod tests;

pub(super) use step::{Step, stored_bucket};
pub(crate) use store::Store as Buckets;

use super::error::{DatabaseError, Error};
use super::sql::{PgInstant, Session};
use crate::limits::{QUERY_SOURCE_ROWS_MAX, QUERY_STEPS_AT_ONCE_ROWS};
use crate::publish::rollup::LEVELS;
use fiber_contract::UnixMicros;
use fiber_contract::time::MICROS_PER_S;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use step::Builder;

/// Of a minute and of an hour: one number for all writers. 0 is what nobody marked.
const MARKS: [&str; 2] = [
    "SELECT m.bucket, bit_xor(m.stamp) FROM rollup_marks m
     WHERE m.bucket >= $1 AND m.bucket < $2 GROUP BY 1",
    "SELECT date_bin('1 hour', m.bucket, 'epoch'), bit_xor(m.stamp) FROM rollup_marks m
     WHERE m.bucket >= $1 AND m.bucket < $2 GROUP BY 1",
];

macro_rules! rollup_text {
    ($table:literal, $whose:literal) => {
        concat!(
            "SELECT r.bucket, r.count, r.latency_count, r.latency_sum, r.latency_min,
                    r.latency_max, r.loss_sum, r.uptime_sum, r.sketch, r.node_key
             FROM ",
            $table,
            " r WHERE r.bucket >= $1 AND r.bucket < $2",
            $whose,
            " LIMIT $3"
        )
    };
}

/// One text per level, in the order of `LEVELS`.
const OF_ALL: [&str; LEVELS.len()] = [
    rollup_text!("rollup_1m", ""),
    rollup_text!("rollup_1h", ""),
    rollup_text!("rollup_1d", ""),
];
const OF_SERIES: [&str; LEVELS.len()] = [
    rollup_text!("rollup_1m", " AND r.series_key = ANY($4)"),
    rollup_text!("rollup_1h", " AND r.series_key = ANY($4)"),
    rollup_text!("rollup_1d", " AND r.series_key = ANY($4)"),
];

/// More runs of steps than this are read as one.
const RUNS_MAX: usize = 4;

/// What a step is made of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Group<'q> {
    /// The rows of every series, with the key of the node.
    EachNode,
    /// All samples of the fleet in one bucket.
    Fleet,
    /// All samples of some series in one bucket.
    Series(&'q [i64]),
    /// The same of one node: read each time, because to ask for the marks costs as much.
    Node(&'q [i64]),
}

/// Whole steps of a level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'q> {
    pub(super) group: Group<'q>,
    /// An index of `LEVELS`.
    pub(super) level: usize,
    pub(super) from: UnixMicros,
    pub(super) to: UnixMicros,
    /// Series behind a step, about: how much is read at once follows from it.
    pub(super) series: usize,
}

impl Window<'_> {
    /// The statement that asks for the marks, where steps are kept.
    fn marks(&self) -> Option<&'static str> {
        let is_kept = !matches!(self.group, Group::Node(_));
        MARKS.get(self.level).copied().filter(|_| is_kept)
    }

    fn step_micros(&self) -> i64 {
        LEVELS[self.level].step_s * MICROS_PER_S
    }

    fn starts(&self) -> impl Iterator<Item = UnixMicros> + use<> {
        let (step, to) = (self.step_micros(), self.to);
        let first = self.from.floor_to(LEVELS[self.level].step_s);
        std::iter::successors(Some(first), move |at| Some(UnixMicros(at.0 + step)))
            .take_while(move |at| *at < to)
    }

    /// Of its last step, which is read whole wherever the question ends.
    fn end(&self) -> UnixMicros {
        let last = UnixMicros(self.to.0 - 1).floor_to(LEVELS[self.level].step_s);
        UnixMicros(last.0 + self.step_micros())
    }
}

/// Gives every step of the window to `take`, once each and in no order.
pub(super) async fn each(
    kept: &Buckets,
    session: &Session,
    window: &Window<'_>,
    mut take: impl FnMut(&Step) + Send,
) -> Result<(), Error> {
    let stamps = stamps(session, window).await?;
    let mut missing = Vec::new();
    for (start, step) in kept.get(window, &stamps) {
        match step {
            Some(step) => take(&step),
            None => missing.push(start),
        }
    }
    let mut rows = 0;
    for (from, to) in runs(&missing, window) {
        let steps = read(session, window, (from, to), &mut rows).await?;
        // A run may span steps that are kept and were given already.
        let wanted = |step: &&Step| missing.binary_search(&step.start).is_ok();
        steps.iter().filter(wanted).for_each(&mut take);
        kept.keep(window, &stamps, steps);
    }
    Ok(())
}

/// By the start of the step; a step that is not there was never marked.
type Stamps = HashMap<UnixMicros, i64>;

async fn stamps(session: &Session, window: &Window<'_>) -> Result<Stamps, DatabaseError> {
    let Some(text) = window.marks() else {
        return Ok(Stamps::new());
    };
    let (from, to) = (PgInstant(window.from), PgInstant(window.end()));
    let rows = session.query(text, &[&from, &to]).await?;
    rows.iter()
        .map(|row| {
            let PgInstant(start) = row.try_get(0)?;
            Ok((start, row.try_get(1)?))
        })
        .collect()
}

/// Neighbours together, and not more at once than memory is set aside for.
fn runs(missing: &[UnixMicros], window: &Window<'_>) -> Vec<(UnixMicros, UnixMicros)> {
    let step = window.step_micros();
    let mut runs: Vec<(UnixMicros, UnixMicros)> = Vec::new();
    for start in missing {
        let end = UnixMicros(start.0 + step);
        match runs.last_mut() {
            Some(run) if run.1 == *start => run.1 = end,
            _ => runs.push((*start, end)),
        }
    }
    if let (Some(first), Some(last)) = (runs.first(), runs.last())
        && runs.len() > RUNS_MAX
    {
        runs = vec![(first.0, last.1)];
    }
    let at_once = QUERY_STEPS_AT_ONCE_ROWS / window.series.max(1);
    let at_once = step * i64::try_from(at_once.max(1)).unwrap_or(i64::MAX / step);
    runs.iter()
        .flat_map(|(from, to)| {
            let (from, to) = (*from, *to);
            std::iter::successors(Some(from), move |at| Some(UnixMicros(at.0 + at_once)))
                .take_while(move |at| *at < to)
                .map(move |at| (at, UnixMicros(to.0.min(at.0 + at_once))))
        })
        .collect()
}

/// Every step of the run, those without a row too.
async fn read(
    session: &Session,
    window: &Window<'_>,
    run: (UnixMicros, UnixMicros),
    rows: &mut usize,
) -> Result<Vec<Step>, Error> {
    let limit = i64::try_from(QUERY_SOURCE_ROWS_MAX + 1).unwrap_or(i64::MAX);
    let (from, to) = (PgInstant(run.0), PgInstant(run.1));
    let whole = Window {
        from: run.0,
        to: run.1,
        ..*window
    };
    let mut builders: BTreeMap<UnixMicros, Builder> = whole
        .starts()
        .map(|start| (start, Builder::new(start, window.group)))
        .collect();
    let take = |row: &tokio_postgres::Row| {
        *rows += 1;
        if *rows > QUERY_SOURCE_ROWS_MAX {
            return Ok(ControlFlow::Break(()));
        }
        let PgInstant(start) = row.try_get(0)?;
        if let Some(builder) = builders.get_mut(&start) {
            builder.add(row)?;
        }
        Ok(ControlFlow::Continue(()))
    };
    match window.group {
        Group::EachNode | Group::Fleet => {
            let text = OF_ALL[window.level];
            session.each(text, &[&from, &to, &limit], take).await?;
        }
        Group::Series(keys) | Group::Node(keys) => {
            let text = OF_SERIES[window.level];
            session
                .each(text, &[&from, &to, &limit, &keys], take)
                .await?;
        }
    }
    if *rows > QUERY_SOURCE_ROWS_MAX {
        let reason =
            format!("more than {QUERY_SOURCE_ROWS_MAX} rows: ask for less time, or a longer step");
        return Err(Error::parameter("from", reason));
    }
    Ok(builders.into_values().map(Builder::finish).collect())
}

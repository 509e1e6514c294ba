//! Why nothing was observed: what the tables and the writer know of a gap.

use super::Selection;
use crate::query::context::Context;
use crate::query::error::DatabaseError;
use crate::query::sql::{PgInstant, Session};
use fiber_contract::UnixMicros;
use fiber_contract::query::Gap;
use fiber_contract::time::MICROS_PER_S;

/// Whoever was asked about sent nothing, or it has not come yet.
pub(super) const NO_SAMPLES: &str = "no samples";
/// The whole fleet was silent: the probes' way to us, or this side, was away.
const NOBODY: &str = "no samples of any node";
/// Acknowledged and in the journal; the table is behind.
const WAITING: &str = "samples wait for the database";
/// The database refused them; they are in the table of that name.
const QUARANTINED: &str = "samples are in quarantine";

const MINUTE: i64 = 60 * MICROS_PER_S;

/// Longer lists are of a node that comes and goes; the first of them tell what there is to tell.
const EXPLAINED_MAX: usize = 64;
/// The writer is this far behind on a good day.
const LAG_USUAL_S: f64 = 2.0;

/// Of every gap: whether a minute in it was written for any node, null where marks do not reach back, and how many
/// of the node's samples were set aside.
const WHAT_IS_KNOWN: &str = "
    SELECT CASE WHEN g.\"from\" >= (SELECT min(bucket) FROM rollup_marks) THEN EXISTS (
               SELECT FROM rollup_marks m WHERE m.bucket >= g.\"from\" AND m.bucket <= g.\"to\" - INTERVAL '1 minute') END,
           EXISTS (SELECT FROM quarantine q
               WHERE q.node_id = $3 AND q.\"time\" >= g.\"from\" AND q.\"time\" < g.\"to\")
    FROM UNNEST($1::timestamptz[], $2::timestamptz[]) WITH ORDINALITY AS g (\"from\", \"to\", at)
    ORDER BY g.at";

/// Gives the gaps their reasons; they ascend, and the last may reach to now.
pub(super) async fn explain(
    context: &Context,
    session: &Session,
    selection: &Selection,
    now: UnixMicros,
    gaps: &mut [Gap],
) -> Result<(), DatabaseError> {
    if gaps.is_empty() {
        return Ok(());
    }
    let asked = gaps.len().min(EXPLAINED_MAX);
    let gaps_asked = &mut gaps[..asked];
    let from: Vec<_> = gaps_asked.iter().map(|gap| PgInstant(gap.from)).collect();
    let to: Vec<_> = gaps_asked.iter().map(|gap| PgInstant(gap.to)).collect();
    let node_id = match selection {
        Selection::Node(node_id) => Some(node_id.as_str()),
        _ => None,
    };
    let rows = session
        .query(WHAT_IS_KNOWN, &[&from, &to, &node_id])
        .await?;
    for (gap, row) in gaps_asked.iter_mut().zip(&rows) {
        let (others, quarantined): (Option<bool>, bool) = (row.try_get(0)?, row.try_get(1)?);
        let reason = match (quarantined, others) {
            (true, _) => QUARANTINED,
            (false, Some(false)) if has_a_minute(gap) => NOBODY,
            (false, _) => NO_SAMPLES,
        };
        gap.reason = reason.to_owned();
    }
    let etl = context.etl.get();
    if let Some(last) = gaps.last_mut().filter(|gap| gap.to >= now)
        && etl.in_flight > 0
        && etl.lag_s > LAG_USUAL_S
    {
        WAITING.clone_into(&mut last.reason);
    }
    Ok(())
}

/// Marks are by the minute, so they tell of whole ones only.
fn has_a_minute(gap: &Gap) -> bool {
    let first = UnixMicros(gap.from.0 + MINUTE - 1).floor_to(60);
    first.0 + MINUTE <= gap.to.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_that_is_cut_does_not_count() {
        let has = |from_s, to_s| {
            has_a_minute(&Gap {
                from: UnixMicros::from_secs(from_s),
                to: UnixMicros::from_secs(to_s),
                reason: String::new(),
            })
        };
        assert!(has(60, 120) && has(59, 120) && has(1, 121));
        assert!(!has(61, 120) && !has(60, 119) && !has(1, 119));
    }
}

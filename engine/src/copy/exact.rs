//! Rows that may be in the table already: through a temporary table and `ON CONFLICT DO NOTHING`,
//! every one counted.

use super::error::Error;
use super::instant::PgInstant;
use super::names::Refusal;
use super::plan::PlanRow;
use super::session::Session;
use crate::model::SeriesKey;
use fiber_contract::UnixMicros;
use std::collections::HashSet;

/// Made once per session; touched only by transactions that need it, so the others do not pay for
/// its truncation.
pub(super) const MAKE_STAGING: &str = "CREATE TEMPORARY TABLE IF NOT EXISTS incoming (
    \"time\" timestamptz, series_key int8, node_key int8, latency_ms float4, uptime_pct float4,
    packet_loss float4, metadata jsonb) ON COMMIT DELETE ROWS";

const STAGE: &str = "COPY pg_temp.incoming (\"time\", series_key, node_key, latency_ms, uptime_pct,
    packet_loss, metadata) FROM STDIN (FORMAT binary)";

const INSERT: &str = "INSERT INTO metrics (\"time\", series_key, node_key, latency_ms, uptime_pct,
        packet_loss, metadata)
    SELECT \"time\", series_key, node_key, latency_ms, uptime_pct, packet_loss, metadata
    FROM pg_temp.incoming
    ON CONFLICT (series_key, \"time\") DO NOTHING RETURNING series_key, \"time\"";

/// Staged rows that differ from the stored row of the same instant: what was inserted equals
/// itself. The limit makes the planner, which knows nothing about the temporary table, use the
/// index; the bounds let it skip chunks.
const DIFFERING: &str = "INSERT INTO duplicate_conflicts
        (series_key, \"time\", latency_ms, uptime_pct, packet_loss)
    SELECT i.series_key, i.\"time\", i.latency_ms, i.uptime_pct, i.packet_loss
    FROM pg_temp.incoming i
    CROSS JOIN LATERAL (
        SELECT m.latency_ms, m.uptime_pct, m.packet_loss FROM metrics m
        WHERE m.series_key = i.series_key AND m.\"time\" = i.\"time\"
          AND m.\"time\" BETWEEN $1 AND $2
        LIMIT 1
    ) AS stored
    WHERE (i.latency_ms, i.uptime_pct, i.packet_loss)
          IS DISTINCT FROM (stored.latency_ms, stored.uptime_pct, stored.packet_loss)";

const EMPTY: &str = "DELETE FROM pg_temp.incoming";

#[derive(Debug, Default)]
pub(super) struct Answer {
    /// What was new.
    pub stored: HashSet<(SeriesKey, UnixMicros)>,
    /// Positions in the slice that was given, and why the database refused them.
    pub refused: Vec<(usize, Refusal)>,
}

/// Writes rows of distinct identities. With `isolate`, those that the database refuses are found
/// by halving and the others are written all the same; without it, a refusal is an error.
pub(super) async fn write(
    session: &mut Session,
    rows: &[PlanRow<'_>],
    isolate: bool,
) -> Result<Answer, Error> {
    let mut answer = Answer::default();
    if !isolate {
        insert(session, rows, &mut answer.stored).await?;
        return Ok(answer);
    }
    // A stack instead of recursion: later halves wait on it, so rows are tried in order.
    let mut waiting = Vec::from([(0, rows.len())]);
    while let Some((from, to)) = waiting.pop() {
        if from == to {
            continue;
        }
        session.batch("open a savepoint", "SAVEPOINT half").await?;
        match insert(session, &rows[from..to], &mut answer.stored).await {
            Ok(()) => {
                session
                    .batch("close a savepoint", "RELEASE SAVEPOINT half")
                    .await?;
            }
            Err(error) => {
                let refusal = Refusal::of(&error).ok_or(error)?;
                session
                    .batch("roll back to a savepoint", "ROLLBACK TO SAVEPOINT half")
                    .await?;
                if to - from == 1 {
                    answer.refused.push((from, refusal));
                } else {
                    let middle = from + (to - from) / 2;
                    waiting.push((middle, to));
                    waiting.push((from, middle));
                }
            }
        }
    }
    Ok(answer)
}

async fn insert(
    session: &mut Session,
    rows: &[PlanRow<'_>],
    stored: &mut HashSet<(SeriesKey, UnixMicros)>,
) -> Result<(), Error> {
    session
        .copy("stage rows", STAGE, rows.iter().map(|row| row.bytes))
        .await?;
    let returned = session.query("insert staged rows", INSERT, &[]).await?;
    if returned.len() < rows.len() {
        let oldest = rows.iter().map(PlanRow::time).min().unwrap_or_default();
        let newest = rows.iter().map(PlanRow::time).max().unwrap_or_default();
        let bounds = (PgInstant(oldest), PgInstant(newest));
        session
            .execute("note conflicts", DIFFERING, &[&bounds.0, &bounds.1])
            .await?;
    }
    session
        .execute("empty the staging table", EMPTY, &[])
        .await?;
    stored.extend(
        returned
            .iter()
            .map(|row| (SeriesKey(row.get(0)), row.get::<_, PgInstant>(1).0)),
    );
    Ok(())
}

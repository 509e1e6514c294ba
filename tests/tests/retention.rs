//! What is old goes by itself, and nothing else does.

use crate::support::{Stack, await_that};
use anyhow::{Result, ensure};
use std::time::Duration;

/// Table, its time, and the rest of a row that can be planted twice.
const TABLES: [(&str, &str, u32, &str, &str); 7] = [
    (
        "rollup_1m",
        "bucket",
        30,
        "series_key, node_key, count, latency_count, latency_sum, loss_sum, uptime_sum",
        "1, 1, 0, 0, 0, 0, 0",
    ),
    (
        "rollup_1h",
        "bucket",
        90,
        "series_key, node_key, count, latency_count, latency_sum, loss_sum, uptime_sum",
        "1, 1, 0, 0, 0, 0, 0",
    ),
    (
        "rollup_1d",
        "bucket",
        365,
        "series_key, node_key, count, latency_count, latency_sum, loss_sum, uptime_sum",
        "1, 1, 0, 0, 0, 0, 0",
    ),
    (
        "batches",
        "received_at",
        7,
        "batch_id, body_hash, journal_id, group_seq, accepted, rejected",
        "gen_random_uuid(), '', gen_random_uuid(), 1, 1, 0",
    ),
    (
        "duplicate_conflicts",
        "at",
        90,
        "series_key, \"time\"",
        "1, now()",
    ),
    ("ledger_hourly", "hour", 365, "node_key", "1"),
    (
        "refusals_hourly",
        "hour",
        365,
        "instance, reason",
        "'e', 'r'",
    ),
];

#[test]
fn old_rows_go_and_young_ones_stay() -> Result<()> {
    let mut stack = Stack::start()?;
    await_that("the last migrations", || {
        Ok(stack.sql("SELECT to_regclass('refusals_hourly') IS NOT NULL")? == "t")
    })?;
    stack.engine.terminate(Duration::from_secs(30))?;
    for (table, time, days, columns, values) in TABLES {
        for age_days in [days - 1, days + 1] {
            stack.sql(&format!(
                "INSERT INTO {table} ({time}, {columns})
                 VALUES (now() - interval '{age_days} days', {values})"
            ))?;
        }
    }
    stack.sql(
        "INSERT INTO quarantine (at, journal_id, group_seq, reason, tuple)
         VALUES (now() - interval '5 years', gen_random_uuid(), 1, 'planted', '')",
    )?;
    stack.engine.restart()?;
    for (table, time, days, ..) in TABLES {
        let old =
            format!("SELECT count(*) FROM {table} WHERE {time} < now() - interval '{days} days'");
        await_that(&format!("{table} without old rows"), || {
            Ok(stack.sql(&old)? == "0")
        })?;
        let kept = stack.sql(&format!("SELECT count(*) FROM {table}"))?;
        ensure!(kept == "1", "{table} keeps {kept} rows, not the young one");
    }
    ensure!(stack.sql("SELECT count(*) FROM quarantine")? == "1");
    Ok(())
}

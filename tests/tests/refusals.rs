//! What is refused is counted by reason, and once, over restarts.

use crate::support::client::{push, sample};
use crate::support::{Stack, await_that};
use anyhow::{Result, ensure};
use serde_json::json;
use std::time::Duration;

#[test]
fn refusals_are_in_the_table_once_over_a_restart() -> Result<()> {
    let mut stack = Stack::start()?;
    let mut bad = sample("n", 1);
    bad["latency_ms"] = json!(-1);
    let sums = "SELECT coalesce(sum(requests), 0) || ',' || coalesce(sum(samples), 0)
        FROM refusals_hourly WHERE reason = ";
    for run in 1..=2 {
        for _ in 0..3 {
            ensure!(push(&stack.engine, &bad)?.status == 422);
        }
        let total = 3 * run;
        await_that("the refusals", || {
            Ok(
                stack.sql(&format!("{sums}'INVALID_METRIC'"))? == format!("{total},0")
                    && stack.sql(&format!("{sums}'latency_ms'"))? == format!("0,{total}"),
            )
        })?;
        ensure!(stack.engine.terminate(Duration::from_secs(30))?.success());
        ensure!(stack.sql(&format!("{sums}'latency_ms'"))? == format!("0,{total}"));
        stack.engine.restart()?;
    }
    Ok(())
}

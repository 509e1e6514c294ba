//! The same thing twice is stored once, and both are accounted for.

use crate::support::client::{exchange, post, push, sample};
use crate::support::{Stack, await_that};
use anyhow::{Result, ensure};
use serde_json::json;

const ID: &str = "X-Batch-ID: 0190a7a0-0000-7000-8000-000000000002";

#[test]
fn a_repeated_batch_gets_its_first_answer_again() -> Result<()> {
    let stack = Stack::start()?;
    let body = json!({"node_id": "n", "metrics": [sample("n", 2), sample("n", 1)]}).to_string();
    let request = post(&stack.engine, "/api/ingest", &[ID], body.as_bytes());
    let first = exchange(&stack.engine, &request)?;
    let again = exchange(&stack.engine, &request)?;
    ensure!((first.status, again.status) == (202, 200), "{again:?}");
    ensure!(again.json()?["message"] == "Already processed");
    ensure!(first.json()?["data"] == again.json()?["data"]);
    let other = json!({"node_id": "n", "metrics": [sample("n", 9)]}).to_string();
    let conflict = exchange(
        &stack.engine,
        &post(&stack.engine, "/api/ingest", &[ID], other.as_bytes()),
    )?;
    ensure!(
        conflict.status == 409 && conflict.json()?["code"] == "BATCH_CONFLICT",
        "{conflict:?}"
    );
    stack.await_rows(2)
}

/// Also after a restart, when the engine has forgotten its answers.
#[test]
fn a_repeated_sample_is_counted_and_not_stored_again() -> Result<()> {
    let mut stack = Stack::start()?;
    let body = sample("n", 5);
    push(&stack.engine, &body)?;
    push(&stack.engine, &body)?;
    stack.await_rows(1)?;
    stack.engine.kill9()?;
    stack.engine.restart()?;
    let mut differing = body.clone();
    differing["latency_ms"] = json!(99.5);
    push(&stack.engine, &body)?;
    push(&stack.engine, &differing)?;
    await_that("three duplicates in the ledger", || {
        Ok(stack.sql("SELECT sum(received) || ',' || sum(duplicate) FROM ledger_hourly")? == "4,3")
    })?;
    ensure!(stack.rows()? == 1);
    let kept = stack.sql("SELECT latency_ms FROM metrics")?;
    ensure!(kept == "12.5", "the first value stays, not {kept}");
    let conflict = stack.sql("SELECT latency_ms FROM duplicate_conflicts")?;
    ensure!(
        conflict == "99.5",
        "the other value is recorded, not {conflict:?}"
    );
    Ok(())
}

/// Late samples are stored like any others, and reach the rollup of their minute.
#[test]
fn late_and_unordered_samples_are_stored_once() -> Result<()> {
    let stack = Stack::start()?;
    for age_s in [0, 3_600, 60, 7_200, 30, 86_400, 60] {
        let mut body = sample("n", 0);
        let minute = fiber_contract::UnixMicros::now().floor_to(60).0 - age_s * 1_000_000;
        body["timestamp"] = json!(fiber_contract::UnixMicros(minute).to_string());
        ensure!(push(&stack.engine, &body)?.status == 202);
    }
    await_that("seven accounted samples", || {
        Ok(stack.sql("SELECT sum(stored) || ',' || sum(duplicate) FROM ledger_hourly")? == "6,1")
    })?;
    ensure!(stack.rows()? == 6);
    ensure!(stack.sql("SELECT sum(count) FROM rollup_1m")? == "6");
    Ok(())
}

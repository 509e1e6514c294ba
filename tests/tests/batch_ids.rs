//! A batch id keeps its first answer over a kill, from the journal and from the receipts.

use crate::support::client::{exchange, post, sample};
use crate::support::{DRIVERS, Stack, await_that};
use anyhow::{Result, ensure};
use serde_json::json;
use std::time::Duration;

const ID: &str = "X-Batch-ID: 0190a7a0-0000-7000-8000-0000000000b1";

#[test]
fn a_batch_id_keeps_its_first_answer_over_a_kill() -> Result<()> {
    for driver in DRIVERS {
        let mut stack = Stack::with(&[("FIBER_DRIVER", driver)])?;
        let mut bad = sample("n", 1);
        bad["latency_ms"] = json!(-1);
        let body = json!({"node_id": "n", "metrics": [sample("n", 2), bad]}).to_string();
        let other = json!({"node_id": "n", "metrics": [sample("n", 9)]}).to_string();
        for path in ["/api/ingest", "/api/push"] {
            // Another id for the other route, by its last digit.
            let id = if path == "/api/push" {
                ID.replace("b1", "b2")
            } else {
                ID.to_owned()
            };
            let send = |stack: &Stack, body: &str| {
                exchange(
                    &stack.engine,
                    &post(&stack.engine, path, &[&id], body.as_bytes()),
                )
            };
            let first = send(&stack, &body)?;
            ensure!(first.status == 202, "{first:?}");
            ensure!(first.json()?["data"]["errors"][0]["field"] == "latency_ms");
            stack.engine.kill9()?;
            stack.engine.restart()?;
            let again = send(&stack, &body)?;
            ensure!(again.status == 200, "{driver} {path}: {again:?}");
            ensure!(again.json()?["data"] == first.json()?["data"], "{again:?}");
            ensure!(send(&stack, &other)?.status == 409, "{driver} {path}");
        }
        // Or the receipts alone would do, where the commit was faster than the kill.
        let log = std::fs::read_to_string(stack.engine.log())?;
        let restored = log.lines().any(|line| {
            line.contains("restored from the journal") && line.contains("\"restored\":2")
        });
        ensure!(restored, "{driver}: the journal was not read");
    }
    Ok(())
}

/// The journal is gone, as its freed segments are: the receipt answers.
#[test]
fn a_receipt_answers_for_a_batch_that_left_the_journal() -> Result<()> {
    let mut stack = Stack::start()?;
    let mut bad = sample("n", 1);
    bad["latency_ms"] = json!(-1);
    let body = json!({"node_id": "n", "metrics": [sample("n", 2), bad]}).to_string();
    let request = post(&stack.engine, "/api/push", &[ID], body.as_bytes());
    let first = exchange(&stack.engine, &request)?;
    ensure!(first.status == 202, "{first:?}");
    await_that("the receipt", || {
        Ok(stack.sql("SELECT count(*) FROM batches WHERE answer IS NOT NULL")? == "1")
    })?;
    ensure!(stack.engine.terminate(Duration::from_secs(30))?.success());
    std::fs::remove_dir_all(stack.engine.data_dir().join("journal"))?;
    stack.engine.restart()?;
    let request = post(&stack.engine, "/api/push", &[ID], body.as_bytes());
    let again = exchange(&stack.engine, &request)?;
    ensure!(again.status == 200, "{again:?}");
    ensure!(again.json()?["data"] == first.json()?["data"], "{again:?}");
    Ok(())
}

//! An operator can ask what became of every sample, and gets the same numbers that the tables hold.

use crate::support::client::{exchange, get, post, push, sample};
use crate::support::{Stack, await_that};
use anyhow::{Result, ensure};
use fiber_local::servers::Postgres;
use serde_json::{Value, json};

const ID: &str = "0190a7a0-0000-7000-8000-000000000011";

fn ledger(stack: &Stack, query: &str) -> Result<Value> {
    get(&stack.engine, &format!("/api/ledger{query}"))
}

#[test]
fn the_ledger_explains_every_sample() -> Result<()> {
    let stack = Stack::start()?;
    for node in ["accra-01", "lagos-01"] {
        for age in [0, 7_300_000] {
            push(&stack.engine, &sample(node, age))?;
        }
    }
    let twice = sample("lagos-01", 60_000);
    push(&stack.engine, &twice)?;
    push(&stack.engine, &twice)?;
    let mut bad = sample("lagos-01", 1);
    bad["latency_ms"] = json!(-1);
    push(&stack.engine, &bad)?;
    await_that("all fates", || {
        let totals = &ledger(&stack, "")?["data"]["totals"];
        Ok(totals == &json!({"received": 6, "stored": 5, "duplicate": 1, "quarantined": 0}))
    })?;

    let now = &ledger(&stack, "")?["data"]["now"];
    ensure!(
        now["journaled"] == 6 && now["stored"] == 5 && now["duplicate"] == 1,
        "{now}"
    );
    ensure!(now["in_flight"] == 0, "{now}");
    await_that("the refusal", || {
        let refused = &ledger(&stack, "")?["data"]["refused"];
        Ok(refused
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["reason"] == "latency_ms")))
    })?;

    // Page by page, newest hour first and by node within it, each row once.
    let mut rows = Vec::new();
    let mut query = "?limit=1".to_owned();
    for _ in 0..10 {
        let page = ledger(&stack, &query)?;
        rows.extend(page["data"]["rows"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["meta"]["next_cursor"].as_str() else {
            break;
        };
        query = format!("?limit=1&cursor={cursor}");
    }
    // The minute-old sample may fall into the hour before; then lagos has a row more.
    let key = |row: &Value| (row["hour"].to_string(), row["node_id"].to_string());
    let in_order = rows.windows(2).all(|pair| {
        let (a, b) = (key(&pair[0]), key(&pair[1]));
        a.0 > b.0 || a.0 == b.0 && a.1 < b.1
    });
    ensure!(in_order && (4..=5).contains(&rows.len()), "{rows:?}");
    let one = ledger(&stack, "?node_id=lagos-01")?;
    ensure!(one["data"]["totals"]["received"] == 4, "{one}");
    ensure!(one["data"]["refused"] == json!([]), "{one}");
    Ok(())
}

/// Durable from the answer on, also while the database is away; committed once it is in the table.
#[test]
fn a_receipt_says_where_the_batch_is() -> Result<()> {
    let mut postgres = Postgres::start_private()?;
    let stack = Stack::over(postgres.database("receipt")?, &[])?.with_tables()?;
    let path = format!("/api/batches/{ID}");
    let missing = exchange(
        &stack.engine,
        format!("GET {path} HTTP/1.1\r\nHost: e\r\n\r\n").as_bytes(),
    )?;
    ensure!(missing.status == 404, "{missing:?}");

    postgres.stop()?;
    let body = json!({"node_id": "n", "metrics": [sample("n", 2), sample("n", 1)]}).to_string();
    let header = format!("X-Batch-ID: {ID}");
    let request = post(&stack.engine, "/api/ingest", &[&header], body.as_bytes());
    ensure!(exchange(&stack.engine, &request)?.status == 202);
    let durable = get(&stack.engine, &path)?;
    ensure!(durable["data"]["state"] == "durable", "{durable}");
    ensure!(durable["data"]["accepted"] == 2, "{durable}");

    postgres.start()?;
    await_that("the commit", || {
        Ok(get(&stack.engine, &path)?["data"]["state"] == "committed")
    })?;
    let committed = get(&stack.engine, &path)?;
    ensure!(
        committed["data"]["body_sha256"] == durable["data"]["body_sha256"]
            && committed["data"]["group_seq"].as_u64() > Some(0),
        "{committed}"
    );
    let bad = exchange(
        &stack.engine,
        b"GET /api/batches/7 HTTP/1.1\r\nHost: e\r\n\r\n",
    )?;
    ensure!(bad.status == 422, "{bad:?}");
    Ok(())
}

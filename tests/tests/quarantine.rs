//! A row that the database refuses costs that row, which stays in `quarantine`, and no other.

use crate::support::client::{ingest, push, sample};
use crate::support::{Stack, await_that};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// Received, stored and quarantined over all hours.
const FATES: &str =
    "SELECT sum(received) || ',' || sum(stored) || ',' || sum(quarantined) FROM ledger_hourly";

fn ingested(stack: &Stack, samples: &[Value]) -> Result<()> {
    let answer = ingest(&stack.engine, "n", samples)?;
    ensure!(answer.status == 202, "{answer:?}");
    Ok(())
}

/// A constraint of the operator's stands for whatever a database may refuse.
#[test]
fn poison_rows_are_found_among_their_neighbours() -> Result<()> {
    let stack = Stack::start()?;
    stack.sql("ALTER TABLE metrics ADD CONSTRAINT no_poison CHECK (latency_ms <> 666)")?;
    let poison = |index: i64| [0, 57, 58, 199].contains(&index);
    let samples: Vec<_> = (0..200)
        .map(|index| {
            let mut one = sample("n", index);
            one["latency_ms"] = json!(if poison(index) { 666 } else { 7 });
            one
        })
        .collect();
    ingested(&stack, &samples)?;
    await_that("the fate of all", || Ok(stack.sql(FATES)? == "200,196,4"))?;
    ensure!(stack.rows()? == 196);
    ensure!(stack.sql("SELECT sum(count) FROM rollup_1m")? == "196");
    let kept = "SELECT count(DISTINCT time) || ',' || min(sqlstate) || ',' || min(node_id)
                FROM quarantine WHERE length(tuple) > 0";
    ensure!(stack.sql(kept)? == "4,23514,n", "{}", stack.sql(kept)?);

    // The same again under another id: poison is refused again, the others are duplicates, and a
    // later sample passes.
    ingested(&stack, &samples)?;
    push(&stack.engine, &sample("n", 500))?;
    await_that("the repeat", || Ok(stack.sql(FATES)? == "401,197,8"))?;
    ensure!(stack.rows()? == 197);
    Ok(())
}

/// Two names with one key: the second may not be filed under the first.
#[test]
fn a_name_whose_key_another_has_is_refused() -> Result<()> {
    let first = Stack::start()?;
    push(&first.engine, &sample("n", 1))?;
    first.await_rows(1)?;
    let key = first.sql("SELECT node_key FROM nodes")?;

    let stack = Stack::start()?;
    stack.sql(&format!(
        "INSERT INTO nodes (node_key, node_id, country, region, first_seen, last_seen)
         VALUES ({key}, 'another', 'GH', 'west', now(), now())"
    ))?;
    push(&stack.engine, &sample("n", 1))?;
    push(&stack.engine, &sample("m", 1))?;
    await_that("both fates", || Ok(stack.sql(FATES)? == "2,1,1"))?;
    ensure!(stack.sql("SELECT node_id FROM nodes ORDER BY 1")? == "another\nm");
    ensure!(stack.sql("SELECT node_id FROM quarantine")? == "n");
    ensure!(stack.rows()? == 1);
    Ok(())
}

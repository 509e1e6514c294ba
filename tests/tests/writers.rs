//! Several writers of one journal: each sample is still stored once, whichever of them fails, and
//! what is said about a batch is true for all of its parts.

use crate::support::client::get;
use crate::support::failpoint::{Armed, REACH_LIMIT};
use crate::support::fleet::{config, start, verify};
use crate::support::{Stack, await_that, shared};
use anyhow::{Result, ensure};
use std::time::Duration;

const THREE: [(&str, &str); 2] = [("FIBER_WRITERS", "3"), ("FIBER_WRITERS_MIN", "3")];
const SHARDS: &str = "SELECT count(DISTINCT slots) FROM commit_ledger WHERE slots <> -1";

/// Where a slot's transactions leave groups out.
const BROKEN_CHAINS: &str = "
    WITH of_slot AS (
        SELECT slot, first_seq, lag(last_seq, 1, 0::int8) OVER (PARTITION BY slot ORDER BY last_seq) AS before
        FROM commit_ledger, generate_series(0, 63) AS slot WHERE slots >> slot & 1 = 1)
    SELECT count(*) FROM of_slot WHERE first_seq > before + 1";

fn many() -> Result<Stack> {
    Stack::over(shared().postgres.database("t")?, &THREE)?.with_tables()
}

/// By the engine's own counters, too: nothing stays in flight for good.
fn await_closed_accounts(stack: &Stack) -> Result<()> {
    await_that("the accounts to close", || {
        let now = &get(&stack.engine, "/api/ledger")?["data"]["now"];
        let count = |name: &str| now[name].as_u64().unwrap_or_default();
        let settled = count("stored") + count("duplicate") + count("quarantined");
        Ok(count("in_flight") == 0 && count("journaled") == settled)
    })
}

#[test]
fn several_writers_share_the_nodes() -> Result<()> {
    let stack = many()?;
    let run = start(config(&stack, 20_000.0, 20, Duration::from_secs(4)))?;
    let report = run.wait()?;
    verify(&stack, &report)?;
    ensure!(stack.sql(SHARDS)? == "3", "{}", stack.sql(SHARDS)?);
    ensure!(stack.sql(BROKEN_CHAINS)? == "0");
    // Nobody marks a minute of another: each writer has marks of its own.
    let markers = "SELECT count(DISTINCT writer) FROM rollup_marks";
    ensure!(stack.sql(markers)? == "3", "{}", stack.sql(markers)?);
    await_closed_accounts(&stack)
}

/// The first COMMIT of a batch is confirmed and the others are not there yet.
#[test]
fn a_batch_that_one_writer_committed_is_finished_by_the_next_engine() -> Result<()> {
    let mut stack = many()?;
    // Ended by `stop`; the limit only bounds a run that hangs.
    let run = start(config(&stack, 20_000.0, 20, Duration::from_secs(600)))?;
    stack.engine.kill9()?;
    let at_one_group = "SELECT count(DISTINCT last_seq) = 1 FROM (SELECT max(last_seq) AS last_seq
        FROM commit_ledger, generate_series(0, 63) AS slot WHERE slots >> slot & 1 = 1 GROUP BY slot) AS of_slot";
    // Three in a row: whichever COMMIT of a batch the first one is, another is not its last.
    let mut halves = 0;
    for nth in [9, 10, 11] {
        let armed = Armed::kill(&mut stack.engine, "copy.committed", nth)?;
        let is_reached = armed.await_kill(&mut stack.engine, REACH_LIMIT)?;
        ensure!(is_reached, "not reached the {nth}th time");
        halves += u32::from(stack.sql(at_one_group)? == "f");
    }
    ensure!(halves > 0, "all writers had committed, each time");
    Armed::none(&mut stack.engine)?;
    stack.engine.await_ready(REACH_LIMIT)?;
    run.stop();
    let report = run.wait()?;
    verify(&stack, &report)?;
    ensure!(stack.sql(BROKEN_CHAINS)? == "0");
    await_closed_accounts(&stack)
}

/// A session that its server ends takes the others with it, and nothing else.
#[test]
fn a_writer_that_is_ended_ends_no_sample() -> Result<()> {
    let stack = many()?;
    let run = start(config(&stack, 20_000.0, 20, Duration::from_secs(6)))?;
    let (one, mut ended) = (
        "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
         WHERE application_name LIKE 'fiber-copy:%' AND datname = current_database()
         ORDER BY backend_start DESC LIMIT 1) AS newest",
        0,
    );
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(600));
        ended += stack.sql(one)?.parse::<u32>()?;
    }
    ensure!(ended > 4, "{ended} sessions were there to be ended");
    let report = run.wait()?;
    verify(&stack, &report)?;
    ensure!(stack.sql(BROKEN_CHAINS)? == "0");
    await_closed_accounts(&stack)
}

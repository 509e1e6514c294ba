//! SIGTERM: what is acknowledged is durable and, with the database there, stored; the exit is clean.

use crate::support::Stack;
use crate::support::client::{get, push, sample};
use crate::support::fleet::{config, start, verify};
use anyhow::{Result, ensure};
use std::time::Duration;

#[test]
fn a_stop_under_load_is_clean_and_a_second_engine_goes_on() -> Result<()> {
    let mut stack = Stack::start()?;
    let run = start(config(&stack, 2_000.0, 1, Duration::from_secs(4)))?;
    std::thread::sleep(Duration::from_secs(2));
    let exit = stack.engine.terminate(Duration::from_secs(30))?;
    ensure!(exit.success(), "{exit}");
    stack.engine.restart()?;
    let report = run.wait()?;
    verify(&stack, &report)?;
    Ok(())
}

#[test]
fn all_that_was_acknowledged_is_stored_when_the_process_has_ended() -> Result<()> {
    let mut stack = Stack::start()?;
    for age in 0..100 {
        let answer = push(&stack.engine, &sample("n", age))?;
        ensure!(answer.status == 202, "{answer:?}");
    }
    let exit = stack.engine.terminate(Duration::from_secs(30))?;
    let rows = stack.rows()?;
    ensure!(exit.success() && rows == 100, "{exit}, {rows} rows");
    Ok(())
}

/// Two engines on one folder would both think that the journal is theirs.
#[test]
fn a_second_engine_on_the_same_data_is_refused() -> Result<()> {
    let stack = Stack::start()?;
    let mut env = stack.database.env();
    env.push((
        "FIBER_DATA_DIR".to_owned(),
        stack.engine.data_dir().display().to_string(),
    ));
    let mut second = fiber_local::servers::Engine::prepared(env)?;
    second.start_unready()?;
    let exit = second.wait_exit(Duration::from_secs(30))?;
    ensure!(!exit.success());
    get(&stack.engine, "/api/status").map(drop)
}

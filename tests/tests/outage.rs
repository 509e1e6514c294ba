//! Servers behind the engine go away under load: pushes go on, and everything arrives.

use crate::support::client::{get, push, sample};
use crate::support::fleet::{config, start, verify};
use crate::support::{Stack, await_that};
use anyhow::{Result, ensure};
use fiber_local::servers::{Postgres, Redis};
use std::time::Duration;

const LOAD: Duration = Duration::from_secs(12);

/// Runs a fleet, does something to the database meanwhile, and judges.
fn under_load(during: impl FnOnce(&mut Postgres) -> Result<()>) -> Result<()> {
    let mut postgres = Postgres::start_private()?;
    let stack = Stack::over(postgres.database("outage")?, &[])?;
    let run = start(config(&stack, 2_000.0, 10, LOAD))?;
    std::thread::sleep(Duration::from_secs(2));
    during(&mut postgres)?;
    let report = run.wait()?;
    ensure!(
        report.answers.keys().all(|status| *status == 202) && report.errors.is_empty(),
        "pushes were disturbed: {:?} {:?}",
        report.answers,
        report.errors
    );
    verify(&stack, &report)?;
    ensure!(stack.sql("SELECT count(*) FROM quarantine")? == "0");
    Ok(())
}

#[test]
fn a_database_stopped_and_started_under_load_loses_nothing() -> Result<()> {
    under_load(|postgres| {
        postgres.stop()?;
        std::thread::sleep(Duration::from_secs(3));
        postgres.start()
    })
}

/// Asynchronous commits that the server confirmed are lost with it: the journal still has them.
#[test]
fn a_database_killed_under_load_loses_nothing() -> Result<()> {
    under_load(|postgres| {
        for _ in 0..3 {
            postgres.kill()?;
            std::thread::sleep(Duration::from_millis(300));
            postgres.start()?;
            std::thread::sleep(Duration::from_millis(1_200));
        }
        Ok(())
    })
}

#[test]
fn a_frozen_database_only_delays() -> Result<()> {
    under_load(|postgres| {
        postgres.pause()?;
        std::thread::sleep(Duration::from_secs(4));
        postgres.resume()
    })
}

#[test]
fn redis_killed_and_back_disturbs_no_push() -> Result<()> {
    let mut redis = Redis::start_private()?;
    let stack = Stack::with(&[("REDIS_URL", &redis.url())])?;
    let redis_is = |stack: &Stack, state: &str| -> Result<bool> {
        Ok(get(&stack.engine, "/api/status")?["redis"]["state"] == state)
    };
    await_that("Redis to be seen", || redis_is(&stack, "up"))?;
    let run = start(config(&stack, 1_000.0, 1, Duration::from_secs(6)))?;
    redis.kill()?;
    await_that("its death to be seen", || redis_is(&stack, "down"))?;
    ensure!(push(&stack.engine, &sample("n", 0))?.status == 202);
    redis.start()?;
    await_that("its return to be seen", || redis_is(&stack, "up"))?;
    let report = run.wait()?;
    ensure!(
        report.answers.keys().all(|status| *status == 202),
        "{:?}",
        report.answers
    );
    Ok(())
}

//! The drills themselves work: one of each kind, with short faults. `make drills` runs all.

use anyhow::{Context as _, Result, ensure};
use fiber_tests::drills::{Size, find};

fn passes(name: &str) -> Result<()> {
    let outcome = find(name).context("no such drill")?.run(Size::QUICK)?;
    ensure!(outcome.passed(), "{outcome:#?}");
    Ok(())
}

#[test]
fn redis_killed_under_load_disturbs_nobody() -> Result<()> {
    passes("redis-killed")
}

#[test]
fn a_database_stopped_under_load_is_caught_up_with() -> Result<()> {
    passes("database-stopped")
}

#[test]
fn resets_of_the_link_lose_and_double_nothing() -> Result<()> {
    let outcome = find("link-reset")
        .context("no such drill")?
        .run(Size::QUICK)?;
    ensure!(outcome.passed(), "{outcome:#?}");
    ensure!(outcome.failed_tries > 0, "the link was not disturbed");
    Ok(())
}

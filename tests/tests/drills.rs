//! The drills themselves work: one of each kind, with short faults. `make drills` runs all.

use crate::support::Stack;
use anyhow::{Context as _, Result, ensure};
use fiber_loadgen::stack_env::DbConfig;
use fiber_tests::deployment::{Deployment, Faults};
use fiber_tests::drills::{Size, find, theirs};
use std::time::Duration;

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

#[test]
fn an_operators_own_commands_break_and_mend_a_deployment() -> Result<()> {
    let stack = Stack::start()?;
    let pid = stack.engine.pid().context("the engine runs")?;
    let (engine, database) = (&stack.engine, &stack.database);
    let mut deployment = Deployment {
        url: engine.url(),
        secret: engine.federation_secret().to_owned(),
        db: Some(DbConfig {
            host: database.host.clone(),
            port: database.port,
            user: database.user.clone(),
            password: database.password.clone(),
            database: database.name.clone(),
        }),
        ca_file: None,
        faults: Some(Faults {
            fault: format!("kill -STOP {pid}"),
            heal: format!("kill -CONT {pid}"),
            lasts: Duration::from_secs(3),
            recovery_bar: Duration::from_secs(60),
            pushes_may_fail: true,
        }),
    };
    let outcome = theirs(&deployment)?;
    ensure!(outcome.passed() && outcome.acked > 0, "{outcome:#?}");
    ensure!(outcome.failed_tries > 0, "nothing was broken: {outcome:#?}");
    // The same, of somebody who says that no push may notice.
    deployment
        .faults
        .as_mut()
        .context("faults")?
        .pushes_may_fail = false;
    let outcome = theirs(&deployment)?;
    ensure!(!outcome.passed(), "{outcome:#?}");
    Ok(())
}

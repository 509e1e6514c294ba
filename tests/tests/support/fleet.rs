//! A fleet against an engine, and the comparison of its ledger with the table.

use super::Stack;
use anyhow::{Context as _, Result, ensure};
use fiber_loadgen::fleet::{self, Config, Rate};
use fiber_loadgen::report::Report;
use fiber_loadgen::stack_env::DbConfig;
use fiber_loadgen::verify::{Comparison, Patience, settle_blocking};
use std::time::Duration;

pub(crate) fn config(stack: &Stack, rate: f64, batch: u32, duration: Duration) -> Config {
    Config {
        url: stack.engine.url(),
        secret: stack.engine.federation_secret().to_owned(),
        probes: 50,
        rate: Rate::PerSecond(rate),
        batch,
        duration,
        keep_ledger: true,
        retry_for: Duration::from_secs(60),
        drain: Duration::from_secs(60),
        ..Config::default()
    }
}

/// Compares what the fleet was promised with what is stored; also in the engine's own accounts.
pub(crate) fn verify(stack: &Stack, report: &Report) -> Result<Comparison> {
    let ledger = report.ledger.as_ref().context("the run kept a ledger")?;
    let database = &stack.database;
    let db = DbConfig {
        host: database.host.clone(),
        port: database.port,
        user: database.user.clone(),
        password: database.password.clone(),
        database: database.name.clone(),
    };
    let patience = Patience {
        most: Duration::from_secs(120),
        stable_for: Duration::from_secs(20),
    };
    let found = settle_blocking(ledger, &db, patience, |_, _| {})?;
    ensure!(found.is_clean(), "{found:#?}");
    let accounts = stack.sql(
        "SELECT sum(received) = sum(stored + duplicate + quarantined) AND
                sum(stored) = (SELECT count(*) FROM metrics) FROM ledger_hourly",
    )?;
    ensure!(accounts == "t", "the hourly ledger does not close");
    let rollups =
        stack.sql("SELECT (SELECT sum(count) FROM rollup_1m) = (SELECT count(*) FROM metrics)")?;
    ensure!(
        rollups == "t",
        "the rollup does not count the rows of the table"
    );
    Ok(found)
}

pub(crate) fn start(config: Config) -> Result<fleet::Running> {
    fleet::start(config)
}

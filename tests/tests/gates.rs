//! The gates themselves work: they pass on a good system, and cannot pass on a bad one.

use crate::support::{Stack, shared};
use anyhow::{Context as _, Result, ensure};
use fiber_loadgen::stack_env::DbConfig;
use fiber_local::servers::Database;
use fiber_tests::deployment::Deployment;
use fiber_tests::gates::{Context, Line, Size, Target, Verdict, find};
use std::time::Duration;

const TINY: Size = Size {
    name: "tiny",
    probes: 20,
    run: Duration::from_secs(1),
    settled_after: Duration::from_secs(2),
    drills: fiber_tests::drills::Size::QUICK,
};

fn run(gate: &str, stack: &Stack, judge: Option<&Database>) -> Result<Vec<Line>> {
    let deployment = Deployment {
        url: stack.engine.url(),
        secret: stack.engine.federation_secret().to_owned(),
        db: judge.map(|database| DbConfig {
            host: database.host.clone(),
            port: database.port,
            user: database.user.clone(),
            password: database.password.clone(),
            database: database.name.clone(),
        }),
        ca_file: None,
        faults: None,
    };
    let context = Context::new(TINY, Target::Theirs(Box::new(deployment)));
    Ok(find(gate).context("no such gate")?.run(&context))
}

const CAPACITY: &str = "test_1k_concurrent_probes";

#[test]
fn a_deployment_is_measured_and_what_cannot_be_is_told() -> Result<()> {
    let stack = Stack::start()?;
    let lines = run(CAPACITY, &stack, Some(&stack.database))?;
    for line in &lines {
        let is_good = matches!(line.verdict(), Verdict::Pass | Verdict::StretchMissed);
        // A thousand events a second is a figure, and figures are not for tests.
        ensure!(is_good || line.users_bar.is_some(), "{line:#?}");
    }
    ensure!(
        lines.iter().any(|line| line.note.contains("compared")),
        "{lines:#?}"
    );
    let skipped = run("R7", &stack, None)?;
    ensure!(skipped[0].verdict() == Verdict::Skipped, "{skipped:#?}");
    let redis = run("test_fail_closed_redis_outage", &stack, None)?;
    ensure!(
        redis[0].verdict_text().contains("--fault-command"),
        "{redis:#?}"
    );
    Ok(())
}

/// Acknowledged by one engine, looked for in the tables of another: lost, as far as anybody can see.
#[test]
fn samples_that_are_not_in_the_tables_miss_the_gate() -> Result<()> {
    let (stack, other) = (Stack::start()?, Stack::start()?);
    let lines = run(CAPACITY, &stack, Some(&other.database))?;
    ensure!(
        lines
            .iter()
            .any(|line| line.verdict() == Verdict::Miss && line.what.contains("lost")),
        "{lines:#?}"
    );
    let nowhere = shared().postgres.database("empty")?;
    let lines = run(CAPACITY, &stack, Some(&nowhere))?;
    ensure!(
        lines.iter().all(|line| line.verdict() == Verdict::Miss),
        "{lines:#?}"
    );
    Ok(())
}

//! The load generator against the real engine: what it plants must become what its ledger expects,
//! and its ledger must be enough to judge a run whose generator was killed.

use crate::support::fleet::{config, verify};
use crate::support::{Stack, await_that};
use anyhow::{Context as _, Result, ensure};
use fiber_loadgen::fleet::{self, Config};
use fiber_loadgen::pace::Curve;
use fiber_loadgen::workload::faults::Faults;
use fiber_local::scratch::Scratch;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn every_planted_fault_has_the_one_outcome_that_it_must_have() -> Result<()> {
    for batch in [1, 40] {
        let stack = Stack::start()?;
        let faults = Faults {
            late: 0.05,
            duplicate: 0.05,
            reorder: 0.2,
            skew: 0.3,
            bad: 0.2,
        };
        let report = fleet::run(Config {
            faults,
            ..config(&stack, 4_000.0, batch, Duration::from_secs(1))
        })?;
        let planted = report.planted.context("faults were planted")?;
        ensure!(planted.bad > 100 && planted.duplicate > 20, "{planted:?}");
        ensure!(
            planted.bad_refused == planted.bad && report.samples.refused == 0,
            "each bad sample is refused for what is wrong in it, and nothing else is: {report}"
        );
        let found = verify(&stack, &report)?;
        ensure!(
            found.bad == planted.bad && found.bad_stored == 0,
            "{found:#?}"
        );
        // A retry whose first try was taken is one more.
        ensure!(
            found.acked_twice == planted.duplicate
                && found.counted_duplicates >= Some(planted.duplicate),
            "{found:#?} {planted:?}"
        );
        ensure!(
            found.stored == found.acked - found.acked_twice,
            "{found:#?}"
        );
    }
    Ok(())
}

#[test]
fn probes_that_come_back_together_hand_over_their_backlog_whole() -> Result<()> {
    let stack = Stack::start()?;
    let report = fleet::run(Config {
        probes: 200,
        curve: Curve::Storm {
            at: Some(Duration::from_secs(1)),
            lasting: Some(Duration::from_secs(2)),
        },
        ..config(&stack, 2_000.0, 1, Duration::from_secs(4))
    })?;
    ensure!(report.samples.acked == 8_000, "{report}");
    ensure!(report.requests.reconnects >= 200, "{report}");
    let found = verify(&stack, &report)?;
    ensure!(found.stored == 8_000, "{found:#?}");
    Ok(())
}

#[test]
fn signed_and_keyed_fleets_are_let_in() -> Result<()> {
    let stack = Stack::with(&[("API_KEY_SECRET", "0123456789abcdef0123456789abcdef")])?;
    let base = Config {
        probes: 3,
        tag: Some("keyed".to_owned()),
        ..config(&stack, 60.0, 1, Duration::from_secs(1))
    };
    let signed = fleet::run(Config {
        sign: true,
        tag: Some("signed".to_owned()),
        batch: 5,
        ..base.clone()
    })?;
    ensure!(signed.samples.acked == 60, "{signed}");
    let folder = Scratch::new("generator")?;
    let keys = folder.path().join("keys");
    let mut lines = Vec::new();
    for number in 1..=3 {
        let issued = stack
            .engine
            .command(&["key", "issue", &format!("keyed-000{number}")])?;
        ensure!(issued.status.success(), "{issued:?}");
        lines.extend(issued.stdout);
    }
    std::fs::write(&keys, lines)?;
    let keyed = fleet::run(Config {
        keys_file: Some(keys),
        // Only the keys can have let it in.
        secret: String::new(),
        ..base
    })?;
    ensure!(keyed.samples.acked == 60, "{keyed}");
    verify(&stack, &keyed).map(drop)
}

#[test]
fn a_run_whose_generator_was_killed_is_judged_by_its_ledger() -> Result<()> {
    let stack = Stack::start()?;
    let folder = Scratch::new("generator")?;
    let ledger = folder.path().join("ledger");
    let program = fiber_local::loadgen_binary()?;
    let loadgen = |verb: &str| {
        let mut command = Command::new(&program);
        command.arg(verb).arg("--ledger").arg(&ledger);
        command.envs(stack.database.env());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command
    };
    for kill_after in [500, 1_500] {
        let before = stack.rows()?;
        let mut generator = loadgen("fleet")
            .args([
                "--rate",
                "3000",
                "--batch",
                "3",
                "--duration",
                "60",
                "--quiet",
            ])
            .args([
                "--url",
                &stack.engine.url(),
                "--secret",
                stack.engine.federation_secret(),
            ])
            .spawn()?;
        await_that(
            "rows of the run",
            || Ok(stack.rows()? > before + kill_after),
        )?;
        generator.kill()?;
        generator.wait()?;
        let judged = loadgen("verify").output()?;
        let text = String::from_utf8_lossy(&judged.stdout);
        ensure!(judged.status.success(), "{text}");
        ensure!(text.contains("every acked sample is stored once"), "{text}");
    }
    // And it can say no.
    stack.sql("DELETE FROM metrics WHERE ctid IN (SELECT ctid FROM metrics LIMIT 1)")?;
    let judged = loadgen("verify").args(["--wait", "1"]).output()?;
    ensure!(judged.status.code() == Some(2), "{judged:?}");
    Ok(())
}

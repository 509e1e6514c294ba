//! The real probe measures real targets on this machine, and its rows are in the table.

use crate::support::client::get;
use crate::support::{Stack, await_that};
use anyhow::{Context as _, Result, ensure};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

/// Killed on drop, whatever the test says.
struct Probe(Child);

impl Drop for Probe {
    fn drop(&mut self) {
        // Gone already is as good.
        self.0.kill().unwrap_or_default();
        self.0.wait().map(drop).unwrap_or_default();
    }
}

fn probe(stack: &Stack, spool: &std::path::Path, targets: &[String]) -> Result<Probe> {
    let binary = fiber_local::engine_binary()?.with_file_name("fiber-probe");
    let mut command = Command::new(&binary);
    command
        .args([
            "--url",
            &stack.engine.url(),
            "--node-id",
            "here-01",
            "--country",
            "KE",
        ])
        .args([
            "--region", "Nairobi", "--city", "Nairobi", "--lat", "-1.29", "--lng", "36.82",
        ])
        .args([
            "--interval",
            "1s",
            "--packets",
            "4",
            "--timeout",
            "500ms",
            "--spool",
        ])
        .arg(spool)
        .env("FEDERATION_SECRET", stack.engine.federation_secret())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for target in targets {
        command.args(["--target", target]);
    }
    Ok(Probe(
        command
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?,
    ))
}

#[test]
fn a_probe_measures_and_survives_the_engines_absence() -> Result<()> {
    let mut stack = Stack::start()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    // Nobody listens on a port that was just given back.
    let dead = {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.local_addr()?.port()
    };
    let targets = [
        format!("tcp://127.0.0.1:{port}"),
        format!("{}/api/status", stack.engine.url()),
        format!("tcp://127.0.0.1:{dead}"),
    ];
    let spool = fiber_local::scratch::Scratch::new("probe")?;
    let probe = probe(&stack, &spool.path().join("spool"), &targets)?;
    let by_target = |stack: &Stack| {
        stack.sql(
            "SELECT string_agg(concat_ws(':', probe_type, n, lost, answered), ' ' ORDER BY probe_type, lost) FROM (
                SELECT probe_type, min(count) >= 2 AS n, bool_and(lost) AS lost, bool_and(latency) AS answered FROM (
                    SELECT target_host, probe_type, count(*) OVER (PARTITION BY target_host, probe_type) AS count,
                        packet_loss = 100 AS lost, latency_ms > 0 AS latency FROM samples) AS rows
                GROUP BY target_host, probe_type) AS targets",
        )
    };
    let expect = "http:t:f:t tcp:t:f:t tcp:t:t";
    await_that("two rounds of each target", || {
        Ok(by_target(&stack)? == expect)
    })
    .with_context(|| format!("found {:?}", by_target(&stack)))?;
    await_that("its node in the table", || {
        Ok(get(&stack.engine, "/api/nodes/here-01")
            .is_ok_and(|node| node["data"]["city"] == "Nairobi"))
    })?;

    // The engine is away for some rounds: they come late, and none is missing.
    stack.engine.kill9()?;
    std::thread::sleep(std::time::Duration::from_secs(4));
    stack.engine.restart()?;
    let rows = stack.rows()?;
    await_that(
        "the rounds of the outage",
        || Ok(stack.rows()? >= rows + 12),
    )?;
    drop(probe);
    let gap = stack.sql(
        "SELECT max(gap) < interval '3 seconds' FROM (
            SELECT time - lag(time) OVER (PARTITION BY series_key ORDER BY time) AS gap FROM metrics) AS gaps",
    )?;
    ensure!(gap == "t", "rounds are missing");
    Ok(())
}

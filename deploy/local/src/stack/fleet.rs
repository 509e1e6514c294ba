//! The simulated fleet of the stack.

use super::component::{Component, fingerprint};
use super::settings::Settings;
use crate::process::{Launch, Running, Signal};
use crate::progress::Step;
use crate::{http, loadgen_binary, logs, paths};
use anyhow::{Result, bail};
use std::thread;
use std::time::{Duration, Instant};

pub(super) const STOP_LIMIT: Duration = Duration::from_secs(10);
const FIRST_SAMPLES_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

pub(super) fn ensure(settings: &Settings, url: &str) -> Result<()> {
    let mut env = vec![("FIBER_URL".to_owned(), url.to_owned())];
    if let Some(secret) = settings.get("FEDERATION_SECRET") {
        env.push(("FEDERATION_SECRET".to_owned(), secret.to_owned()));
    }
    let launch = Launch {
        program: loadgen_binary()?,
        args: ["fleet", "--demo"].map(Into::into).to_vec(),
        env,
        working_dir: paths::state_dir(),
        log: Component::Fleet.log(),
        account: None,
    };
    let step = Step::start("simulated fleet");
    let fingerprint = fingerprint(&launch, "")?;
    if Component::Fleet.runs_as(&fingerprint) {
        let nodes = await_nodes(url, Component::Fleet.running().as_ref())?;
        step.done(&format!("runs already, {nodes} probes known"));
        return Ok(());
    }
    Component::Fleet.stop(Signal::TERM, STOP_LIMIT)?;
    let running = Component::Fleet.start(&launch, &fingerprint)?;
    step.detail("wait for the first samples");
    let nodes = await_nodes(url, Some(&running))?;
    step.done(&format!("reports, {nodes} probes known"));
    Ok(())
}

/// Waits until the engine knows a node that has sent a sample, and counts them.
fn await_nodes(url: &str, running: Option<&Running>) -> Result<usize> {
    let nodes_url = format!("{url}/api/nodes");
    let deadline = Instant::now() + FIRST_SAMPLES_LIMIT;
    loop {
        let count = http::get(&nodes_url).map_or(0, |answer| reporting_nodes(&answer.body));
        if count > 0 {
            return Ok(count);
        }
        let log = Component::Fleet.log();
        if !running.is_some_and(Running::is_alive) {
            bail!(
                "the fleet ended at its start. Its log:\n{}",
                logs::tail(&log, 20)
            );
        }
        if Instant::now() > deadline {
            bail!(
                "no sample at {nodes_url} yet; the fleet's log:\n{}",
                logs::tail(&log, 20)
            );
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn reporting_nodes(body: &[u8]) -> usize {
    let Ok(answer) = serde_json::from_slice::<serde_json::Value>(body) else {
        return 0;
    };
    let data = &answer["data"];
    let nodes = data.as_array().or_else(|| data["nodes"].as_array());
    nodes.map_or(0, |nodes| {
        nodes
            .iter()
            .filter(|node| !node["last_seen"].is_null())
            .count()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nodes_that_sent_something_count() {
        let body = br#"{"status":"ok","data":[{"node_id":"a","last_seen":1},{"node_id":"b","last_seen":null}]}"#;
        assert_eq!(reporting_nodes(body), 1);
        assert_eq!(reporting_nodes(br#"{"status":"ok","data":[]}"#), 0);
        assert_eq!(reporting_nodes(b"<html>"), 0);
    }
}

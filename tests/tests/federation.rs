//! Where probes push: told by heartbeat, seen by people, shared through Redis.

use crate::support::client::{exchange, get, post, push, sample};
use crate::support::{Stack, await_that, shared};
use anyhow::{Result, ensure};
use serde_json::json;

#[test]
fn what_a_probe_reports_is_seen_and_shared_and_a_silent_one_is_unknown() -> Result<()> {
    let stack = Stack::start()?;
    ensure!(push(&stack.engine, &sample("federation-silent", 10))?.status == 202);
    let body = json!({"node_id": "federation-told", "active_target": "failover"}).to_string();
    let request = post(&stack.engine, "/api/probe/heartbeat", &[], body.as_bytes());
    for _twice in 0..2 {
        let answer = exchange(&stack.engine, &request)?;
        ensure!(answer.status == 200, "{answer:?}");
        ensure!(answer.json()?["data"]["state"] == "failover", "{answer:?}");
    }
    await_that("both probes in the status", || {
        let status = get(&stack.engine, "/api/federation/status")?;
        let data = &status["data"];
        Ok(data["failover"] == 1 && data["unknown"] == 1)
    })?;
    let redis = &shared().redis;
    let key = "fiber:probe:state:federation-told";
    let told = "return redis.call('GET', KEYS[1]):find('failover') and 1 or 0";
    await_that("the state in Redis", || {
        Ok(redis.command(&format!("EVAL \"{told}\" 1 {key}"))? == ":1")
    })?;
    let expires = redis.command(&format!("TTL {key}"))?;
    ensure!(!expires.contains('-'), "the key stays for ever: {expires}");
    Ok(())
}

#[test]
fn a_bad_heartbeat_is_refused_and_the_engine_goes_on() -> Result<()> {
    let stack = Stack::start()?;
    let long = format!(
        r#"{{"node_id":"a","active_target":"{}"}}"#,
        "x".repeat(5_000)
    );
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("[]", 400),
        (r#"{"node_id":7,"active_target":"primary"}"#, 400),
        (r#"{"node_id":"a'b","active_target":"primary"}"#, 422),
        (r#"{"node_id":"a","active_target":""}"#, 422),
        ("\u{0}\u{1}", 400),
        (&long, 413),
    ] {
        let request = post(&stack.engine, "/api/probe/heartbeat", &[], body.as_bytes());
        let answer = exchange(&stack.engine, &request)?;
        ensure!(answer.status == status, "{body:?}: {answer:?}");
    }
    let status = get(&stack.engine, "/api/federation/status")?;
    ensure!(status["data"]["probes"] == json!([]), "{status}");
    Ok(())
}

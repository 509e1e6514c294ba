//! Regions and the fleet add up to what their nodes sent.

use crate::support::client::{exchange, get, post, sample};
use crate::support::{Stack, await_that};
use anyhow::{Result, ensure};
use serde_json::json;

#[test]
fn regions_and_fleet_are_the_sums_of_their_nodes() -> Result<()> {
    let stack = Stack::start()?;
    let mut metrics = Vec::new();
    for (node, region, latency_ms, up) in [
        ("a1", "west", 10, true),
        ("a2", "west", 30, true),
        ("b1", "east", 100, true),
        ("b2", "east", 0, false),
    ] {
        for age in 1..=20 {
            let mut body = sample(node, age);
            body["region"] = json!(region);
            if up {
                body["latency_ms"] = json!(latency_ms);
            } else {
                body["latency_ms"] = json!(null);
                body["packet_loss"] = json!(100);
                body["uptime_pct"] = json!(0);
            }
            metrics.push(body);
        }
    }
    let body = json!({"node_id": "hub", "metrics": metrics}).to_string();
    let request = post(&stack.engine, "/api/push", &[], body.as_bytes());
    ensure!(exchange(&stack.engine, &request)?.status == 202);
    stack.await_rows(80)?;
    await_that("the live state of the worst node", || {
        Ok(get(&stack.engine, "/api/nodes/b2").is_ok_and(|node| node["data"]["state"] == "down"))
    })?;

    let regions = get(&stack.engine, "/api/metrics/aggregated?dimension=region")?;
    let rows = regions["data"]["rows"].as_array().unwrap();
    ensure!(rows.len() == 2 && rows[0]["key"] == "east", "{regions}");
    let (east, west) = (&rows[0], &rows[1]);
    ensure!(east["count"] == 40 && east["reporting"] == 2, "{east}");
    ensure!(
        east["uptime"] == 50.0 && east["availability_pct"] == 50.0,
        "{east}"
    );
    ensure!(
        west["avg_ms"] == 20.0 && west["availability_pct"] == 100.0,
        "{west}"
    );
    ensure!(west["min_ms"] == 10.0 && west["max_ms"] == 30.0, "{west}");

    let nodes = get(&stack.engine, "/api/metrics/aggregated?dimension=node")?;
    ensure!(
        nodes["data"]["rows"].as_array().unwrap().len() == 4,
        "{nodes}"
    );

    let cluster = get(&stack.engine, "/api/metrics/cluster?top_n=1")?;
    ensure!(cluster["data"]["summary"]["count"] == 80, "{cluster}");
    let worst = &cluster["data"]["worst"];
    ensure!(
        worst.as_array().unwrap().len() == 1
            && worst[0]["node_id"] == "b2"
            && worst[0]["score"] == 100.0
            && worst[0]["state"] == "down",
        "{worst}"
    );

    let series = get(
        &stack.engine,
        "/api/metrics/series?region=west&step=1h&sketch=true",
    )?;
    let bins: u64 = series["data"]["sketches"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|step| step["bins"].as_array().unwrap())
        .map(|bin| bin[1].as_u64().unwrap())
        .sum();
    ensure!(bins == 40, "{series}");
    Ok(())
}

#[test]
fn a_bad_parameter_of_a_summary_is_named() -> Result<()> {
    let stack = Stack::start()?;
    for (path, name) in [
        ("/api/metrics/aggregated?dimension=planet", "dimension"),
        ("/api/metrics/cluster?top_n=0", "top_n"),
        ("/api/metrics/series?sketch=perhaps", "sketch"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: e\r\n\r\n");
        let answer = exchange(&stack.engine, request.as_bytes())?;
        ensure!(answer.status == 422, "{path}: {answer:?}");
        let message = answer.json()?["message"].to_string();
        ensure!(message.contains(name), "{message}");
    }
    Ok(())
}

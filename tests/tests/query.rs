//! What was stored is what is shown.

use crate::support::client::{Connection, exchange, get, post, push, sample};
use crate::support::{Stack, await_that};
use anyhow::{Result, ensure};
use fiber_contract::UnixMicros;
use serde_json::json;

fn encoded(at: UnixMicros) -> String {
    at.to_string().replace(':', "%3A")
}

/// Percentiles of a known distribution, at a step that reads raw rows and one that reads sketches.
#[test]
fn percentiles_over_time_are_those_of_the_samples() -> Result<()> {
    let stack = Stack::start()?;
    let minute = UnixMicros(UnixMicros::now().floor_to(60).0 - 10 * 60_000_000);
    let metrics: Vec<_> = (1..=100)
        .map(|nth| {
            let mut body = sample("n", 0);
            body["latency_ms"] = json!(nth);
            body["packet_loss"] = json!(if nth <= 50 { 0 } else { 2 });
            body["timestamp"] = json!(UnixMicros(minute.0 + nth * 500_000).to_string());
            body
        })
        .collect();
    let body = json!({"node_id": "n", "metrics": metrics}).to_string();
    ensure!(
        exchange(
            &stack.engine,
            &post(&stack.engine, "/api/push", &[], body.as_bytes())
        )?
        .status
            == 202
    );
    stack.await_rows(100)?;
    let window = format!(
        "from={}&to={}",
        encoded(UnixMicros(minute.0 - 120_000_000)),
        encoded(UnixMicros(minute.0 + 120_000_000))
    );
    let answer = get(
        &stack.engine,
        &format!("/api/metrics/series?node_id=n&{window}&step=1m"),
    )?;
    let points = answer["data"]["points"].as_array().unwrap();
    ensure!(points.len() == 1 && points[0]["count"] == 100, "{answer}");
    let near = |name: &str, expect: f64| -> Result<()> {
        let found = points[0][name].as_f64().unwrap_or(f64::NAN);
        ensure!(
            (found - expect).abs() <= expect * 0.011 + 0.5,
            "{name} is {found}, not {expect}"
        );
        Ok(())
    };
    for (name, expect) in [
        ("p50", 50.0),
        ("p90", 90.0),
        ("p95", 95.0),
        ("p99", 99.0),
        ("min", 1.0),
        ("max", 100.0),
        ("avg", 50.5),
        ("loss", 1.0),
    ] {
        near(name, expect)?;
    }
    ensure!(
        !answer["data"]["gaps"].as_array().unwrap().is_empty(),
        "the silence is a gap: {answer}"
    );
    let fine = get(
        &stack.engine,
        &format!("/api/metrics/series?node_id=n&{window}&step=10"),
    )?;
    let sum: u64 = fine["data"]["points"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["count"].as_u64().unwrap())
        .sum();
    ensure!(sum == 100, "{fine}");
    Ok(())
}

#[test]
fn raw_samples_come_newest_first_page_by_page() -> Result<()> {
    let stack = Stack::start()?;
    let metrics: Vec<_> = (1..=100)
        .map(|nth| {
            let mut body = sample("n", 1_000 - nth);
            body["latency_ms"] = json!(nth);
            body
        })
        .collect();
    let body = json!({"node_id": "n", "metrics": metrics}).to_string();
    let request = post(&stack.engine, "/api/push", &[], body.as_bytes());
    ensure!(exchange(&stack.engine, &request)?.status == 202);
    stack.await_rows(100)?;
    let raw = get(&stack.engine, "/api/metrics?node_id=n&limit=60")?;
    ensure!(
        raw["data"].as_array().unwrap().len() == 60 && raw["data"][0]["latency_ms"] == 100.0,
        "{raw}"
    );
    let cursor = raw["meta"]["next_cursor"].as_str().unwrap();
    let rest = get(
        &stack.engine,
        &format!("/api/metrics?node_id=n&limit=60&cursor={cursor}"),
    )?;
    ensure!(
        rest["data"].as_array().unwrap().len() == 40 && rest["data"][39]["latency_ms"] == 1.0,
        "{rest}"
    );
    Ok(())
}

#[test]
fn the_registry_survives_a_restart() -> Result<()> {
    let mut stack = Stack::start()?;
    let mut body = sample("accra-01", 0);
    body["metadata"] = json!({"city": "Accra", "lat": 5.56, "lng": -0.2, "interval_s": 2.0});
    push(&stack.engine, &body)?;
    for restarted in [false, true] {
        if restarted {
            stack.engine.terminate(std::time::Duration::from_secs(30))?;
            stack.engine.restart()?;
        }
        await_that("the node", || {
            Ok(get(&stack.engine, "/api/nodes")?["data"][0]["city"] == "Accra")
        })?;
        let node = get(&stack.engine, "/api/nodes/accra-01")?;
        ensure!(
            node["data"]["lat"] == 5.56 && node["data"]["spark_ms"] == json!([12.5]),
            "{node}"
        );
    }
    Ok(())
}

/// A browser's stream: everything first, then what changes.
#[test]
fn the_live_stream_tells_of_a_sample_soon_after_it_is_stored() -> Result<()> {
    let stack = Stack::start()?;
    let mut stream = Connection::open(&stack.engine)?;
    stream.send(b"GET /api/live HTTP/1.1\r\nHost: e\r\nAccept: text/event-stream\r\n\r\n")?;
    stream.await_text("event: snapshot")?;
    push(&stack.engine, &sample("lagos-01", 0))?;
    stream.await_text("event: change")?;
    stream.await_text("lagos-01")
}

/// A page of another site gets an answer that its browser keeps from it; one of ours may read.
#[test]
fn only_known_origins_may_read_across_sites() -> Result<()> {
    let stack = Stack::with(&[("CORS_ORIGINS", "https://ops.example")])?;
    let ask = |method: &str, origin: &str, more: &str| {
        let head =
            format!("{method} /api/status HTTP/1.1\r\nHost: e\r\nOrigin: {origin}\r\n{more}\r\n");
        exchange(&stack.engine, head.as_bytes())
    };
    let ours = ask("GET", "https://ops.example", "")?;
    ensure!(
        ours.header("access-control-allow-origin") == Some("https://ops.example"),
        "{ours:?}"
    );
    ensure!(ours.header("access-control-allow-credentials").is_none());
    let foreign = ask("GET", "https://evil.test", "")?;
    ensure!(foreign.status == 200 && foreign.header("access-control-allow-origin").is_none());
    ensure!(foreign.header("vary") == Some("origin"), "{foreign:?}");
    let wish = "Access-Control-Request-Method: GET\r\n";
    let preflight = ask("OPTIONS", "https://ops.example", wish)?;
    ensure!(preflight.status == 204, "{preflight:?}");
    ensure!(preflight.header("access-control-allow-methods") == Some("GET, HEAD"));
    let foreign = ask("OPTIONS", "https://evil.test", wish)?;
    ensure!(foreign.status == 405 && foreign.header("access-control-allow-origin").is_none());
    Ok(())
}

#[test]
fn bad_queries_are_422_and_name_the_parameter() -> Result<()> {
    let stack = Stack::start()?;
    for (path, name) in [
        ("/api/metrics?limit=5000", "limit"),
        ("/api/metrics?limit=x", "limit"),
        ("/api/metrics/series?from=yesterday", "from"),
        ("/api/metrics/series?step=0", "step"),
    ] {
        let answer = exchange(
            &stack.engine,
            format!("GET {path} HTTP/1.1\r\nHost: e\r\n\r\n").as_bytes(),
        )?;
        ensure!(answer.status == 422, "{path}: {answer:?}");
        ensure!(
            answer.json()?["message"]
                .as_str()
                .unwrap_or("")
                .contains(name),
            "{answer:?}"
        );
    }
    let hostile = "/api/metrics?node_id=x'%20OR%201=1--";
    let answer = exchange(
        &stack.engine,
        format!("GET {hostile} HTTP/1.1\r\nHost: e\r\n\r\n").as_bytes(),
    )?;
    ensure!([200, 422].contains(&answer.status), "{answer:?}");
    Ok(())
}

#[test]
fn metrics_count_what_was_sent() -> Result<()> {
    let stack = Stack::start()?;
    for age in 0..3 {
        push(&stack.engine, &sample("n", age))?;
    }
    push(&stack.engine, &json!({}))?;
    await_that("the counters", || {
        let answer = fiber_local::http::get(&format!("{}/metrics", stack.engine.url()))?;
        let text = String::from_utf8(answer.body)?;
        let value = |start: &str| {
            text.lines()
                .find(|line| line.starts_with(start))
                .and_then(|line| line.rsplit(' ').next())
                .map(str::to_owned)
        };
        Ok(
            value("fiber_samples_received_total").as_deref() == Some("3")
                && value("fiber_samples_stored_total").as_deref() == Some("3"),
        )
    })
}

/// A gap says what is known of it: the node alone was silent, everybody was, or the database refused.
#[test]
fn gaps_say_why() -> Result<()> {
    let stack = Stack::start()?.with_tables()?;
    stack.sql("ALTER TABLE metrics ADD CONSTRAINT no_poison CHECK (latency_ms <> 666)")?;
    let now_s = UnixMicros::now().0 / 1_000_000;
    let at = |node: &str, minutes_ago: i64| {
        let mut one = sample(node, 0);
        let time = UnixMicros::from_secs(now_s / 60 * 60 - minutes_ago * 60);
        one["timestamp"] = json!(time.to_string());
        one
    };
    let mut poison = at("a", 12);
    poison["latency_ms"] = json!(666);
    // a: 50, 40, silent while b is heard, 20, poison, 5; nobody from 40 to 34 and from 20 to 5.
    let mut samples = vec![at("a", 50), at("a", 40), at("a", 20), poison, at("a", 5)];
    samples.extend((21..=34).map(|minutes_ago| at("b", minutes_ago)));
    samples.extend((41..=50).map(|minutes_ago| at("b", minutes_ago)));
    let body = json!({"node_id": "hub", "metrics": samples}).to_string();
    let request = post(&stack.engine, "/api/push", &[], body.as_bytes());
    ensure!(exchange(&stack.engine, &request)?.status == 202);
    stack.await_rows(28)?;
    let reasons = |selection: &str| -> Result<Vec<String>> {
        let from = UnixMicros::from_secs(now_s / 60 * 60 - 50 * 60);
        let to = UnixMicros::from_secs(now_s / 60 * 60 - 5 * 60);
        let path = format!(
            "/api/metrics/series?step=1m&from={}&to={}{selection}",
            encoded(from),
            encoded(to)
        );
        let answer = get(&stack.engine, &path)?;
        let gaps = answer["data"]["gaps"].as_array().unwrap().iter();
        Ok(gaps
            .map(|gap| gap["reason"].as_str().unwrap().to_owned())
            .collect())
    };
    let of_a = reasons("&node_id=a")?;
    ensure!(
        of_a == ["no samples", "no samples", "samples are in quarantine"],
        "{of_a:?}"
    );
    let of_all = reasons("")?;
    ensure!(
        of_all == ["no samples of any node", "no samples of any node"],
        "{of_all:?}"
    );
    Ok(())
}

//! What operators say about nodes, and what the nodes say of themselves.

use super::{add, ask, sign_in, stack, with_token};
use crate::support::await_that;
use crate::support::client::{Answer, Connection, sample};
use anyhow::{Result, ensure};
use fiber_local::servers::Engine;
use serde_json::{Value, json};
use std::time::Duration;

fn own_word(country: &str, age_ms: i64) -> Value {
    let mut sample = sample("kumasi-01", age_ms);
    sample["country"] = json!(country);
    sample["metadata"] = json!({"city": "its own city", "lat": 1.5, "lng": 2.5});
    sample
}

fn push(engine: &Engine, body: &Value) -> Result<()> {
    let secret = engine.federation_secret().to_owned();
    let answer = with_token(engine, "POST", "/api/push?ack=committed", &secret, body)?;
    ensure!(answer.status == 202, "{answer:?}");
    Ok(())
}

/// Its first samples say another country and place.
fn its_own_word_is_taken_where_it_may(
    engine: &Engine,
    ask: &dyn Fn(&str, Value) -> Result<Answer>,
) -> Result<()> {
    push(engine, &own_word("CI", 1_000))?;
    await_that("the sample", || {
        Ok(ask("GET", json!(null))?.json()?["data"]["state"] == "up")
    })?;
    let node = ask("GET", json!(null))?.json()?["data"].clone();
    ensure!(
        node["country"] == "GH" && node["lat"] == 6.7,
        "pinned: {node}"
    );
    ensure!(node["city"] == "its own city", "not pinned: {node}");

    let changed = ask(
        "PATCH",
        json!({"city": "Kumasi", "region": "Ashanti Region", "country": null}),
    )?;
    ensure!(changed.status == 200, "{changed:?}");
    let node = changed.json()?["data"].clone();
    ensure!(
        node["city"] == "Kumasi" && node["region"] == "Ashanti Region",
        "{node}"
    );
    push(engine, &own_word("TG", 900))?;
    await_that("the node's own country", || {
        Ok(ask("GET", json!(null))?.json()?["data"]["country"] == "TG")
    })?;
    for (bad, status) in [
        (json!({"lat": 91}), 422),
        (json!({"country": "ghana"}), 422),
        (json!({"tags": "edge"}), 422),
    ] {
        let answer = ask("PATCH", bad)?;
        ensure!(answer.status == status, "{answer:?}");
    }
    Ok(())
}

#[test]
fn an_operators_word_wins_until_it_is_given_back() -> Result<()> {
    let mut stack = stack()?;
    let access = {
        add(&stack.engine, "otto", "OPERATOR")?;
        sign_in(&stack.engine, "otto")?.access
    };
    let engine = &stack.engine;
    let ask = |method: &str, body: Value| {
        with_token(engine, method, "/api/nodes/kumasi-01", &access, &body)
    };
    let new = json!({"node_id": "kumasi-01", "country": "GH", "region": "Ashanti", "lat": 6.7,
        "lng": -1.6, "interval_s": 30, "tags": ["edge"]});
    let added = with_token(engine, "POST", "/api/nodes", &access, &new)?;
    ensure!(added.status == 201, "{added:?}");
    let node = added.json()?["data"].clone();
    ensure!(
        node["state"] == "unobserved" && node["first_seen"].is_null(),
        "{node}"
    );
    ensure!(
        node["interval_s"] == 30.0 && node["tags"] == json!(["edge"]),
        "{node}"
    );
    let twice = with_token(engine, "POST", "/api/nodes", &access, &new)?;
    ensure!(twice.status == 409, "{twice:?}");

    its_own_word_is_taken_where_it_may(engine, &ask)?;

    // An engine that starts anew takes the table's word, and the node's only where it may.
    stack.engine.terminate(Duration::from_secs(30))?;
    stack.engine.restart()?;
    push(&stack.engine, &own_word("CI", 800))?;
    let node = "SELECT country, region, city, lat, lng, pinned FROM nodes";
    let expect = "CI|Ashanti Region|Kumasi|6.7|-1.6|{city,expected_interval_s,lat,lng,region,tags}";
    ensure!(stack.sql(node)? == expect, "{}", stack.sql(node)?);
    let entries =
        "SELECT string_agg(action || ' ' || actor || ' ' || detail::text, E'\\n' ORDER BY id)
        FROM audit_log WHERE action LIKE 'node%'";
    let entries = stack.sql(entries)?;
    ensure!(
        entries.starts_with("node.added user:otto ") && entries.contains("Kumasi"),
        "{entries}"
    );
    ensure!(entries.contains("\"given_back\": \"country\""), "{entries}");
    Ok(())
}

#[test]
fn a_deleted_node_goes_its_samples_stay_and_a_new_one_brings_it_back() -> Result<()> {
    let stack = stack()?;
    let engine = &stack.engine;
    add(engine, "otto", "OPERATOR")?;
    let otto = sign_in(engine, "otto")?;
    push(engine, &own_word("GH", 5_000))?;
    await_that("the node", || {
        Ok(otto
            .asks("GET", "/api/nodes/kumasi-01", &json!(null))?
            .status
            == 200)
    })?;
    let mut live = Connection::open(engine)?;
    let cookie = format!("Cookie: fiber_access={}", otto.access);
    live.send(format!("GET /api/live HTTP/1.1\r\nHost: e\r\n{cookie}\r\n\r\n").as_bytes())?;
    live.await_text("kumasi-01")?;

    let gone = otto.asks("DELETE", "/api/nodes/kumasi-01", &json!(null))?;
    ensure!(gone.status == 204 && gone.body.is_empty(), "{gone:?}");
    ensure!(
        otto.asks("GET", "/api/nodes/kumasi-01", &json!(null))?
            .status
            == 404
    );
    let list = otto.asks("GET", "/api/nodes", &json!(null))?;
    ensure!(list.json()?["data"] == json!([]), "{list:?}");
    ensure!(
        otto.asks("DELETE", "/api/nodes/kumasi-01", &json!(null))?
            .status
            == 404,
        "twice"
    );
    live.await_text("\"removed\":[\"kumasi-01\"]")?;

    // What was acknowledged is there, and what was measured before and comes late, too.
    push(engine, &own_word("GH", 4_000))?;
    ensure!(stack.rows()? == 2);
    let raw = otto
        .asks("GET", "/api/metrics?node_id=kumasi-01", &json!(null))?
        .json()?;
    ensure!(raw["data"].as_array().map(Vec::len) == Some(2), "{raw}");
    ensure!(stack.sql("SELECT retired_at IS NOT NULL FROM nodes")? == "t");

    await_that("the node again", || {
        push(engine, &own_word("GH", 0))?;
        Ok(otto
            .asks("GET", "/api/nodes/kumasi-01", &json!(null))?
            .status
            == 200)
    })?;
    // By hand, too.
    ensure!(
        otto.asks("DELETE", "/api/nodes/kumasi-01", &json!(null))?
            .status
            == 204
    );
    let again = json!({"node_id": "kumasi-01", "country": "GH", "region": "Ashanti"});
    let answer = otto.asks("POST", "/api/nodes", &again)?;
    ensure!(
        answer.status == 201 && answer.json()?["data"]["last_seen"].is_string(),
        "{answer:?}"
    );
    ensure!(ask(engine, "DELETE", "/api/nodes/kumasi-01", &[], &json!(null))?.status == 401);
    let none = otto.asks("PATCH", "/api/nodes/nobody", &json!({"lat": 1}))?;
    ensure!(none.status == 404, "{none:?}");
    Ok(())
}

#[test]
fn a_stream_ends_with_the_right_to_watch_it() -> Result<()> {
    let stack = stack()?;
    let engine = &stack.engine;
    add(engine, "vera", "VIEWER")?;
    let vera = sign_in(engine, "vera")?;
    let mut live = Connection::open(engine)?;
    let cookie = format!("Cookie: fiber_access={}", vera.access);
    live.send(format!("GET /api/live HTTP/1.1\r\nHost: e\r\n{cookie}\r\n\r\n").as_bytes())?;
    live.await_text("event: snapshot")?;
    let root = sign_in(engine, "root")?;
    let disabled = json!({"disabled": true});
    ensure!(root.asks("PATCH", "/api/users/vera", &disabled)?.status == 200);
    // The last chunk of a body that ends; nobody says so before.
    live.await_text("\r\n0\r\n\r\n")?;
    Ok(())
}

//! Refusals that need more than one request; the table of bad input is `bad_input`'s.

use crate::support::client::{Connection, push, sample};
use crate::support::{DRIVERS, Stack};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// A whole request from its head's fields; `{auth}` is the good token.
fn request(stack: &Stack, head: &str, body: &str) -> Vec<u8> {
    let auth = format!("Authorization: Bearer {}", stack.engine.federation_secret());
    let head = head
        .replace("{auth}", &auth)
        .replace("{len}", &format!("Content-Length: {}", body.len()));
    format!("{head}\r\n\r\n{body}").into_bytes()
}

const PUSH: &str = "POST /api/push HTTP/1.1\r\nHost: e\r\n{auth}\r\nContent-Type: application/json";

/// A push is judged by its head, on a core and on a connection that the query side holds: a wrong token
/// is refused while a long body is still to come.
#[test]
fn a_push_is_refused_before_its_long_body() -> Result<()> {
    for driver in DRIVERS {
        let stack = Stack::with(&[("FIBER_DRIVER", driver)])?;
        for after_a_query in [false, true] {
            let mut connection = Connection::open(&stack.engine)?;
            if after_a_query {
                connection.send(b"GET /api/status HTTP/1.1\r\nHost: e\r\n\r\n")?;
                ensure!(connection.answer()?.status == 200);
            }
            let head = PUSH.replace("{auth}", "Authorization: Bearer wrong");
            connection.send(format!("{head}\r\nContent-Length: 100000\r\n\r\n").as_bytes())?;
            let refused = connection.answer()?;
            ensure!(refused.status == 401, "{driver}: {refused:?}");
            ensure!(connection.is_closed());
        }
        push(&stack.engine, &sample("n", 0))?;
        stack.await_rows(1)?;
    }
    Ok(())
}

fn next_is_good(stack: &Stack) -> Result<()> {
    ensure!(stack.rows()? == 0, "something bad was stored");
    ensure!(push(&stack.engine, &sample("good", 0))?.status == 202);
    stack.await_rows(1)
}

#[test]
fn without_the_token_the_answer_is_one_and_the_same() -> Result<()> {
    let stack = Stack::start()?;
    let body = sample("n", 0).to_string();
    let mut bodies: Vec<Value> = Vec::new();
    for auth in [
        "X: y",
        "Authorization: Bearer wrong",
        "Authorization: Basic {auth}",
        "Authorization: Bearer ",
        // `{auth}` is the good one: who judges the first and who judges the last must not differ.
        "{auth}\r\nAuthorization: Bearer wrong",
        "Authorization: Bearer wrong\r\n{auth}",
        "{auth}\r\n{auth}",
    ] {
        let head = PUSH.replace("{auth}", auth) + "\r\n{len}";
        let request = request(&stack, &head, &body);
        // On a new connection a core answers, after a query the query side does.
        for after_a_query in [false, true] {
            let mut connection = Connection::open(&stack.engine)?;
            if after_a_query {
                connection.send(b"GET /api/status HTTP/1.1\r\nHost: e\r\n\r\n")?;
                ensure!(connection.answer()?.status == 200);
            }
            connection.send(&request)?;
            let answer = connection.answer()?;
            ensure!(answer.status == 401, "{auth}, {after_a_query}: {answer:?}");
            let mut json = answer.json()?;
            json["trace_id"] = json!(null);
            bodies.push(json);
        }
    }
    ensure!(
        bodies.windows(2).all(|pair| pair[0] == pair[1]),
        "{bodies:?}"
    );
    next_is_good(&stack)
}

/// The quota of one probe is its own, and says when to come back.
#[test]
fn a_probe_over_its_quota_is_told_to_wait_and_others_are_not() -> Result<()> {
    let stack = Stack::with(&[
        ("RATE_LIMIT_INGEST_RATE", "0.01"),
        ("RATE_LIMIT_INGEST_BURST", "2"),
    ])?;
    let statuses = (0..3)
        .map(|age| Ok(push(&stack.engine, &sample("over-its-quota", age))?.status))
        .collect::<Result<Vec<_>>>()?;
    ensure!(statuses == [202, 202, 429], "{statuses:?}");
    let answer = push(&stack.engine, &sample("over-its-quota", 9))?;
    let wait: u64 = answer.header("retry-after").unwrap_or("0").parse()?;
    ensure!(
        wait >= 90 && answer.header("x-ratelimit-remaining") == Some("0"),
        "{answer:?}"
    );
    ensure!(push(&stack.engine, &sample("modest", 0))?.status == 202);
    stack.await_rows(3)
}

/// Another site's page gets no CORS header, on answers and refusals, whatever it calls itself.
#[test]
fn a_foreign_page_may_read_nothing() -> Result<()> {
    let ours = "https://ops.example";
    let stack = Stack::with(&[("CORS_ORIGINS", ours)])?;
    let mut connection = Connection::open(&stack.engine)?;
    for (origin, known) in [
        (ours, true),
        ("https://ops.example.evil.test", false),
        ("http://ops.example", false),
        ("https://evil.test", false),
        ("null", false),
        ("*", false),
    ] {
        for line in [
            "GET /api/status",
            "GET /api/nothing",
            "GET /api/docs",
            "OPTIONS /api/status",
            "POST /api/push",
        ] {
            let request = format!(
                "{line} HTTP/1.1\r\nHost: e\r\nOrigin: {origin}\r\nContent-Length: 0\r\n\
                 Access-Control-Request-Method: GET\r\n\r\n"
            );
            connection.send(request.as_bytes())?;
            let answer = connection.answer()?;
            let allowed = answer.header("access-control-allow-origin");
            let expect = known.then_some(ours);
            ensure!(allowed == expect, "{origin}, {line}: {answer:?}");
            let credentials = answer.header("access-control-allow-credentials");
            ensure!(credentials.is_none(), "{answer:?}");
        }
    }
    for (path, policy) in [
        ("/api/docs", "default-src 'none'"),
        ("/api/openapi.json", ""),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: e\r\n\r\n");
        connection.send(request.as_bytes())?;
        let answer = connection.answer()?;
        let told = answer.header("content-security-policy").unwrap_or("");
        ensure!(told.contains(policy), "{answer:?}");
        ensure!(answer.header("x-content-type-options") == Some("nosniff"));
    }
    Ok(())
}

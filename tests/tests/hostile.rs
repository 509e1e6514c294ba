//! Bad input over a raw socket, on both drivers: the answer of the contract, nothing stored, and
//! the next good request succeeds.

use crate::support::client::{Connection, exchange, post, push, sample};
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

/// On a connection that the query side holds since its first request, a push is judged by its head
/// as well: a wrong token is refused while the body is still to come.
#[test]
fn a_push_after_a_query_is_refused_before_its_body() -> Result<()> {
    for driver in DRIVERS {
        let stack = Stack::with(&[("FIBER_DRIVER", driver)])?;
        let mut connection = Connection::open(&stack.engine)?;
        connection.send(b"GET /api/status HTTP/1.1\r\nHost: e\r\n\r\n")?;
        ensure!(connection.answer()?.status == 200);
        let head = PUSH.replace("{auth}", "Authorization: Bearer wrong");
        connection.send(format!("{head}\r\nContent-Length: 100\r\n\r\n").as_bytes())?;
        let refused = connection.answer()?;
        ensure!(refused.status == 401, "{driver}: {refused:?}");
        push(&stack.engine, &sample("n", 0))?;
        stack.await_rows(1)?;
    }
    Ok(())
}

/// Refused by the framing: the connection is closed after the answer.
#[test]
fn broken_framing_is_answered_and_closed() -> Result<()> {
    for driver in DRIVERS {
        let stack = Stack::with(&[("FIBER_DRIVER", driver)])?;
        let good = sample("n", 0).to_string();
        let cases = [
            (PUSH.replace("Host: e\r\n", "") + "\r\n{len}", 400),
            (format!("{PUSH}\r\nHost: f\r\n{{len}}"), 400),
            (format!("{PUSH}\r\n{{len}}\r\n{{len}}"), 400),
            (
                format!("{PUSH}\r\n{{len}}\r\nTransfer-Encoding: chunked"),
                400,
            ),
            (format!("{PUSH}\r\nContent-Length: +5"), 400),
            (format!("{PUSH}\r\nContent-Length: 0x5"), 400),
            (format!("{PUSH}\r\nContent-Length: 5,5"), 400),
            (
                format!("{PUSH}\r\nContent-Length: 9223372036854775808"),
                400,
            ),
            (format!("{PUSH}\r\n{{len}}\r\nA : b"), 400),
            (format!("{PUSH}\r\n{{len}}\r\nA: b\r\n c"), 400),
            (format!("{PUSH}\r\n{{len}}\r\nA: \x01"), 400),
            (format!("{PUSH}\r\n{{len}}\nA: b"), 400),
            (format!("{PUSH}\r\n{{len}}\rA: b"), 400),
            (format!("{PUSH}\r\nTransfer-Encoding: gzip"), 501),
            (format!("{PUSH}\r\n{{len}}\r\nExpect: tea"), 417),
            (PUSH.replace("HTTP/1.1", "HTTP/2.0") + "\r\n{len}", 505),
            (PUSH.replace("POST", "BREW") + "\r\n{len}", 501),
            (
                PUSH.replace("/api/push", &format!("/{}", "a".repeat(9_000))) + "\r\n{len}",
                414,
            ),
            (format!("{PUSH}\r\n{{len}}{}", "\r\nA: b".repeat(70)), 431),
            (
                format!("{PUSH}\r\n{{len}}\r\nA: {}", "b".repeat(17_000)),
                431,
            ),
            (format!("{PUSH}\r\nContent-Length: 10485761"), 413),
            (
                format!("{PUSH}\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\n"),
                400,
            ),
        ];
        for (head, status) in cases {
            let mut connection = Connection::open(&stack.engine)?;
            connection.send(&request(&stack, &head, &good))?;
            let answer = connection.answer()?;
            ensure!(
                answer.status == status,
                "{driver}: {head:?} gave {answer:?}"
            );
            ensure!(answer.json()?["status"] == "error", "{answer:?}");
            ensure!(
                connection.is_closed(),
                "{driver}: {head:?} left the connection open"
            );
        }
        next_is_good(&stack)?;
    }
    Ok(())
}

fn next_is_good(stack: &Stack) -> Result<()> {
    ensure!(stack.rows()? == 0, "something bad was stored");
    ensure!(push(&stack.engine, &sample("good", 0))?.status == 202);
    stack.await_rows(1)
}

#[test]
fn bad_json_is_400_and_bad_samples_422_with_their_field() -> Result<()> {
    for driver in DRIVERS {
        let stack = Stack::with(&[("FIBER_DRIVER", driver)])?;
        let mut connection = Connection::open(&stack.engine)?;
        for body in [
            "",
            "{",
            "nope",
            "{\"a\":NaN}",
            "{}{}",
            &"[".repeat(50),
            "{\"a\":1e400}",
        ] {
            connection.send(&post(&stack.engine, "/api/push", &[], body.as_bytes()))?;
            let answer = connection.answer()?;
            ensure!(answer.status == 400, "{driver}: {body} gave {answer:?}");
            ensure!(answer.json()?["code"] == "MALFORMED_BATCH", "{answer:?}");
        }
        for field in [
            "node_id",
            "country",
            "region",
            "latency_ms",
            "uptime_pct",
            "packet_loss",
            "timestamp",
        ] {
            let mut body = sample("n", 0);
            body.as_object_mut().unwrap().remove(field);
            connection.send(&post(
                &stack.engine,
                "/api/push",
                &[],
                body.to_string().as_bytes(),
            ))?;
            let answer = connection.answer()?;
            let error = answer.json()?;
            ensure!(
                answer.status == 422 && error["code"] == "INVALID_METRIC",
                "{answer:?}"
            );
            ensure!(error["errors"][0]["field"] == field, "{error}");
            ensure!(
                error["message"].as_str().unwrap_or("").contains(field),
                "{error}"
            );
        }
        next_is_good(&stack)?;
    }
    Ok(())
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

#[test]
fn other_media_batch_ids_and_routes_are_refused() -> Result<()> {
    let stack = Stack::start()?;
    let body = sample("n", 0).to_string();
    for (head, status, code) in [
        (
            PUSH.replace("application/json", "text/plain"),
            415,
            "UNSUPPORTED_MEDIA",
        ),
        (
            format!("{PUSH}\r\nContent-Encoding: br"),
            415,
            "UNSUPPORTED_MEDIA",
        ),
        (
            PUSH.replace("/api/push", "/api/ingest"),
            400,
            "MISSING_BATCH_ID",
        ),
        (format!("{PUSH}\r\nX-Batch-ID: 7"), 400, "MALFORMED_BATCH"),
        (PUSH.replace("/api/push", "/api/nothing"), 404, "NOT_FOUND"),
        (PUSH.replace("POST", "DELETE"), 405, "METHOD_NOT_ALLOWED"),
    ] {
        let answer = exchange(
            &stack.engine,
            &request(&stack, &(head.clone() + "\r\n{len}"), &body),
        )?;
        ensure!(answer.status == status, "{head}: {answer:?}");
        ensure!(answer.json()?["code"] == code, "{answer:?}");
    }
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
        .map(|age| Ok(push(&stack.engine, &sample("greedy", age))?.status))
        .collect::<Result<Vec<_>>>()?;
    ensure!(statuses == [202, 202, 429], "{statuses:?}");
    let answer = push(&stack.engine, &sample("greedy", 9))?;
    let wait: u64 = answer.header("retry-after").unwrap_or("0").parse()?;
    ensure!(
        wait >= 90 && answer.header("x-ratelimit-remaining") == Some("0"),
        "{answer:?}"
    );
    ensure!(push(&stack.engine, &sample("modest", 0))?.status == 202);
    stack.await_rows(3)
}

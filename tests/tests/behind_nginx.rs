//! The engine behind nginx, with the configuration that ships: whatever a client sends, the two agree on
//! where each request ends.
//!
//! Each attack hides a push in what one of two readers might take for a body. It must never be stored
//! unless nginx itself saw it as a request (its access log knows), and every canary behind it, on the
//! same connection or on another's, must get its own answer: the engine echoes X-Trace-ID.

use crate::support::Stack;
use crate::support::client::{Answer, Connection, post, sample};
use anyhow::{Context as _, Result, ensure};
use fiber_local::servers::Nginx;
use std::collections::BTreeSet;
use std::net::TcpStream;
use std::time::Duration;

const SITE: &str = include_str!("../../deploy/nginx/fiberstack.conf");
/// Victims per attack: more than the connections that nginx keeps to the engine at a time.
const VICTIMS: usize = 4;
/// For what the attacker gets; what was stored is asked of the database.
const PATIENCE: Duration = Duration::from_millis(250);

fn connect(nginx: &Nginx) -> Result<Connection> {
    Connection::over(TcpStream::connect(("127.0.0.1", nginx.port()))?)
}

/// A push of its own that counts as stored by its node's name.
fn hidden(stack: &Stack, number: usize) -> Vec<u8> {
    let body = sample(&format!("hidden-{number}"), 0).to_string();
    let trace = format!("X-Trace-ID: hidden-{number}");
    post(&stack.engine, "/api/push", &[&trace], body.as_bytes())
}

fn canary(trace: &str) -> Vec<u8> {
    format!("GET /api/federation/status HTTP/1.1\r\nHost: e\r\nX-Trace-ID: {trace}\r\n\r\n")
        .into_bytes()
}

fn is_answer_to(answer: &Answer, trace: &str) -> bool {
    answer.status == 200 && answer.header("x-trace-id") == Some(trace)
}

const CODINGS: [&str; 16] = [
    "Transfer-Encoding: chunked",
    "transfer-encoding:chunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding:\tchunked",
    "Transfer-Encoding: \u{b}chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "Transfer-Encoding:\r\n chunked",
    "X: y\nTransfer-Encoding: chunked",
    "X: y\rTransfer-Encoding: chunked",
    "Transfer_Encoding: chunked",
    "\u{a0}Transfer-Encoding: chunked",
    "Transfer-Encoding: \"chunked\"",
];

const LENGTHS: [&str; 12] = [
    "Content-Length: 0\r\nContent-Length: {all}",
    "Content-Length: {all}\r\nContent-Length: 0",
    "Content-Length: 0, {all}",
    "Content-Length: +{all}",
    "Content-Length: 0{all}",
    "Content-Length: {all} 0",
    "Content-Length:\r\n {all}",
    "Content-Length : {all}",
    "Content_Length: {all}",
    "X: y\nContent-Length: {all}",
    "Content-Length: {all}\u{b}",
    "Content-Length: {all}",
];

const CHUNKS: [&str; 14] = [
    "0\r\n\r\n",
    "0\n\n",
    "0\r\nX: y\r\n\r\n",
    "0\r\nContent-Length: 9\r\n\r\n",
    "0;\n\r\n\r\n",
    "0;a=\"\r\n\r\n",
    "00000000000000000\r\n\r\n",
    "0 \r\n\r\n",
    "0x0\r\n\r\n",
    "+0\r\n\r\n",
    "2\r\n{}\n0\r\n\r\n",
    "2\r\n{}0\r\n\r\n",
    "2\r\n{}\r\n-0\r\n\r\n",
    "10000000000000000\r\n",
];

const LINES: [&str; 10] = [
    "POST http://e/api/push HTTP/1.1",
    "POST  /api/push HTTP/1.1",
    "POST /api/push  HTTP/1.1",
    "POST /api/push HTTP/1.1 ",
    "POST /api/push HTTP/1.1\nX: y",
    "POST /api/push%20HTTP/1.1%0d%0aX:y HTTP/1.1",
    "POST /api/push#x HTTP/1.1",
    "\r\nPOST /api/push HTTP/1.1",
    "POST /api/push HTTP/1.10",
    "POST /api/push",
];

const OTHERS: [&str; 3] = [
    "Expect: 100-continue",
    "Upgrade: websocket\r\nConnection: upgrade",
    "Connection: content-length",
];

/// Fields that two readers may take differently, each before a body that hides a push.
fn attacks(stack: &Stack) -> Vec<Vec<u8>> {
    let auth = format!(
        "Host: e\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n",
        stack.engine.federation_secret()
    );
    let mut attacks = Vec::new();
    let mut number = 0;
    let mut add = |line: &str, fields: &str, before: &str| {
        let hidden = hidden(stack, number);
        number += 1;
        let length = before.len() + hidden.len();
        let fields = fields
            .replace("{all}", &length.to_string())
            .replace("{some}", &before.len().to_string());
        let head = format!("{line}\r\n{auth}{fields}\r\n\r\n{before}");
        attacks.push([head.as_bytes(), &hidden].concat());
    };
    let push = "POST /api/push HTTP/1.1";
    for coding in CODINGS {
        // One reader ends at the last chunk, the other goes on for the length; and the reverse.
        add(
            push,
            &format!("Content-Length: {{all}}\r\n{coding}"),
            "0\r\n\r\n",
        );
        add(
            push,
            &format!("{coding}\r\nContent-Length: {{some}}"),
            "2\r\n{}\r\n0\r\n\r\n",
        );
        add(push, coding, "0\r\n\r\n");
    }
    for length in LENGTHS {
        add(push, length, "");
        add("GET /api/federation/status HTTP/1.1", length, "");
        add("DELETE /api/push HTTP/1.1", length, "");
        add("GET /api/nothing HTTP/1.1", length, "");
        add(
            "POST /api/push HTTP/1.0",
            &format!("Connection: keep-alive\r\n{length}"),
            "",
        );
    }
    for chunks in CHUNKS {
        add(push, "Transfer-Encoding: chunked", chunks);
        add(
            "POST /api/push HTTP/1.0",
            "Transfer-Encoding: chunked",
            chunks,
        );
        add(
            "GET /api/status HTTP/1.1",
            "Transfer-Encoding: chunked",
            chunks,
        );
    }
    for line in LINES {
        add(line, "Content-Length: 0", "");
        add(line, "Content-Length: {all}", "");
    }
    for fields in OTHERS {
        add(push, &format!("{fields}\r\nContent-Length: {{all}}"), "");
        add(
            "GET / HTTP/1.1",
            &format!("{fields}\r\nContent-Length: {{all}}"),
            "",
        );
    }
    attacks
}

/// All answers until the connection ends or is silent; each must have a trace id of this connection.
fn judge_own_answers(connection: &mut Connection, number: usize) -> Result<()> {
    let own = [format!("hidden-{number}"), format!("own-{number}")];
    while let Ok(answer) = connection.answer() {
        let echoed = answer.header("x-trace-id").unwrap_or_default();
        let foreign = ["victim-", "hidden-", "own-"]
            .iter()
            .any(|kind| echoed.starts_with(kind))
            && !own.iter().any(|own| own == echoed);
        ensure!(!foreign, "somebody else's answer: {answer:?}");
        if echoed == own[1] {
            break;
        }
    }
    Ok(())
}

#[test]
fn the_two_agree_on_where_requests_end() -> Result<()> {
    let stack = Stack::with(&[("FIBER_TRUSTED_PROXIES", "127.0.0.1/32")])?;
    let nginx = Nginx::start(SITE, stack.engine.port())?;
    let attacks = attacks(&stack);
    for (number, attack) in attacks.iter().enumerate() {
        let judge = || -> Result<()> {
            let mut attacker = connect(&nginx)?;
            let own = canary(&format!("own-{number}"));
            // nginx may have closed by then.
            let _sent = attacker.send(&[attack, &own[..]].concat());
            for victim in 0..VICTIMS {
                let trace = format!("victim-{number}-{victim}");
                let mut connection = connect(&nginx)?;
                connection.send(&canary(&trace))?;
                let answer = connection.answer()?;
                ensure!(is_answer_to(&answer, &trace), "{trace}: {answer:?}");
            }
            // Some wait for more of a body, as they should.
            attacker.be_patient_for(PATIENCE)?;
            judge_own_answers(&mut attacker, number)
        };
        judge().with_context(|| format!("attack {number}: {}", attack.escape_ascii()))?;
    }
    // A good push goes the same way, and is waited for: what the engine had taken is stored with it.
    let mut connection = connect(&nginx)?;
    let body = sample("good", 0).to_string();
    connection.send(&post(
        &stack.engine,
        "/api/push?ack=committed",
        &[],
        body.as_bytes(),
    ))?;
    ensure!(connection.answer()?.status == 202);
    let seen = nginx.access_log()?;
    let (mut stored, mut pipelined) = (0, 0_usize);
    let nodes = stack.sql("SELECT DISTINCT node_id FROM samples WHERE node_id LIKE 'hidden-%'")?;
    let in_table: BTreeSet<&str> = nodes.lines().collect();
    for (number, attack) in attacks.iter().enumerate() {
        let hidden = format!("hidden-{number}");
        let by_nginx = seen
            .lines()
            .any(|line| line.starts_with(&format!("{hidden} ")));
        pipelined += usize::from(by_nginx);
        if in_table.contains(hidden.as_str()) {
            stored += 1;
            let attack = attack.escape_ascii();
            ensure!(by_nginx, "{hidden} was smuggled past nginx: {attack}");
        }
    }
    // Some are two good requests to both; without them the test would judge nothing.
    ensure!(
        stored > 0 && pipelined >= stored,
        "{stored} stored, {pipelined} seen"
    );
    println!(
        "{} attacks, {pipelined} plainly pipelined, {stored} stored",
        attacks.len()
    );
    Ok(())
}

#[test]
fn pipelined_canaries_come_back_in_their_order() -> Result<()> {
    const CANARIES: usize = 300;
    let stack = Stack::start()?;
    let nginx = Nginx::start(SITE, stack.engine.port())?;
    let mut all = Vec::new();
    for number in 0..CANARIES {
        let trace = format!("canary-{number}");
        if number % 3 == 0 {
            let body = sample("pipelined", i64::try_from(number)?).to_string();
            let trace = format!("X-Trace-ID: {trace}");
            all.extend(post(&stack.engine, "/api/push", &[&trace], body.as_bytes()));
        } else {
            all.extend(canary(&trace));
        }
    }
    let mut connection = connect(&nginx)?;
    for piece in all.chunks(997) {
        connection.send(piece)?;
    }
    for number in 0..CANARIES {
        let answer = connection.answer()?;
        let expect = if number % 3 == 0 { 202 } else { 200 };
        let trace = format!("canary-{number}");
        ensure!(
            answer.status == expect && answer.header("x-trace-id") == Some(&trace),
            "{number}: {answer:?}"
        );
    }
    stack.await_rows(CANARIES as u64 / 3)
}

//! A thousand connections that are slow in every way, while good probes go on: the good are answered,
//! memory stays where it is, and what the slow ones hold is bounded. More of them behind
//! FIBER_TEST_SLOW, as `make slow` asks for.

use crate::support::client::{Connection, get, post, unlike_sample};
use crate::support::{DRIVERS, Stack};
use anyhow::{Context as _, Result, ensure};
use fiber_local::servers::Engine;
use serde_json::json;
use socket2::{Domain, SockRef, Socket, Type};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

const SLOW: usize = 1_000;
const GOOD_ROUNDS: usize = 150;
/// What a thousand connections may hold, and what an allocator keeps besides. Each has its buffer of
/// at most 16 KiB of head and, on the query side, a task with hyper's buffers.
const GROWTH_BYTES_MAX: u64 = 96 * 1024 * 1024;

fn resident_bytes(engine: &Engine) -> Result<u64> {
    let pid = engine.pid().context("the engine runs")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.split_whitespace().next())
        .context("no VmRSS")?
        .parse()?;
    Ok(kib * 1024)
}

/// From addresses of their own, by the hundred.
fn connect(engine: &Engine, number: usize) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let host = u8::try_from(number / 100 % 200)? + 1;
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 2, host), 0)).into())?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, engine.port())).into())?;
    Ok(socket.into())
}

/// The ways to be slow, one after the other.
fn slow(stack: &Stack, number: usize) -> Result<TcpStream> {
    let mut stream = connect(&stack.engine, number)?;
    let push = post(&stack.engine, "/api/push", &[], &[b'x'; 40_000]);
    let head_bytes = push.len() - 40_000;
    let query = b"GET /api/status HTTP/1.1\r\nHost: e\r\n\r\n";
    match number % 8 {
        // Silent from the beginning, and behind an answer.
        0 => {}
        1 => stream.write_all(query)?,
        // Half a head, on either side.
        2 => stream.write_all(&push[..head_bytes / 2])?,
        3 => stream.write_all(&[query, &push[..head_bytes / 2]].concat())?,
        // Half a body.
        4 => stream.write_all(&push[..head_bytes + 20_000])?,
        5 => stream.write_all(&[query, &push[..head_bytes + 20_000]].concat())?,
        // Ask for much and read nothing of it.
        6 => {
            SockRef::from(&stream).set_recv_buffer_size(4 * 1024)?;
            let ask = b"GET /api/openapi.json HTTP/1.1\r\nHost: e\r\n\r\n";
            stream.write_all(&ask.repeat(50))?;
        }
        _ => {
            SockRef::from(&stream).set_recv_buffer_size(4 * 1024)?;
            stream.write_all(b"GET /api/live HTTP/1.1\r\nHost: e\r\n\r\n")?;
        }
    }
    Ok(stream)
}

#[test]
fn good_probes_go_on_beside_a_thousand_slow_connections() -> Result<()> {
    let count = match std::env::var("FIBER_TEST_SLOW") {
        Ok(text) => text.parse()?,
        Err(_) => SLOW,
    };
    for driver in DRIVERS {
        let stack = Stack::with(&[("FIBER_DRIVER", driver)])?;
        let mut probe = Connection::open(&stack.engine)?;
        let mut pushes = 0;
        let mut good = |rounds: usize| -> Result<()> {
            for _ in 0..rounds {
                pushes += 1;
                let body = json!({ "node_id": "good", "metrics": [unlike_sample("good")] });
                probe.send(&post(
                    &stack.engine,
                    "/api/push",
                    &[],
                    body.to_string().as_bytes(),
                ))?;
                let answer = probe.answer()?;
                ensure!(answer.status == 202, "{driver}: {answer:?}");
                // With more of them the query side is full, and says so.
                if pushes % 50 == 0 && count <= SLOW {
                    ensure!(get(&stack.engine, "/api/status")?["status"] == "ok");
                }
            }
            Ok(())
        };
        good(GOOD_ROUNDS)?;
        let before = resident_bytes(&stack.engine)?;
        let mut held = Vec::new();
        for number in 0..count {
            held.push(slow(&stack, number)?);
            if number % 20 == 0 {
                good(1)?;
            }
        }
        good(GOOD_ROUNDS)?;
        let beside = resident_bytes(&stack.engine)?;
        // Another thousand in their place: what the first held came back.
        held.clear();
        for number in 0..count {
            held.push(slow(&stack, number)?);
        }
        good(GOOD_ROUNDS)?;
        let again = resident_bytes(&stack.engine)?;
        println!("{driver}: {count} slow, {before} bytes before, {beside} beside, {again} again");
        for resident in [beside, again] {
            let growth = resident.saturating_sub(before);
            ensure!(
                growth < GROWTH_BYTES_MAX,
                "{driver}: grew by {growth} bytes"
            );
        }
        drop(held);
        good(GOOD_ROUNDS)?;
        stack.await_rows(pushes)?;
    }
    Ok(())
}

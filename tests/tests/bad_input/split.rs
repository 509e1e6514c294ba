//! One row at every split, on as many connections at once, so that the pause between the two parts is
//! paid once.

use super::rows::Row;
use crate::support::Stack;
use crate::support::client::{Connection, post, unlike_sample};
use anyhow::{Context as _, Result, ensure};
use fiber_local::servers::Engine;
use socket2::{Domain, Socket, Type};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Who serves the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Core,
    Query,
}

/// Long requests are split at so many places, which are near both ends and spread between.
const SPLITS_MAX: usize = 700;
/// Long enough for the engine to have read the first part, mostly; the answer does not depend on it.
const PAUSE: Duration = Duration::from_millis(10);

impl Side {
    /// From an address of its own for each row: the ports of one would run out.
    pub(super) fn connect(self, engine: &Engine, row: u8) -> Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        let from = SocketAddr::from((Ipv4Addr::new(127, 0, 1, row.max(1)), 0));
        socket.bind(&from.into())?;
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, engine.port()));
        socket.connect(&to.into())?;
        let mut stream = TcpStream::from(socket);
        if self == Self::Query {
            stream.write_all(b"HEAD /api/status HTTP/1.1\r\nHost: e\r\n\r\n")?;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte)?;
                head.extend(byte);
            }
            ensure!(head.starts_with(b"HTTP/1.1 200"), "{}", head.escape_ascii());
        }
        Ok(stream)
    }
}

fn splits(length: usize) -> Vec<usize> {
    if length <= SPLITS_MAX {
        return (0..length).collect();
    }
    let ends = SPLITS_MAX / 4;
    let stride = length.div_ceil(SPLITS_MAX / 2);
    (0..ends)
        .chain((ends..length - ends).step_by(stride))
        .chain(length - ends..length)
        .collect()
}

/// Answers how many good samples were stored meanwhile.
pub(super) fn check(stack: &Stack, side: Side, row: &Row) -> Result<u64> {
    let mut connections = Vec::new();
    for at in splits(row.request.len()) {
        let mut connection = Connection::over(side.connect(&stack.engine, row.number)?)?;
        connection.send(&row.request[..at])?;
        connections.push((at, connection));
    }
    std::thread::sleep(PAUSE);
    for (at, connection) in &mut connections {
        // It may have been answered, and closed, by its first part.
        let sent = connection.send(&row.request[*at..]);
        ensure!(sent.is_ok() || row.closes, "split at {at}: {sent:?}");
    }
    for (at, connection) in &mut connections {
        judge(row, connection).with_context(|| format!("split at {at}"))?;
    }
    // The same sample at every split is stored once.
    let mut stored = u64::from(row.status == 202);
    if !row.closes {
        for (_, connection) in &mut connections {
            connection.send(&good(&stack.engine))?;
        }
        for (at, connection) in &mut connections {
            let answer = connection
                .answer()
                .with_context(|| format!("split at {at}"))?;
            ensure!(answer.status == 202, "the next, split at {at}: {answer:?}");
        }
        stored += connections.len() as u64;
    }
    let mut next = Connection::over(side.connect(&stack.engine, row.number)?)?;
    next.send(&good(&stack.engine))?;
    ensure!(next.answer()?.status == 202, "the next request");
    Ok(stored + 1)
}

fn judge(row: &Row, connection: &mut Connection) -> Result<()> {
    let answer = connection.answer()?;
    ensure!(answer.status == row.status, "{answer:?}");
    super::close_is_told(row, &answer.head)?;
    ensure!(answer.header("x-trace-id").is_some(), "{answer:?}");
    if row.status != 202 {
        let json = answer.json()?;
        ensure!(json["status"] == "error", "{answer:?}");
        ensure!(json["code"] == row.code, "{answer:?}");
        ensure!(
            json["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        if let Some(field) = row.field {
            ensure!(json["errors"][0]["field"] == field, "{answer:?}");
            ensure!(json["errors"][0]["index"] == 0, "{answer:?}");
        }
    }
    if let Some(allow) = row.allow {
        ensure!(answer.header("allow") == Some(allow), "{answer:?}");
    }
    if row.closes {
        ensure!(connection.is_closed(), "it is open behind {answer:?}");
    }
    Ok(())
}

fn good(engine: &Engine) -> Vec<u8> {
    let body = unlike_sample("good").to_string();
    post(engine, "/api/push", &[], body.as_bytes())
}

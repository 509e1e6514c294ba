//! The rows that take a clock, all at once: a head that does not end, a body that drips, silence, and
//! a peer that takes no answer. Nothing is asked about how long it took, but that it was not at once.

use super::split::Side;
use crate::support::client::{Connection, post, push, sample};
use crate::support::{DRIVERS, Stack};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// The longest deadline is a minute.
const HOPE: Duration = Duration::from_secs(90);

fn begun(stack: &Stack, side: Side, first: &[u8]) -> Result<Connection> {
    let stream = side.connect(&stack.engine, 250)?;
    stream.set_read_timeout(Some(HOPE))?;
    let mut connection = Connection::waiting(stream);
    connection.send(first)?;
    Ok(connection)
}

#[test]
fn heads_bodies_and_silence_have_their_time() -> Result<()> {
    // Both at once: they only wait.
    std::thread::scope(|scope| {
        let judges = DRIVERS.map(|driver| scope.spawn(move || judge(driver)));
        judges
            .into_iter()
            .try_for_each(|judge| judge.join().expect("it returns its findings"))
    })
}

fn judge(driver: &str) -> Result<()> {
    let stack = Stack::with(&[("FIBER_DRIVER", driver)])?;
    let started = Instant::now();
    let whole = post(&stack.engine, "/api/push", &[], b"0123456789");
    let body_at = whole.len() - 10;
    let chunked = super::rows::chunked(&stack, &[], &[b'x'; 100]);
    let mut late = Vec::new();
    for side in [Side::Core, Side::Query] {
        for first in [
            &whole[..1],
            &whole[..60],
            &whole[..body_at - 1],
            &whole[..body_at],
            &whole[..body_at + 5],
            &chunked[..chunked.len() - 30],
        ] {
            late.push((first.len(), begun(&stack, side, first)?));
        }
    }
    let mut idle = vec![
        begun(&stack, Side::Core, b"")?,
        begun(&stack, Side::Query, b"")?,
        begun(&stack, Side::Core, &whole)?,
    ];
    ensure!(idle[2].answer()?.status == 400);
    ensure!(push(&stack.engine, &sample("good", 0))?.status == 202);
    for (bytes, connection) in &mut late {
        let answer = connection.answer()?;
        ensure!(answer.status == 408, "{driver}, {bytes} bytes: {answer:?}");
        ensure!(answer.header("connection") == Some("close"), "{answer:?}");
        ensure!(answer.json()?["code"] == "REQUEST_TIMEOUT", "{answer:?}");
        ensure!(connection.is_closed());
    }
    ensure!(started.elapsed() >= Duration::from_secs(9), "too early");
    for connection in &mut idle {
        ensure!(
            connection.is_closed(),
            "{driver}: silence ends without a word"
        );
    }
    ensure!(started.elapsed() >= Duration::from_secs(59), "too early");
    ensure!(push(&stack.engine, &sample("good", 1))?.status == 202);
    stack.await_rows(2)
}

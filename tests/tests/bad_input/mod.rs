//! The contract's table of bad input, row by row, over raw sockets: on both drivers, on the cores and
//! on connections that the query side holds, in two parts split at every byte. Each row has its
//! answer, closes or goes on as it must, stores nothing, and the next good request succeeds.

mod deadlines;
mod rows;
mod split;

use crate::support::client::{Connection, post, sample};
use crate::support::{DRIVERS, Stack};
use anyhow::{Context as _, Result, ensure};
use rows::Row;
use split::{Side, check};

/// Who serves is part of what is checked: four ways in all.
fn on_every_side(judge: impl Fn(&Stack, Side) -> Result<()>) -> Result<()> {
    for driver in DRIVERS {
        // Hundreds of wrong tokens come from one address here, which is not what is looked at.
        let rate = ("RATE_LIMIT_STRANGER_RATE", "1000000");
        let stack = Stack::with(&[("FIBER_DRIVER", driver), rate])?;
        for side in [Side::Core, Side::Query] {
            judge(&stack, side).with_context(|| format!("{driver}, {side:?}"))?;
        }
    }
    Ok(())
}

#[test]
fn every_row_has_its_answer_at_every_split_and_stores_nothing() -> Result<()> {
    on_every_side(|stack, side| {
        let before = stack.rows()?;
        let mut good = 0;
        for row in rows::all(stack) {
            good += check(stack, side, &row).with_context(|| format!("{row:?}"))?;
        }
        stack.await_rows(before + good)?;
        let bad = stack.sql("SELECT count(*) FROM samples WHERE node_id = 'bad'")?;
        ensure!(bad == "0", "{bad} bad samples are stored");
        Ok(())
    })
}

/// What looks unusual and is good: taken, whatever the split.
#[test]
fn unusual_and_valid_requests_are_taken_at_every_split() -> Result<()> {
    on_every_side(|stack, side| {
        let before = stack.rows()?;
        let mut good = 0;
        for row in rows::taken(stack) {
            good += check(stack, side, &row).with_context(|| format!("{row:?}"))?;
        }
        stack.await_rows(before + good)
    })
}

/// Answers come in the order of the requests, each to its own, however they are cut.
#[test]
fn pipelined_requests_are_answered_in_their_order() -> Result<()> {
    const REQUESTS: usize = 60;
    on_every_side(|stack, side| {
        let mut all = Vec::new();
        for number in 0..REQUESTS {
            let trace = format!("X-Trace-ID: pipelined-{number}");
            let node_id = format!("pipelined-{side:?}");
            let age_ms = i64::try_from(number)?;
            let body = sample(&node_id, age_ms).to_string().into_bytes();
            let request = match number % 4 {
                0 => rows::chunked(stack, &[&trace], &body),
                1 => post(&stack.engine, "/api/push", &[&trace], b"{"),
                _ => post(&stack.engine, "/api/push", &[&trace], &body),
            };
            all.extend(request);
        }
        for piece_bytes in [all.len(), 1_400, 333, 61] {
            let before = stack.rows()?;
            let mut connection = Connection::over(side.connect(&stack.engine, 1)?)?;
            for piece in all.chunks(piece_bytes) {
                connection.send(piece)?;
            }
            for number in 0..REQUESTS {
                let answer = connection.answer()?;
                let expect = if number % 4 == 1 { 400 } else { 202 };
                ensure!(answer.status == expect, "{number}: {answer:?}");
                let trace = answer.header("x-trace-id").unwrap_or_default();
                ensure!(trace == format!("pipelined-{number}"), "{answer:?}");
            }
            // The same samples again are duplicates.
            let stored = if before == 0 || piece_bytes == all.len() {
                45
            } else {
                0
            };
            stack.await_rows(before + stored)?;
        }
        Ok(())
    })
}

fn close_is_told(row: &Row, head: &str) -> Result<()> {
    let told = head.lines().any(|line| {
        line.split_once(':').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("connection") && value.trim().eq_ignore_ascii_case("close")
        })
    });
    ensure!(told == row.closes, "{head}");
    Ok(())
}

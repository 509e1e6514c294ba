//! How answers are kept, tagged and given up.

use crate::support::client::{Answer, exchange, get, push, sample};
use crate::support::{Stack, await_that};
use anyhow::{Context as _, Result, ensure};
use std::thread;

fn ask(stack: &Stack, path: &str, field: &str) -> Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: e\r\n{field}\r\n");
    exchange(&stack.engine, request.as_bytes())
}

fn counter(stack: &Stack, name: &str) -> Result<u64> {
    let answer = fiber_local::http::get(&format!("{}/metrics", stack.engine.url()))?;
    let text = String::from_utf8(answer.body)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    Ok(line.context("no such metric")?.trim().parse()?)
}

#[test]
fn what_did_not_change_does_not_travel_again() -> Result<()> {
    let stack = Stack::start()?;
    ensure!(push(&stack.engine, &sample("n", 50))?.status == 202);
    stack.await_rows(1)?;
    let path = "/api/metrics?node_id=n";
    let first = ask(&stack, path, "")?;
    let tag = first.header("etag").context("no tag")?.to_owned();
    ensure!(first.status == 200 && first.header("cache-control") == Some("private, no-cache"));
    let again = ask(&stack, path, &format!("If-None-Match: {tag}\r\n"))?;
    ensure!(again.status == 304 && again.body.is_empty(), "{again:?}");
    ensure!(again.header("etag") == Some(tag.as_str()));
    ensure!(push(&stack.engine, &sample("n", 10))?.status == 202);
    stack.await_rows(2)?;
    let other = ask(&stack, path, &format!("If-None-Match: {tag}\r\n"))?;
    ensure!(other.status == 200 && other.header("etag") != Some(tag.as_str()));
    // What is not data has no tag: nobody may keep who he was.
    ensure!(ask(&stack, "/api/status", "")?.header("etag").is_none());
    Ok(())
}

/// One node's answers are never kept: who committed a sample sees it.
#[test]
fn answers_over_many_nodes_are_kept_for_a_moment() -> Result<()> {
    const KEPT: &str = "fiber_query_kept_total ";
    let stack = Stack::start()?;
    ensure!(push(&stack.engine, &sample("n", 50))?.status == 202);
    stack.await_rows(1)?;
    get(&stack.engine, "/api/metrics/series?node_id=n")?;
    get(&stack.engine, "/api/metrics/series?node_id=n")?;
    ensure!(counter(&stack, KEPT)? == 0);
    for path in [
        "/api/metrics/series",
        "/api/metrics/cluster",
        "/api/metrics/aggregated?dimension=node",
    ] {
        let before = counter(&stack, KEPT)?;
        await_that(path, || {
            let (first, second) = (get(&stack.engine, path)?, get(&stack.engine, path)?);
            ensure!(first["status"] == "ok" && second["status"] == "ok");
            Ok(counter(&stack, KEPT)? > before)
        })?;
    }
    ensure!(push(&stack.engine, &sample("m", 5))?.status == 202);
    await_that("the second node in the fleet's answer", || {
        Ok(get(&stack.engine, "/api/metrics/cluster")?["data"]["summary"]["nodes"] == 2)
    })
}

/// A statement that takes too long is ended by the database, and told as a 503.
#[test]
fn a_statement_that_takes_too_long_is_a_503() -> Result<()> {
    let stack = Stack::start()?;
    ensure!(push(&stack.engine, &sample("n", 50))?.status == 202);
    stack.await_rows(1)?;
    let locked = "BEGIN; LOCK TABLE series IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(9); COMMIT";
    thread::scope(|scope| {
        let lock = scope.spawn(|| stack.sql(locked));
        await_that("the lock", || {
            let held =
                "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted
                        AND relation = 'series'::regclass";
            Ok(stack.sql(held)? == "1")
        })?;
        let answer = ask(&stack, "/api/metrics?node_id=n", "")?;
        ensure!(answer.status == 503, "{answer:?}");
        ensure!(answer.json()?["code"] == "OVERLOADED" && answer.header("retry-after").is_some());
        lock.join().expect("no panic").map(drop)
    })?;
    ensure!(ask(&stack, "/api/metrics?node_id=n", "")?.status == 200);
    Ok(())
}

/// Nobody listens at the read host; the writer's host answers for it.
#[test]
fn queries_go_to_the_writers_host_while_the_read_host_is_away() -> Result<()> {
    let stack = Stack::with(&[("DB_READ_HOST", "127.0.0.99")])?;
    ensure!(push(&stack.engine, &sample("n", 50))?.status == 202);
    stack.await_rows(1)?;
    for _ in 0..3 {
        let answer = ask(&stack, "/api/metrics?node_id=n", "")?;
        ensure!(answer.status == 200, "{answer:?}");
        ensure!(answer.json()?["data"][0]["node_id"] == "n");
    }
    ensure!(counter(&stack, "fiber_query_fallback_total ")? >= 3);
    Ok(())
}

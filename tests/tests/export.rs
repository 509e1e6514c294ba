//! Files of any length, over clients of any patience.

use crate::support::client::{ingest, push, sample};
use crate::support::{Stack, await_that};
use anyhow::{Result, ensure};
use fiber_contract::UnixMicros;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// With the end of the chunk before it: a line of the file ends with a zero, too.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

fn export(stack: &Stack, query: &str) -> Result<String> {
    let answer = fiber_local::http::get(&format!("{}/api/export?{query}", stack.engine.url()))?;
    ensure!(answer.status == 200, "{query}: {}", answer.status);
    Ok(String::from_utf8(answer.body)?)
}

#[test]
fn samples_and_rollups_are_told_as_csv() -> Result<()> {
    let stack = Stack::start()?;
    for (node_id, region, age_ms) in [
        ("a", "Greater Accra", 3_000),
        ("a", "Greater Accra", 2_000),
        (
            "b",
            "=HYPERLINK(\"http://evil.example\",\"x\"), \"quoted\"",
            1_000,
        ),
        ("-c", "@SUM(A1)", 500),
    ] {
        let mut sample = sample(node_id, age_ms);
        sample["region"] = region.into();
        ensure!(push(&stack.engine, &sample)?.status == 202);
    }
    stack.await_rows(4)?;
    let raw = export(&stack, "")?;
    let lines: Vec<&str> = raw.split("\r\n").collect();
    ensure!(
        lines[0]
            == "time,node_id,country,region,target_host,probe_type,latency_ms,uptime_pct,packet_loss",
        "{raw}"
    );
    // By node, each in the order of time, and the line after the last is empty.
    ensure!(lines.len() == 6 && lines[5].is_empty(), "{raw}");
    ensure!(
        lines[1].contains(",\"'-c\",GH,\"'@SUM(A1)\",,ping,12.5,100,0"),
        "{raw}"
    );
    ensure!(
        lines[2].ends_with(",a,GH,Greater Accra,,ping,12.5,100,0") && lines[2] < lines[3],
        "{raw}"
    );
    ensure!(
        lines[4].contains(
            ",b,GH,\"'=HYPERLINK(\"\"http://evil.example\"\",\"\"x\"\"), \"\"quoted\"\"\",,ping"
        ),
        "{raw}"
    );
    let one = export(&stack, "node_id=a")?;
    ensure!(one.lines().count() == 3, "{one}");
    ensure!(export(&stack, "region=nowhere")?.lines().count() == 1);
    let hours = export(&stack, "source=1h&node_id=a")?;
    ensure!(hours.starts_with(
        "time,node_id,country,region,target_host,probe_type,count,min_ms,avg_ms,p50_ms"
    ));
    let counts: u32 = hours
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').nth(6)?.parse::<u32>().ok())
        .sum();
    ensure!(counts == 2 && hours.contains(",12.5,12.5,12.5,"), "{hours}");
    for query in [
        "source=2m",
        "format=xlsx",
        "from=2030-01-02T00:00:00Z",
        "node_id=%27",
    ] {
        let answer = fiber_local::http::get(&format!("{}/api/export?{query}", stack.engine.url()))?;
        ensure!(answer.status == 422, "{query}: {}", answer.status);
    }
    Ok(())
}

const ROWS: usize = 60_000;

/// Enough that no buffer on the way holds it all.
fn filled() -> Result<Stack> {
    let stack = Stack::start()?;
    let end = UnixMicros::now();
    for batch in 0..ROWS / 10_000 {
        let ages = batch * 10_000..(batch + 1) * 10_000;
        let at = |age: usize| {
            let age_ms = i64::try_from(age).unwrap_or(0);
            let mut sample = sample("n", 0);
            sample["timestamp"] = UnixMicros(end.0 - age_ms * 1_000).to_string().into();
            sample
        };
        let samples: Vec<_> = ages.map(at).collect();
        ensure!(ingest(&stack.engine, "n", &samples)?.status == 202);
    }
    stack.await_rows(ROWS as u64)?;
    Ok(stack)
}

fn begin(stack: &Stack) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", stack.engine.port()))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(b"GET /api/export HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n")?;
    let mut first = [0; 4_096];
    stream.read_exact(&mut first)?;
    ensure!(first.starts_with(b"HTTP/1.1 200"));
    Ok(stream)
}

/// The cursor waits between two pages: that is a transaction which does nothing.
fn waiting(stack: &Stack) -> Result<bool> {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fiber-engine'
                 AND datname = current_database() AND state = 'idle in transaction'";
    Ok(stack.sql(count)? != "0")
}

#[test]
fn a_client_that_stops_reading_stops_the_cursor_and_loses_nothing() -> Result<()> {
    let stack = filled()?;
    let mut stream = begin(&stack)?;
    await_that("the cursor to wait for the client", || waiting(&stack))?;
    // Longer than a page takes: it still waits, and nobody else does.
    std::thread::sleep(Duration::from_millis(500));
    ensure!(waiting(&stack)?);
    ensure!(push(&stack.engine, &sample("other", 0))?.status == 202);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest)?;
    ensure!(rest.ends_with(LAST_CHUNK), "the last chunk did not come");
    let text = String::from_utf8_lossy(&rest);
    // Some of them went with the first bytes.
    let rows = text.matches(",n,GH,").count();
    ensure!(rows > ROWS - 100 && rows < ROWS, "{rows}");
    await_that("the transaction to end", || Ok(!waiting(&stack)?))
}

#[test]
fn a_client_that_goes_away_ends_the_transaction() -> Result<()> {
    let stack = filled()?;
    for _ in 0..3 {
        let stream = begin(&stack)?;
        await_that("the cursor to wait for the client", || waiting(&stack))?;
        drop(stream);
        await_that("the transaction to end", || Ok(!waiting(&stack)?))?;
    }
    // The slots were given back, too.
    ensure!(export(&stack, "node_id=nobody")?.lines().count() == 1);
    Ok(())
}

/// A part must not be taken for the whole.
#[test]
fn an_export_whose_database_dies_is_cut_and_not_ended() -> Result<()> {
    let stack = filled()?;
    let mut stream = begin(&stack)?;
    await_that("the cursor to wait for the client", || waiting(&stack))?;
    stack.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'fiber-engine' AND datname = current_database()
         AND state = 'idle in transaction'",
    )?;
    let mut rest = Vec::new();
    // The connection may be closed or reset; either way the last chunk is missing.
    let _cut = stream.read_to_end(&mut rest);
    ensure!(!rest.ends_with(LAST_CHUNK), "a part was told as the whole");
    Ok(())
}

//! P4: more than it can take. Twice over: at what the machine can do, where there is nothing to
//! refuse with and the queue of the connections themselves is the limit; and at what an operator
//! allows (`RATE_LIMIT_GLOBAL_MAX`), where the rest is refused.

use super::Bench;
use super::requests::{closed_loop, generator_threads};
use crate::Size;
use crate::pairs::Spread;
use crate::report::{Section, Value, grouped, mib, put};
use crate::rig::{Rig, Stack};
use anyhow::{Context as _, Result, ensure};
use fiber_contract::UnixMicros;
use fiber_loadgen::fleet::{self, Config, Rate};
use fiber_loadgen::report::Report;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const RUNS_MAX: usize = 3;
const BURST_SPENT_IN: Duration = Duration::from_millis(600);

pub(super) fn run(bench: &Bench) -> Result<Section> {
    let (rig, size) = (bench.rig()?, bench.size);
    let runs = size.pairs.min(RUNS_MAX);
    let (mut ratios, mut text) = (
        Vec::new(),
        String::from(
            "Twice the load of a closed loop, on a schedule, over twice the connections. Goodput is what \
         was acknowledged within the time; p99 is from the first byte of an accepted request.\n\n\
         | run | peak, requests/s | offered | goodput | ratio | p99 | refused | memory |\n\
         |---:|---:|---:|---:|---:|---:|---:|---:|\n",
        ),
    );
    let mut peaks = Vec::new();
    for run in 1..=runs {
        let stack = rig.stack(&[("FIBER_DRIVER", "epoll")])?;
        let peak = closed_loop(stack.fleet(), size, 1)?.throughput.requests_s;
        let over = offer(&stack, size, 2.0 * peak, size.run)?;
        let goodput = over.throughput.requests_s;
        ratios.push(goodput / peak);
        peaks.push(peak);
        put(
            &mut text,
            format_args!(
                "| {run} | {} | {} | {} | {:.2} | {:.0} ms | {} | {} |\n",
                grouped(peak),
                grouped(2.0 * peak),
                grouped(goodput),
                goodput / peak,
                over.service_ms.p99,
                over.samples.refused,
                mib(stack.memory().rss_peak_bytes)
            ),
        );
        finish(rig, stack)?;
    }
    let allowed = (Spread::of(peaks).median / 4.0).max(10.0).round();
    let at_limit = at_limit(rig, size, allowed)?;
    put(
        &mut text,
        format_args!(
            "\nWith `RATE_LIMIT_GLOBAL_MAX={allowed}` and twice that offered: {} requests/s accepted \
             ({:.2} of the limit), p99 of the accepted {:.1} ms; {} requests refused with 503, each \
             in {:.2} ms (p50) to {:.2} ms (p99).\n",
            grouped(at_limit.goodput),
            at_limit.goodput / allowed,
            at_limit.accepted_p99_ms,
            at_limit.refused,
            at_limit.refusal_p50_ms,
            at_limit.refusal_p99_ms,
        ),
    );
    let spread = Spread::of(ratios);
    Ok(Section {
        id: "P4",
        title: "goodput at twice the load ÷ peak",
        target: "0.9",
        headline: format!(
            "**{:.2}** ({:.2}–{:.2}); a refusal takes {:.1} ms (p99)",
            spread.median, spread.least, spread.most, at_limit.refusal_p99_ms
        ),
        text,
        values: values(spread.median, &at_limit),
    })
}

fn values(goodput_ratio: f64, at_limit: &AtLimit) -> Vec<Value> {
    let (accepted_ms, refusal_ms) = (at_limit.accepted_p99_ms, at_limit.refusal_p99_ms);
    vec![
        Value::at_least(0.9, "goodput ÷ peak at twice the peak", goodput_ratio),
        Value::at_most(50.0, "p99 of the accepted, at a limit", accepted_ms, "ms"),
        Value::at_most(10.0, "time to refuse, p99", refusal_ms, "ms"),
    ]
}

/// On a schedule; what is refused is not tried again.
fn offer(stack: &Stack, size: Size, rate: f64, duration: Duration) -> Result<Report> {
    fleet::run(Config {
        probes: size.connections * 2,
        batch: 1,
        rate: Rate::PerSecond(rate),
        duration,
        threads: generator_threads(),
        retry_for: Duration::ZERO,
        drain: Duration::ZERO,
        ..stack.fleet()
    })
}

fn finish(rig: &Rig, stack: Stack) -> Result<()> {
    let Stack { engine, database } = stack;
    drop(engine);
    rig.drop_database(&database)
}

struct AtLimit {
    goodput: f64,
    accepted_p99_ms: f64,
    refused: u64,
    refusal_p50_ms: f64,
    refusal_p99_ms: f64,
}

fn at_limit(rig: &Rig, size: Size, allowed: f64) -> Result<AtLimit> {
    let limit = allowed.to_string();
    let stack = rig.stack(&[("FIBER_DRIVER", "epoll"), ("RATE_LIMIT_GLOBAL_MAX", &limit)])?;
    // The limit allows a burst of one second: spend it, with the most that can be offered.
    offer(&stack, size, 4.0 * allowed, BURST_SPENT_IN)?;
    let over = AtomicBool::new(false);
    let (report, mut refusals_ms) = std::thread::scope(|scope| {
        let prober = scope.spawn(|| time_refusals(&stack, &over));
        let report = offer(&stack, size, 2.0 * allowed, size.run);
        over.store(true, Ordering::Relaxed);
        let refusals = prober.join();
        (report, refusals)
    });
    let report = report?;
    let refusals_ms = match &mut refusals_ms {
        Ok(Ok(times)) => times,
        Ok(Err(error)) => anyhow::bail!("the timed connection: {error:#}"),
        Err(_) => anyhow::bail!("the timed connection panicked"),
    };
    ensure!(!refusals_ms.is_empty(), "nothing was refused");
    refusals_ms.sort_by(f64::total_cmp);
    let at = |per_mille: usize| refusals_ms[(refusals_ms.len() - 1) * per_mille / 1_000];
    let found = AtLimit {
        goodput: report.throughput.requests_s,
        accepted_p99_ms: report.service_ms.p99,
        refused: report.samples.refused,
        refusal_p50_ms: at(500),
        refusal_p99_ms: at(990),
    };
    finish(rig, stack)?;
    Ok(found)
}

/// One more connection, whose answers are timed one by one; the milliseconds of those with 503.
fn time_refusals(stack: &Stack, over: &AtomicBool) -> Result<Vec<f64>> {
    const PAUSE: Duration = Duration::from_millis(2);
    let mut stream = TcpStream::connect(("127.0.0.1", stack.engine.port()))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut refusals_ms = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let request = request(stack);
        let began = Instant::now();
        stream.write_all(request.as_bytes())?;
        let status = answer(&mut stream)?;
        if status == 503 {
            refusals_ms.push(began.elapsed().as_secs_f64() * 1e3);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(refusals_ms)
}

pub(super) fn request(stack: &Stack) -> String {
    let body = format!(
        "{{\"node_id\":\"timed\",\"country\":\"GH\",\"region\":\"Accra\",\"latency_ms\":12.5,\
         \"uptime_pct\":100,\"packet_loss\":0,\"timestamp\":\"{}\"}}",
        UnixMicros::now()
    );
    format!(
        "POST /api/push HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{body}",
        stack.engine.federation_secret(),
        body.len()
    )
}

/// Reads one answer to its end.
pub(super) fn answer(stream: &mut TcpStream) -> Result<u16> {
    let mut read = Vec::new();
    loop {
        let mut part = [0; 4_096];
        let count = stream.read(&mut part)?;
        ensure!(count > 0, "closed by the engine");
        read.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length: usize = head
            .split("Content-Length: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next())
            .context("no length")?
            .parse()?;
        if body.len() >= length {
            let status = head.split(' ').nth(1).context("no status")?;
            return Ok(status.parse()?);
        }
    }
}

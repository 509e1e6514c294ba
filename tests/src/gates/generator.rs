//! P11: whether the generator may be believed. Its own ceiling must be well above the rates that
//! are reported with it, and a server that stands still for a second must show in its p99 as the
//! arithmetic says: a generator that waits with the server would hide it.

use super::ingest::generator_threads;
use super::{Absent, Bar, Context, Line, Target};
use anyhow::{Context as _, Result};
use fiber_loadgen::fleet::{self, Config, Rate};
use std::thread::sleep;
use std::time::Duration;

const GATE: &str = "P11";
const RATE_S: f64 = 1_000.0;
const STALL: Duration = Duration::from_secs(1);
/// Long enough that the late sends are a twentieth of all: the 99th percentile is then among them.
const RUN: Duration = Duration::from_secs(20);

pub(super) fn believed(context: &Context) -> Result<Vec<Line>> {
    Ok(vec![ceiling(context)?, stalled()?])
}

fn ceiling(context: &Context) -> Result<Line> {
    let line = Line::new(
        GATE,
        "the generator's ceiling ÷ the rate reported with it",
        "",
    )
    .must(Bar::at_least(1.3));
    let Some(reported) = context.saturation.get() else {
        return Ok(line.absent(Absent::NotRun(
            "test_1k_concurrent_probes was not run with it".to_owned(),
        )));
    };
    let alone = fleet::run(Config {
        probes: context.size.probes,
        rate: Rate::Max,
        batch: 1,
        duration: context.size.run.min(Duration::from_secs(5)),
        threads: generator_threads(),
        no_send: true,
        ..Config::default()
    })?;
    let ceiling = alone.throughput.requests_s;
    Ok(line.measured(ceiling / reported).note(format!(
        "{} requests/s rendered and not sent; {} reported",
        super::line::number(ceiling),
        super::line::number(*reported)
    )))
}

/// The engine is stopped by SIGSTOP, so nothing of it can help.
fn stalled() -> Result<Line> {
    let endpoint = Target::Fresh.endpoint()?;
    let engine = &endpoint
        .servers
        .as_ref()
        .context("servers of its own")?
        .engine;
    let run = fleet::start(Config {
        probes: 1_000,
        rate: Rate::PerSecond(RATE_S),
        batch: 1,
        duration: RUN,
        ..endpoint.fleet()
    })?;
    sleep(Duration::from_secs(5));
    engine.pause()?;
    sleep(STALL);
    engine.resume()?;
    let report = run.wait()?;
    let expected_ms = expected_p99_ms(STALL, RUN);
    let off = (report.latency_ms.p99 - expected_ms).abs() / expected_ms * 100.0;
    let line = Line::new(
        GATE,
        "p99 when the server stands still for 1.0 s at 1,000/s: off by",
        "%",
    )
    .must(Bar::at_most(5.0));
    Ok(line.measured(off).note(format!(
        "{:.0} ms, {expected_ms:.0} ms by arithmetic; {:.1} ms from the first byte sent",
        report.latency_ms.p99, report.service_ms.p99
    )))
}

/// Sends that fall into the stall wait for what is left of it: evenly from all of it to nothing. The
/// slowest hundredth of all sends are the first of them.
fn expected_p99_ms(stall: Duration, run: Duration) -> f64 {
    let late_share = stall.as_secs_f64() / run.as_secs_f64();
    stall.as_secs_f64() * 1e3 * (1.0 - 0.01 / late_share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_hundredth_of_twenty_seconds_begins_at_four_fifths_of_the_stall() {
        let p99_ms = expected_p99_ms(Duration::from_secs(1), Duration::from_secs(20));
        assert!((p99_ms - 800.0).abs() < 1e-9, "{p99_ms}");
    }
}

//! Capacity and latency of the ingest, with the fleet's ledger as the judge.

use super::{Absent, Bar, Context, Endpoint, Line};
use anyhow::{Context as _, Result, ensure};
use fiber_loadgen::fleet::{self, Config, Rate};
use fiber_loadgen::report::Report;
use fiber_loadgen::verify::{Patience, settle_blocking};
use std::time::Duration;

const CAPACITY: &str = "test_1k_concurrent_probes";
const LATENCY: &str = "ingest_latency";
/// Rows a second that the predecessor commits, on two such cores.
const PREDECESSOR_ROWS_S: f64 = 1_100.0;

/// Samples of one body where rows are counted.
const BODY_SAMPLES: u32 = 500;
/// The rate that the deployment model names.
const MODEL_EVENTS_S: f64 = 1_000.0;

pub(super) fn concurrent_probes(context: &Context) -> Result<Vec<Line>> {
    let endpoint = context.target.endpoint()?;
    let singles = fleet::run(Config {
        probes: context.size.probes,
        rate: Rate::Max,
        batch: 1,
        duration: context.size.run,
        threads: generator_threads(),
        ..endpoint.fleet()
    })?;
    let requests_s = singles.throughput.requests_s;
    // Gates run one after the other, so nobody set it meanwhile.
    context.saturation.set(requests_s).unwrap_or_default();
    endpoint.await_drained()?;
    let bodies = fleet::run(Config {
        probes: context.size.probes.min(64),
        rate: Rate::Max,
        batch: BODY_SAMPLES,
        duration: context.size.run / 2,
        threads: generator_threads(),
        ..endpoint.fleet()
    })?;
    let behind = endpoint.await_drained()?;
    let committed_s =
        bodies.samples.acked as f64 / (bodies.throughput.elapsed_s + behind.as_secs_f64());
    let probes = singles.config.connections;
    let mut lines = vec![
        Line::new(
            CAPACITY,
            format!("{probes} probes at once, a sample a request"),
            "events/s",
        )
        .user(Bar::above(MODEL_EVENTS_S))
        .stretch(Bar::at_least(10_000.0))
        .measured(singles.throughput.samples_s)
        .note("each durable before it is acknowledged"),
        Line::new(CAPACITY, "the same, pushes that failed", "")
            .must(Bar::at_most(0.0))
            .count(failed(&singles) + failed(&bodies))
            .note(trouble(&[&singles, &bodies])),
        Line::new(
            CAPACITY,
            format!("in the tables, bodies of {BODY_SAMPLES}"),
            "events/s",
        )
        .stretch(Bar::at_least(200.0 * PREDECESSOR_ROWS_S))
        .measured(committed_s)
        .note("P5: 200 × the predecessor's 1,100"),
    ];
    lines.push(accounted(
        CAPACITY,
        context,
        &endpoint,
        &[&singles, &bodies],
    )?);
    Ok(lines)
}

/// A schedule of a thousand events a second, then one of half of what a closed loop reaches.
pub(super) fn latency(context: &Context) -> Result<Vec<Line>> {
    let endpoint = context.target.endpoint()?;
    let run = |rate: f64| {
        fleet::run(Config {
            probes: context.size.probes,
            rate: Rate::PerSecond(rate),
            batch: 1,
            duration: context.size.run,
            threads: generator_threads(),
            ..endpoint.fleet()
        })
    };
    let saturation = saturation(context, &endpoint)?;
    let (model, half) = (run(MODEL_EVENTS_S)?, run(saturation / 2.0)?);
    let probes = model.config.connections;
    let mut lines = vec![
        timed(
            Line::new(
                LATENCY,
                format!("p95, {probes} probes, 1,000 events/s"),
                "ms",
            )
            .user(Bar::below(100.0)),
            &model,
            model.latency_ms.p95,
        ),
        timed(
            Line::new(LATENCY, "p99, half of saturation", "ms").stretch(Bar::at_most(10.0)),
            &half,
            half.latency_ms.p99,
        )
        .note(format!(
            "{} events/s on the schedule; a closed loop takes {}",
            super::line::number(saturation / 2.0),
            super::line::number(saturation)
        )),
    ];
    lines.push(accounted(LATENCY, context, &endpoint, &[&model, &half])?);
    Ok(lines)
}

/// Latencies of a generator that did not keep its own schedule are its own.
fn timed(line: Line, report: &Report, value_ms: f64) -> Line {
    let generator = &report.generator;
    if generator.kept_schedule {
        return line.measured(value_ms);
    }
    line.absent(Absent::NotRun(format!(
        "the generator did not keep its schedule ({:.1} % late): the machine is too busy",
        100.0 * generator.late_share.max(generator.loop_late_share)
    )))
}

fn saturation(context: &Context, endpoint: &Endpoint) -> Result<f64> {
    if let Some(known) = context.saturation.get() {
        return Ok(*known);
    }
    let closed = fleet::run(Config {
        probes: context.size.probes,
        rate: Rate::Max,
        batch: 1,
        duration: context.size.run.min(Duration::from_secs(5)),
        threads: generator_threads(),
        keep_ledger: false,
        ..endpoint.fleet()
    })?;
    endpoint.await_drained()?;
    ensure!(
        closed.throughput.requests_s > 0.0,
        "nothing was acknowledged"
    );
    Ok(*context
        .saturation
        .get_or_init(|| closed.throughput.requests_s))
}

/// Each sample of these runs against the tables.
fn accounted(
    gate: &'static str,
    context: &Context,
    endpoint: &Endpoint,
    runs: &[&Report],
) -> Result<Line> {
    let patience = Patience {
        most: Duration::from_secs(120),
        stable_for: context.size.settled_after,
    };
    let line = Line::new(gate, "samples lost, doubled or invented", "").must(Bar::at_most(0.0));
    let Some(db) = &endpoint.db else {
        return Ok(line.absent(Absent::Skipped(
            "it needs DB_HOST, DB_PASS and DB_NAME".to_owned(),
        )));
    };
    let (mut bad, mut acked, mut examples) = (0, 0, Vec::new());
    for run in runs {
        let ledger = run.ledger.as_ref().context("the run kept a ledger")?;
        let found = settle_blocking(ledger, db, patience, |_, _| {})?;
        bad += found.lost + found.duplicates + found.ghosts;
        acked += found.acked;
        examples.extend(found.examples);
    }
    ensure!(acked > 0, "nothing was acknowledged");
    let note = match examples.first() {
        Some(example) => format!("of {acked}; first: {example}"),
        None => format!("of {acked}, each compared with its row"),
    };
    Ok(line.count(bad).note(note))
}

pub(super) fn failed(report: &Report) -> u64 {
    let refused = report
        .answers
        .iter()
        .filter(|(status, _)| !matches!(status, 200 | 202));
    refused.map(|(_, count)| count).sum::<u64>() + report.errors.values().sum::<u64>()
}

fn trouble(reports: &[&Report]) -> String {
    let all: Vec<_> = reports
        .iter()
        .filter(|report| failed(report) > 0)
        .map(|report| format!("answers {:?}, errors {:?}", report.answers, report.errors))
        .collect();
    all.join("; ")
}

/// As many as the servers have: a generator of one thread would be what is measured.
pub(super) fn generator_threads() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1))
}

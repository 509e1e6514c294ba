//! P3: what a durable ack costs beyond HTTP itself.

use super::{Bench, micros_each};
use crate::pairs::{self, Side, Spread};
use crate::report::{Labels, Section, grouped, pairs_table, put, ratio_headline, ratio_values};
use crate::rig::{Hello, Rig};
use crate::{Size, usage};
use anyhow::{Result, ensure};
use fiber_loadgen::fleet::{self, Config, Rate};
use fiber_loadgen::report::Report;
use std::cell::Cell;

const LABELS: Labels = Labels {
    a: "engine",
    b: "hello",
    unit: "requests/s",
};

pub(super) fn run(bench: &Bench) -> Result<Section> {
    let (rig, size) = (bench.rig()?, bench.size);
    let p99_ms = Cell::new((0.0, 0.0));
    let pairs = pairs::measure(
        size.pairs,
        |_| {
            let (side, p99) = engine(rig, size)?;
            p99_ms.set((p99, p99_ms.get().1));
            Ok(side)
        },
        |_| {
            let (side, p99) = hello(size)?;
            p99_ms.set((p99_ms.get().0, p99));
            Ok(side)
        },
    )?;
    let ceiling = fleet::run(Config {
        probes: size.connections,
        batch: 1,
        rate: Rate::Max,
        duration: size.run,
        threads: generator_threads(),
        no_send: true,
        ..Config::default()
    })?;
    let mut text = format!(
        "{} connections, one sample a request, each sends again when it is answered. Engine: acks \
         after fdatasync, on epoll, and it writes to the database meanwhile. Hello: the same \
         runtime, driver and parser, reads the body and answers the same bytes.\n\n{}",
        size.connections,
        pairs_table(&pairs, LABELS)
    );
    let (engine_p99, hello_p99) = p99_ms.get();
    put(
        &mut text,
        format_args!(
            "p99 from the first byte sent to the ack, last pair: engine {engine_p99:.1} ms, hello \
             {hello_p99:.1} ms. In a closed loop it only says how long the queue is. The generator \
             alone, rendering and not sending: {} requests/s. Its ceiling is hello's rate or more: {:.1} × \
             the engine's (at least 1.3 is needed for a rate to be the engine's own).\n",
            grouped(ceiling.throughput.requests_s),
            1.0 / Spread::of(pairs.ratios()).median
        ),
    );
    Ok(Section {
        id: "P3",
        title: "durable single-sample requests ÷ bare hello",
        target: "0.80",
        headline: ratio_headline(&pairs),
        values: ratio_values(&pairs, 0.80),
        text,
    })
}

/// As many as the servers have: a generator of one thread would be what is measured.
pub(super) fn generator_threads() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1))
}

/// As fast as answers come.
/// Each connection sends again when it is answered.
pub(crate) fn closed_loop(config: Config, size: Size, batch: u32) -> Result<Report> {
    let report = fleet::run(Config {
        probes: size.connections,
        batch,
        rate: Rate::Max,
        duration: size.run,
        threads: generator_threads(),
        ..config
    })?;
    ensure!(
        report.answers.keys().all(|status| *status == 202) && report.errors.is_empty(),
        "not every request was accepted: {:?} {:?}",
        report.answers,
        report.errors
    );
    Ok(report)
}

pub(super) fn engine(rig: &Rig, size: Size) -> Result<(Side, f64)> {
    let stack = rig.stack(&[("FIBER_DRIVER", "epoll")])?;
    let (engine_before, database_before) = (stack.engine_cpu_s(), rig.cpu_s());
    let report = closed_loop(stack.fleet(), size, 1)?;
    let cpu_s = [
        ("engine", stack.engine_cpu_s() - engine_before),
        ("database", rig.cpu_s() - database_before),
        ("generator", report.generator.cpu_s),
    ];
    let side = Side {
        rate: report.throughput.requests_s,
        cpu_us_each: micros_each(&cpu_s, report.requests.acked as f64),
        rss_peak_bytes: stack.memory().rss_peak_bytes,
    };
    stack.await_drained()?;
    stack.expect_rows(report.samples.acked)?;
    let database = stack.database.clone();
    drop(stack);
    rig.drop_database(&database)?;
    Ok((side, report.service_ms.p99))
}

pub(super) fn hello(size: Size) -> Result<(Side, f64)> {
    let hello = Hello::start()?;
    let before = usage::cpu_s(hello.pid());
    let config = Config {
        url: hello.url(),
        // As long as a real one.
        secret: "x".repeat(40),
        ..Config::default()
    };
    let report = closed_loop(config, size, 1)?;
    let cpu_s = [
        ("hello", usage::cpu_s(hello.pid()) - before),
        ("generator", report.generator.cpu_s),
    ];
    let side = Side {
        rate: report.throughput.requests_s,
        cpu_us_each: micros_each(&cpu_s, report.requests.acked as f64),
        rss_peak_bytes: usage::memory(hello.pid()).rss_peak_bytes,
    };
    Ok((side, report.service_ms.p99))
}

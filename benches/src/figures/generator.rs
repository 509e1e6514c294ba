//! P11: whether the generator may be believed. Its own ceiling beside the rates that it reports, and
//! what its histogram makes of a server that stops.

use super::Bench;
use super::requests;
use crate::Size;
use crate::pairs::{self, Spread};
use crate::report::{
    Labels, Section, Value, grouped, pairs_table, put, ratio_headline, ratio_values,
};
use crate::rig::Hello;
use anyhow::{Context as _, Result, ensure};
use fiber_loadgen::ceiling::{self, Ceiling};
use fiber_loadgen::fleet::{self, Config, Rate};
use fiber_loadgen::pace::Schedule;
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;

const LABELS: Labels = Labels {
    a: "ceiling (hello)",
    b: "engine",
    unit: "requests/s",
};

/// Wanted from one core.
const SINGLE_REQUESTS_S: f64 = 60_000.0;
const BATCH_SAMPLES_S: f64 = 1_000_000.0;
const BATCH: u32 = 500;
const BATCH_CONNECTIONS: u32 = 64;

pub(super) fn run(bench: &Bench) -> Result<Section> {
    let (rig, size) = (bench.rig()?, bench.size);
    let pairs = pairs::measure(
        size.pairs,
        |_| Ok(requests::hello(size)?.0),
        |_| Ok(requests::engine(rig, size)?.0),
    )?;
    let single = one_core(size, 1, size.connections)?;
    let batches = one_core(size, BATCH, BATCH_CONNECTIONS)?;
    let stops = stops(size)?;
    let off: Vec<f64> = stops.iter().map(|stop| stop.off_percent()).collect();
    let worst = off.iter().copied().fold(0.0, f64::max);
    let mut text = format!(
        "The same generator, {} connections, one sample a request, each sends again when it is answered: \
         against a server that does nothing, and against the engine.\n\n{}",
        size.connections,
        pairs_table(&pairs, LABELS)
    );
    cores_table(&mut text, size, [&single, &batches]);
    stops_table(&mut text, &stops);
    let mut values = ratio_values(&pairs, 1.3);
    values.push(Value::at_most(
        5.0,
        "p99 of a stopped server, off by",
        worst,
        "%",
    ));
    let batch_samples_s = batches.hello_requests_s * f64::from(BATCH);
    for (wanted, what, value) in [
        (
            SINGLE_REQUESTS_S,
            "requests/s of one core",
            single.hello_requests_s,
        ),
        (
            BATCH_SAMPLES_S,
            "samples/s of one core in bodies of 500",
            batch_samples_s,
        ),
    ] {
        values.push(Value::at_least(wanted, what, value));
    }
    Ok(Section {
        id: "P11",
        title: "the generator's ceiling ÷ the engine's rate; its p99 of a server stopped for 1.0 s",
        target: "≥ 1.3; within 5 %",
        headline: format!(
            "{}; {worst:.1} % off at most; one core: {} requests/s, {} samples/s",
            ratio_headline(&pairs),
            grouped(single.hello_requests_s),
            grouped(batch_samples_s)
        ),
        values,
        text,
    })
}

fn cores_table(text: &mut String, size: Size, found: [&Ceiling; 2]) {
    put(
        text,
        format_args!(
            "\nOne sending thread against `fiber-loadgen hello` with one thread, median of {} runs:\n\n\
             | body | rendered, samples/s | sent, requests/s | sent, samples/s | CPU µs a request | wanted |\n\
             |---:|---:|---:|---:|---:|---:|\n",
            size.pairs
        ),
    );
    for (found, wanted) in found.into_iter().zip([SINGLE_REQUESTS_S, BATCH_SAMPLES_S]) {
        let per = f64::from(found.batch);
        put(
            text,
            format_args!(
                "| {} | {} | {} | {} | {:.2} | {} |\n",
                found.batch,
                grouped(found.no_send_requests_s * per),
                grouped(found.hello_requests_s),
                grouped(found.hello_requests_s * per),
                found.cpu_us_per_request,
                grouped(wanted)
            ),
        );
    }
}

fn stops_table(text: &mut String, stops: &[Stop]) {
    text.push_str(
        "\nThe server's process is stopped (SIGSTOP) and goes on (SIGCONT), at 1000 requests/s. The analytic \
         p99 follows from the schedule and the moments of the two signals: who was due in between waited \
         for the second one, nobody else waited.\n\n\
         | stopped for | p99 measured | p99 analytic | off | p99 from the sending |\n|---:|---:|---:|---:|---:|\n",
    );
    for stop in stops {
        put(
            text,
            format_args!(
                "| {:.3} s | {:.1} ms | {:.1} ms | {:.1} % | {:.1} ms |\n",
                stop.stopped.as_secs_f64(),
                stop.measured_ms,
                stop.analytic_ms,
                stop.off_percent(),
                stop.raw_ms
            ),
        );
    }
}

fn one_core(size: Size, batch: u32, connections: u32) -> Result<Ceiling> {
    let config = Config {
        probes: connections,
        batch,
        threads: 1,
        secret: "x".repeat(40),
        ..Config::default()
    };
    let mut runs: Vec<_> = (0..size.pairs)
        .map(|_| ceiling::measure(&config, size.run))
        .collect::<Result<_>>()?;
    runs.sort_by(|a, b| a.hello_requests_s.total_cmp(&b.hello_requests_s));
    let median = runs[runs.len() / 2];
    Ok(Ceiling {
        no_send_requests_s: Spread::of(runs.iter().map(|run| run.no_send_requests_s)).median,
        ..median
    })
}

struct Stop {
    stopped: Duration,
    measured_ms: f64,
    analytic_ms: f64,
    raw_ms: f64,
}

impl Stop {
    fn off_percent(&self) -> f64 {
        (self.measured_ms / self.analytic_ms - 1.0).abs() * 100.0
    }
}

const RATE: f64 = 1_000.0;
const STOPS: usize = 3;

fn stops(size: Size) -> Result<Vec<Stop>> {
    let is_full = size.run >= Duration::from_secs(1);
    let (count, duration, stopped) = if is_full {
        (STOPS, Duration::from_secs(10), Duration::from_secs(1))
    } else {
        (1, Duration::from_secs(1), Duration::from_millis(200))
    };
    (0..count).map(|_| stop(size, duration, stopped)).collect()
}

fn stop(size: Size, duration: Duration, stopped: Duration) -> Result<Stop> {
    let hello = Hello::start()?;
    let pid = Pid::from_raw(hello.pid()).context("the hello server's pid")?;
    let run = fleet::start(Config {
        url: hello.url(),
        probes: size.connections,
        rate: Rate::PerSecond(RATE),
        duration,
        ..Config::default()
    })?;
    let at = |moment: Duration| {
        while run.progress().elapsed < moment {
            ensure!(!run.is_finished(), "the run was over too early");
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    };
    at(duration * 2 / 5)?;
    kill_process(pid, Signal::STOP)?;
    let from = run.progress().elapsed;
    at(from + stopped)?;
    let to = run.progress().elapsed;
    kill_process(pid, Signal::CONT)?;
    let report = run.wait()?;
    ensure!(
        report.samples.unknown + report.samples.refused + report.samples.unsent == 0,
        "not all was answered: {report}"
    );
    Ok(Stop {
        stopped: to - from,
        measured_ms: report.latency_ms.p99,
        analytic_ms: analytic_p99_ms(duration, from, to),
        raw_ms: report.service_ms.p99,
    })
}

/// The wait of each request that was due while the server stood still is the time until it went on.
fn analytic_p99_ms(duration: Duration, from: Duration, to: Duration) -> f64 {
    let schedule = Schedule::constant(RATE, 1, duration);
    let mut waits: Vec<f64> = (0..schedule.requests())
        .map(|k| schedule.offset(k))
        .map(|due| {
            let stands = (from..to).contains(&due);
            if stands {
                (to - due).as_secs_f64() * 1e3
            } else {
                0.0
            }
        })
        .collect();
    waits.sort_by(f64::total_cmp);
    // As the histogram has it: the least value that 99 % do not exceed.
    let rank = (schedule.requests() * 99).div_ceil(100).max(1);
    waits[usize::try_from(rank - 1).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_ten_thousand_a_second_of_standing_puts_p99_at_nine_tenths_of_it() {
        let s = Duration::from_secs;
        let p99 = analytic_p99_ms(s(10), s(4), s(5));
        assert!((p99 - 901.0).abs() <= 1.0, "{p99}");
        assert_eq!(analytic_p99_ms(s(10), s(4), s(4)), 0.0);
    }
}

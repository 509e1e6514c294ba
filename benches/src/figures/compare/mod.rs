//! P5, P6: the same work done by others, in turns with the engine.
//!
//! What others promise with their answer differs, so it stands beside each ratio: a rate alone would
//! compare a disk with a memory.

mod canned;
mod databases;

use super::Bench;
use super::committed;
use crate::pairs::{self, Pairs, Side, Spread};
use crate::report::{Section, Value, grouped, put, ratio_headline};
use crate::rig::{Rig, Stack};
use anyhow::{Result, ensure};
use fiber_loadgen::fleet::{self, Config, Format, Rate};
use fiber_loadgen::report::Report;

/// Bodies of so many samples where other databases are measured.
pub(super) const BATCH: u32 = 1_000;
const HUBS: u32 = 64;
/// Measured on such a machine when the design was made, and written down in it.
const PREDECESSOR_ROWS_S: f64 = 1_100.0;
const PREDECESSOR_REQUESTS_S: f64 = 1_300.0;
const VICTORIA_EVENTS_S: f64 = 1_100_000.0;

const ENGINE_PROMISE: &str =
    "fdatasync before the answer; rows committed once, with rollups and ledger";

/// Another program that takes samples.
pub(super) trait Other {
    fn name(&self) -> &'static str;
    /// What is true of a sample once this one has answered.
    fn promise(&self) -> &'static str;
    /// One run of so many samples; the rate in samples per second.
    fn measure(&self, rig: &Rig, samples: u64) -> Result<Side>;
}

/// One line of the table.
struct Compared {
    name: &'static str,
    promise: &'static str,
    pairs: Pairs,
}

pub(super) fn run(bench: &Bench) -> Result<Section> {
    let (rig, size) = (bench.rig()?, bench.size);
    let samples = size.rows;
    let mut others: Vec<Box<dyn Other + '_>> = vec![Box::new(databases::Copy(bench.files()?))];
    let mut missing = Vec::new();
    canned::find(&mut others, &mut missing);
    databases::find(&mut others, &mut missing);
    let mut lines = Vec::new();
    for other in &others {
        let pairs = pairs::measure(
            size.pairs,
            |_| engine(rig, samples),
            |_| other.measure(rig, samples),
        )?;
        lines.push(Compared {
            name: other.name(),
            promise: other.promise(),
            pairs,
        });
    }
    let mut text = table(&lines, &missing, samples);
    derived(&mut text, &lines);
    let copy = ratio_headline(&lines[0].pairs);
    let p5 = rate(&lines[0].pairs.a) / PREDECESSOR_ROWS_S;
    let p6 = p6(&lines);
    Ok(Section {
        id: "P5, P6",
        title: "committed rows/s ÷ the predecessor's (reference); ÷ VictoriaMetrics'; and ÷ COPY",
        target: "200; 0.5",
        headline: format!("**{p5:.0}**; {p6}; {copy}"),
        values: vec![
            Value::at_least(200.0, "P5, against the reference", p5),
            Value::at_least(0.5, "P6", p6_ratio(&lines)),
        ],
        text,
    })
}

fn table(lines: &[Compared], missing: &[String], samples: u64) -> String {
    let mut text = format!(
        "{samples} samples of {HUBS} probes in bodies of {BATCH}, as fast as they are taken. Engine: from the \
         first byte until the last row is committed and counted. Its promise: {ENGINE_PROMISE}.\n\n\
         | other | engine ÷ other (range) | engine, samples/s | other, samples/s | generator, CPU µs each: engine, other | what its answer means |\n\
         |---|---:|---:|---:|---:|---|\n",
        samples = grouped(samples as f64)
    );
    for line in lines {
        let of = |sides: &[Side]| grouped(Spread::of(sides.iter().map(|side| side.rate)).median);
        put(
            &mut text,
            format_args!(
                "| {} | {} | {} | {} | {}, {} | {} |\n",
                line.name,
                ratio_headline(&line.pairs).replace("**", ""),
                of(&line.pairs.a),
                of(&line.pairs.b),
                cpu(&line.pairs.a),
                cpu(&line.pairs.b),
                line.promise
            ),
        );
    }
    if !missing.is_empty() {
        put(
            &mut text,
            format_args!("\nNot measured: {}.\n", missing.join("; ")),
        );
    }
    text
}

fn rate(sides: &[Side]) -> f64 {
    Spread::of(sides.iter().map(|side| side.rate)).median
}

fn cpu(sides: &[Side]) -> String {
    let generator = sides.iter().filter_map(|side| {
        let named = side
            .cpu_us_each
            .iter()
            .find(|(name, _)| *name == "generator");
        named.map(|(_, micros)| *micros)
    });
    let all: Vec<f64> = generator.collect();
    if all.is_empty() {
        "–".to_owned()
    } else {
        format!("{:.2}", Spread::of(all).median)
    }
}

fn victoria(lines: &[Compared]) -> Option<&Compared> {
    lines.iter().find(|line| line.name == databases::VICTORIA)
}

fn p6_ratio(lines: &[Compared]) -> f64 {
    match victoria(lines) {
        Some(line) => Spread::of(line.pairs.ratios()).median,
        None => rate(&lines[0].pairs.a) / VICTORIA_EVENTS_S,
    }
}

fn p6(lines: &[Compared]) -> String {
    match victoria(lines) {
        Some(line) => ratio_headline(&line.pairs),
        None => format!("**{:.2}** (against the reference)", p6_ratio(lines)),
    }
}

/// Ratios against figures that were not measured in this run, and named as such.
fn derived(text: &mut String, lines: &[Compared]) {
    let engine = rate(&lines[0].pairs.a);
    put(
        text,
        format_args!(
            "\nAgainst reference figures, measured once on a machine of this kind and not in this run:\n\n\
             | | reference | engine ÷ reference | target |\n|---|---:|---:|---:|\n\
             | P5: the Python predecessor, rows committed/s (it takes {} requests/s, into Redis without persistence) | {} | {:.0} | 200 |\n\
             | P6: VictoriaMetrics single node, events/s in bodies of 1000, acknowledged before they are on disk | {} | {:.2} | 0.5 |\n",
            grouped(PREDECESSOR_REQUESTS_S),
            grouped(PREDECESSOR_ROWS_S),
            engine / PREDECESSOR_ROWS_S,
            grouped(VICTORIA_EVENTS_S),
            engine / VICTORIA_EVENTS_S
        ),
    );
}

/// A schedule of a tenth of a second that nothing keeps: one of a second would be the limit of what
/// takes a million samples in less.
pub(super) fn send(config: Config, samples: u64) -> Result<Report> {
    let report = fleet::run(Config {
        probes: HUBS,
        batch: BATCH,
        rate: Rate::PerSecond(samples as f64 * 10.0),
        duration: std::time::Duration::from_millis(100),
        ..config
    })?;
    let whole = samples / u64::from(BATCH) * u64::from(BATCH);
    ensure!(
        report.samples.acked == whole,
        "{} of {whole} samples were acknowledged: {:?} {:?}",
        report.samples.acked,
        report.answers,
        report.errors
    );
    Ok(report)
}

/// A run against a server that others wrote; until the last answer.
pub(super) fn answered(url: String, format: Format, samples: u64) -> Result<Side> {
    let config = Config {
        url,
        format,
        // As long as a real one.
        secret: "x".repeat(40),
        retry_for: std::time::Duration::from_secs(60),
        drain: std::time::Duration::from_secs(120),
        ..Config::default()
    };
    let report = send(config, samples)?;
    Ok(Side {
        rate: report.samples.acked as f64 / report.throughput.elapsed_s,
        cpu_us_each: vec![(
            "generator",
            report.generator.cpu_s * 1e6 / report.samples.acked as f64,
        )],
        rss_peak_bytes: 0,
    })
}

fn engine(rig: &Rig, samples: u64) -> Result<Side> {
    let send = |stack: &Stack| send(stack.fleet(), samples);
    committed::until_committed(rig, send)
}

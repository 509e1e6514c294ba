//! P9: what a dashboard asks for, over a day of a thousand nodes, while samples come in.
//!
//! The history goes through the engine's own front door, so names, rollups and ledger are as in
//! production. Then a fleet sends to the same nodes and several dashboards ask, each query timed by
//! itself from its first byte sent to its last byte read. First every question is a new one, so that
//! no answer can have been kept; then the same questions again and again.

mod history;
mod mix;

use super::Bench;
use crate::Size;
use crate::report::{Section, Value, grouped, mib, put};
use crate::rig::Stack;
use anyhow::{Context as _, Result, ensure};
use fiber_contract::UnixMicros;
use fiber_loadgen::fleet::{self, Config, Rate};
use mix::{Asked, Kind, Novelty};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const TARGET_MS: f64 = 50.0;
/// Names of the nodes; the fleet that sends meanwhile has the same.
const TAG: &str = "p9";
/// Of each node, as the issue of the figure says.
const HISTORY_EVERY_S: i64 = 10;
const LIVE_SAMPLES_S: f64 = 5_000.0;
const LIVE_BATCH: u32 = 10;
const DASHBOARDS: usize = 4;
/// The writer's first transactions after a start load what it does not know.
const WARM_UP: Duration = Duration::from_secs(3);

/// Waits for somebody's word before each measurement, so that only that needs a quiet machine.
#[derive(Clone, Debug)]
pub struct Hold(pub PathBuf);

impl Hold {
    /// False when the file says that this was enough. It is removed.
    fn next(&self, text: &str) -> Result<bool> {
        println!("{text}\nwaiting for {}", self.0.display());
        loop {
            if let Ok(word) = std::fs::read_to_string(&self.0) {
                std::fs::remove_file(&self.0).context("take the word away")?;
                return Ok(word.trim() != "end");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

pub(super) fn run(bench: &Bench) -> Result<Section> {
    let (rig, size) = (bench.rig()?, bench.size);
    let mut stack = rig.stack(&[])?;
    let began = Instant::now();
    let rows = history::send(&stack, size)?;
    stack.await_drained()?;
    stack.expect_rows(rows)?;
    let loaded = format!(
        "{} rows of {} nodes were written in {:.0} s",
        grouped(rows as f64),
        size.query_nodes,
        began.elapsed().as_secs_f64()
    );
    stack.database.psql("VACUUM ANALYZE")?;
    let mut section = None;
    match &bench.hold {
        None => section = Some(measured(&mut stack, size, &loaded)?),
        Some(hold) => {
            let mut text = loaded.clone();
            while hold.next(&text)? {
                let done = measured(&mut stack, size, &loaded)?;
                text = format!("{}\n{}", done.headline, done.text);
                section = Some(done);
            }
        }
    }
    let database = stack.database.clone();
    drop(stack);
    rig.drop_database(&database)?;
    section.context("nothing was measured")
}

fn measured(stack: &mut Stack, size: Size, loaded: &str) -> Result<Section> {
    // What it keeps in memory is lost, so the first answers are cold in every way but the disk's.
    stack.engine.terminate(Duration::from_secs(60))?;
    stack.engine.restart()?;
    let first = mix::first_answers(stack, size)?;
    let live = fleet::start(Config {
        probes: size.query_nodes,
        rate: Rate::PerSecond(LIVE_SAMPLES_S.min(f64::from(size.query_nodes) * 50.0)),
        batch: LIVE_BATCH,
        duration: WARM_UP + 2 * size.query_run,
        connections: Some(size.query_nodes.min(200)),
        tag: Some(TAG.to_owned()),
        ..stack.fleet()
    })?;
    std::thread::sleep(WARM_UP);
    let fresh = mix::ask(stack, size, DASHBOARDS, Novelty::Fresh, size.query_run)?;
    let repeated = mix::ask(stack, size, DASHBOARDS, Novelty::Repeated, size.query_run)?;
    let report = live.wait()?;
    ensure!(
        report.answers.keys().all(|status| *status == 202) && report.errors.is_empty(),
        "pushes were disturbed: {:?} {:?}",
        report.answers,
        report.errors
    );
    let (kind, worst) = worst(&fresh);
    let mut text = format!(
        "{loaded}. Meanwhile {} samples/s came in, p99 of an ack {:.1} ms; {DASHBOARDS} dashboards asked \
         with a pause of {} ms after each answer. Memory of the engine at most {}.\n\n",
        grouped(report.throughput.samples_s),
        report.latency_ms.p99,
        mix::PAUSE.as_millis(),
        mib(stack.memory().rss_peak_bytes)
    );
    put_table(&mut text, &first, &fresh, &repeated);
    Ok(Section {
        id: "P9",
        title: "dashboard queries over a day while samples come in, p99 of the slowest",
        target: "≤ 50 ms",
        headline: format!(
            "**{worst:.1} ms** ({}; {} of {} kinds are within {TARGET_MS} ms)",
            kind.name(),
            Kind::ALL
                .iter()
                .filter(|kind| of(&fresh, **kind).at(0.99) <= TARGET_MS)
                .count(),
            Kind::ALL.len()
        ),
        values: Kind::ALL
            .map(|kind| {
                let p99_ms = of(&fresh, kind).at(0.99);
                Value::at_most(TARGET_MS, format!("p99, {}", kind.name()), p99_ms, "ms")
            })
            .to_vec(),
        text,
    })
}

fn put_table(text: &mut String, first: &[Asked], fresh: &[Asked], repeated: &[Asked]) {
    text.push_str(
        "| query | bytes | first of all, ms | new question: n | p50 | p95 | p99 | most, ms | asked again: n | p50 | p95 | p99, ms |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for kind in Kind::ALL {
        let (new, again) = (of(fresh, kind), of(repeated, kind));
        let first_ms = first.iter().find(|one| one.kind == kind);
        put(
            text,
            format_args!(
                "| {} | {} | {:.1} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {} | {:.1} | {:.1} | {:.1} |\n",
                kind.name(),
                grouped(new.bytes),
                first_ms.map_or(f64::NAN, |one| one.ms),
                new.sorted_ms.len(),
                new.at(0.50),
                new.at(0.95),
                new.at(0.99),
                new.at(1.0),
                again.sorted_ms.len(),
                again.at(0.50),
                again.at(0.95),
                again.at(0.99)
            ),
        );
    }
}

struct Times {
    sorted_ms: Vec<f64>,
    bytes: f64,
}

impl Times {
    /// Nearest rank.
    fn at(&self, share: f64) -> f64 {
        let rank = (share * self.sorted_ms.len() as f64).ceil().max(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank"
        )]
        let at = rank as usize - 1;
        self.sorted_ms.get(at).copied().unwrap_or(f64::NAN)
    }
}

fn of(asked: &[Asked], kind: Kind) -> Times {
    let ours = || asked.iter().filter(|one| one.kind == kind);
    let mut sorted_ms: Vec<f64> = ours().map(|one| one.ms).collect();
    sorted_ms.sort_by(f64::total_cmp);
    let bytes = ours().map(|one| one.bytes as f64).sum::<f64>() / sorted_ms.len().max(1) as f64;
    Times { sorted_ms, bytes }
}

fn worst(asked: &[Asked]) -> (Kind, f64) {
    let p99s = Kind::ALL.map(|kind| (kind, of(asked, kind).at(0.99)));
    let most = |a: &(Kind, f64), b: &(Kind, f64)| a.1.total_cmp(&b.1);
    p99s.into_iter()
        .max_by(most)
        .unwrap_or((Kind::ALL[0], f64::NAN))
}

/// The end of the history: a whole step before now.
fn history_end() -> UnixMicros {
    UnixMicros::now().floor_to(HISTORY_EVERY_S)
}

//! R9: central is away until the probes' buffers are nearly full, and comes back. Real probes, each
//! a process with its spool on disk; the spools are the witness of what was measured.

use super::outcome::{Outcome, Pushes, Times};
use super::stack::Stack;
use super::{Breaks, LEAD_IN, Size, await_back};
use anyhow::{Context as _, Result, bail, ensure};
use fiber_loadgen::spool::{self, Seq};
use fiber_local::process::{Launch, Lifetime, Running, Signal};
use fiber_local::scratch::Scratch;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

const PROBES: usize = 10;
/// Two targets every half second; a sample is some 320 bytes in the spool.
const SAMPLES_S: u64 = 4;
const SAMPLE_BYTES: u64 = 330;
/// The longest pause of a probe between two tries. Its buffer must outlast the outage by this.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// That pause, and the backlog.
const BAR: Duration = Duration::from_secs(75);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

pub(super) fn outage(name: &'static str, size: Size) -> Result<Outcome> {
    let mut stack = Stack::start(Breaks::Link)?;
    let home = Scratch::new("probes")?;
    let lasts = size.database_fault;
    let room = (lasts + PAUSE_MAX + LEAD_IN * 4).as_secs() * SAMPLES_S * SAMPLE_BYTES;
    let mut probes = (0..PROBES)
        .map(|number| Probe::start(&stack, &home, number, room))
        .collect::<Result<Vec<_>>>()?;
    let first = Instant::now();
    while !all_seen_since(&stack, "2000-01-01") {
        ensure!(first.elapsed() < SETTLE_LIMIT, "the probes do not push");
        sleep(Duration::from_millis(50));
    }
    sleep(LEAD_IN);
    let began = Instant::now();
    stack.engine.kill9()?;
    sleep(lasts);
    stack.engine.restart()?;
    let mended = Instant::now();
    let since = fiber_contract::UnixMicros::now().to_string();
    // The oldest go first, so whoever shows a sample of now has handed over its backlog.
    let recovery = await_back(mended, &stack, || all_seen_since(&stack, &since))?;
    for probe in &mut probes {
        probe.stop()?;
    }
    let times = Times {
        fault: mended - began,
        recovery,
        bar: BAR,
    };
    let mut outcome = compare(name, &stack, &probes, times)?;
    outcome.judge(Pushes::MayFail);
    Ok(outcome)
}

/// Every probe has a sample in the table that is newer than this.
fn all_seen_since(stack: &Stack, since: &str) -> bool {
    let sql = format!(
        "SELECT count(*) = {PROBES} FROM nodes WHERE node_id LIKE 'spool-%' AND last_seen > '{since}'"
    );
    stack.database.psql(&sql).is_ok_and(|all| all == "t")
}

struct Probe {
    node_id: String,
    spool: PathBuf,
    running: Option<Running>,
}

impl Probe {
    fn start(stack: &Stack, home: &Scratch, number: usize, room: u64) -> Result<Self> {
        let node_id = format!("spool-{number:02}");
        let spool = home.path().join(format!("{node_id}.spool"));
        let url = stack.engine.url();
        // One target is there all the time, and one is not.
        let target = format!("tcp://127.0.0.1:{}", stack.redis.port());
        let status = format!("{url}/api/status");
        let room = room.to_string();
        let args = [
            "--url",
            &url,
            "--node-id",
            &node_id,
            "--country",
            "KE",
            "--region",
            "Nairobi",
            "--interval",
            "500ms",
            "--packets",
            "1",
            "--timeout",
            "200ms",
            "--target",
            &target,
            "--target",
            &status,
            "--spool-max",
            &room,
            "--spool",
        ];
        let mut args: Vec<_> = args.iter().map(Into::into).collect();
        args.push(spool.clone().into());
        let launch = Launch {
            program: fiber_local::engine_binary()?.with_file_name("fiber-probe"),
            args,
            env: vec![(
                "FEDERATION_SECRET".to_owned(),
                stack.engine.federation_secret().to_owned(),
            )],
            working_dir: home.path().to_path_buf(),
            log: home.path().join(format!("{node_id}.log")),
            account: None,
        };
        let running = launch.start(&Lifetime::WithParent {
            death_signal: "KILL",
        })?;
        Ok(Self {
            node_id,
            spool,
            running: Some(running),
        })
    }

    fn stop(&mut self) -> Result<()> {
        let Some(mut running) = self.running.take() else {
            return Ok(());
        };
        if !running.stop(Signal::TERM, STOP_LIMIT)? {
            bail!("{} did not stop", self.node_id);
        }
        Ok(())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            drop(running.kill());
        }
    }
}

/// Node, type and time, and the values as the table has them.
type Sample = ((String, String, i64), [Option<f32>; 3]);
type Samples = BTreeMap<(String, String, i64), [Option<f32>; 3]>;

fn compare(name: &'static str, stack: &Stack, probes: &[Probe], times: Times) -> Result<Outcome> {
    let (mut measured, mut waiting) = (Samples::new(), 0);
    for probe in probes {
        let all = spool::every_sample(&probe.spool)?;
        // A spool that was rewritten meanwhile would be no witness.
        for (expect, (seq, json)) in (1..).zip(&all) {
            ensure!(
                *seq == Seq(expect),
                "{} lacks sample {expect}",
                probe.spool.display()
            );
            let (key, values) = read(json)?;
            ensure!(
                measured.insert(key, values).is_none(),
                "{} has a sample twice",
                probe.node_id
            );
        }
        let (spool, _) = spool::Spool::open(&probe.spool, spool::Limits::default())?;
        waiting += spool.waiting() as u64;
    }
    let expect = measured.len() as u64 - waiting;
    let rows = settled_rows(stack, expect)?;
    let mut outcome = Outcome::timed(name, times);
    outcome.acked = expect;
    let mut stored = Samples::new();
    for line in rows.lines().filter(|line| !line.is_empty()) {
        let (key, values) = row(line)?;
        outcome.stored += 1;
        match measured.get(&key) {
            Some(sent) if *sent == values => {}
            _ => {
                outcome.ghosts += 1;
                outcome.notes.push(format!("never measured: {line}"));
            }
        }
        outcome.duplicates += u64::from(stored.insert(key, values).is_some());
    }
    let absent = measured
        .keys()
        .filter(|key| !stored.contains_key(*key))
        .count() as u64;
    outcome.lost = absent.saturating_sub(waiting);
    let quarantined = stack.database.psql("SELECT count(*) FROM quarantine")?;
    outcome.quarantined = quarantined.trim().parse()?;
    outcome.notes.push(format!(
        "{} probes measured {}, {waiting} wait in their spools at the end",
        probes.len(),
        measured.len()
    ));
    Ok(outcome)
}

/// Once they do not become more.
fn settled_rows(stack: &Stack, expect: u64) -> Result<String> {
    const ROWS: &str =
        "SELECT n.node_id, s.probe_type, (extract(epoch FROM m.time) * 1000000)::int8,
        m.latency_ms, m.uptime_pct, m.packet_loss
        FROM metrics m JOIN series s USING (series_key) JOIN nodes n ON n.node_key = s.node_key
        WHERE n.node_id LIKE 'spool-%'";
    let began = Instant::now();
    loop {
        let rows = stack.database.psql(ROWS)?;
        let count = rows.lines().filter(|line| !line.is_empty()).count() as u64;
        if count >= expect || began.elapsed() > SETTLE_LIMIT {
            return Ok(rows);
        }
        sleep(Duration::from_millis(200));
    }
}

fn read(json: &[u8]) -> Result<Sample> {
    let sample: Value = serde_json::from_slice(json)?;
    let text = |name: &str| {
        sample[name]
            .as_str()
            .map(str::to_owned)
            .with_context(|| name.to_owned())
    };
    let time = fiber_contract::UnixMicros::parse(&text("timestamp")?)
        .ok()
        .context("timestamp")?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the table holds real, which is f32"
    )]
    let value = |name: &str| sample[name].as_f64().map(|value| value as f32);
    let values = ["latency_ms", "uptime_pct", "packet_loss"].map(value);
    Ok(((text("node_id")?, text("probe_type")?, time.0), values))
}

/// As psql prints it without alignment: `node|type|µs|latency|uptime|loss`.
fn row(line: &str) -> Result<Sample> {
    let fields: Vec<_> = line.split('|').collect();
    let [node_id, probe_type, time, latency, uptime, loss] = fields[..] else {
        bail!("not a row: {line}");
    };
    let value = |text: &str| -> Result<Option<f32>> {
        if text.is_empty() {
            Ok(None)
        } else {
            Ok(Some(text.parse()?))
        }
    };
    let values = [value(latency)?, value(uptime)?, value(loss)?];
    Ok((
        (node_id.to_owned(), probe_type.to_owned(), time.parse()?),
        values,
    ))
}

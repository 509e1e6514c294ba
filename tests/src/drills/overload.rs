//! R10: more than the engine may take, more than probes may send, and connections that never get
//! on. Nothing is mended here but the load itself: what is asked is that it stays within its
//! bounds meanwhile, and that those who behave do not notice.

use super::outcome::{Outcome, Pushes, Times};
use super::stack::Stack;
use super::{Breaks, LEAD_IN, Size, await_back};
use anyhow::{Context as _, Result};
use fiber_loadgen::fleet::{self, Config, Rate};
use fiber_loadgen::report::Report;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What the engine may take in this drill, and what it is offered.
const ALLOWED_S: f64 = 1_500.0;
const TIMES: f64 = 10.0;
const GOODPUT_MIN: f64 = 0.9;

/// A quota in this drill, and the probes that send ten times as much.
const QUOTA_S: f64 = 20.0;
const GREEDY: u32 = 20;

/// Memory that may come on top once the load is there; a leak under load shows as more.
const GROWTH_BYTES_MAX: u64 = 32 << 20;
/// Below it a p99 on a shared machine is the scheduler's, and doubling it says nothing.
const P99_FLOOR_MS: f64 = 20.0;
const BAR: Duration = Duration::from_secs(2);

pub(super) fn engine(name: &'static str, size: Size) -> Result<Outcome> {
    let allowed = ALLOWED_S.to_string();
    let stack = Stack::with(Breaks::Link, &[("RATE_LIMIT_GLOBAL_MAX", &allowed)])?;
    let began = Instant::now();
    let run = fleet::start(Config {
        probes: 500,
        rate: Rate::PerSecond(ALLOWED_S * TIMES),
        retry_for: Duration::ZERO,
        drain: Duration::ZERO,
        ..polite(&stack, size.overload)
    })?;
    let memory = Memory::watch(&stack, size.overload)?;
    let report = run.wait()?;
    let mended = Instant::now();
    let back = || {
        stack
            .push("after-overload")
            .is_ok_and(|head| head.starts_with("HTTP/1.1 202"))
    };
    let times = Times {
        fault: mended - began,
        recovery: await_back(mended, &stack, back)?,
        bar: BAR,
    };
    let mut outcome = Outcome::of(name, &stack, &[&report], times)?;
    // A bucket lets a burst of one second through at first: that is beyond the rate, not below it.
    let goodput = report.throughput.requests_s / ALLOWED_S;
    outcome.demand(
        goodput >= GOODPUT_MIN,
        format!("goodput {goodput:.2} of what is allowed, at {TIMES} times the offer"),
    );
    outcome.demand(
        report
            .answers
            .get(&503)
            .is_some_and(|refused| *refused > report.samples.acked),
        format!(
            "refused with 503: {}",
            report.answers.get(&503).unwrap_or(&0)
        ),
    );
    memory.judge(&mut outcome);
    outcome.judge(Pushes::MayFail);
    Ok(outcome)
}

pub(super) fn greedy_probes(name: &'static str, size: Size) -> Result<Outcome> {
    let quota = QUOTA_S.to_string();
    let stack = Stack::with(
        Breaks::Link,
        &[
            ("RATE_LIMIT_INGEST_RATE", &quota),
            ("RATE_LIMIT_INGEST_BURST", &quota),
        ],
    )?;
    beside(name, &stack, size, || {
        let run = fleet::start(Config {
            probes: GREEDY,
            rate: Rate::PerSecond(QUOTA_S * TIMES * f64::from(GREEDY)),
            retry_for: Duration::ZERO,
            drain: Duration::ZERO,
            seed: 2,
            ..self::polite(&stack, size.overload)
        })?;
        let memory = Memory::watch(&stack, size.overload)?;
        let report = run.wait()?;
        let over = report.answers.get(&429).copied().unwrap_or_default();
        let told = format!("the greedy were refused {over} times with 429");
        Ok(Loud {
            memory,
            is_real: over > report.samples.acked,
            others: Some(report),
            told,
        })
    })
}

pub(super) fn slow_connections(name: &'static str, size: Size) -> Result<Outcome> {
    let stack = Stack::start(Breaks::Link)?;
    beside(name, &stack, size, || {
        let (over, ended) = (AtomicBool::new(false), AtomicU64::new(0));
        let memory = std::thread::scope(|scope| {
            let crowd =
                scope.spawn(|| crowd(stack.engine.port(), size.slow_connections, &over, &ended));
            let memory = Memory::watch(&stack, size.overload);
            over.store(true, Ordering::Relaxed);
            match crowd.join() {
                Ok(result) => result.and(memory),
                Err(_) => anyhow::bail!("the slow connections panicked"),
            }
        })?;
        let ended = ended.load(Ordering::Relaxed);
        let told = format!(
            "{} slow connections; the engine ended {ended} of them",
            size.slow_connections
        );
        // A head has 10 s; a short run ends before that.
        let is_real = ended > 0 || size.overload < Duration::from_secs(15);
        Ok(Loud {
            memory,
            others: None,
            is_real,
            told,
        })
    })
}

/// What those did who do not behave.
struct Loud {
    memory: Memory,
    /// Of a fleet.
    others: Option<Report>,
    /// They were really in the way.
    is_real: bool,
    told: String,
}

/// Polite probes send before and during; during it they may not do worse.
fn beside(
    name: &'static str,
    stack: &Stack,
    size: Size,
    course: impl FnOnce() -> Result<Loud>,
) -> Result<Outcome> {
    let before = fleet::run(polite(stack, (size.overload / 3).max(LEAD_IN)))?;
    let run = fleet::start(Config {
        seed: 3,
        ..polite(stack, size.overload + Duration::from_secs(120))
    })?;
    sleep(LEAD_IN);
    let began = Instant::now();
    let Loud {
        memory,
        others,
        is_real,
        told,
    } = course()?;
    let mended = Instant::now();
    let acked = run.progress().acked_samples;
    let recovery = await_back(mended, stack, || run.progress().acked_samples > acked)?;
    run.stop();
    let during = run.wait()?;
    let times = Times {
        fault: mended - began,
        recovery,
        bar: BAR,
    };
    let mut outcome = Outcome::of(name, stack, &[&before, &during], times)?;
    // First the polite alone: none of their pushes may fail.
    outcome.judge(Pushes::MayNotFail);
    if let Some(others) = &others {
        let theirs = Outcome::of(name, stack, &[others], times)?;
        outcome.acked += theirs.acked;
        outcome.stored += theirs.stored;
        let bad = theirs.lost + theirs.duplicates + theirs.ghosts;
        outcome.demand(
            bad == 0,
            format!("of the greedy, {bad} samples lost, doubled or invented"),
        );
    }
    let (quiet, loud) = (before.service_ms.p99, during.service_ms.p99);
    outcome.demand(
        loud <= (2.0 * quiet).max(P99_FLOOR_MS),
        format!("p99 of the others {loud:.1} ms, {quiet:.1} ms before"),
    );
    outcome.demand(is_real, told);
    memory.judge(&mut outcome);
    Ok(outcome)
}

/// 500 events a second of 50 probes, straight to the engine.
fn polite(stack: &Stack, duration: Duration) -> Config {
    Config {
        url: stack.engine.url(),
        duration,
        ..stack.fleet(Breaks::Link, duration)
    }
}

/// What the engine held some seconds into the load, and the most after that.
struct Memory {
    early_bytes: u64,
    late_bytes: u64,
}

impl Memory {
    /// Looks for so long; the first third is the time to warm up.
    fn watch(stack: &Stack, lasts: Duration) -> Result<Self> {
        let began = Instant::now();
        sleep(lasts / 3);
        let early_bytes = stack.rss_bytes()?;
        let mut late_bytes = early_bytes;
        while began.elapsed() < lasts {
            sleep(Duration::from_millis(200));
            late_bytes = late_bytes.max(stack.rss_bytes()?);
        }
        Ok(Self {
            early_bytes,
            late_bytes,
        })
    }

    fn judge(&self, outcome: &mut Outcome) {
        let mib = |bytes: u64| bytes >> 20;
        outcome.demand(
            self.late_bytes <= self.early_bytes + GROWTH_BYTES_MAX,
            format!(
                "memory {} MiB early, {} MiB at most",
                mib(self.early_bytes),
                mib(self.late_bytes)
            ),
        );
    }
}

/// Connections that send a byte of a head each second, and come back when they are ended.
fn crowd(port: u16, count: usize, over: &AtomicBool, ended: &AtomicU64) -> Result<()> {
    const HEAD: &[u8] =
        b"POST /api/push HTTP/1.1\r\nHost: engine\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaa";
    let connect = || -> std::io::Result<(TcpStream, usize)> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nonblocking(true)?;
        Ok((stream, 0))
    };
    let mut all = Vec::with_capacity(count);
    for number in 0..count {
        all.push(connect().with_context(|| format!("open slow connection {number}"))?);
    }
    while !over.load(Ordering::Relaxed) {
        let round = Instant::now();
        for slot in &mut all {
            let (stream, sent) = slot;
            let is_over = match stream.read(&mut [0; 512]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let byte = HEAD[*sent % HEAD.len()];
                    *sent += 1;
                    stream.write_all(&[byte]).is_err()
                }
                // An answer, an end or a reset.
                Ok(_) | Err(_) => true,
            };
            if is_over {
                ended.fetch_add(1, Ordering::Relaxed);
                if let Ok(next) = connect() {
                    *slot = next;
                }
            }
        }
        sleep(Duration::from_secs(1).saturating_sub(round.elapsed()));
    }
    Ok(())
}

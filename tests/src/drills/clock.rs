//! The engine's wall clock steps under load, by libfaketime; its other clocks go on as they should.
//! Samples carry the true time, so to the engine their senders are late, or ahead of it.

use super::outcome::{Outcome, Pushes, Times};
use super::stack::Stack;
use super::{Breaks, LEAD_IN, LEAD_OUT, RECOVERY_HOPE, Size, await_back};
use anyhow::{Context as _, Result, bail};
use fiber_loadgen::fleet;
use fiber_local::provision::install_packages;
use fiber_local::scratch::Scratch;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

const BAR: Duration = Duration::from_secs(15);
/// libfaketime reads its file again after a second.
const SEEN_AFTER: Duration = Duration::from_secs(2);

/// An hour ahead, then four minutes behind, which is still within what a sample may be ahead: no
/// push may fail.
pub(super) fn steps(name: &'static str, size: Size) -> Result<Outcome> {
    run(name, size, &["+3600", "-240"], Pushes::MayNotFail)
}

/// An hour behind: every sample is of its future, and refused as the contract says, until the clock
/// is right again.
pub(super) fn behind(name: &'static str, size: Size) -> Result<Outcome> {
    run(name, size, &["-3600"], Pushes::MayFail)
}

fn run(name: &'static str, size: Size, offsets_s: &[&str], pushes: Pushes) -> Result<Outcome> {
    let home = Scratch::new("clock")?;
    let clock = Clock::at(home.path().join("offset"))?;
    let library = library()?.display().to_string();
    let file = clock.file.display().to_string();
    let stack = Stack::with(
        Breaks::Link,
        &[
            ("LD_PRELOAD", &library),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_CACHE_DURATION", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ],
    )?;
    let lasts = size.link_fault;
    let steps = u32::try_from(offsets_s.len()).context("few steps")?;
    let run = fleet::start(stack.fleet(Breaks::Link, LEAD_IN + lasts * steps + RECOVERY_HOPE))?;
    sleep(LEAD_IN);
    let began = Instant::now();
    for offset_s in offsets_s {
        let before = date(&stack)?;
        clock.set(offset_s)?;
        sleep(lasts.max(SEEN_AFTER));
        if date(&stack)? == before {
            bail!("the engine's clock did not step by {offset_s} s: it says {before} as before");
        }
    }
    clock.set("+0")?;
    let mended = Instant::now();
    let acked = run.progress().acked_samples;
    let back = || run.progress().acked_samples > acked && stack.is_caught_up();
    let recovery = await_back(mended, &stack, back)?;
    sleep(LEAD_OUT);
    run.stop();
    let report = run.wait()?;
    let times = Times {
        fault: mended - began,
        recovery,
        bar: BAR,
    };
    let mut outcome = Outcome::of(name, &stack, &[&report], times)?;
    if pushes == Pushes::MayFail {
        let refused = report.answers.get(&422).copied().unwrap_or_default();
        outcome.demand(
            refused > 0,
            format!("{refused} samples of its future refused with 422"),
        );
        let others = report
            .answers
            .keys()
            .filter(|status| !matches!(status, 202 | 422))
            .count();
        outcome.demand(
            others == 0 && report.errors.is_empty(),
            "and nothing else failed".to_owned(),
        );
    }
    outcome.judge(pushes);
    Ok(outcome)
}

/// The hour of an answer's `Date`: it changes with every step of these drills that is seen.
fn date(stack: &Stack) -> Result<String> {
    let head = stack.push("drill-clock")?;
    let date = head
        .lines()
        .find_map(|line| line.strip_prefix("Date: "))
        .context("no Date")?;
    // "Wed, 25 Nov 2026 22:27:04 GMT", to the minute.
    Ok(date.get(..22).unwrap_or(date).to_owned())
}

struct Clock {
    file: PathBuf,
}

impl Clock {
    fn at(file: PathBuf) -> Result<Self> {
        let clock = Self { file };
        clock.set("+0")?;
        Ok(clock)
    }

    /// Renamed over the old one, so that no half of it is read.
    fn set(&self, offset_s: &str) -> Result<()> {
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{offset_s}\n"))?;
        Ok(std::fs::rename(&new, &self.file)?)
    }
}

/// Of Debian's package libfaketime, installed if this account may.
fn library() -> Result<PathBuf> {
    let find = || {
        let places = [
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
            "/usr/lib",
        ];
        places
            .iter()
            .map(|place| Path::new(place).join("faketime/libfaketime.so.1"))
            .find(|path| path.is_file())
    };
    if let Some(found) = find() {
        return Ok(found);
    }
    install_packages(&["libfaketime"]).context("install libfaketime")?;
    find().context("libfaketime was installed and is not where it should be")
}

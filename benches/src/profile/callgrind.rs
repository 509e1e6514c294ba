//! Instructions of a push, by stage: a count does not depend on what else the machine does.

use crate::rig::Rig;
use anyhow::{Context as _, Result, ensure};
use fiber_loadgen::fleet::{self, Config, Rate};
use fiber_local::scratch::Scratch;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PROBES: u32 = 50;
const PUSHES_S: f64 = 500.0;
const RUN: Duration = Duration::from_secs(10);
const HOPE: Duration = Duration::from_secs(120);

/// Functions of an ingest thread whose instructions, with what they call, are a stage. None calls
/// another of them.
const STAGES: [(&str, &str); 9] = [
    ("read calls", "Connection::read::{{closure}}"),
    ("frame: find the end of the head", "http1::head_length"),
    ("frame: parse and check the head", "http1::parse"),
    ("admit: decide by the head", "service::Admit::head"),
    ("parse: the body", "parse::body::parse"),
    ("record: encode", "service::record_of"),
    ("record: queue", "Appender::try_append_for"),
    ("answer: its head", "respond::render"),
    ("write calls", "Connection::write::{{closure}}"),
];

/// Markdown; `None` without valgrind.
pub(super) fn count(rig: &Rig) -> Result<Option<String>> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("no valgrind here: instructions are not counted");
        return Ok(None);
    }
    let home = Scratch::new("callgrind")?;
    let out = home.path().join("callgrind.out");
    let under = format!(
        "valgrind --tool=callgrind --separate-threads=yes --callgrind-out-file={}",
        out.display()
    );
    let env = [("FIBER_DRIVER", "epoll"), ("FIBER_ENGINE_UNDER", &under)];
    let mut stack = rig.stack(&env)?;
    let report = fleet::run(Config {
        probes: PROBES,
        batch: 1,
        rate: Rate::PerSecond(PUSHES_S),
        duration: RUN,
        ..stack.fleet()
    })?;
    stack.await_drained()?;
    stack.engine.terminate(HOPE)?;
    rig.drop_database(&stack.database)?;
    let pushes = report.requests.acked;
    ensure!(pushes > 0, "nothing was pushed under callgrind");
    let (mut sums, mut all) = (BTreeMap::new(), 0);
    for path in threads(home.path())? {
        let text = annotate(&path)?;
        if text.contains("accept::connection::serve") {
            all += add(&text, &mut sums);
        }
    }
    Ok(Some(table(&sums, all, pushes)))
}

/// One file a thread, beside one without a number.
fn threads(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for file in std::fs::read_dir(dir)? {
        let path = file?.path();
        if path.to_string_lossy().contains(".out-") {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn annotate(path: &Path) -> Result<String> {
    let run = Command::new("callgrind_annotate")
        .args(["--inclusive=yes", "--threshold=100", "--show-percs=no"])
        .arg(path)
        .output()
        .context("run callgrind_annotate")?;
    Ok(String::from_utf8_lossy(&run.stdout).into_owned())
}

/// Adds the stages of one thread; the answer is the thread's sum. A function with code of several files
/// in it stands on several lines: the one with the call of all the rest is the largest.
fn add(text: &str, sums: &mut BTreeMap<&'static str, u64>) -> u64 {
    let (mut all, mut thread) = (0, BTreeMap::<&'static str, u64>::new());
    for line in text.lines() {
        let Some((count, name)) = line.trim().split_once("  ") else {
            continue;
        };
        let Ok(count) = count.trim().replace(',', "").parse::<u64>() else {
            continue;
        };
        if name.contains("PROGRAM TOTALS") {
            all = count;
        }
        if let Some((stage, _)) = STAGES.iter().find(|(_, function)| name.contains(function)) {
            let most = thread.entry(stage).or_default();
            *most = count.max(*most);
        }
    }
    for (stage, count) in thread {
        *sums.entry(stage).or_default() += count;
    }
    all
}

fn table(sums: &BTreeMap<&'static str, u64>, all: u64, pushes: u64) -> String {
    let mut text = format!(
        "Instructions of the ingest threads, {pushes} pushes over {PROBES} connections at {PUSHES_S:.0} a second \
         (callgrind; start and idle time are in the rest, and a function that the compiler put into another counts as that one):\n\n| stage | instructions a push |\n|---|---:|\n"
    );
    let mut named = 0;
    for (stage, _) in STAGES {
        // The compiler put the function of a stage without any into another one.
        let Some(count) = sums.get(stage).copied().filter(|count| *count > 0) else {
            continue;
        };
        named += count;
        let each = count / pushes;
        writeln!(text, "| {stage} | {each} |").expect("a String takes everything");
    }
    let (rest, each) = (all.saturating_sub(named) / pushes, all / pushes);
    writeln!(text, "| the rest | {rest} |\n| **all** | **{each}** |")
        .expect("a String takes everything");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_added_over_threads() {
        let text = "1,000  PROGRAM TOTALS\n\
                    900  ???:fiber_engine::accept::connection::serve::{{closure}} [x]\n\
                    300  ???:fiber_engine::parse::body::parse [x]\n\
                    20  core.rs:fiber_engine::parse::body::parse [x]\n\
                    40  ???:fiber_engine::accept::http1::parse [x]\n";
        let mut sums = BTreeMap::new();
        assert_eq!(add(text, &mut sums) + add(text, &mut sums), 2_000);
        assert_eq!(sums["parse: the body"], 600);
        let table = table(&sums, 2_000, 10);
        assert!(table.contains("| parse: the body | 60 |"), "{table}");
        assert!(table.contains("| the rest | 132 |"), "{table}");
    }
}

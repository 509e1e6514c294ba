//! The table for people, and the same for programs.

use super::{Line, Verdict};
use anyhow::{Context as _, Result};
use fiber_contract::UnixMicros;
use fiber_loadgen::report::host::Hardware;
use fiber_local::scratch::Scratch;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::process::Command;
use std::time::{Duration, Instant};

/// Raised when a field changes its meaning.
const FORMAT_VERSION: u32 = 1;

/// What the figures depend on.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    pub format_version: u32,
    pub began: UnixMicros,
    pub commit: String,
    pub target: String,
    pub size: &'static str,
    pub hardware: Hardware,
    pub load_before: String,
    /// One write of 4 KiB and fdatasync, where the servers' data goes.
    pub sync_p50_ms: f64,
    pub sync_p99_ms: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Table {
    pub facts: Facts,
    pub green: bool,
    pub lines: Vec<Row>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Row {
    #[serde(flatten)]
    pub line: Line,
    pub verdict: Verdict,
}

impl Facts {
    pub fn now(target: String, size: &'static str) -> Result<Self> {
        let sync = sync_times_ms().context("time the disk")?;
        Ok(Self {
            format_version: FORMAT_VERSION,
            began: UnixMicros::now(),
            commit: commit(),
            target,
            size,
            hardware: Hardware::detect(),
            load_before: std::fs::read_to_string("/proc/loadavg")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            sync_p50_ms: sync[sync.len() / 2],
            sync_p99_ms: sync[sync.len() * 99 / 100],
        })
    }
}

impl Table {
    pub fn new(facts: Facts, lines: Vec<Line>) -> Self {
        let lines: Vec<_> = lines
            .into_iter()
            .map(|line| Row {
                verdict: line.verdict(),
                line,
            })
            .collect();
        Self {
            facts,
            green: !lines.is_empty() && lines.iter().all(|row| is_green(row.verdict)),
            lines,
        }
    }

    pub fn missed(&self) -> usize {
        self.count(Verdict::Miss)
    }

    pub fn count(&self, verdict: Verdict) -> usize {
        self.lines
            .iter()
            .filter(|row| row.verdict == verdict)
            .count()
    }

    /// Columns are padded, so that it reads in a terminal too.
    pub fn markdown(&self) -> String {
        let mut rows = vec![
            [
                "gate", "what", "model", "ours", "measured", "verdict", "note",
            ]
            .map(str::to_owned),
        ];
        rows.extend(self.lines.iter().map(|row| {
            let line = &row.line;
            [
                line.gate.to_owned(),
                line.what.clone(),
                line.users_bar_text(),
                line.our_bar_text(),
                line.measured_text(),
                line.verdict_text(),
                line.note.clone(),
            ]
            .map(|cell| cell.replace(['\n', '\r'], " ").replace('|', "\\|"))
        }));
        let facts = &self.facts;
        let mut text = String::new();
        put(
            &mut text,
            format_args!(
                "{}, commit {}, {} size, {}\n{} cores of {}, {}; load before {}\n\
             write of 4 KiB and fdatasync: p50 {:.2} ms, p99 {:.2} ms\n\n",
                facts.began,
                facts.commit,
                facts.size,
                facts.target,
                facts.hardware.cores,
                facts.hardware.cpu,
                facts.hardware.kernel,
                facts.load_before,
                facts.sync_p50_ms,
                facts.sync_p99_ms
            ),
        );
        let widths: [usize; 7] = std::array::from_fn(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        });
        for (number, row) in rows.iter().enumerate() {
            for (cell, width) in row.iter().zip(widths) {
                put(&mut text, format_args!("| {cell:<width$} "));
            }
            text.push_str("|\n");
            if number == 0 {
                for width in widths {
                    put(&mut text, format_args!("|{}", "-".repeat(width + 2)));
                }
                text.push_str("|\n");
            }
        }
        put(
            &mut text,
            format_args!(
                "\n{}: {} passed, {} with a stretch target missed, {} missed, {} not run, {} skipped. \
             Bars in brackets are aimed at and decide nothing.\n",
                if self.green { "GREEN" } else { "NOT GREEN" },
                self.count(Verdict::Pass),
                self.count(Verdict::StretchMissed),
                self.missed(),
                self.count(Verdict::NotRun),
                self.count(Verdict::Skipped),
            ),
        );
        text
    }
}

/// Skipped lines are those that the operator's own deployment cannot give; they are told, not held
/// against it.
fn is_green(verdict: Verdict) -> bool {
    match verdict {
        Verdict::Pass | Verdict::StretchMissed | Verdict::Skipped => true,
        Verdict::Miss | Verdict::NotRun => false,
    }
}

fn put(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more)
        .expect("writing to a String does not fail");
}

/// Of 200 writes, sorted.
fn sync_times_ms() -> Result<Vec<f64>> {
    const WRITES: usize = 200;
    let dir = Scratch::new("sync")?;
    let mut file = std::fs::File::create_new(dir.path().join("file"))?;
    let block = [0xA5; 4_096];
    // Once without the clock, so that no write has to grow the file.
    for _ in 0..WRITES {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    let mut times = Vec::new();
    for _ in 0..WRITES {
        let began = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times
        .iter()
        .map(Duration::as_secs_f64)
        .map(|seconds| seconds * 1e3)
        .collect())
}

fn commit() -> String {
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        let output = command
            .arg("-C")
            .arg(fiber_local::workspace_root())
            .args(args)
            .output();
        output
            .ok()
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    match git(&["rev-parse", "--short=12", "HEAD"]) {
        None => "unknown".to_owned(),
        Some(head) if git(&["status", "--porcelain"]).is_some_and(|changes| changes.is_empty()) => {
            head
        }
        Some(head) => format!("{head} with local changes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gates::{Absent, Bar};

    fn facts() -> Facts {
        Facts {
            format_version: FORMAT_VERSION,
            began: UnixMicros(0),
            commit: "c".to_owned(),
            target: "t".to_owned(),
            size: "full",
            hardware: Hardware::detect(),
            load_before: String::new(),
            sync_p50_ms: 0.1,
            sync_p99_ms: 0.2,
        }
    }

    fn line(value: f64) -> Line {
        Line::new("g", "w", "")
            .must(Bar::at_most(0.0))
            .measured(value)
    }

    #[test]
    fn one_miss_or_one_gate_that_did_not_run_is_not_green() {
        let green = |lines| Table::new(facts(), lines).green;
        assert!(green(vec![line(0.0)]));
        assert!(green(vec![
            line(0.0),
            line(0.0).absent(Absent::Skipped("x".into()))
        ]));
        assert!(!green(vec![line(0.0), line(1.0)]));
        assert!(!green(vec![
            line(0.0),
            line(0.0).absent(Absent::NotRun("x".into()))
        ]));
        assert!(!green(vec![
            line(0.0),
            line(0.0).absent(Absent::Failed("x".into()))
        ]));
        assert!(!green(Vec::new()));
    }

    #[test]
    fn a_cell_cannot_break_the_table() {
        let text = Table::new(facts(), vec![line(0.0).note("a|b\nc")]).markdown();
        assert!(text.contains("a\\|b c"), "{text}");
    }
}

//! `RESULTS.md`: what was measured, on what, and how far apart the runs were.

use crate::disk::{SYNC_BLOCK_BYTES, SyncCost};
use crate::pairs::{Pairs, Side, Spread};
use crate::{Size, rig};
use fiber_contract::UnixMicros;
use fiber_loadgen::report::host::Hardware;
use fiber_local::workspace_root;
use serde::Serialize;
use std::fmt::Write as _;
use std::process::Command;

/// Raised when a figure changes its meaning.
pub const FORMAT_VERSION: u32 = 2;

/// One figure: a headline for the table on top, and how it came about.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    pub id: &'static str,
    pub title: &'static str,
    pub target: &'static str,
    pub headline: String,
    pub text: String,
    /// The headline's numbers, for programs.
    pub values: Vec<Value>,
}

/// One number, and what it is held against.
#[derive(Clone, Debug, Serialize)]
pub struct Value {
    pub what: String,
    pub unit: &'static str,
    pub value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
}

impl Value {
    pub fn at_least(limit: f64, what: impl Into<String>, value: f64) -> Self {
        Self {
            what: what.into(),
            unit: "",
            value,
            at_least: Some(limit),
            at_most: None,
        }
    }

    pub fn at_most(limit: f64, what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            what: what.into(),
            unit,
            value,
            at_least: None,
            at_most: Some(limit),
        }
    }
}

/// What the two sides of a figure are.
#[derive(Clone, Copy, Debug)]
pub struct Labels {
    pub a: &'static str,
    pub b: &'static str,
    /// Of both rates.
    pub unit: &'static str,
}

/// A figure made of pairs: the ratio with its range, and every run.
pub fn ratio_headline(pairs: &Pairs) -> String {
    let Spread {
        median,
        least,
        most,
    } = Spread::of(pairs.ratios());
    format!("**{median:.2}** ({least:.2}–{most:.2})")
}

/// The median of a figure made of pairs, with its range beside it.
pub fn ratio_values(pairs: &Pairs, at_least: f64) -> Vec<Value> {
    let spread = Spread::of(pairs.ratios());
    let what = format!("median, {:.2} to {:.2}", spread.least, spread.most);
    vec![Value::at_least(at_least, what, spread.median)]
}

pub fn pairs_table(pairs: &Pairs, labels: Labels) -> String {
    let Labels { a, b, unit } = labels;
    let mut text = format!(
        "| pair | {a}, {unit} | {b}, {unit} | ratio | {a}: CPU µs each, memory | {b}: CPU µs each, memory |\n\
         |---:|---:|---:|---:|---|---|\n"
    );
    for (number, (side_a, side_b)) in pairs.a.iter().zip(&pairs.b).enumerate() {
        put(
            &mut text,
            format_args!(
                "| {} | {} | {} | {:.2} | {} | {} |\n",
                number + 1,
                grouped(side_a.rate),
                grouped(side_b.rate),
                side_a.rate / side_b.rate,
                cost(side_a),
                cost(side_b)
            ),
        );
    }
    let rate_of = |sides: &[Side]| grouped(Spread::of(sides.iter().map(|side| side.rate)).median);
    put(
        &mut text,
        format_args!(
            "\nMedians: {a} {} {unit}, {b} {} {unit}.\n",
            rate_of(&pairs.a),
            rate_of(&pairs.b)
        ),
    );
    text
}

fn cost(side: &Side) -> String {
    let mut parts: Vec<_> = side
        .cpu_us_each
        .iter()
        .map(|(process, micros_each)| format!("{process} {micros_each:.2}"))
        .collect();
    if side.rss_peak_bytes > 0 {
        parts.push(format!("peak {}", mib(side.rss_peak_bytes)));
    }
    parts.join(", ")
}

pub fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

pub fn put(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more)
        .expect("writing to a String does not fail");
}

/// A whole number with thin groups of three.
pub fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// The whole document.
pub fn render(size: Size, sync: SyncCost, load_before: &str, sections: &[Section]) -> String {
    let mut text = String::from(
        "# Results\n\nWritten by `make bench`; what each figure means is in README.md.\n\n",
    );
    text.push_str("| | |\n|---|---|\n");
    for (name, value) in facts(size, sync, load_before) {
        put(&mut text, format_args!("| {name} | {value} |\n"));
    }
    text.push_str("\n| | figure | median (range) | target |\n|---|---|---|---|\n");
    for section in sections {
        let Section {
            id,
            title,
            target,
            headline,
            ..
        } = section;
        put(
            &mut text,
            format_args!("| {id} | {title} | {headline} | {target} |\n"),
        );
    }
    for section in sections {
        put(
            &mut text,
            format_args!(
                "\n## {}: {}\n\n{}\n",
                section.id,
                section.title,
                section.text.trim_end()
            ),
        );
    }
    text
}

/// What the figures depend on.
fn facts(size: Size, sync: SyncCost, load_before: &str) -> Vec<(&'static str, String)> {
    let hardware = Hardware::detect();
    vec![
        ("format version", FORMAT_VERSION.to_string()),
        ("commit", commit()),
        ("date", UnixMicros::now().to_string()),
        (
            "hardware",
            format!(
                "{} cores of {}, {}",
                hardware.cores,
                hardware.cpu,
                mib(hardware.memory_bytes)
            ),
        ),
        ("kernel", hardware.kernel),
        ("load before the run", load_before.to_owned()),
        (
            "configuration",
            format!(
                "{} size: {} pairs in turns (A-B-B-A), {} rows or {:.1} s a run; generator, servers \
                 and engine share the machine; engine on {} ingest cores, PostgreSQL with fsync on, \
                 512 MiB of shared buffers and TimescaleDB; bodies of {} samples from {} probes",
                size.name,
                size.pairs,
                grouped(size.rows as f64),
                size.run.as_secs_f64(),
                hardware.cores,
                rig::BATCH,
                rig::HUBS
            ),
        ),
        (
            "disk of the data folders",
            format!(
                "write of {SYNC_BLOCK_BYTES} bytes and fdatasync: p50 {} µs, p99 {} µs",
                sync.p50.as_micros(),
                sync.p99.as_micros()
            ),
        ),
    ]
}

/// What the figures are about: a change of anything else leaves them as they are.
const MEASURED: [&str; 4] = ["engine", "loadgen", "migrations", "deploy/local"];

/// Their last commit, and whether the tree has changes of its own.
fn commit() -> String {
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        let output = command.arg("-C").arg(workspace_root()).args(args).output();
        output
            .ok()
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(head) = git(&[
        &["log", "-1", "--abbrev=12", "--format=%h", "--"],
        &MEASURED[..],
    ]
    .concat()) else {
        return "not in a git checkout".to_owned();
    };
    let changes =
        git(&[&["status", "--porcelain", "--"], &MEASURED[..]].concat()).unwrap_or_default();
    if changes.is_empty() {
        head
    } else {
        format!("{head} with local changes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(grouped(1_234_567.4), "1\u{202f}234\u{202f}567");
        assert_eq!(grouped(999.0), "999");
    }
}

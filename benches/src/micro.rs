//! The stages by themselves: runs `cargo bench` and takes over what criterion found.

use crate::report::{Section, grouped, put};
use anyhow::{Context as _, Result, ensure};
use fiber_local::scratch::Scratch;
use fiber_local::workspace_root;
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

const SHORT: [&str; 6] = [
    "--warm-up-time",
    "0.3",
    "--measurement-time",
    "1",
    "--sample-size",
    "20",
];

pub(crate) fn run() -> Result<Section> {
    let home = Scratch::new("criterion")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let status = Command::new(cargo)
        .args(["bench", "-p", "fiber-benches", "--"])
        .args(SHORT)
        .current_dir(workspace_root())
        .env("CRITERION_HOME", home.path())
        .status()
        .context("run cargo bench")?;
    ensure!(status.success(), "cargo bench failed");
    let mut cases = Vec::new();
    collect(home.path(), &mut cases)?;
    ensure!(!cases.is_empty(), "criterion wrote no estimates");
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = String::from(
        "One thread, criterion's median with its 95 % interval; the journal on the real disk.\n\n\
         | case | time | throughput |\n|---|---:|---:|\n",
    );
    for Case {
        name,
        median_ns: [median, low, high],
        throughput,
    } in &cases
    {
        put(
            &mut text,
            format_args!(
                "| `{name}` | {} ({}–{}) | {throughput} |\n",
                duration(*median),
                duration(*low),
                duration(*high)
            ),
        );
    }
    Ok(Section {
        id: "µ",
        title: "the stages by themselves",
        target: "none",
        headline: format!("{} cases, below", cases.len()),
        text,
        values: Vec::new(),
    })
}

struct Case {
    name: String,
    /// Median, and the ends of its interval.
    median_ns: [f64; 3],
    throughput: String,
}

/// Every folder `…/new` with criterion's two files.
fn collect(dir: &Path, cases: &mut Vec<Case>) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        if path.file_name().is_some_and(|name| name == "new") {
            cases.push(read(&path)?);
        } else {
            collect(&path, cases)?;
        }
    }
    Ok(())
}

fn read(dir: &Path) -> Result<Case> {
    let json = |name: &str| -> Result<Value> {
        let path: PathBuf = dir.join(name);
        let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(serde_json::from_slice(&bytes)?)
    };
    let (benchmark, estimates) = (json("benchmark.json")?, json("estimates.json")?);
    let median = &estimates["median"];
    let interval = &median["confidence_interval"];
    let number = |value: &Value| value.as_f64().context("a time");
    let median_ns = [
        number(&median["point_estimate"])?,
        number(&interval["lower_bound"])?,
        number(&interval["upper_bound"])?,
    ];
    Ok(Case {
        name: benchmark["full_id"].as_str().context("full_id")?.to_owned(),
        median_ns,
        throughput: throughput(&benchmark["throughput"], median_ns[0]),
    })
}

fn throughput(of: &Value, median_ns: f64) -> String {
    if let Some(bytes) = of["Bytes"].as_f64() {
        return format!("{} MB/s", grouped(bytes * 1e3 / median_ns));
    }
    match of["Elements"].as_f64() {
        Some(elements) => format!("{}/s", grouped(elements * 1e9 / median_ns)),
        None => String::new(),
    }
}

fn duration(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{ns:.1} ns"),
        ns if ns < 1e6 => format!("{:.2} µs", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}

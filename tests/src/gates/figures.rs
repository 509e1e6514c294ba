//! P1 to P4, P7 and P8: measured by `fiber-benches`, which has the yardsticks.

use super::{Bar, Context, Line};
use anyhow::{Context as _, Result, bail, ensure};
use fiber_local::scratch::Scratch;
use serde::Deserialize;
use std::process::Command;

/// Pairs of each figure: fewer than a full bench has, so that all gates fit in an hour.
const PAIRS: &str = "3";
const PAIRS_SHORT: &str = "1";
const FIGURES: &str = "committed,backlog,requests,overload,journal,memory";
const IDS: [&str; 6] = ["P1", "P2", "P3", "P4", "P7", "P8"];

#[derive(Deserialize)]
struct Section {
    id: String,
    title: String,
    values: Vec<Value>,
}

#[derive(Deserialize)]
struct Value {
    what: String,
    unit: String,
    value: f64,
    at_least: Option<f64>,
    at_most: Option<f64>,
}

/// All of them are targets: they are ratios of one machine, and none is promised to an operator.
pub(super) fn ratios(context: &Context) -> Result<Vec<Line>> {
    let program = fiber_local::engine_binary()?.with_file_name("fiber-benches");
    let home = Scratch::new("gates")?;
    let file = home.path().join("figures.json");
    let pairs = if context.is_full() {
        PAIRS
    } else {
        PAIRS_SHORT
    };
    let mut command = Command::new(&program);
    command
        .args(["--only", FIGURES, "--pairs", pairs, "--json"])
        .arg(&file);
    if context.is_quick() {
        command.arg("--quick");
    }
    let output = command.output().with_context(|| {
        format!(
            "run {}: cargo build --release -p fiber-benches",
            program.display()
        )
    })?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let last: Vec<_> = errors.lines().rev().take(5).collect();
        bail!("fiber-benches {}: {}", output.status, last.join(" < "));
    }
    lines_of(&std::fs::read(&file)?)
}

fn lines_of(json: &[u8]) -> Result<Vec<Line>> {
    let sections: Vec<Section> = serde_json::from_slice(json).context("read the figures")?;
    let mut lines = Vec::new();
    for id in IDS {
        let section = sections
            .iter()
            .find(|section| section.id == id)
            .with_context(|| format!("no {id}"))?;
        ensure!(!section.values.is_empty(), "{id} has no value");
        for value in &section.values {
            let bar = match (value.at_least, value.at_most) {
                (Some(limit), _) => Bar::at_least(limit),
                (None, Some(limit)) => Bar::at_most(limit),
                (None, None) => bail!("{id} {} has no target", value.what),
            };
            lines.push(
                Line::new(
                    id,
                    format!("{}: {}", section.title, value.what),
                    unit(&value.unit),
                )
                .stretch(bar)
                .measured(value.value),
            );
        }
    }
    Ok(lines)
}

fn unit(text: &str) -> &'static str {
    match text {
        "ms" => "ms",
        "MiB" => "MiB",
        "KiB" => "KiB",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_is_missing_is_not_passed_over() {
        let section = |id: &str| {
            format!(
                r#"{{"id":"{id}","title":"t","values":[{{"what":"w","unit":"","value":1,"at_least":0.5}}]}}"#
            )
        };
        let all: Vec<_> = IDS.iter().map(|id| section(id)).collect();
        let json = |sections: &[String]| format!("[{}]", sections.join(","));
        assert_eq!(lines_of(json(&all).as_bytes()).unwrap().len(), IDS.len());
        assert!(lines_of(json(&all[1..]).as_bytes()).is_err());
        let empty = json(&all).replace(r#"{"what":"w","unit":"","value":1,"at_least":0.5}"#, "");
        assert!(lines_of(empty.as_bytes()).is_err());
    }
}

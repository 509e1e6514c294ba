//! The first load of the dashboard, as Lighthouse sees it on a simulated phone. `fiber-audit` runs
//! it; where that, Chromium or Lighthouse is missing, the line says so and is not green.

use super::{Absent, Bar, Context, Line, Target};
use anyhow::{Context as _, Result};
use fiber_local::scratch::Scratch;
use serde_json::Value;
use std::process::Command;

const LCP: &str = "dashboard_lcp";
const BYTES: &str = "P10";
const PAGE: &str = "overview";

pub(super) fn first_load(context: &Context) -> Result<Vec<Line>> {
    let lcp = Line::new(
        LCP,
        "largest contentful paint, Lighthouse, mobile throttling",
        "ms",
    )
    .user(Bar::below(2_500.0))
    .stretch(Bar::at_most(900.0));
    let bytes =
        Line::new(BYTES, "first load, everything over the wire", "KB").stretch(Bar::at_most(300.0));
    match audit(context) {
        Ok(found) => Ok(vec![
            lcp.measured(figure(&found, "lcp_ms")?).note(format!(
                "median of {}; performance {}",
                found["loads"], found["performance"]
            )),
            bytes.measured(figure(&found, "transfer_bytes")? / 1e3),
        ]),
        Err(error) => {
            let why = Absent::NotRun(format!("{error:#}"));
            Ok(vec![lcp.absent(why.clone()), bytes.absent(why)])
        }
    }
}

fn figure(found: &Value, name: &str) -> Result<f64> {
    found[name]
        .as_f64()
        .with_context(|| format!("the audit tells no {name}"))
}

/// What it says about the page. Its own bars are not ours, so its exit code is not looked at.
fn audit(context: &Context) -> Result<Value> {
    let program = fiber_local::engine_binary()?.with_file_name("fiber-audit");
    let home = Scratch::new("audit")?;
    let mut command = Command::new(&program);
    command
        .args(["--only", "lighthouse", "--pages", PAGE, "--json", "--out"])
        .arg(home.path());
    command.args(["--loads", if context.is_quick() { "1" } else { "3" }]);
    if let Target::Theirs(theirs) = &context.target {
        command.args(["--url", &theirs.url]);
    }
    let output = command
        .output()
        .with_context(|| format!("run {}", program.display()))?;
    let report: Value = serde_json::from_slice(&output.stdout).with_context(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().rev().find(|line| !line.trim().is_empty());
        format!(
            "fiber-audit {}: {}",
            output.status,
            last.unwrap_or_default()
        )
    })?;
    report["lighthouse"]
        .get(0)
        .cloned()
        .context("fiber-audit measured nothing")
}

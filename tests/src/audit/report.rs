//! The table for people and the JSON for programs.

use super::axe::AxeResult;
use super::lighthouse::LighthouseResult;
use serde::Serialize;
use std::fmt::Write as _;

const FORMAT_VERSION: u32 = 1;

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub format_version: u32,
    pub passed: bool,
    pub lighthouse: Vec<LighthouseResult>,
    pub axe: Vec<AxeResult>,
    pub misses: Vec<String>,
}

impl Report {
    pub fn new(lighthouse: Vec<LighthouseResult>, axe: Vec<AxeResult>) -> Self {
        let misses: Vec<String> = lighthouse
            .iter()
            .flat_map(|one| one.misses.clone())
            .chain(axe.iter().filter(|one| !one.passed()).map(AxeResult::tell))
            .collect();
        Self {
            format_version: FORMAT_VERSION,
            passed: misses.is_empty() && !(lighthouse.is_empty() && axe.is_empty()),
            lighthouse,
            axe,
            misses,
        }
    }
}

pub fn table(report: &Report) -> String {
    let mut text = String::new();
    if !report.lighthouse.is_empty() {
        text.push_str(
            "| page | LCP ms (range) | FCP ms | TBT ms | CLS | performance | accessibility | \
             best practices | KB | third party |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        );
    }
    for one in &report.lighthouse {
        writeln!(
            text,
            "| {} | {:.0} ({:.0}–{:.0}) | {:.0} | {:.0} | {:.3} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} |",
            one.page,
            one.lcp_ms,
            one.lcp_range_ms.0,
            one.lcp_range_ms.1,
            one.fcp_ms,
            one.tbt_ms,
            one.cls,
            one.performance,
            one.accessibility,
            one.best_practices,
            one.transfer_bytes / 1_000.0,
            one.third_party_requests,
        )
        .expect("writing to a String does not fail");
    }
    if !report.axe.is_empty() {
        text.push_str(
            "\n| page | theme | screen | rules held | violations |\n|---|---|---|---:|---:|\n",
        );
    }
    for one in &report.axe {
        let (passes, violations) = (one.passes, one.violations.len());
        writeln!(
            text,
            "| {} | {} | {} | {passes} | {violations} |",
            one.page, one.theme, one.screen
        )
        .expect("writing to a String does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_that_judged_nothing_did_not_pass() {
        assert!(!Report::new(Vec::new(), Vec::new()).passed);
    }
}

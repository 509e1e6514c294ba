//! What came of a drill, and what is asked of it.

use super::stack::Stack;
use anyhow::{Context as _, Result};
use fiber_loadgen::report::Report;
use fiber_loadgen::stack_env::DbConfig;
use fiber_loadgen::verify::{Patience, settle_blocking};
use serde::Serialize;
use std::time::Duration;

#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    pub drill: &'static str,
    pub fault_s: f64,
    /// From the end of the fault.
    pub recovery_s: f64,
    pub recovery_bar_s: f64,
    /// Who counted the limits before the fault, as the answers said: `distributed` or `local`.
    pub policy: Option<String>,
    /// Answers other than 200 and 202, and tries without an answer.
    pub failed_tries: u64,
    pub acked: u64,
    pub stored: u64,
    pub lost: u64,
    pub duplicates: u64,
    pub ghosts: u64,
    pub quarantined: u64,
    /// What else was measured.
    pub notes: Vec<String>,
    /// Why it failed; empty is a pass.
    pub misses: Vec<String>,
}

/// How long it was broken, how long the way back took, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) fault: Duration,
    pub(super) recovery: Duration,
    pub(super) bar: Duration,
}

/// Beyond that nothing is lost, doubled, invented or quarantined, and that it is back in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushes {
    /// The fault is behind the engine: no push may notice it.
    MayNotFail,
    /// The fault is on their way, or the engine is right to refuse: they are sent again.
    MayFail,
}

const PATIENCE: Patience = Patience {
    most: Duration::from_secs(120),
    stable_for: Duration::from_secs(20),
};

impl Outcome {
    pub fn passed(&self) -> bool {
        self.misses.is_empty()
    }

    /// It could not be run to its end, or never recovered.
    pub fn broken_off(drill: &'static str, error: &anyhow::Error) -> Self {
        Self {
            drill,
            misses: vec![format!("{error:#}")],
            ..Self::default()
        }
    }

    /// What the runs' own ledgers and the tables say about them.
    pub(super) fn of(
        drill: &'static str,
        stack: &Stack,
        reports: &[&Report],
        times: Times,
    ) -> Result<Self> {
        let mut outcome = Self::compared(drill, &stack.judge_db(), reports, times)?;
        let quarantined = stack.database.psql("SELECT count(*) FROM quarantine")?;
        outcome.quarantined = quarantined.trim().parse()?;
        Ok(outcome)
    }

    /// The same, of a database where quarantine may hold what was there before.
    pub(super) fn compared(
        drill: &'static str,
        db: &DbConfig,
        reports: &[&Report],
        times: Times,
    ) -> Result<Self> {
        let mut outcome = Self::timed(drill, times);
        for report in reports {
            let ledger = report.ledger.as_ref().context("the run kept a ledger")?;
            let found = settle_blocking(ledger, db, PATIENCE, |_, _| {})?;
            outcome.count_failed(report);
            outcome.acked += found.acked;
            outcome.stored += found.stored;
            outcome.lost += found.lost;
            outcome.duplicates += found.duplicates;
            outcome.ghosts += found.ghosts;
            outcome.notes.extend(found.examples);
        }
        Ok(outcome)
    }

    /// Where no table can be asked.
    pub(super) fn uncompared(drill: &'static str, report: &Report, times: Times) -> Self {
        let mut outcome = Self::timed(drill, times);
        outcome.count_failed(report);
        outcome.acked = report.samples.acked;
        outcome
    }

    pub(super) fn timed(drill: &'static str, times: Times) -> Self {
        Self {
            drill,
            fault_s: times.fault.as_secs_f64(),
            recovery_s: times.recovery.as_secs_f64(),
            recovery_bar_s: times.bar.as_secs_f64(),
            ..Self::default()
        }
    }

    fn count_failed(&mut self, report: &Report) {
        let failed = failed_tries(report);
        self.failed_tries += failed;
        if failed > 0 {
            let seen = format!("answers {:?}, errors {:?}", report.answers, report.errors);
            self.notes.push(seen);
        }
    }

    /// Fills in why it failed, if it did; misses that are there already stay.
    pub(super) fn judge(&mut self, pushes: Pushes) {
        let mut misses = Vec::new();
        let mut none = |count: u64, what: &str| {
            if count > 0 {
                misses.push(format!("{count} {what}"));
            }
        };
        none(self.lost, "lost");
        none(self.duplicates, "duplicate");
        none(self.ghosts, "ghost");
        none(self.quarantined, "quarantined");
        if pushes == Pushes::MayNotFail {
            none(self.failed_tries, "failed pushes");
        }
        if self.acked == 0 {
            misses.push("nothing was acknowledged".to_owned());
        }
        if self.recovery_s > self.recovery_bar_s {
            misses.push(format!("back after {:.1} s", self.recovery_s));
        }
        self.misses.extend(misses);
    }

    /// A demand of this drill alone; the sentence is told either way.
    pub(super) fn demand(&mut self, holds: bool, told: String) {
        if holds {
            self.notes.push(told);
        } else {
            self.misses.push(told);
        }
    }
}

fn failed_tries(report: &Report) -> u64 {
    let refused = (report.answers.iter()).filter(|(status, _)| !matches!(status, 200 | 202));
    refused.map(|(_, count)| count).sum::<u64>() + report.errors.values().sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Outcome {
        Outcome {
            drill: "x",
            recovery_s: 0.5,
            recovery_bar_s: 1.0,
            acked: 10,
            stored: 10,
            ..Outcome::default()
        }
    }

    #[test]
    fn each_finding_fails_a_drill() {
        let with = |change: fn(&mut Outcome)| {
            let mut outcome = good();
            change(&mut outcome);
            outcome.judge(Pushes::MayNotFail);
            outcome.passed()
        };
        assert!(with(|_| {}));
        assert!(!with(|o| o.lost = 1));
        assert!(!with(|o| o.duplicates = 1));
        assert!(!with(|o| o.ghosts = 1));
        assert!(!with(|o| o.quarantined = 1));
        assert!(!with(|o| o.failed_tries = 1));
        assert!(!with(|o| o.acked = 0));
        assert!(!with(|o| o.recovery_s = 1.1));
        assert!(!with(|o| o.demand(false, "x".to_owned())));
        assert!(with(|o| o.demand(true, "x".to_owned())));
    }

    #[test]
    fn pushes_may_fail_where_their_way_is_broken() {
        let mut outcome = good();
        outcome.failed_tries = 5;
        outcome.judge(Pushes::MayFail);
        assert!(outcome.passed());
    }
}

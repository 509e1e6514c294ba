//! Drills: a fleet sends, something breaks, it is mended, and the fleet's own ledger judges.
//!
//! Every drill runs on servers of its own, so it can be run anywhere and disturbs nobody; it needs
//! a stack of its own and is not for a deployment that serves. A drill passes when nothing that was
//! acknowledged is lost, nothing is stored twice, nothing is invented, nothing is quarantined, and
//! the system is back within the drill's bar. Where the fault is behind the engine, no push may
//! fail either; where it is on the link of the probes, or the engine itself has no room left,
//! pushes fail and are sent again.

mod faults;
mod stack;

use anyhow::{Context as _, Result};
use fiber_loadgen::fleet;
use fiber_loadgen::verify::{Patience, settle_blocking};
use serde::Serialize;
use stack::Stack;
use std::time::{Duration, Instant};

/// How long faults last.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub redis_fault: Duration,
    pub database_fault: Duration,
    pub link_fault: Duration,
}

impl Size {
    pub const FULL: Self = Self {
        redis_fault: Duration::from_secs(10),
        database_fault: Duration::from_secs(60),
        link_fault: Duration::from_secs(15),
    };
    /// Shows that everything works.
    pub const QUICK: Self = Self {
        redis_fault: Duration::from_secs(3),
        database_fault: Duration::from_secs(3),
        link_fault: Duration::from_secs(3),
    };
}

/// What a drill breaks, which decides what is asked of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breaks {
    Redis,
    Database,
    /// The disk of the database, which is a small one.
    DatabaseDisk,
    /// The disk of the engine, which is a small one.
    JournalDisk,
    /// Between the probes and the engine.
    Link,
}

/// One thing that can go wrong.
#[derive(Clone, Copy, Debug)]
pub struct Drill {
    pub name: &'static str,
    pub about: &'static str,
    breaks: Breaks,
    /// Breaks, waits, mends; returns when it is mended.
    fault: fn(&mut Stack, Duration) -> Result<()>,
}

/// All of them, in the order in which they run.
pub const DRILLS: &[Drill] = faults::ALL;

/// What came of a drill.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    pub drill: &'static str,
    pub fault_s: f64,
    /// From the end of the fault.
    pub recovery_s: f64,
    pub recovery_bar_s: f64,
    /// Answers other than 200 and 202, and tries without an answer.
    pub failed_tries: u64,
    pub acked: u64,
    pub stored: u64,
    pub lost: u64,
    pub duplicates: u64,
    pub ghosts: u64,
    pub quarantined: u64,
    /// Why it failed; empty is a pass.
    pub misses: Vec<String>,
}

impl Outcome {
    pub fn passed(&self) -> bool {
        self.misses.is_empty()
    }
}

const LEAD_IN: Duration = Duration::from_secs(2);
/// The fleet goes on after the recovery, so that the judge sees samples of the time after it.
const LEAD_OUT: Duration = Duration::from_secs(1);
const RECOVERY_HOPE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);

impl Drill {
    fn fault_lasts(&self, size: Size) -> Duration {
        match self.breaks {
            Breaks::Redis => size.redis_fault,
            Breaks::Database | Breaks::DatabaseDisk | Breaks::JournalDisk => size.database_fault,
            Breaks::Link => size.link_fault,
        }
    }

    /// Redis: GATES R7. The database: a retry's pause of up to 5 s, then the backlog. The journal's
    /// disk: the same, as far as the first freed segment. The link: a probe's own pause of up to
    /// 2 s, and its deadline of a try.
    fn recovery_bar(&self) -> Duration {
        Duration::from_secs(match self.breaks {
            Breaks::Redis => 1,
            Breaks::Database | Breaks::DatabaseDisk | Breaks::JournalDisk => 15,
            Breaks::Link => 5,
        })
    }

    /// Runs it on fresh servers. An error means that it could not be run or never recovered.
    pub fn run(&self, size: Size) -> Result<Outcome> {
        let mut stack = Stack::start(self.breaks)?;
        let fault_lasts = self.fault_lasts(size);
        let run = fleet::start(stack.fleet(self.breaks, LEAD_IN + fault_lasts + RECOVERY_HOPE))?;
        std::thread::sleep(LEAD_IN);
        let began = Instant::now();
        (self.fault)(&mut stack, fault_lasts).context("break and mend")?;
        let mended = Instant::now();
        let acked_before = run.progress().acked_samples;
        while !self.is_back(&stack, &run, acked_before) {
            if mended.elapsed() > RECOVERY_HOPE {
                anyhow::bail!(
                    "not back {RECOVERY_HOPE:?} after the fault: {}",
                    stack.tell()
                );
            }
            std::thread::sleep(POLL);
        }
        let recovery = mended.elapsed();
        std::thread::sleep(LEAD_OUT);
        run.stop();
        let report = run.wait()?;
        let ledger = report.ledger.as_ref().context("the run kept a ledger")?;
        let patience = Patience {
            most: Duration::from_secs(120),
            stable_for: Duration::from_secs(20),
        };
        let found = settle_blocking(ledger, &stack.judge_db(), patience, |_, _| {})?;
        let good = |status: &u16| matches!(status, 200 | 202);
        let refused: u64 = (report.answers.iter())
            .filter(|(status, _)| !good(status))
            .map(|(_, count)| count)
            .sum();
        let quarantined = stack.database.psql("SELECT count(*) FROM quarantine")?;
        let mut outcome = Outcome {
            drill: self.name,
            fault_s: (mended - began).as_secs_f64(),
            recovery_s: recovery.as_secs_f64(),
            recovery_bar_s: self.recovery_bar().as_secs_f64(),
            failed_tries: refused + report.errors.values().sum::<u64>(),
            acked: found.acked,
            stored: found.stored,
            lost: found.lost,
            duplicates: found.duplicates,
            ghosts: found.ghosts,
            quarantined: quarantined.trim().parse()?,
            misses: Vec::new(),
        };
        self.judge(&mut outcome);
        if !outcome.passed() && outcome.failed_tries > 0 {
            let seen = format!("answers {:?}, errors {:?}", report.answers, report.errors);
            outcome.misses.push(seen);
        }
        Ok(outcome)
    }

    fn is_back(&self, stack: &Stack, run: &fleet::Running, acked_before: u64) -> bool {
        match self.breaks {
            Breaks::Redis => stack.redis_is_up(),
            Breaks::Database | Breaks::DatabaseDisk => stack.is_caught_up(),
            Breaks::JournalDisk | Breaks::Link => run.progress().acked_samples > acked_before,
        }
    }

    fn judge(&self, outcome: &mut Outcome) {
        let mut misses = Vec::new();
        let mut none = |count: u64, what: &str| {
            if count > 0 {
                misses.push(format!("{count} {what}"));
            }
        };
        none(outcome.lost, "lost");
        none(outcome.duplicates, "duplicate");
        none(outcome.ghosts, "ghost");
        none(outcome.quarantined, "quarantined");
        // Where the journal has no room, 503 is the right answer, and the probe keeps its samples.
        if !matches!(self.breaks, Breaks::JournalDisk | Breaks::Link) {
            none(outcome.failed_tries, "failed pushes");
        }
        if outcome.acked == 0 {
            misses.push("nothing was acknowledged".to_owned());
        }
        if outcome.recovery_s > outcome.recovery_bar_s {
            misses.push(format!("back after {:.1} s", outcome.recovery_s));
        }
        outcome.misses = misses;
    }
}

/// The drill of this name.
pub fn find(name: &str) -> Option<&'static Drill> {
    DRILLS.iter().find(|drill| drill.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        Outcome {
            drill: "x",
            fault_s: 1.0,
            recovery_s: 0.5,
            recovery_bar_s: 1.0,
            failed_tries: 0,
            acked: 10,
            stored: 10,
            lost: 0,
            duplicates: 0,
            ghosts: 0,
            quarantined: 0,
            misses: Vec::new(),
        }
    }

    #[test]
    fn each_finding_fails_a_drill() {
        let drill = find("redis-killed").unwrap();
        let with = |change: fn(&mut Outcome)| {
            let mut outcome = outcome();
            change(&mut outcome);
            drill.judge(&mut outcome);
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
    }
}

//! Drills: a fleet sends, something breaks, it is mended, and the fleet's own ledger judges.
//!
//! Every drill runs on servers of its own, so it can be run anywhere and disturbs nobody; it needs
//! a stack of its own and is not for a deployment that serves. A drill passes when nothing that was
//! acknowledged is lost, nothing is stored twice, nothing is invented, nothing is quarantined, and
//! the system is back within the drill's bar. Where the fault is behind the engine, no push may
//! fail either; where it is on the link of the probes, or the engine itself has no room left,
//! pushes fail and are sent again. The way back is timed from the moment the fault ends.
//!
//! [`theirs`] does the same to an operator's deployment, which commands of theirs break and mend.

mod central;
mod clock;
mod cycles;
mod faults;
mod network;
mod outcome;
mod overload;
mod stack;
mod theirs;

pub use cycles::redis_cycles;
pub use outcome::Outcome;
pub use theirs::theirs;

use anyhow::{Context as _, Result};
use fiber_loadgen::fleet;
use outcome::{Pushes, Times};
use stack::Stack;
use std::time::{Duration, Instant};

/// How long faults last.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub redis_fault: Duration,
    pub database_fault: Duration,
    pub link_fault: Duration,
    /// Of Redis, one after the other.
    pub redis_cycles: u32,
    pub overload: Duration,
    pub slow_connections: usize,
}

impl Size {
    pub const FULL: Self = Self {
        redis_fault: Duration::from_secs(10),
        database_fault: Duration::from_secs(60),
        link_fault: Duration::from_secs(15),
        redis_cycles: 100,
        overload: Duration::from_secs(60),
        slow_connections: 5_000,
    };
    pub const SHORT: Self = Self {
        redis_fault: Duration::from_secs(5),
        database_fault: Duration::from_secs(10),
        link_fault: Duration::from_secs(5),
        redis_cycles: 20,
        overload: Duration::from_secs(15),
        slow_connections: 5_000,
    };
    /// Shows that everything works.
    pub const QUICK: Self = Self {
        redis_fault: Duration::from_secs(3),
        database_fault: Duration::from_secs(3),
        link_fault: Duration::from_secs(3),
        redis_cycles: 4,
        overload: Duration::from_secs(5),
        slow_connections: 500,
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
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Breaks, waits, mends; returns when it is mended. A fleet sends meanwhile.
    Fault(Breaks, fn(&mut Stack, Duration) -> Result<()>),
    /// One with a course of its own.
    Whole(fn(&'static str, Size) -> Result<Outcome>),
}

/// All of them, in the order in which they run.
pub const DRILLS: &[Drill] = faults::ALL;

const LEAD_IN: Duration = Duration::from_secs(2);
/// The fleet goes on after the recovery, so that the judge sees samples of the time after it.
const LEAD_OUT: Duration = Duration::from_secs(1);
const RECOVERY_HOPE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);

impl Breaks {
    fn fault_lasts(self, size: Size) -> Duration {
        match self {
            Self::Redis => size.redis_fault,
            Self::Database | Self::DatabaseDisk | Self::JournalDisk => size.database_fault,
            Self::Link => size.link_fault,
        }
    }

    /// Redis: GATES R7. The database: a retry's pause of up to 5 s, then the backlog. The journal's
    /// disk: the same, as far as the first freed segment. The link: a probe's own pause of up to
    /// 2 s, and its deadline of a try.
    fn recovery_bar(self) -> Duration {
        Duration::from_secs(match self {
            Self::Redis => 1,
            Self::Database | Self::DatabaseDisk | Self::JournalDisk => 15,
            Self::Link => 5,
        })
    }

    /// Where the journal has no room, 503 is the right answer, and the probe keeps its samples.
    fn pushes(self) -> Pushes {
        match self {
            Self::Redis | Self::Database | Self::DatabaseDisk => Pushes::MayNotFail,
            Self::JournalDisk | Self::Link => Pushes::MayFail,
        }
    }

    /// Redis is back when the limits are counted where they were before.
    fn is_back(self, stack: &Stack, run: &fleet::Running, before: &Before) -> bool {
        match self {
            Self::Redis => stack.limits_are(&before.policy),
            Self::Database | Self::DatabaseDisk => stack.is_caught_up(),
            Self::JournalDisk | Self::Link => run.progress().acked_samples > before.acked,
        }
    }
}

struct Before {
    policy: String,
    acked: u64,
}

impl Drill {
    /// Runs it on fresh servers. An error means that it could not be run or never recovered.
    pub fn run(&self, size: Size) -> Result<Outcome> {
        match self.kind {
            Kind::Fault(breaks, fault) => self.run_fault(size, breaks, fault),
            Kind::Whole(whole) => whole(self.name, size),
        }
    }

    fn run_fault(
        &self,
        size: Size,
        breaks: Breaks,
        fault: fn(&mut Stack, Duration) -> Result<()>,
    ) -> Result<Outcome> {
        let mut stack = Stack::start(breaks)?;
        let policy = stack.policy()?;
        let fault_lasts = breaks.fault_lasts(size);
        let run = fleet::start(stack.fleet(breaks, LEAD_IN + fault_lasts + RECOVERY_HOPE))?;
        std::thread::sleep(LEAD_IN);
        let began = Instant::now();
        fault(&mut stack, fault_lasts).context("break and mend")?;
        let mended = Instant::now();
        let acked = run.progress().acked_samples;
        let before = Before { policy, acked };
        let recovery = await_back(mended, &stack, || breaks.is_back(&stack, &run, &before))?;
        std::thread::sleep(LEAD_OUT);
        run.stop();
        let report = run.wait()?;
        let times = Times {
            fault: mended - began,
            recovery,
            bar: breaks.recovery_bar(),
        };
        let mut outcome = Outcome::of(self.name, &stack, &[&report], times)?;
        if breaks == Breaks::Redis {
            outcome.policy = Some(before.policy);
        }
        outcome.judge(breaks.pushes());
        Ok(outcome)
    }
}

/// How long after `mended` it held for the first time.
fn await_back(mended: Instant, stack: &Stack, is_back: impl Fn() -> bool) -> Result<Duration> {
    while !is_back() {
        if mended.elapsed() > RECOVERY_HOPE {
            anyhow::bail!(
                "not back {RECOVERY_HOPE:?} after the fault: {}",
                stack.tell()
            );
        }
        std::thread::sleep(POLL);
    }
    Ok(mended.elapsed())
}

/// The drill of this name.
pub fn find(name: &str) -> Option<&'static Drill> {
    DRILLS.iter().find(|drill| drill.name == name)
}

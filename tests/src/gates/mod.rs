//! The verification gates: each measures something and holds it against two bars, that of the
//! deployment model and ours.
//!
//! A gate runs against servers of its own, or against an operator's deployment as far as that can
//! be done without control of its servers. It says what it did not run. The run is green when
//! every line of the table passed; a bar of the model, or one of ours that is a must, that is not reached
//! makes it red, and so does a gate that could not be run. What is only aimed at (in brackets) is
//! shown as missed and decides nothing: those figures depend on the machine.

mod figures;
mod generator;
mod ingest;
mod line;
mod named;
mod page;
mod queries;
mod recovery;
mod redis;
mod restore;
mod table;
mod target;

pub use line::{Absent, Bar, Line, Verdict};
pub use table::{Facts, Table};
pub use target::{Endpoint, Target};

use anyhow::Result;
use std::sync::OnceLock;
use std::time::Duration;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub name: &'static str,
    pub probes: u32,
    /// One run of a fleet.
    pub run: Duration,
    /// The tables must not change for so long before something counts as lost.
    pub settled_after: Duration,
    pub drills: crate::drills::Size,
}

impl Size {
    pub const FULL: Self = Self {
        name: "full",
        probes: 1_000,
        run: Duration::from_secs(20),
        settled_after: Duration::from_secs(20),
        drills: crate::drills::Size::FULL,
    };
    /// Loads as in a full run, shorter faults, fewer kills and schedules: some 20 minutes.
    pub const SHORT: Self = Self {
        name: "short",
        probes: 1_000,
        run: Duration::from_secs(20),
        settled_after: Duration::from_secs(20),
        drills: crate::drills::Size::SHORT,
    };
    /// Shows that everything works; its figures mean little.
    pub const QUICK: Self = Self {
        name: "quick",
        probes: 100,
        run: Duration::from_secs(3),
        settled_after: Duration::from_secs(20),
        drills: crate::drills::Size::QUICK,
    };
}

/// What a gate needs beyond an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// An engine somewhere.
    Engine,
    /// Servers that it may break, or commands that do.
    Faults,
    /// Servers made for it, or this repository's own tests.
    OwnServers,
}

#[derive(Clone, Copy, Debug)]
pub struct Gate {
    pub name: &'static str,
    pub about: &'static str,
    needs: Needs,
    run: fn(&Context) -> Result<Vec<Line>>,
}

/// In the order in which they run.
pub const GATES: &[Gate] = &[
    Gate {
        name: "test_1k_concurrent_probes",
        about: "1000 probes at once: events a second, and every one of them accounted for",
        needs: Needs::Engine,
        run: ingest::concurrent_probes,
    },
    Gate {
        name: "ingest_latency",
        about: "1000 probes on a schedule, timed from the moment they meant to send",
        needs: Needs::Engine,
        run: ingest::latency,
    },
    Gate {
        name: "test_fail_closed_redis_outage",
        about: "Redis killed, paused, partitioned, flushed under load: recovery, failed pushes",
        needs: Needs::Faults,
        run: redis::outage,
    },
    Gate {
        name: "recovery",
        about: "the database is lost with its disk and restored while probes push (RTO, RPO)",
        needs: Needs::OwnServers,
        run: restore::database,
    },
    Gate {
        name: "dashboard_lcp",
        about: "the first load of the dashboard in Lighthouse, and its weight (P10)",
        needs: Needs::Engine,
        run: page::first_load,
    },
    Gate {
        name: "R7",
        about: "the same four in turns, 100 times under one load",
        needs: Needs::OwnServers,
        run: redis::cycles,
    },
    Gate {
        name: "R8",
        about: "the database stopped, killed, paused, read-only, without connections, its disk full: recovery, and every sample",
        needs: Needs::OwnServers,
        run: recovery::database,
    },
    Gate {
        name: "R9",
        about: "the engine away, and its network in pieces, with real probes and their spools",
        needs: Needs::OwnServers,
        run: recovery::central,
    },
    Gate {
        name: "R10",
        about: "overload and slow connections",
        needs: Needs::OwnServers,
        run: recovery::overload,
    },
    Gate {
        name: "P1-P8",
        about: "rows, requests, journal, overload and memory against yardsticks (fiber-benches)",
        needs: Needs::OwnServers,
        run: figures::ratios,
    },
    Gate {
        name: "P9",
        about: "dashboard queries over 24 hours while 1000 probes push",
        needs: Needs::OwnServers,
        run: queries::at_full_ingest,
    },
    Gate {
        name: "P11",
        about: "whether the generator may be believed",
        needs: Needs::OwnServers,
        run: generator::believed,
    },
    Gate {
        name: "R1",
        about: "kill -9 of the engine, again and again",
        needs: Needs::OwnServers,
        run: named::kills_of_the_engine,
    },
    Gate {
        name: "R2",
        about: "kill -9 of the database or of both",
        needs: Needs::OwnServers,
        run: named::kills_of_the_database,
    },
    Gate {
        name: "R3",
        about: "a damaged and a failing disk",
        needs: Needs::OwnServers,
        run: named::damage,
    },
    Gate {
        name: "R4",
        about: "the whole path simulated by seed",
        needs: Needs::OwnServers,
        run: named::simulation,
    },
    Gate {
        name: "R5",
        about: "known bugs switched on: the tests must find each",
        needs: Needs::OwnServers,
        run: named::planted,
    },
    Gate {
        name: "R6",
        about: "mutated inputs, and every order of two threads",
        needs: Needs::OwnServers,
        run: named::small_steps,
    },
    Gate {
        name: "R11",
        about: "the table of bad input",
        needs: Needs::OwnServers,
        run: named::bad_input,
    },
    Gate {
        name: "R12",
        about: "secrets that went in, searched in what came out",
        needs: Needs::OwnServers,
        run: named::canaries,
    },
];

/// What gates share.
#[derive(Debug)]
pub struct Context {
    pub size: Size,
    pub target: Target,
    /// Requests a second of a closed loop, once it was measured.
    saturation: OnceLock<f64>,
}

impl Context {
    pub fn new(size: Size, target: Target) -> Self {
        Self {
            size,
            target,
            saturation: OnceLock::new(),
        }
    }

    fn is_quick(&self) -> bool {
        self.size.name == Size::QUICK.name
    }

    fn is_full(&self) -> bool {
        self.size.name == Size::FULL.name
    }
}

impl Gate {
    /// Never fails: what goes wrong is a line of the table.
    pub fn run(&self, context: &Context) -> Vec<Line> {
        let absent = |why| vec![Line::new(self.name, self.about, "").absent(why)];
        if let Some(why) = self.skipped(&context.target) {
            return absent(Absent::Skipped(why.to_owned()));
        }
        match (self.run)(context) {
            Ok(lines) => lines,
            Err(error) => absent(Absent::Failed(format!("{error:#}"))),
        }
    }

    fn skipped(&self, target: &Target) -> Option<&'static str> {
        match (self.needs, target) {
            (_, Target::Fresh) | (Needs::Engine, Target::Theirs(_)) => None,
            (Needs::Faults, Target::Theirs(theirs)) => theirs
                .faults
                .is_none()
                .then_some("it breaks servers: give --fault-command and --heal-command"),
            (Needs::OwnServers, Target::Theirs(_)) => Some("it needs servers of its own"),
        }
    }
}

pub fn find(name: &str) -> Option<&'static Gate> {
    GATES.iter().find(|gate| gate.name == name)
}

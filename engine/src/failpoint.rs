//! Named moments at which a test has this process killed or stopped, so that crashes fall between
//! two steps on purpose and not by luck.
//!
//! `FIBER_FAILPOINT=<point>[:kill|stop[:<nth>]]`, in development only: the nth time (first, when
//! not given) that the point is passed, the process sends itself SIGKILL or SIGSTOP. What it had
//! written until then is all that the next start finds. Whoever stopped it goes on with SIGCONT.
//!
//! They are in the shipped binary, because that is the one to be judged: a point is passed once a
//! group, transaction or segment, and costs the load of a pointer there.

use rustix::process::{Signal, getpid, kill_process};
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! points {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Point { $($(#[$doc])* $variant,)* }

        impl Point {
            const ALL: &[(&str, Self)] = &[$(($name, Self::$variant),)*];
        }
    };
}

points! {
    /// A group's bytes are in the page cache and not synced.
    GroupWritten = "journal.written",
    /// Synced, and nobody was told.
    GroupSynced = "journal.synced",
    /// Every sender was answered, the writer knows nothing yet.
    GroupAnswered = "journal.answered",
    /// A new segment's header is durable, its name is not there.
    SegmentHeaded = "journal.segment-headed",
    /// It has its name, which is not durable.
    SegmentNamed = "journal.segment-named",
    /// A released segment is removed, which is not durable.
    SegmentRemoved = "journal.segment-removed",
    /// At start: a torn end is cut, and the cut is not synced.
    TailCut = "recover.tail-cut",
    /// At start: the journal is read, nothing is served yet.
    Recovered = "recover.done",
    /// A transaction is open and empty.
    Begun = "copy.begun",
    /// Its rows are copied.
    RowsCopied = "copy.rows-copied",
    /// Its rollups are written as well.
    RolledUp = "copy.rolled-up",
    /// All is written, COMMIT is not sent.
    Accounted = "copy.accounted",
    /// COMMIT was answered, and nobody was told.
    Committed = "copy.committed",
    /// Counters and waiters know, the journal is not released.
    Told = "copy.told",
    /// The journal may forget what is flushed.
    Released = "copy.released",
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Kill,
    Stop,
}

/// What `FIBER_FAILPOINT` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failpoint {
    point: Point,
    action: Action,
    nth: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub struct NoFailpoint;

impl fmt::Display for NoFailpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Point::ALL.iter().map(|(name, _)| *name).collect();
        write!(
            f,
            "<point>[:kill|stop[:<nth>]] with a point of: {}",
            names.join(" ")
        )
    }
}

impl FromStr for Failpoint {
    type Err = NoFailpoint;

    fn from_str(text: &str) -> Result<Self, NoFailpoint> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let (_, point) = Point::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or(NoFailpoint)?;
        let action = match parts.next() {
            None | Some("kill") => Action::Kill,
            Some("stop") => Action::Stop,
            Some(_) => return Err(NoFailpoint),
        };
        let nth = parts
            .next()
            .map_or(Ok(1), str::parse)
            .map_err(|_| NoFailpoint)?;
        if nth == 0 || parts.next().is_some() {
            return Err(NoFailpoint);
        }
        Ok(Self {
            point: *point,
            action,
            nth,
        })
    }
}

struct Armed {
    failpoint: Failpoint,
    passed: AtomicU64,
}

static ARMED: OnceLock<Armed> = OnceLock::new();

/// Once, before the journal is opened.
pub(crate) fn arm(failpoint: Failpoint) {
    tracing::warn!(
        ?failpoint,
        "a failpoint is armed; this process will be killed or stopped"
    );
    let armed = Armed {
        failpoint,
        passed: AtomicU64::new(0),
    };
    if ARMED.set(armed).is_err() {
        tracing::error!("a failpoint was armed before");
    }
}

/// Does nothing, unless a test armed this point.
pub(crate) fn pass(point: Point) {
    let Some(armed) = ARMED.get().filter(|armed| armed.failpoint.point == point) else {
        return;
    };
    if armed.passed.fetch_add(1, Ordering::Relaxed) + 1 != armed.failpoint.nth {
        return;
    }
    let signal = match armed.failpoint.action {
        Action::Kill => Signal::KILL,
        Action::Stop => Signal::STOP,
    };
    kill_process(getpid(), signal).expect("a process may signal itself");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_named_with_what_to_do_and_when() {
        let read = |text: &str| text.parse::<Failpoint>();
        let synced = |action, nth| {
            Ok(Failpoint {
                point: Point::GroupSynced,
                action,
                nth,
            })
        };
        assert_eq!(read("journal.synced"), synced(Action::Kill, 1));
        assert_eq!(read("journal.synced:stop"), synced(Action::Stop, 1));
        assert_eq!(read("journal.synced:kill:7"), synced(Action::Kill, 7));
        for bad in [
            "",
            "journal",
            "journal.synced:",
            "journal.synced:kill:0",
            "journal.synced:kill:1:2",
        ] {
            assert_eq!(read(bad), Err(NoFailpoint), "{bad}");
        }
    }
}

//! Moments between two steps of the engine, by name (`FIBER_FAILPOINT`).

use anyhow::{Context as _, Result, bail, ensure};
use fiber_local::servers::Engine;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// An armed engine that is under load reaches its point long before.
pub(crate) const REACH_LIMIT: Duration = Duration::from_secs(60);
pub(crate) const VARIABLE: &str = "FIBER_FAILPOINT";
const TAIL_CUT: &str = "recover.tail-cut";
const SIGKILL: i32 = 9;

/// Of these each needs 64 MiB of samples.
pub(crate) fn is_of_a_segment(point: &str) -> bool {
    point.starts_with("journal.segment")
}

/// The engine names its points itself, so that none can be forgotten here.
pub(crate) fn known(engine: &Engine) -> Result<Vec<String>> {
    let told = engine.command_with(&["check-config"], &[(VARIABLE, "list")])?;
    let text = String::from_utf8(told.stderr)?;
    let names = text
        .split_once("a point of: ")
        .with_context(|| text.clone())?
        .1;
    Ok(names.split_whitespace().map(str::to_owned).collect())
}

/// An engine that was started with a point.
#[must_use]
pub(crate) struct Armed;

impl Armed {
    /// Starts the stopped engine, to be killed when it passes the point for the nth time.
    pub(crate) fn kill(engine: &mut Engine, point: &str, nth: u64) -> Result<Self> {
        // Points of a start are passed once.
        let nth = if point.starts_with("recover.") {
            1
        } else {
            nth
        };
        if point == TAIL_CUT {
            tear_the_end(&engine.data_dir().join("journal"))?;
        }
        Self::start(engine, &format!("{point}:kill:{nth}"))
    }

    /// The same, to be stopped there.
    pub(crate) fn stop(engine: &mut Engine, point: &str, nth: u64) -> Result<Self> {
        Self::start(engine, &format!("{point}:stop:{nth}"))
    }

    fn start(engine: &mut Engine, failpoint: &str) -> Result<Self> {
        engine.set_env(VARIABLE, failpoint);
        engine.start_unready()?;
        Ok(Self)
    }

    /// Starts the stopped engine without one.
    pub(crate) fn none(engine: &mut Engine) -> Result<()> {
        engine.set_env(VARIABLE, "");
        engine.start_unready()
    }

    /// False when it did not come to the point in time; it is killed all the same.
    pub(crate) fn await_kill(self, engine: &mut Engine, limit: Duration) -> Result<bool> {
        let Ok(status) = engine.wait_exit(limit) else {
            engine.kill9()?;
            return Ok(false);
        };
        ensure!(
            status.signal() == Some(SIGKILL),
            "the engine ended with {status}"
        );
        Ok(true)
    }

    /// False when it did not come to the point in time.
    pub(crate) fn await_stop(&self, engine: &Engine, limit: Duration) -> Result<bool> {
        let pid = engine.pid().context("the engine runs")?;
        let deadline = Instant::now() + limit;
        while !is_stopped(pid)? {
            if Instant::now() > deadline {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(true)
    }
}

/// The third field of `/proc/<pid>/stat`, behind the name in brackets (proc(5)).
fn is_stopped(pid: i32) -> Result<bool> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("no name in stat")?;
    Ok(fields.starts_with('T'))
}

/// What a write leaves that the machine's end interrupted: bytes behind the last group that are none.
fn tear_the_end(journal: &Path) -> Result<()> {
    let mut segments: Vec<_> = std::fs::read_dir(journal)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .filter(|path| path.file_stem().is_some_and(|stem| stem.len() == 16))
        .collect();
    segments.sort();
    let Some(last) = segments.last() else {
        bail!("no segment in {}", journal.display());
    };
    let bytes = std::fs::read(last)?;
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    let file = std::fs::OpenOptions::new().write(true).open(last)?;
    // A group's own end may be zeros, which must stay.
    Ok(file.write_all_at(&[0xab; 100], end as u64 + 256)?)
}

//! Everything down, in the order in which nothing is lost: who sends, who takes, who stores.

use super::component::{ALL, Component};
use super::{fleet, serve};
use crate::paths;
use crate::process::{Identity, Signal, children_of};
use crate::progress::{Step, note};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

const REDIS_LIMIT: Duration = Duration::from_secs(10);
const POSTGRES_LIMIT: Duration = Duration::from_secs(60);
const LEFTOVER_LIMIT: Duration = Duration::from_secs(5);

pub fn down() -> Result<()> {
    let _lock = super::lock()?;
    let everything = processes_of_stack();
    stop(Component::Fleet, Signal::TERM, fleet::STOP_LIMIT)?;
    stop(Component::Engine, Signal::TERM, serve::DRAIN_LIMIT)?;
    stop(Component::Redis, Signal::TERM, REDIS_LIMIT)?;
    // Fast shutdown: sessions end, a checkpoint is written.
    stop(Component::Postgres, Signal::INT, POSTGRES_LIMIT)?;
    verify_nothing_left(&everything)
}

fn stop(component: Component, signal: Signal, limit: Duration) -> Result<()> {
    if component.running().is_none() {
        return component.stop(signal, limit).map(drop);
    }
    let step = Step::start(component.name());
    // A paused process takes no other signal.
    if let Some(running) = component.running() {
        running.signal(Signal::CONT)?;
    }
    if component.stop(signal, limit)? {
        step.done("stopped");
    } else {
        step.done(&format!("did not stop within {limit:?} and was killed"));
    }
    Ok(())
}

/// Before the stop: with the parents gone, nobody could tell whose children are left.
fn processes_of_stack() -> Vec<Identity> {
    const PROCESSES_MAX: usize = 10_000;
    let mut found: Vec<Identity> = ALL
        .iter()
        .filter_map(|component| component.running())
        .map(|running| running.identity().clone())
        .collect();
    let mut next = 0;
    while next < found.len() && found.len() < PROCESSES_MAX {
        found.extend(children_of(&found[next]));
        next += 1;
    }
    found
}

fn verify_nothing_left(everything: &[Identity]) -> Result<()> {
    let deadline = Instant::now() + LEFTOVER_LIMIT;
    loop {
        let left: Vec<String> = everything
            .iter()
            .filter(|identity| identity.is_alive())
            .map(|identity| identity.pid().to_string())
            .collect();
        if left.is_empty() {
            break;
        }
        if Instant::now() > deadline {
            bail!("processes are left: {}", left.join(" "));
        }
        thread::sleep(Duration::from_millis(50));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("read the mounts")?;
    let left = mounts_below(&mounts, &[paths::state_dir(), paths::data_dir()]);
    if !left.is_empty() {
        bail!("mounts are left: {}", left.join(" "));
    }
    note("all stopped; no process and no mount is left");
    Ok(())
}

fn mounts_below(mountinfo: &str, dirs: &[PathBuf]) -> Vec<String> {
    mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|point| dirs.iter().any(|dir| Path::new(point).starts_with(dir)))
        .map(str::to_owned)
        .collect()
}

/// Removes what the stack has stored, and keeps its secrets.
pub fn clean_data() -> Result<()> {
    let _lock = super::lock()?;
    let running: Vec<&str> = ALL
        .iter()
        .filter(|component| component.running().is_some())
        .map(|component| component.name())
        .collect();
    if !running.is_empty() {
        bail!("still running: {}. `make down` first.", running.join(", "));
    }
    let state = paths::state_dir();
    for dir in [
        paths::data_dir(),
        state.join("engine"),
        state.join("logs"),
        state.join("run"),
    ] {
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
            note(&format!("removed {}", dir.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_in_the_stacks_folders_are_found_and_only_those() {
        let mountinfo = "22 1 8:1 / / rw - ext4 /dev/vda rw\n\
                         40 22 0:5 / /srv/x/.fiber/data/proc rw - proc proc rw\n\
                         41 22 0:5 / /srv/x/.fibers rw - proc proc rw\n";
        let dirs = [PathBuf::from("/srv/x/.fiber")];
        assert_eq!(mounts_below(mountinfo, &dirs), ["/srv/x/.fiber/data/proc"]);
    }
}

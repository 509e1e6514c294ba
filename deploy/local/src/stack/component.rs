//! The four processes of a stack, and their files.

use crate::paths;
use crate::process::{Launch, Lifetime, Running, Signal};
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    Postgres,
    Redis,
    Engine,
    Fleet,
}

/// In the order of their start.
pub(super) const ALL: [Component; 4] = [
    Component::Postgres,
    Component::Redis,
    Component::Engine,
    Component::Fleet,
];

impl Component {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Engine => "engine",
            Self::Fleet => "fleet",
        }
    }

    pub fn log(self) -> PathBuf {
        paths::state_dir()
            .join("logs")
            .join(format!("{}.log", self.name()))
    }

    fn run_file(self, extension: &str) -> PathBuf {
        paths::state_dir()
            .join("run")
            .join(format!("{}.{extension}", self.name()))
    }

    pub fn pid_file(self) -> PathBuf {
        self.run_file("pid")
    }

    pub fn running(self) -> Option<Running> {
        Running::find(&self.pid_file())
    }

    pub(super) fn lifetime(self) -> Result<Lifetime> {
        let pid_file = self.pid_file();
        let dir = pid_file.parent().context("a pid file lies in a folder")?;
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        Ok(Lifetime::Daemon { pid_file })
    }

    /// Whether the process that runs was started in this very way, from this very program.
    pub(super) fn runs_as(self, fingerprint: &str) -> bool {
        self.running().is_some()
            && fs::read_to_string(self.run_file("launch")).is_ok_and(|kept| kept == fingerprint)
    }

    pub(super) fn start(self, launch: &Launch, fingerprint: &str) -> Result<Running> {
        let running = launch.start(&self.lifetime()?)?;
        fs::write(self.run_file("launch"), fingerprint)
            .with_context(|| format!("record how {} was started", self.name()))?;
        Ok(running)
    }

    /// Nothing to do when it does not run. False: it had to be killed.
    pub(super) fn stop(self, signal: Signal, limit: Duration) -> Result<bool> {
        let in_time = match self.running() {
            None => true,
            Some(mut running) => running.stop(signal, limit)?,
        };
        self.forget();
        Ok(in_time)
    }

    fn forget(self) {
        for extension in ["pid", "launch"] {
            // Stale files are harmless: a dead identity is never signalled.
            drop(fs::remove_file(self.run_file(extension)));
        }
    }
}

/// Of everything that makes a process what it is: its program's file, arguments and environment.
pub(super) fn fingerprint(launch: &Launch, extra: &str) -> Result<String> {
    let meta = fs::metadata(&launch.program)
        .with_context(|| format!("look at {}", launch.program.display()))?;
    let file = format!(
        "{} {} {} {}",
        meta.ino(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec()
    );
    let mut hasher = Sha256::new();
    for part in [file.as_str(), extra] {
        hasher.update(part);
        hasher.update([0]);
    }
    for argument in &launch.args {
        hasher.update(argument.as_encoded_bytes());
        hasher.update([0]);
    }
    for (name, value) in &launch.env {
        hasher.update(format!("{name}={value}\0"));
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

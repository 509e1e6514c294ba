//! The command line of `fiber-loadgen`: one module for each verb.

pub(crate) mod ceiling;
pub(crate) mod fleet;
pub(crate) mod look;
pub(crate) mod verify;

use anyhow::Context;
use fiber_loadgen::report::host;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

pub(crate) const EXIT_NOT_ALL_STORED: u8 = 2;
pub(crate) const EXIT_GENERATOR_LATE: u8 = 3;
pub(crate) const EXIT_NOT_ALL_ACKED: u8 = 4;

pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .trim_end_matches('s')
        .parse()
        .map_err(|_| "seconds, as in 30 or 0.5")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

pub(crate) fn wait_line(quiet: bool, stored: u64, acked: u64) {
    if !quiet {
        eprintln!("waiting for the database: {stored} stored of {acked} acked");
    }
}

pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    write_file(path, &text)
}

pub(crate) fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// To standard output, whose reader may leave early, as `head` does.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("write to standard output"),
    }
}

/// The first SIGINT or SIGTERM ends the run in order; a second one ends the process.
pub(crate) fn stop_on_signal(stop: impl Fn() + Send + 'static) -> anyhow::Result<()> {
    host::on_stop_signal(stop).context("listen for signals")
}

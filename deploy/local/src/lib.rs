//! Runs FiberStack on one machine: finds or provisions TimescaleDB and Redis, builds the engine
//! and the dashboard, starts and stops the whole stack, and gives tests servers of their own.
//!
//! Errors are `anyhow` here: every one ends on a terminal before a person, nobody branches on them.

pub mod browser;
pub mod build;
pub mod envfile;
pub mod http;
pub mod logs;
pub mod paths;
pub mod process;
pub mod progress;
pub mod provision;
pub mod scratch;
pub mod servers;
pub mod stack;
pub mod web_tools;

pub use paths::workspace_root;

use anyhow::{Result, bail};
use std::path::PathBuf;

/// The release binary of the engine, which must have been built before.
pub fn engine_binary() -> Result<PathBuf> {
    release_binary("fiber-engine")
}

/// The release binary of the load generator.
pub fn loadgen_binary() -> Result<PathBuf> {
    release_binary("fiber-loadgen")
}

fn release_binary(name: &str) -> Result<PathBuf> {
    let path = paths::target_dir().join("release").join(name);
    if !paths::is_executable(&path) {
        bail!(
            "{} is not built: `cargo build --release -p {name}`",
            path.display()
        );
    }
    Ok(path)
}

//! The stack of `make up`: database, Redis, engine, fleet, as daemons.
//!
//! Guarantees: `up` may be repeated and starts only what does not run or has changed; whatever
//! moment it is interrupted at, `down` finds and stops everything; `down` reports anything that
//! is left. One command at a time works on a stack (a lock in its folder).

mod component;
mod down;
mod fleet;
mod serve;
mod servers;
mod settings;
mod status;
mod up;

pub use component::Component;
pub use down::{clean_data, down};
pub use servers::start_servers;
pub use settings::Settings;
pub use status::status;
pub use up::{UpOptions, up};

use crate::paths;
use crate::provision::FileLock;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn lock() -> Result<FileLock> {
    let dir = paths::state_dir();
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    // The database's account passes through to its own folder; files inside are private themselves.
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o711))?;
    FileLock::acquire(&dir.join("lock"), "another command works on this stack")
}

//! Temporary folders of tests, with everything that runs in them.
//!
//! They are under `/var/tmp` (or `FIBER_SCRATCH`), not `/tmp`, which is memory on many machines:
//! a durability test on tmpfs proves nothing. A run that was killed cannot clean up behind itself,
//! so the next one does, for every folder whose owner is gone. One that must run full is a file
//! system of its own, in memory.

use crate::paths;
use crate::process::{Identity, Signal, processes_inside};
use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

const PREFIX: &str = "fiber-scratch-";

/// A folder that is removed on drop.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    mounted: bool,
}

impl Scratch {
    pub fn new(name: &str) -> Result<Self> {
        static SWEEP: Once = Once::new();
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let base = base_dir();
        SWEEP.call_once(|| sweep(&base));
        let owner = Identity::of_this_process()
            .context("find this process in /proc")?
            .to_tag();
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("{PREFIX}{owner}-{number}-{name}"));
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        // The database's account must be able to pass through.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o711))?;
        Ok(Self {
            path,
            mounted: false,
        })
    }

    /// A disk of this size. Needs the right to mount, which root has outside most containers.
    pub fn of_size(name: &str, bytes: u64) -> Result<Self> {
        let mut scratch = Self::new(name)?;
        let options = CString::new(format!("size={bytes},mode=0711"))?;
        mount(
            "fiber-scratch",
            &scratch.path,
            "tmpfs",
            MountFlags::NODEV | MountFlags::NOSUID,
            options.as_c_str(),
        )
        .with_context(|| {
            format!(
                "mount a disk of {bytes} bytes at {}; this needs root, or CAP_SYS_ADMIN in a container",
                scratch.path.display()
            )
        })?;
        scratch.mounted = true;
        Ok(scratch)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.mounted {
            detach(&self.path);
        }
        // What cannot be removed now is swept by the next run.
        drop(fs::remove_dir_all(&self.path));
    }
}

/// The mount goes at once; its memory when the last file on it is closed. Without a mount there,
/// nothing happens.
fn detach(path: &Path) {
    unmount(path, UnmountFlags::DETACH).unwrap_or_default();
}

fn base_dir() -> PathBuf {
    paths::non_empty_var("FIBER_SCRATCH").map_or_else(|| "/var/tmp".into(), PathBuf::from)
}

fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if owner
            .and_then(Identity::from_tag)
            .is_some_and(|owner| !owner.is_alive())
        {
            for orphan in processes_inside(&entry.path()) {
                drop(orphan.signal(Signal::KILL));
            }
            detach(&entry.path());
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_dead_runs_are_swept_and_those_of_live_ones_kept() {
        let base = tempfile::tempdir().unwrap();
        let mine = Identity::of_this_process().unwrap().to_tag();
        let dead = base.path().join(format!("{PREFIX}{}-1-0-x", i32::MAX));
        let live = base.path().join(format!("{PREFIX}{mine}-0-x"));
        let foreign = base.path().join("something-else");
        for dir in [&dead, &live, &foreign] {
            fs::create_dir(dir).unwrap();
        }
        sweep(base.path());
        assert!(!dead.exists());
        assert!(live.exists() && foreign.exists());
    }
}

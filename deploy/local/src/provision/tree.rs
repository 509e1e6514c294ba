//! The folder of unpacked packages: built beside its place, moved there when it is complete.

use crate::paths;
use crate::process::Identity;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Part of the name: a change in what is unpacked, or how, gets a folder of its own.
const LAYOUT_VERSION: u32 = 1;
const COMPLETE_MARK: &str = ".complete";

/// `kind` keeps trees of other packages apart; the database's and Redis's has none.
pub(super) fn final_dir(kind: &str) -> Result<PathBuf> {
    let name = format!("trixie-{}{kind}-v{LAYOUT_VERSION}", std::env::consts::ARCH);
    Ok(paths::cache_dir()?.join(name))
}

pub(super) fn is_complete(dir: &Path) -> bool {
    dir.join(COMPLETE_MARK).exists()
}

/// The account that the database runs under must be able to read what is in it.
pub(super) fn create_public_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("open {} for other accounts", dir.display()))
}

/// Called under the lock: whatever is partial belongs to a run that was interrupted.
pub(super) fn remove_partial_trees(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent).with_context(|| format!("list {}", parent.display()))? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "partial")
        {
            fs::remove_dir_all(&path).with_context(|| format!("remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// A tree under construction; removed again when it is dropped before it is complete.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
}

impl Partial {
    pub(super) fn create(dir: &Path) -> Result<Self> {
        let owner = Identity::of_this_process().map_or_else(String::new, |owner| owner.to_tag());
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let path = dir.with_file_name(format!("{name}-{owner}.partial"));
        create_public_dir(&path)?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn complete(self, dir: &Path) -> Result<()> {
        fs::write(self.path.join(COMPLETE_MARK), b"").context("mark the tree complete")?;
        fs::rename(&self.path, dir).with_context(|| format!("move into {}", dir.display()))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After `complete` there is nothing at this path any more.
        drop(fs::remove_dir_all(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_tree_is_not_taken_for_a_complete_one() {
        let cache = tempfile::tempdir().unwrap();
        let dir = cache.path().join("trixie-x-v1");
        let partial = Partial::create(&dir).unwrap();
        fs::write(partial.path().join("postgres"), b"half").unwrap();
        std::mem::forget(partial);
        assert!(!is_complete(&dir));
        remove_partial_trees(cache.path()).unwrap();
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);

        let partial = Partial::create(&dir).unwrap();
        partial.complete(&dir).unwrap();
        assert!(is_complete(&dir));
    }
}

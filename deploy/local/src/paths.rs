//! Where things live: the workspace, its state folder, the cache that all clones share, and a
//! place for database files that the account the database runs under can reach.

use crate::process::account;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The folder with the workspace's `Cargo.toml`: `FIBER_WORKSPACE`, or where this crate was built.
pub fn workspace_root() -> PathBuf {
    if let Some(root) = non_empty_var("FIBER_WORKSPACE") {
        return PathBuf::from(root);
    }
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_dir
        .ancestors()
        .nth(2)
        .unwrap_or(crate_dir)
        .to_path_buf()
}

/// Pid files, logs and secrets of the stack that `make up` runs: `.fiber`, or `FIBER_STATE_DIR`.
pub fn state_dir() -> PathBuf {
    non_empty_var("FIBER_STATE_DIR").map_or_else(|| workspace_root().join(".fiber"), PathBuf::from)
}

/// Cargo's target directory of this workspace.
pub fn target_dir() -> PathBuf {
    non_empty_var("CARGO_TARGET_DIR").map_or_else(|| workspace_root().join("target"), PathBuf::from)
}

/// Where unpacked server packages are kept, shared by every clone of this account.
pub fn cache_dir() -> Result<PathBuf> {
    if let Some(dir) = non_empty_var("FIBER_CACHE") {
        return Ok(PathBuf::from(dir));
    }
    let base = non_empty_var("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| non_empty_var("HOME").map(|home| Path::new(&home).join(".cache")))
        .context("neither HOME nor XDG_CACHE_HOME is set: set FIBER_CACHE to a folder")?;
    // PostgreSQL refuses root, and the account it then runs under cannot enter /root.
    if account::is_root() && !reachable_by_others(&base) {
        return Ok(PathBuf::from("/var/cache/fiberstack"));
    }
    Ok(base.join("fiberstack"))
}

/// Where the database and Redis of `make up` keep their files.
pub fn data_dir() -> PathBuf {
    let state = state_dir();
    if !account::is_root() || reachable_by_others(&state) {
        return state.join("data");
    }
    Path::new("/var/lib/fiberstack").join(clone_name(&state))
}

/// Distinguishes clones outside their own folder: readable, and unique by the path's hash.
fn clone_name(state: &Path) -> String {
    let full = fs::canonicalize(state).unwrap_or_else(|_| state.to_path_buf());
    let digest = Sha256::digest(full.as_os_str().as_encoded_bytes());
    let name = full
        .parent()
        .and_then(Path::file_name)
        .unwrap_or_default()
        .to_string_lossy();
    let hash: String = digest
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{name}-{hash}")
}

/// Whether every existing folder on the way may be entered by an account without rights there.
pub fn reachable_by_others(path: &Path) -> bool {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    absolute
        .ancestors()
        .filter_map(|dir| fs::metadata(dir).ok())
        .all(|meta| meta.permissions().mode() & 0o001 != 0)
}

/// A variable that is set to something: make exports unset ones as empty strings.
pub fn non_empty_var(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The first executable of this name on PATH, or in the folders root's PATH adds.
pub fn find_on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/bin", "/usr/sbin", "/usr/local/bin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|candidate| is_executable(candidate))
}

pub fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_folder_on_the_way_makes_a_path_unreachable() {
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!reachable_by_others(&inner));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
        assert!(reachable_by_others(&inner));
        assert!(reachable_by_others(&inner.join("not-there-yet")));
    }

    #[test]
    fn clones_of_one_name_get_different_data_folders() {
        let one = clone_name(Path::new("/srv/a/fiberstack/.fiber"));
        let other = clone_name(Path::new("/srv/b/fiberstack/.fiber"));
        assert!(one.starts_with("fiberstack-") && other.starts_with("fiberstack-"));
        assert_ne!(one, other);
    }

    #[test]
    fn the_workspace_is_the_folder_above_deploy() {
        assert!(workspace_root().join("deploy/local/Cargo.toml").is_file());
    }
}

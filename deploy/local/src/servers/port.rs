//! Ports for private servers.
//!
//! They lie below the range from which the kernel takes ports for outgoing connections: a server
//! that is stopped and started again must find its port free. So must it when another process of the
//! same machine draws ports meanwhile: a locked file stands for each port until the process that
//! drew it ends.

use anyhow::{Context as _, Result, bail};
use rand::RngExt;
use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::net::TcpListener;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

const PRIVATE_PORTS: Range<u16> = 20_000..32_000;
const ATTEMPTS_MAX: u32 = 500;

/// A port on 127.0.0.1 that nobody listens on and that no living process has been given before.
pub fn free_port() -> Result<u16> {
    static GIVEN: Mutex<Option<HashMap<u16, File>>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let given = given.get_or_insert_default();
    for _ in 0..ATTEMPTS_MAX {
        let port = rand::rng().random_range(PRIVATE_PORTS);
        if given.contains_key(&port) || !is_free("127.0.0.1", port) {
            continue;
        }
        if let Some(lock) = locked(port)? {
            given.insert(port, lock);
            return Ok(port);
        }
    }
    bail!(
        "no free port on 127.0.0.1 between {} and {}",
        PRIVATE_PORTS.start,
        PRIVATE_PORTS.end
    )
}

/// `None` when another process has it. The empty files stay behind, because to remove one is to race
/// with its next lock.
fn locked(port: u16) -> Result<Option<File>> {
    let home = folder();
    std::fs::create_dir_all(&home).with_context(|| format!("make {}", home.display()))?;
    let path = home.join(port.to_string());
    let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("lock {}", path.display()))
        }
    }
}

/// Of this user: the files of another one could not be opened.
fn folder() -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    std::env::temp_dir().join(format!("fiber-ports-{user}"))
}

/// Whether a server could listen there now.
pub fn is_free(host: &str, port: u16) -> bool {
    TcpListener::bind((host, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_port_is_given_once_and_never_one_in_use() {
        let ports: Vec<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        let distinct: HashSet<_> = ports.iter().collect();
        assert_eq!(distinct.len(), ports.len());
        let holder = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        assert!(!is_free("127.0.0.1", holder.local_addr().unwrap().port()));
    }

    /// A lock belongs to the open file, so a second one stands for another process here.
    #[test]
    fn a_port_of_another_process_is_left_alone() {
        let port = free_port().unwrap();
        assert!(locked(port).unwrap().is_none());
    }
}

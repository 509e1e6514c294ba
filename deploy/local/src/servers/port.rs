//! Ports for private servers.
//!
//! They lie below the range from which the kernel takes ports for outgoing connections: a server
//! that is stopped and started again must find its port free.

use anyhow::{Result, bail};
use rand::RngExt;
use std::collections::HashSet;
use std::net::TcpListener;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

const PRIVATE_PORTS: Range<u16> = 20_000..32_000;
const ATTEMPTS_MAX: u32 = 500;

/// A port on 127.0.0.1 that nobody listens on and that this process has not given out before.
pub fn free_port() -> Result<u16> {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let given = given.get_or_insert_default();
    for _ in 0..ATTEMPTS_MAX {
        let port = rand::rng().random_range(PRIVATE_PORTS);
        if !given.contains(&port) && is_free("127.0.0.1", port) {
            given.insert(port);
            return Ok(port);
        }
    }
    bail!(
        "no free port on 127.0.0.1 between {} and {}",
        PRIVATE_PORTS.start,
        PRIVATE_PORTS.end
    )
}

/// Whether a server could listen there now.
pub fn is_free(host: &str, port: u16) -> bool {
    TcpListener::bind((host, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_and_never_one_in_use() {
        let ports: Vec<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        let distinct: HashSet<_> = ports.iter().collect();
        assert_eq!(distinct.len(), ports.len());
        let holder = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        assert!(!is_free("127.0.0.1", holder.local_addr().unwrap().port()));
    }
}

//! The bytes of bodies between their first byte and their answer, bounded for the whole process.

use crate::limits::BODIES_IN_FLIGHT_BYTES_MAX;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Clone, Debug, Default)]
pub struct InFlight {
    bytes: Arc<AtomicUsize>,
}

/// Gives its bytes back on every path, a client that hangs up included.
#[derive(Debug)]
pub struct Permit {
    bytes: Arc<AtomicUsize>,
    held: usize,
}

impl InFlight {
    /// Decides before the body is read; `None` is a 503.
    pub fn acquire(&self, bytes: usize) -> Option<Permit> {
        let mut permit = Permit {
            bytes: Arc::clone(&self.bytes),
            held: 0,
        };
        permit.grow(bytes).then_some(permit)
    }

    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Permit {
    /// For bodies that do not tell their length.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        let taken = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                held.checked_add(bytes)
                    .filter(|held| *held <= BODIES_IN_FLIGHT_BYTES_MAX)
            });
        if taken.is_ok() {
            self.held += bytes;
        }
        taken.is_ok()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.held, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_permit_gives_its_bytes_back() {
        let in_flight = InFlight::default();
        let mut all = in_flight.acquire(BODIES_IN_FLIGHT_BYTES_MAX - 1).unwrap();
        assert!(in_flight.acquire(2).is_none());
        assert!(all.grow(1));
        assert!(!all.grow(1));
        drop(all);
        assert_eq!(in_flight.bytes(), 0);
    }
}

//! The bytes of bodies between their first byte and their answer, bounded for the whole process, and
//! how many requests they are.

use crate::limits::{APPEND_QUEUE_RECORDS, BODIES_IN_FLIGHT_BYTES_MAX};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Held>);

#[derive(Debug, Default)]
struct Held {
    bytes: AtomicUsize,
    requests: AtomicUsize,
}

/// Gives its bytes back on every path, a client that hangs up included.
#[derive(Debug)]
pub struct Permit {
    all: Arc<Held>,
    bytes: usize,
}

impl InFlight {
    /// Decides before the body is read; `None` is a 503.
    pub fn acquire(&self, bytes: usize) -> Option<Permit> {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        let mut permit = Permit {
            all: Arc::clone(&self.0),
            bytes: 0,
        };
        permit.grow(bytes).then_some(permit)
    }

    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// More than half of what may be under way is: from here on one probe has its share of it.
    pub fn is_crowded(&self) -> bool {
        self.bytes() > BODIES_IN_FLIGHT_BYTES_MAX / 2
            || self.0.requests.load(Ordering::Relaxed) > APPEND_QUEUE_RECORDS / 2
    }
}

impl Permit {
    /// For bodies that do not tell their length.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        let taken = self
            .all
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                held.checked_add(bytes)
                    .filter(|held| *held <= BODIES_IN_FLIGHT_BYTES_MAX)
            });
        if taken.is_ok() {
            self.bytes += bytes;
        }
        taken.is_ok()
    }

    pub fn held(&self) -> usize {
        self.bytes
    }

    /// Holds this much from now on: less than before always, more if there is room.
    #[must_use]
    pub fn hold(&mut self, bytes: usize) -> bool {
        let Some(back) = self.bytes.checked_sub(bytes) else {
            return self.grow(bytes - self.bytes);
        };
        self.all.bytes.fetch_sub(back, Ordering::Relaxed);
        self.bytes = bytes;
        true
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.all.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.all.requests.fetch_sub(1, Ordering::Relaxed);
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
        assert!(in_flight.is_crowded());
        assert!(all.hold(7) && all.held() == 7 && in_flight.bytes() == 7);
        assert!(!all.hold(BODIES_IN_FLIGHT_BYTES_MAX + 1) && all.hold(9));
        assert_eq!(in_flight.bytes(), 9);
        drop(all);
        assert_eq!(in_flight.bytes(), 0);
        assert!(!in_flight.is_crowded());
    }

    #[test]
    fn many_small_requests_are_a_crowd_too() {
        let in_flight = InFlight::default();
        let permits: Vec<_> = (0..APPEND_QUEUE_RECORDS / 2)
            .map(|_| in_flight.acquire(1).unwrap())
            .collect();
        assert!(!in_flight.is_crowded());
        let one_more = in_flight.acquire(1);
        assert!(in_flight.is_crowded());
        drop((permits, one_more));
        assert!(!in_flight.is_crowded());
    }
}

//! One probe's share of an overloaded instance: a fifth.
//!
//! The instance is overloaded while more is offered than `RATE_LIMIT_GLOBAL_MAX`, refused requests
//! included, or while more than half of the bytes or requests that may be under way are. Then a
//! probe gets 429 for what exceeds its fifth: of that rate, of the bytes, of the requests. What it was
//! refused is given back to the others. Nobody else is touched, and without an overload nobody is.
//!
//! With the federation secret the probe is known when its body was read, because only the body says
//! it; until then a body is bounded by its deadlines.

use super::{RateLimiter, Shard};
use crate::limits::{APPEND_QUEUE_RECORDS, BODIES_IN_FLIGHT_BYTES_MAX, PROBE_SHARE};
use crate::model::NodeKey;
use std::sync::atomic::Ordering;
use std::time::Duration;

const BYTES_MAX: usize = BODIES_IN_FLIGHT_BYTES_MAX / PROBE_SHARE;
const REQUESTS_MAX: usize = APPEND_QUEUE_RECORDS / PROBE_SHARE;
/// When the instance is full of one probe's requests, they are answered soon.
const CROWD_WAIT: Duration = Duration::from_secs(1);

/// What a probe has under way, until it is dropped.
#[derive(Debug)]
pub struct UnderWay<'l> {
    limiter: &'l RateLimiter,
    probe: NodeKey,
    bytes: usize,
}

/// Why a probe's request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverLimit {
    /// Its quota is used up.
    Quota(Duration),
    /// It has its share of an overloaded instance.
    Share(Duration),
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    pub(super) bytes: usize,
    pub(super) requests: usize,
}

impl Held {
    /// Whether one more of so many bytes is within a probe's share. One alone always is.
    pub(super) fn check(self, bytes: usize) -> Result<(), OverLimit> {
        let fits =
            self.requests == 0 || (self.bytes + bytes <= BYTES_MAX && self.requests < REQUESTS_MAX);
        if fits {
            Ok(())
        } else {
            Err(OverLimit::Share(CROWD_WAIT))
        }
    }
}

impl RateLimiter {
    /// Something was offered to the instance, whatever becomes of it.
    pub(super) fn offered(&self, now_ns: u64) {
        let most_ns = now_ns.saturating_add(self.global_rule.ahead_max_ns());
        let moved = |empty_at_ns| {
            let moved_ns = self.global_rule.moved(empty_at_ns, now_ns, 1);
            Some(moved_ns.min(most_ns))
        };
        let _always_moves = self
            .offered
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved);
    }

    /// For the last second or so, more than it takes.
    pub(super) fn is_overloaded(&self, now_ns: u64) -> bool {
        let empty_at_ns = self.offered.load(Ordering::Relaxed);
        empty_at_ns.saturating_sub(now_ns) > self.global_rule.ahead_max_ns() / 2
    }

    /// The instance's token of a request that was refused for its probe's sake.
    pub(super) fn give_back(&self) {
        // The bucket is not before what this request added: nobody else takes from it.
        self.global
            .fetch_sub(self.global_rule.cost_ns(1), Ordering::Relaxed);
    }

    pub(super) fn under_way(
        &self,
        shard: &mut Shard,
        probe: NodeKey,
        bytes: usize,
    ) -> UnderWay<'_> {
        let held = &mut shard.buckets.entry(probe).or_default().held;
        held.bytes += bytes;
        held.requests += 1;
        UnderWay {
            limiter: self,
            probe,
            bytes,
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(bucket) = self.limiter.shard(self.probe).buckets.get_mut(&self.probe) {
            bucket.held.bytes -= self.bytes;
            bucket.held.requests -= 1;
        }
    }
}

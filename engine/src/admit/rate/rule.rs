//! The arithmetic of one bucket, and what is told of it.

use super::sharing::Policy;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    per_request_ns: u64,
    burst: u64,
}

/// What a sender is told of its quota, allowed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub limit: u64,
    pub remaining: u64,
    /// Until the whole burst is there again.
    pub reset: Duration,
    pub policy: Policy,
}

impl Quota {
    /// Whole seconds, rounded up.
    pub fn reset_s(&self) -> u64 {
        self.reset.as_secs() + u64::from(self.reset.subsec_nanos() > 0)
    }
}

impl Rule {
    pub(super) fn new(rate: f64, burst: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be above 0; saturates"
        )]
        Self {
            per_request_ns: (1e9 / rate).max(1.0) as u64,
            burst: burst.max(1.0) as u64,
        }
    }

    /// How long before now a full bucket is empty again.
    pub(super) const fn ahead_max_ns(self) -> u64 {
        self.per_request_ns.saturating_mul(self.burst)
    }

    /// How far ahead so many requests move it.
    pub(super) const fn cost_ns(self, requests: u32) -> u64 {
        self.per_request_ns.saturating_mul(requests as u64)
    }

    /// Where the bucket stands after so many requests, whether they fit or not.
    pub(super) fn moved(self, empty_at_ns: u64, now_ns: u64, requests: u32) -> u64 {
        empty_at_ns
            .max(now_ns)
            .saturating_add(self.cost_ns(requests))
    }

    /// Where the bucket stands after one more request; `Err` says how long until one would fit.
    pub(super) fn after_one(self, empty_at_ns: u64, now_ns: u64) -> Result<u64, Duration> {
        let moved_ns = self.moved(empty_at_ns, now_ns, 1);
        match (moved_ns - now_ns).saturating_sub(self.ahead_max_ns()) {
            0 => Ok(moved_ns),
            over_ns => Err(Duration::from_nanos(over_ns)),
        }
    }

    pub(super) fn quota(self, empty_at_ns: u64, now_ns: u64, policy: Policy) -> Quota {
        let ahead_ns = empty_at_ns.saturating_sub(now_ns);
        let used = ahead_ns.div_ceil(self.per_request_ns);
        Quota {
            limit: self.burst,
            remaining: self.burst.saturating_sub(used),
            reset: Duration::from_nanos(ahead_ns),
            policy,
        }
    }
}

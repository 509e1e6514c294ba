//! What several engines tell each other of one probe's bucket.
//!
//! An engine reports how many requests it admitted since its last report, when the first of them came,
//! and where its own bucket stands. Redis moves the joint bucket by that, and answers where it
//! stands (`coordination::budgets`). Both sides only ever move a bucket ahead to a moment that it had
//! reached for certain: a report counts from its first request, an answer from when it was asked for.
//! So nobody is refused for a slow network, and nothing that an engine admitted itself is forgotten,
//! even when Redis lost everything.

use super::RateLimiter;
use crate::model::NodeKey;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// Reports that waited longer are forgiven: Redis was away, and every engine counted for itself.
const FORGIVEN_AFTER: Duration = Duration::from_secs(1);
/// Without an exchange for so long the policy is `local`, whatever was found last.
const STALE_AFTER: Duration = Duration::from_secs(1);
/// Debts beyond so many bursts are nobody's: a key that somebody broke in Redis must not stop a probe.
const BURSTS_AHEAD_MAX: u64 = 8;

/// Who counts a probe's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// All engines together.
    Distributed,
    /// This engine for itself.
    Local,
}

impl Policy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Distributed => "distributed",
            Self::Local => "local",
        }
    }
}

/// Whether the exchange goes on; cheap to clone, read with every request.
#[derive(Clone, Debug)]
pub struct Sharing(Option<Arc<Exchanged>>);

#[derive(Debug)]
struct Exchanged {
    epoch: Instant,
    /// Nanoseconds since the epoch; 0 when the last exchange failed.
    at_ns: AtomicU64,
}

impl Sharing {
    /// Every engine for itself, always.
    pub const OFF: Self = Self(None);

    pub fn through_redis() -> Self {
        Self(Some(Arc::new(Exchanged {
            epoch: Instant::now(),
            at_ns: AtomicU64::new(0),
        })))
    }

    pub fn is_configured(&self) -> bool {
        self.0.is_some()
    }

    pub fn policy(&self) -> Policy {
        let Some(exchanged) = &self.0 else {
            return Policy::Local;
        };
        let at_ns = exchanged.at_ns.load(Ordering::Relaxed);
        let stale_after_ns = STALE_AFTER.as_nanos();
        let age_ns = exchanged
            .epoch
            .elapsed()
            .as_nanos()
            .saturating_sub(u128::from(at_ns));
        if at_ns > 0 && age_ns < stale_after_ns {
            Policy::Distributed
        } else {
            Policy::Local
        }
    }

    pub fn exchanged(&self, worked: bool) {
        if let Some(exchanged) = &self.0 {
            let now_ns = u64::try_from(exchanged.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let at_ns = if worked { now_ns.max(1) } else { 0 };
            exchanged.at_ns.store(at_ns, Ordering::Relaxed);
        }
    }
}

/// What this engine tells of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub probe: NodeKey,
    /// How far the admitted requests move the bucket.
    pub cost: Duration,
    /// Since the first of them.
    pub age: Duration,
    /// How far its own bucket is ahead of now.
    pub own_ahead: Duration,
}

/// When a set of reports was made; what is answered counts from then.
#[derive(Clone, Copy, Debug)]
pub struct Asked(u64);

impl RateLimiter {
    /// The most that a joint bucket may be ahead.
    pub fn ahead_max(&self) -> Duration {
        Duration::from_nanos(
            self.probe_rule
                .ahead_max_ns()
                .saturating_mul(BURSTS_AHEAD_MAX),
        )
    }

    /// Takes up to `reports_max` reports. What is taken is not reported again.
    pub fn reports(&self, reports_max: usize) -> (Asked, Vec<Report>) {
        let now_ns = self.now_ns();
        (Asked(now_ns), self.reports_at(reports_max, now_ns))
    }

    pub(super) fn reports_at(&self, reports_max: usize, now_ns: u64) -> Vec<Report> {
        let mut reports = Vec::new();
        for shard in &self.probes {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            while reports.len() < reports_max
                && let Some(probe) = shard.unreported.pop()
            {
                let Some(bucket) = shard.buckets.get_mut(&probe) else {
                    continue;
                };
                bucket.is_listed = false;
                let requests = std::mem::take(&mut bucket.unreported);
                let since_ns = match requests {
                    0 => now_ns,
                    _ => bucket.unreported_since_ns,
                };
                let age = Duration::from_nanos(now_ns.saturating_sub(since_ns));
                let own_ahead_ns = bucket.own_empty_at_ns.saturating_sub(now_ns);
                let counted = if age < FORGIVEN_AFTER { requests } else { 0 };
                reports.push(Report {
                    probe,
                    cost: Duration::from_nanos(self.probe_rule.cost_ns(counted)),
                    age: age.min(FORGIVEN_AFTER),
                    own_ahead: Duration::from_nanos(own_ahead_ns),
                });
            }
        }
        reports
    }

    /// How far a probe's joint bucket was ahead when it was asked for. Requests admitted since then are
    /// added to it.
    pub fn learn(&self, asked: Asked, probe: NodeKey, ahead: Duration) {
        let ahead = ahead.min(self.ahead_max());
        let ahead_ns = u64::try_from(ahead.as_nanos()).unwrap_or(u64::MAX);
        if ahead_ns == 0 {
            return;
        }
        if let Some(bucket) = self.shard(probe).buckets.get_mut(&probe) {
            let since_ns = self.probe_rule.cost_ns(bucket.unreported);
            let joint_ns = asked.0.saturating_add(ahead_ns).saturating_add(since_ns);
            bucket.joint_empty_at_ns = bucket.joint_empty_at_ns.max(joint_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_follows_the_exchange() {
        assert_eq!(Sharing::OFF.policy(), Policy::Local);
        let sharing = Sharing::through_redis();
        assert_eq!(sharing.policy(), Policy::Local);
        sharing.exchanged(true);
        assert_eq!(sharing.policy(), Policy::Distributed);
        sharing.exchanged(false);
        assert_eq!(sharing.policy(), Policy::Local);
    }
}

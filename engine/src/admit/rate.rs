//! A leaky bucket per probe and one for the instance, decided in memory.
//!
//! Each bucket is one number, the time at which it will be empty again (the generic cell rate
//! algorithm, ITU-T I.371): a request moves it ahead by 1/rate, and is refused when it would stand
//! more than burst/rate ahead of now. No timer refills anything.

use crate::config::RateLimit;
use crate::model::NodeKey;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const SHARDS: usize = 64;
/// Buckets of one shard before those that are empty again are swept out.
const SHARD_BUCKETS_SWEEP: usize = 4_096;

#[derive(Debug)]
pub struct RateLimiter {
    epoch: Instant,
    global: Mutex<Bucket>,
    global_rule: Rule,
    probe_rule: Rule,
    probes: Vec<Mutex<HashMap<NodeKey, Bucket>>>,
}

/// When the bucket is empty again, in nanoseconds since the limiter's epoch.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    empty_at_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    per_request_ns: u64,
    burst: u64,
}

/// What a probe is told of its quota, allowed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub limit: u64,
    pub remaining: u64,
    /// Until the whole burst is there again.
    pub reset: Duration,
}

impl Quota {
    /// Whole seconds, rounded up.
    pub fn reset_s(&self) -> u64 {
        self.reset.as_secs() + u64::from(self.reset.subsec_nanos() > 0)
    }
}

impl Rule {
    fn new(rate: f64, burst: f64) -> Self {
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

    /// Takes one request from the bucket; `Err` says how long until one would fit.
    fn take(self, bucket: &mut Bucket, now_ns: u64) -> Result<(), Duration> {
        let empty_at_ns = bucket
            .empty_at_ns
            .max(now_ns)
            .saturating_add(self.per_request_ns);
        let ahead_max_ns = self.per_request_ns.saturating_mul(self.burst);
        let over_ns = (empty_at_ns - now_ns).saturating_sub(ahead_max_ns);
        if over_ns > 0 {
            return Err(Duration::from_nanos(over_ns));
        }
        bucket.empty_at_ns = empty_at_ns;
        Ok(())
    }

    fn quota(self, bucket: Bucket, now_ns: u64) -> Quota {
        let ahead_ns = bucket.empty_at_ns.saturating_sub(now_ns);
        let used = ahead_ns.div_ceil(self.per_request_ns);
        Quota {
            limit: self.burst,
            remaining: self.burst.saturating_sub(used),
            reset: Duration::from_nanos(ahead_ns),
        }
    }
}

impl RateLimiter {
    pub fn new(limits: RateLimit) -> Self {
        Self {
            epoch: Instant::now(),
            global: Mutex::default(),
            // A second's worth may come at once: arrivals are not even.
            global_rule: Rule::new(limits.global_rate, limits.global_rate),
            probe_rule: Rule::new(limits.ingest_rate, limits.ingest_burst),
            probes: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// One request of the instance; `Err` is how long to wait.
    pub fn take_global(&self) -> Result<(), Duration> {
        let now_ns = self.now_ns();
        let mut bucket = self.global.lock().unwrap_or_else(PoisonError::into_inner);
        self.global_rule.take(&mut bucket, now_ns)
    }

    /// One request of the probe; `Err` is how long to wait. The quota is told either way.
    pub fn take(&self, probe: NodeKey) -> (Quota, Result<(), Duration>) {
        self.take_at(probe, self.now_ns())
    }

    fn take_at(&self, probe: NodeKey, now_ns: u64) -> (Quota, Result<(), Duration>) {
        let shard = usize::try_from(probe.0.cast_unsigned() % SHARDS as u64).unwrap_or(0);
        let mut shard = self.probes[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= SHARD_BUCKETS_SWEEP && !shard.contains_key(&probe) {
            shard.retain(|_, bucket| bucket.empty_at_ns > now_ns);
        }
        let bucket = shard.entry(probe).or_default();
        let taken = self.probe_rule.take(bucket, now_ns);
        (self.probe_rule.quota(*bucket, now_ns), taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn limiter() -> RateLimiter {
        RateLimiter::new(RateLimit {
            global_rate: 5.0,
            ingest_rate: 10.0,
            ingest_burst: 3.0,
        })
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_rules() {
        let (limiter, probe) = (limiter(), NodeKey(1));
        for remaining in [2, 1, 0] {
            let (quota, taken) = limiter.take_at(probe, S);
            assert_eq!((quota.remaining, taken), (remaining, Ok(())));
        }
        let (_, refused) = limiter.take_at(probe, S);
        assert_eq!(refused, Err(Duration::from_millis(100)));
        assert_eq!(limiter.take_at(probe, S + S / 10).1, Ok(()));
        assert!(limiter.take_at(probe, S + S / 10).1.is_err());
    }

    #[test]
    fn a_refused_request_costs_nothing_and_probes_do_not_share() {
        let limiter = limiter();
        for _ in 0..50 {
            let _ignored: Result<(), Duration> = limiter.take_at(NodeKey(1), S).1;
        }
        assert_eq!(limiter.take_at(NodeKey(1), S + S / 10).1, Ok(()));
        assert_eq!(limiter.take_at(NodeKey(65), S).1, Ok(()));
    }

    #[test]
    fn idle_buckets_are_swept() {
        let limiter = limiter();
        for probe in 0..200_000 {
            let _ignored: Result<(), Duration> = limiter
                .take_at(NodeKey(probe * 64), probe.cast_unsigned() * S)
                .1;
        }
        assert!(limiter.probes[0].lock().unwrap().len() <= SHARD_BUCKETS_SWEEP);
    }
}

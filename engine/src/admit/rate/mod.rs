//! Who may send how much, decided in memory.
//!
//! A leaky bucket is one number, the time at which it will be empty again (the generic cell rate
//! algorithm, ITU-T I.371): a request moves it ahead by 1/rate, and is refused when it would stand
//! more than burst/rate ahead of now. No timer refills anything.
//!
//! There is one bucket per probe, one for the instance, and one per client address for requests
//! without a valid token. Only the probes' are shared: every engine tells Redis what it admitted, and
//! hears when the bucket of all engines together is empty (`sharing`, `coordination::budgets`).
//! Requests never wait for that. So with N engines a probe is admitted at most
//!
//! ```text
//! burst + rate × time + (N − 1) × (what one engine is offered between two exchanges)
//! ```
//!
//! requests, and the last term is at most (N − 1) × burst. It is a debt: it is paid back before more
//! is admitted. Between exchanges are 25 ms, or 75 ms when Redis is slow. While Redis is away every
//! engine counts for itself, and what it admitted then is forgiven, not collected, once Redis is back.

mod rule;
mod share;
mod sharing;
mod strangers;

pub use rule::Quota;
pub use share::{OverLimit, UnderWay};
pub use sharing::{Policy, Report, Sharing};

use crate::admit::head::Origin;
use crate::config::{RateLimit, TrustedProxies};
use crate::limits::PROBE_SHARE;
use crate::model::NodeKey;
use rule::Rule;
use share::Held;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use strangers::Strangers;

const SHARDS: usize = 64;
/// Buckets of one shard before those that are empty again are swept out.
const SHARD_BUCKETS_SWEEP: usize = 4_096;
/// A fleet whose secret was changed may knock for a while.
const STRANGER_BURST_S: f64 = 50.0;
const SHARE: f64 = PROBE_SHARE as f64;

#[derive(Debug)]
pub struct RateLimiter {
    epoch: Instant,
    sharing: Sharing,
    /// What the instance admitted, and what it was offered.
    global: AtomicU64,
    offered: AtomicU64,
    global_rule: Rule,
    probe_rule: Rule,
    /// Of one probe while the instance is overloaded.
    share_rule: Rule,
    probes: Vec<Mutex<Shard>>,
    proxies: TrustedProxies,
    strangers: Strangers,
}

#[derive(Debug, Default)]
struct Shard {
    buckets: HashMap<NodeKey, Bucket>,
    /// Those that were asked for since their last report, each once.
    unreported: Vec<NodeKey>,
}

/// When a probe's bucket is empty again, in nanoseconds since the limiter's epoch.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// By what this engine admitted.
    own_empty_at_ns: u64,
    /// By what all engines admitted, as far as it is known here; never before its own.
    joint_empty_at_ns: u64,
    /// Admitted since the last report, and when the first of them was.
    unreported: u32,
    unreported_since_ns: u64,
    /// Is in the shard's list.
    is_listed: bool,
    /// By this engine's share rule.
    share_empty_at_ns: u64,
    held: Held,
}

impl RateLimiter {
    pub fn new(limits: RateLimit, proxies: TrustedProxies, sharing: Sharing) -> Self {
        Self {
            epoch: Instant::now(),
            sharing,
            global: AtomicU64::new(0),
            offered: AtomicU64::new(0),
            // A second's worth may come at once: arrivals are not even.
            global_rule: Rule::new(limits.global_rate, limits.global_rate),
            probe_rule: Rule::new(limits.ingest_rate, limits.ingest_burst),
            share_rule: Rule::new(limits.global_rate / SHARE, limits.global_rate / SHARE),
            probes: (0..SHARDS).map(|_| Mutex::default()).collect(),
            proxies,
            strangers: Strangers::new(
                limits.stranger_rate,
                limits.stranger_rate * STRANGER_BURST_S,
            ),
        }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn shard(&self, probe: NodeKey) -> MutexGuard<'_, Shard> {
        let at = usize::try_from(probe.0.cast_unsigned() % SHARDS as u64).unwrap_or(0);
        self.probes[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// One request of the instance; `Err` is how long to wait.
    pub fn take_global(&self) -> Result<(), Duration> {
        let now_ns = self.now_ns();
        self.offered(now_ns);
        let mut wait = Duration::ZERO;
        let taken = self
            .global
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |empty_at_ns| {
                let moved = self.global_rule.after_one(empty_at_ns, now_ns);
                moved.inspect_err(|too_long| wait = *too_long).ok()
            });
        taken.map(drop).map_err(|_| wait)
    }

    /// What an answer tells whose probe is not known: the instance's own limit.
    pub fn instance_quota(&self) -> Quota {
        let empty_at_ns = self.global.load(Ordering::Relaxed);
        let policy = self.sharing.policy();
        self.global_rule.quota(empty_at_ns, self.now_ns(), policy)
    }

    /// The address behind our own proxies.
    pub fn client(&self, from: Origin<'_>) -> IpAddr {
        self.proxies.client(from.peer, from.forwarded_for.lines())
    }

    /// A request without a valid token; `Err` is how long to wait. The client is told for the log.
    pub fn take_stranger(&self, from: Origin<'_>) -> (IpAddr, Quota, Result<(), Duration>) {
        let client = self.client(from);
        let (quota, taken) = self.strangers.take(client);
        (client, quota, taken)
    }

    /// One request of the probe, of so many bytes. `crowded`: so much is under way that shares count. The
    /// quota is told either way.
    pub fn take(
        &self,
        probe: NodeKey,
        bytes: usize,
        crowded: bool,
    ) -> (Quota, Result<UnderWay<'_>, OverLimit>) {
        let told = self.take_at(probe, bytes, crowded, self.now_ns());
        if told.1.is_err() {
            self.give_back();
        }
        told
    }

    fn take_at(
        &self,
        probe: NodeKey,
        bytes: usize,
        crowded: bool,
        now_ns: u64,
    ) -> (Quota, Result<UnderWay<'_>, OverLimit>) {
        let overloaded = self.is_overloaded(now_ns);
        let mut shard = self.shard(probe);
        if shard.buckets.len() >= SHARD_BUCKETS_SWEEP && !shard.buckets.contains_key(&probe) {
            shard.sweep(now_ns);
        }
        let Shard {
            buckets,
            unreported,
        } = &mut *shard;
        let bucket = buckets.entry(probe).or_default();
        let taken = self.probe_rule.after_one(bucket.joint_empty_at_ns, now_ns);
        let taken = taken.map_err(OverLimit::Quota).and_then(|joint_ns| {
            if crowded {
                bucket.held.check(bytes)?;
            }
            let share = self.share_rule.after_one(bucket.share_empty_at_ns, now_ns);
            match share {
                Err(wait) if overloaded => Err(OverLimit::Share(wait)),
                // What was taken before the overload counts, and no debt is made of it.
                share => Ok((joint_ns, share.unwrap_or(bucket.share_empty_at_ns))),
            }
        });
        if let Ok((joint_ns, share_ns)) = taken {
            bucket.joint_empty_at_ns = joint_ns;
            bucket.share_empty_at_ns = share_ns;
            bucket.own_empty_at_ns = self.probe_rule.moved(bucket.own_empty_at_ns, now_ns, 1);
            if bucket.unreported == 0 {
                bucket.unreported_since_ns = now_ns;
            }
            bucket.unreported = bucket.unreported.saturating_add(1);
        }
        // A refused one too: others must know of this bucket, also when Redis has forgotten it.
        if self.sharing.is_configured() && !bucket.is_listed {
            bucket.is_listed = true;
            unreported.push(probe);
        }
        let policy = self.sharing.policy();
        let quota = self
            .probe_rule
            .quota(bucket.joint_empty_at_ns, now_ns, policy);
        let under_way = taken.map(|_| self.under_way(&mut shard, probe, bytes));
        (quota, under_way)
    }
}

impl Shard {
    fn sweep(&mut self, now_ns: u64) {
        self.buckets
            .retain(|_, bucket| bucket.joint_empty_at_ns > now_ns || bucket.held.requests > 0);
        let buckets = &self.buckets;
        self.unreported.retain(|probe| buckets.contains_key(probe));
    }
}

#[cfg(test)]
mod tests;

//! Requests without a valid token, by the address that they come from.
//!
//! They cost little each, but nobody needs many of them, and guessing is all that they can be for.
//! A valid token from the same address is never judged here: a thousand probes may share one.

use super::SHARD_BUCKETS_SWEEP;
use super::rule::{Quota, Rule};
use super::sharing::Policy;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Strangers {
    epoch: Instant,
    rule: Rule,
    empty_at_ns: Mutex<HashMap<IpAddr, u64>>,
}

impl Strangers {
    pub(super) fn new(rate: f64, burst: f64) -> Self {
        Self {
            epoch: Instant::now(),
            rule: Rule::new(rate, burst),
            empty_at_ns: Mutex::default(),
        }
    }

    /// One more of this client; `Err` is how long to wait.
    pub(super) fn take(&self, client: IpAddr) -> (Quota, Result<(), Duration>) {
        let now_ns = u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.take_at(client, now_ns)
    }

    fn take_at(&self, client: IpAddr, now_ns: u64) -> (Quota, Result<(), Duration>) {
        let network = network(client);
        let mut known = self
            .empty_at_ns
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() >= SHARD_BUCKETS_SWEEP && !known.contains_key(&network) {
            known.retain(|_, empty_at_ns| *empty_at_ns > now_ns);
        }
        if known.len() >= 16 * SHARD_BUCKETS_SWEEP && !known.contains_key(&network) {
            // An attack from everywhere: memory has a bound, and these requests are refused anyway.
            known.clear();
        }
        let empty_at_ns = known.entry(network).or_default();
        let taken = self.rule.after_one(*empty_at_ns, now_ns);
        if let Ok(moved_ns) = taken {
            *empty_at_ns = moved_ns;
        }
        let quota = self.rule.quota(*empty_at_ns, now_ns, Policy::Local);
        (quota, taken.map(drop))
    }
}

/// Of IPv6, a subscriber has a /64 at least.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(burst_spent_by: &str, other: &str, shared: bool) {
        let strangers = Strangers::new(1.0, 3.0);
        let take = |client: &str| strangers.take_at(client.parse().unwrap(), 1).1.is_ok();
        assert_eq!(
            [0; 4].map(|_| take(burst_spent_by)),
            [true, true, true, false]
        );
        assert_eq!(take(other), !shared, "{burst_spent_by} and {other}");
    }

    #[test]
    fn an_address_has_its_own_bucket_and_a_v6_network_one_for_all() {
        check("192.0.2.1", "192.0.2.2", false);
        check("2001:db8::1", "2001:db8::ffff:2", true);
        check("2001:db8::1", "2001:db8:0:1::1", false);
    }

    #[test]
    fn addresses_from_everywhere_take_bounded_memory() {
        let strangers = Strangers::new(1.0, 3.0);
        for n in 0..200_000_u32 {
            let _ignored = strangers.take_at(IpAddr::V4(n.into()), 1);
        }
        let known = strangers.empty_at_ns.lock().unwrap().len();
        assert!(known <= 16 * SHARD_BUCKETS_SWEEP, "{known}");
    }
}

//! How often somebody may guess.
//!
//! A failed sign-in is counted three times: for the account from this address, for the account from
//! everywhere, and for the address. Each leaks at its rate; one that is full refuses, before any work
//! is done. The first is tight, so a guesser gets nowhere from one address; the second is wide, so that
//! one guesser does not lock the owner out, and many together still do not get far.
//!
//! In memory, of this engine: a restart forgets.

use super::error::Error;
use crate::limits::{
    LOGIN_ACCOUNT_BURST, LOGIN_ACCOUNT_EVERY, LOGIN_ADDRESS_BURST, LOGIN_ADDRESS_EVERY,
    LOGIN_PAIR_BURST, LOGIN_PAIR_EVERY, LOGIN_THROTTLE_ENTRIES_MAX,
};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Pair(String, IpAddr),
    Account(String),
    Address(IpAddr),
    /// Of all for whom there was no room.
    Rest,
}

impl Key {
    /// So many at once, and one more each so often.
    const fn rate(&self) -> (u32, Duration) {
        match self {
            Self::Pair(..) => (LOGIN_PAIR_BURST, LOGIN_PAIR_EVERY),
            Self::Account(_) | Self::Rest => (LOGIN_ACCOUNT_BURST, LOGIN_ACCOUNT_EVERY),
            Self::Address(_) => (LOGIN_ADDRESS_BURST, LOGIN_ADDRESS_EVERY),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<Key, Instant>>);

/// An attempt that is counted as failed until it succeeds.
#[derive(Debug)]
pub(super) struct Attempt(Vec<Key>);

impl Throttle {
    /// `name` as it was sent, whether anybody has it or not.
    pub(super) fn attempt(&self, name: &str, from: IpAddr, now: Instant) -> Result<Attempt, Error> {
        let (name, from) = (name.to_ascii_lowercase(), network(from));
        let mut full = self.lock();
        let mut keys = Vec::with_capacity(3);
        for key in [
            Key::Pair(name.clone(), from),
            Key::Account(name),
            Key::Address(from),
        ] {
            let key = if has_room(&mut full, &key, now) {
                key
            } else {
                Key::Rest
            };
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        // Each instant says when its bucket is empty again.
        let wait = keys.iter().map(|key| wait(full.get(key), key, now)).max();
        if let Some(retry_after) = wait.filter(|wait| !wait.is_zero()) {
            return Err(Error::Throttled { retry_after });
        }
        for key in &keys {
            let empty_at = full.get(key).copied().unwrap_or(now).max(now);
            full.insert(key.clone(), empty_at + key.rate().1);
        }
        Ok(Attempt(keys))
    }

    /// It was no guess.
    pub(super) fn succeeded(&self, attempt: Attempt) {
        let mut full = self.lock();
        for key in attempt.0 {
            if let Some(empty_at) = full.get_mut(&key) {
                *empty_at = empty_at.checked_sub(key.rate().1).unwrap_or(*empty_at);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_room(full: &mut HashMap<Key, Instant>, key: &Key, now: Instant) -> bool {
    if full.len() >= LOGIN_THROTTLE_ENTRIES_MAX {
        full.retain(|_, empty_at| *empty_at > now);
    }
    full.len() < LOGIN_THROTTLE_ENTRIES_MAX || full.contains_key(key)
}

fn wait(empty_at: Option<&Instant>, key: &Key, now: Instant) -> Duration {
    let (burst, every) = key.rate();
    let filled = empty_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
    (filled + every).saturating_sub(every * burst)
}

/// Whoever has one IPv6 address has its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let bits = v6.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn fails(throttle: &Throttle, name: &str, from: &str, now: Instant) -> usize {
        let mut taken = 0;
        while throttle.attempt(name, address(from), now).is_ok() {
            taken += 1;
            assert!(taken < 100_000);
        }
        taken
    }

    #[test]
    fn a_guesser_gets_a_few_and_then_one_now_and_then() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let burst = LOGIN_PAIR_BURST as usize;
        assert_eq!(fails(&throttle, "Ama", "192.0.2.1", now), burst);
        assert_eq!(fails(&throttle, "ama", "192.0.2.1", now), 0, "by case");
        assert_eq!(fails(&throttle, "ama", "::ffff:192.0.2.1", now), 0);
        assert_eq!(
            fails(&throttle, "ama", "192.0.2.1", now + LOGIN_PAIR_EVERY),
            1
        );
        let Err(Error::Throttled { retry_after }) =
            throttle.attempt("ama", address("192.0.2.1"), now + LOGIN_PAIR_EVERY)
        else {
            panic!("refused");
        };
        assert_eq!(retry_after, LOGIN_PAIR_EVERY);
        // The owner, from elsewhere.
        assert_eq!(fails(&throttle, "ama", "192.0.2.2", now), burst);
    }

    #[test]
    fn one_address_cannot_try_everybody_nor_many_addresses_one() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let by_name = |n: usize| throttle.attempt(&format!("u{n}"), address("192.0.2.1"), now);
        let tried = (0..1_000).take_while(|n| by_name(*n).is_ok()).count();
        assert_eq!(tried, LOGIN_ADDRESS_BURST as usize);
        let from = |n: u32| IpAddr::V4(std::net::Ipv4Addr::from_bits(n));
        let tried = (0..1_000).take_while(|n| throttle.attempt("kofi", from(*n), now).is_ok());
        assert_eq!(tried.count(), LOGIN_ACCOUNT_BURST as usize);
        // Of one network of IPv6 all are one.
        let v6 = |n: u32| address(&format!("2001:db8::{n:x}"));
        let tried = (1..1_000).take_while(|n| throttle.attempt("esi", v6(*n), now).is_ok());
        assert_eq!(tried.count(), LOGIN_PAIR_BURST as usize);
    }

    #[test]
    fn who_knows_the_password_is_never_stopped() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..1_000 {
            let attempt = throttle.attempt("ama", address("192.0.2.1"), now).unwrap();
            throttle.succeeded(attempt);
        }
    }

    #[test]
    fn without_room_all_others_share_one_bucket() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..u32::try_from(LOGIN_THROTTLE_ENTRIES_MAX).unwrap() {
            let from = IpAddr::V4(std::net::Ipv4Addr::from_bits(n));
            if throttle.attempt(&format!("u{n}"), from, now).is_err() {
                break;
            }
        }
        assert!(throttle.lock().len() <= LOGIN_THROTTLE_ENTRIES_MAX + 3);
        assert!(
            throttle
                .attempt("new", address("198.51.100.1"), now)
                .is_err()
        );
        let later = now + LOGIN_ACCOUNT_EVERY * LOGIN_ACCOUNT_BURST * 10;
        assert!(
            throttle
                .attempt("new", address("198.51.100.1"), later)
                .is_ok()
        );
    }
}

//! How long to wait before another try.

use crate::workload::sample::mix;
use std::time::Duration;

/// Doubling waits between two bounds, each drawn from the upper half of its step: a thousand
/// probes that lost one server together must not return together.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    tries: u32,
    state: u64,
}

impl Backoff {
    pub const fn new(first: Duration, most: Duration, seed: u64) -> Self {
        Self {
            first,
            most,
            tries: 0,
            state: seed,
        }
    }

    pub const fn reset(&mut self) {
        self.tries = 0;
    }

    pub const fn tries(&self) -> u32 {
        self.tries
    }

    pub fn next_wait(&mut self) -> Duration {
        let step = self
            .first
            .saturating_mul(1 << self.tries.min(16))
            .min(self.most);
        self.tries = self.tries.saturating_add(1);
        step.mul_f64(0.5 + self.fraction() / 2.0)
    }

    /// The server's own `Retry-After`, with up to a tenth on top (at least some milliseconds).
    pub fn after_hint(&mut self, hint: Duration) -> Duration {
        self.tries = self.tries.saturating_add(1);
        hint + hint.mul_f64(self.fraction() / 10.0)
            + Duration::from_millis(20).mul_f64(self.fraction())
    }

    fn fraction(&mut self) -> f64 {
        self.state = mix(self.state);
        (self.state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_differ_between_probes() {
        let bound = Duration::from_secs(2);
        let mut one = Backoff::new(Duration::from_millis(50), bound, 1);
        let mut other = Backoff::new(Duration::from_millis(50), bound, 2);
        let (a, b): (Vec<_>, Vec<_>) = (0..80)
            .map(|_| (one.next_wait(), other.next_wait()))
            .unzip();
        assert!(a.iter().all(|w| *w <= bound) && a[0] >= Duration::from_millis(25));
        assert!(a[79] >= bound / 2);
        assert_ne!(a, b);
        one.reset();
        assert!(one.next_wait() <= Duration::from_millis(50));
    }

    #[test]
    fn a_hint_is_never_undercut() {
        let mut backoff = Backoff::new(Duration::ZERO, Duration::ZERO, 9);
        for _ in 0..100 {
            let wait = backoff.after_hint(Duration::from_secs(1));
            assert!((Duration::from_secs(1)..Duration::from_millis(1_121)).contains(&wait));
        }
    }
}

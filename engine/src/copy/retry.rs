//! The pause between sessions, and how often a failure is logged.

use super::error::Error;
use std::time::{Duration, Instant};

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A failure that repeats is logged at first and then this often, with its count.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    logged_at: Option<Instant>,
    /// Failures since the last line.
    unlogged: u32,
}

impl Backoff {
    pub(super) fn succeeded(&mut self) {
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "the database takes commits again");
        }
        *self = Self::default();
    }

    /// Logs if it is time, and says how long to wait: doubling, with up to half taken off at
    /// random, so that engines that lost the same server do not return in step.
    pub(super) fn failed(&mut self, error: &Error) -> Duration {
        self.failures += 1;
        self.unlogged += 1;
        if self.logged_at.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            self.log(error);
            self.logged_at = Some(Instant::now());
            self.unlogged = 0;
        }
        let pause = pause_after(self.failures);
        pause.mul_f64(0.5 + 0.5 * jitter())
    }

    fn log(&self, error: &Error) {
        let (sqlstate, failures) = (error.sqlstate(), self.unlogged);
        if error.retriable() {
            tracing::warn!(%error, sqlstate, failures, "the database takes no commits; retrying");
        } else {
            tracing::error!(%error, sqlstate, failures, "commits fail and time will not heal it; retrying");
        }
    }
}

fn pause_after(failures: u32) -> Duration {
    PAUSE_MIN
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(PAUSE_MAX)
}

/// 0–1, from the randomness of a fresh hash key.
fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    f64::from(u32::try_from(RandomState::new().hash_one(0) >> 32).unwrap_or(0))
        / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_bound() {
        let pauses: Vec<_> = [1, 2, 3, 6, 7, 60]
            .map(|n| pause_after(n).as_millis())
            .into();
        assert_eq!(pauses, [100, 200, 400, 3_200, 5_000, 5_000]);
    }
}

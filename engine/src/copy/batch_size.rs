//! How many rows one transaction takes: as many as the database commits in `AIM`.
//!
//! What a transaction costs beside its rows (rollups, accounts, the position) vanishes in a large
//! one; but a server that is slow must not lose a minute of work to each deadline, and those who
//! wait for a commit wait for a whole transaction.

use crate::limits::{COMMIT_DEADLINE, COMMIT_ROWS_MAX, COMMIT_ROWS_MIN, COMMIT_ROWS_START};
use std::time::Duration;

const AIM: Duration = Duration::from_millis(200);
/// A slow statement is half of its transaction or more, so this much is far from the deadline.
const _: () = assert!(AIM.as_millis() * 50 <= COMMIT_DEADLINE.as_millis());

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchSize {
    pub(super) rows_max: usize,
}

impl Default for BatchSize {
    fn default() -> Self {
        Self {
            rows_max: COMMIT_ROWS_START,
        }
    }
}

impl BatchSize {
    /// Only a full transaction says something about a larger one, and any about a smaller one.
    pub(super) fn committed(&mut self, rows: usize, took: Duration) {
        let is_full = rows >= self.rows_max;
        if took > 2 * AIM {
            self.set(rows.min(self.rows_max) / 4 * 3);
        } else if is_full && took < AIM / 2 {
            self.set(self.rows_max * 2);
        } else if is_full && took < AIM {
            self.set(self.rows_max / 4 * 5);
        }
    }

    /// A statement came to its deadline.
    pub(super) fn too_slow(&mut self) {
        self.set(self.rows_max / 2);
    }

    fn set(&mut self, rows: usize) {
        self.rows_max = rows.clamp(COMMIT_ROWS_MIN, COMMIT_ROWS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Full transactions against a database of so many rows a second, with what each costs beside.
    fn settle(rows_per_s: f64, beside: Duration) -> BatchSize {
        let mut size = BatchSize::default();
        for _ in 0..100 {
            let rows_s = size.rows_max as f64 / rows_per_s;
            size.committed(size.rows_max, beside + Duration::from_secs_f64(rows_s));
        }
        size
    }

    #[test]
    fn it_follows_the_database() {
        let fast = settle(600_000.0, Duration::from_millis(5));
        assert_eq!(fast.rows_max, COMMIT_ROWS_MAX);
        let middling = settle(100_000.0, Duration::from_millis(5)).rows_max;
        assert!((15_000..=45_000).contains(&middling), "{middling}");
        assert_eq!(settle(100.0, Duration::ZERO).rows_max, COMMIT_ROWS_MIN);
    }

    #[test]
    fn a_small_transaction_says_nothing_about_a_large_one() {
        let mut size = BatchSize::default();
        size.committed(100, Duration::from_millis(1));
        assert_eq!(size, BatchSize::default());
    }

    #[test]
    fn deadlines_end_at_the_least_and_success_leads_back() {
        let mut size = BatchSize::default();
        for _ in 0..40 {
            size.too_slow();
        }
        assert_eq!(size.rows_max, COMMIT_ROWS_MIN);
        for _ in 0..40 {
            size.committed(size.rows_max, Duration::from_millis(10));
        }
        assert_eq!(size.rows_max, COMMIT_ROWS_MAX);
    }
}

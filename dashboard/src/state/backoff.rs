//! How long to wait before asking again.

use std::time::Duration;

const FIRST_MS: u64 = 500;
const MOST_MS: u64 = 15_000;

/// Doubles with every failed attempt up to a bound. `jitter` (0–1) spreads a wall of browsers over
/// half the wait, so that a restarted engine is not met by all of them at once.
pub(crate) fn wait(attempt: u32, jitter: f64) -> Duration {
    let full = FIRST_MS.saturating_mul(1 << attempt.min(10)).min(MOST_MS);
    Duration::from_millis(full).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        let waits: Vec<_> = (0..40).map(|attempt| wait(attempt, 1.0)).collect();
        assert_eq!(waits[0], Duration::from_millis(500));
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(waits[39], Duration::from_millis(15_000));
        assert_eq!(wait(0, 0.0), Duration::from_millis(250));
    }
}

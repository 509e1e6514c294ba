//! What happened in each second of a run.
//!
//! A second's latencies are those of the requests that were meant to be sent in it, so that a stall
//! shows where it began; acks and errors count where they came. Buckets of 4 % are enough for a plot
//! and small enough for an hour of seconds; a longer run has longer steps.

use std::time::Duration;

/// Steps of a run at most: 8 MiB of buckets each thread.
const STEPS_MAX: u64 = 3_600;
const BUCKETS: usize = 512;
const LEAST_US: f64 = 10.0;
const GROWTH: f64 = 1.04;

/// One step, as a worker counts it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) begun: u64,
    pub(crate) acked_requests: u64,
    pub(crate) acked_samples: u64,
    pub(crate) refused_samples: u64,
    pub(crate) errors: u64,
    latencies: Option<Box<[u32; BUCKETS]>>,
    max_us: u64,
}

impl Step {
    const fn new() -> Self {
        Self {
            begun: 0,
            acked_requests: 0,
            acked_samples: 0,
            refused_samples: 0,
            errors: 0,
            latencies: None,
            max_us: 0,
        }
    }

    /// Milliseconds; `None` when nothing of the step was acked.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let buckets = self.latencies.as_ref()?;
        let total: u64 = buckets.iter().map(|count| u64::from(*count)).sum();
        let mut left = quantile * total as f64;
        for (bucket, count) in buckets.iter().enumerate() {
            left -= f64::from(*count);
            if left <= 0.0 && *count > 0 {
                let bound_us = LEAST_US * GROWTH.powf(bucket as f64 + 0.5);
                return Some(bound_us.min(self.max_us as f64) / 1e3);
            }
        }
        Some(self.max_us as f64 / 1e3)
    }

    pub(crate) fn max_ms(&self) -> Option<f64> {
        self.latencies.as_ref().map(|_| self.max_us as f64 / 1e3)
    }

    fn merge(&mut self, other: &Self) {
        self.begun += other.begun;
        self.acked_requests += other.acked_requests;
        self.acked_samples += other.acked_samples;
        self.refused_samples += other.refused_samples;
        self.errors += other.errors;
        self.max_us = self.max_us.max(other.max_us);
        match (&mut self.latencies, &other.latencies) {
            (Some(mine), Some(more)) => {
                for (sum, part) in mine.iter_mut().zip(more.iter()) {
                    *sum += part;
                }
            }
            (mine @ None, more) => mine.clone_from(more),
            (Some(_), None) => {}
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    pub(crate) step_s: u64,
    pub(crate) steps: Vec<Step>,
}

impl Timeline {
    pub(crate) fn new(duration: Duration) -> Self {
        Self {
            step_s: duration.as_secs().div_ceil(STEPS_MAX).max(1),
            steps: Vec::new(),
        }
    }

    /// The step that a moment of the run is in. What comes long after the end is in the last one.
    pub(crate) fn at(&mut self, moment: Duration) -> &mut Step {
        let step = moment.as_secs() / self.step_s;
        let step = usize::try_from(step.min(2 * STEPS_MAX)).unwrap_or(0);
        if self.steps.len() <= step {
            self.steps.resize_with(step + 1, Step::new);
        }
        &mut self.steps[step]
    }

    pub(crate) fn latency(&mut self, due: Duration, latency: Duration) {
        let step = self.at(due);
        let us = super::stats::micros(latency);
        step.max_us = step.max_us.max(us);
        let buckets = step.latencies.get_or_insert_with(|| Box::new([0; BUCKETS]));
        buckets[bucket(us)] += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (at, step) in (0..).zip(&other.steps) {
            self.at(Duration::from_secs(at * self.step_s)).merge(step);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped"
)]
fn bucket(us: u64) -> usize {
    let at = (us as f64 / LEAST_US).ln() / GROWTH.ln();
    at.clamp(0.0, BUCKETS as f64 - 1.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_step_are_within_its_resolution() {
        let mut timeline = Timeline::new(Duration::from_secs(10));
        for us in 1..=10_000_u64 {
            timeline.latency(
                Duration::from_millis(2_500),
                Duration::from_micros(us * 100),
            );
        }
        let step = timeline.at(Duration::from_secs(2)).clone();
        for (quantile, expect) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let got = step.quantile_ms(quantile).unwrap();
            assert!((got / expect - 1.0).abs() < 0.03, "{got}, not {expect}");
        }
        assert_eq!(step.max_ms(), Some(1_000.0));
        assert_eq!(timeline.steps[0].quantile_ms(0.5), None);
    }

    #[test]
    fn two_workers_add_up_and_a_long_run_has_long_steps() {
        let day = Duration::from_secs(86_400);
        let (mut one, mut other) = (Timeline::new(day), Timeline::new(day));
        assert_eq!(one.step_s, 24);
        one.latency(Duration::from_secs(30), Duration::from_millis(1));
        other.latency(Duration::from_secs(47), Duration::from_millis(1));
        other.at(Duration::from_secs(90_000_000)).errors += 1;
        one.merge(&other);
        let buckets = one.steps[1].latencies.as_ref().unwrap();
        assert_eq!(buckets.iter().sum::<u32>(), 2);
        assert!(one.steps.len() <= 7_201);
    }
}

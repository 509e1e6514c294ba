//! What a progress line shows while the run goes on.

use super::stats::{self, histogram};
use hdrhistogram::Histogram;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Totals of the run, and the latencies since the last look.
#[derive(Clone, Debug)]
pub struct LiveView {
    /// Since the first scheduled moment.
    pub elapsed: Duration,
    pub acked_samples: u64,
    pub refused_samples: u64,
    pub unknown_samples: u64,
    pub errors: u64,
    /// Errors and refusals by kind, for one line of text.
    pub by_kind: Vec<(String, u64)>,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
}

#[derive(Debug)]
pub(crate) struct Live {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    recent_us: Histogram<u64>,
    acked: u64,
    refused: u64,
    unknown: u64,
    by_kind: std::collections::BTreeMap<String, u64>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                recent_us: histogram(),
                acked: 0,
                refused: 0,
                unknown: 0,
                by_kind: std::collections::BTreeMap::new(),
            }),
        }
    }
}

/// A thread that panicked while counting leaves counts that are still the best there are.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a worker has published so far, to publish only the rest.
#[derive(Debug)]
pub(crate) struct Published {
    stats: stats::Stats,
}

impl Published {
    pub(crate) fn new() -> Self {
        Self {
            stats: stats::Stats::new(),
        }
    }
}

impl Live {
    /// Adds what `now` counted since the call before.
    pub(crate) fn publish(&self, before: &mut Published, now: &stats::Stats) {
        let old = &before.stats;
        let mut recent = now.corrected_us.clone();
        let is_new = recent.subtract(&old.corrected_us).is_ok();
        let mut state = lock(&self.state);
        if !is_new || state.recent_us.add(&recent).is_err() {
            // Only the figures of one progress line are lost.
            state.recent_us.reset();
        }
        state.acked += now.acked_samples - old.acked_samples;
        state.refused += now.refused_samples - old.refused_samples;
        state.unknown += now.unknown_samples - old.unknown_samples;
        for (kind, count) in &now.errors {
            let new = count - old.errors.get(kind).copied().unwrap_or(0);
            *state.by_kind.entry((*kind).to_owned()).or_default() += new;
        }
        for (status, count) in now.answers.iter().filter(|(status, _)| **status >= 300) {
            let new = count - old.answers.get(status).copied().unwrap_or(0);
            *state.by_kind.entry(status.to_string()).or_default() += new;
        }
        drop(state);
        before.stats.clone_from(now);
    }

    pub(crate) fn take(&self, elapsed: Duration) -> LiveView {
        let mut state = lock(&self.state);
        let quantile_ms = |q| state.recent_us.value_at_quantile(q) as f64 / 1e3;
        let view = LiveView {
            elapsed,
            acked_samples: state.acked,
            refused_samples: state.refused,
            unknown_samples: state.unknown,
            errors: state.by_kind.values().sum(),
            by_kind: state
                .by_kind
                .iter()
                .map(|(kind, count)| (kind.clone(), *count))
                .collect(),
            p50_ms: quantile_ms(0.5),
            p95_ms: quantile_ms(0.95),
            p99_ms: quantile_ms(0.99),
        };
        state.recent_us.reset();
        view
    }
}

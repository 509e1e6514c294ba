//! What one worker counted; added up at the end.

use super::timeline::Timeline;
use crate::ledger::Entry;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longer waits than this are counted as this long.
const HOUR_US: u64 = 3_600_000_000;

/// Three significant digits: a figure is within 0.1 %. With fixed bounds, because a histogram that
/// grows by itself does not do so when a value is recorded saturating: it would cut all to 2 ms.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HOUR_US, 3).expect("the bounds are in order, the digits few")
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A send that began this late, or an event loop that lagged this much, is the generator's fault.
pub(crate) const LATE: Duration = Duration::from_millis(100);

/// Samples with a fault, and what became of the bad ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planted {
    pub late: u64,
    pub duplicate: u64,
    pub reordered: u64,
    pub skewed: u64,
    pub bad: u64,
    /// Refused, with the field that is wrong in them: as it must be.
    pub bad_refused: u64,
    /// Refused for another reason.
    pub bad_misnamed: u64,
    /// Accepted: the server does not keep its contract.
    pub bad_accepted: u64,
    /// No answer, or a refusal that is not about the samples.
    pub bad_unknown: u64,
}

impl Planted {
    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, part) in [
            (&mut self.late, other.late),
            (&mut self.duplicate, other.duplicate),
            (&mut self.reordered, other.reordered),
            (&mut self.skewed, other.skewed),
            (&mut self.bad, other.bad),
            (&mut self.bad_refused, other.bad_refused),
            (&mut self.bad_misnamed, other.bad_misnamed),
            (&mut self.bad_accepted, other.bad_accepted),
            (&mut self.bad_unknown, other.bad_unknown),
        ] {
            *sum += part;
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Stats {
    /// From the scheduled moment to the ack.
    pub(crate) corrected_us: Histogram<u64>,
    /// From the first byte of the first try to the ack.
    pub(crate) service_us: Histogram<u64>,
    /// From the moment a send could begin (due, and its connection free) to its begin.
    pub(crate) begin_lag_us: Histogram<u64>,
    pub(crate) loop_lag_us: Histogram<u64>,
    pub(crate) begun: u64,
    pub(crate) begun_late: u64,
    pub(crate) loop_ticks: u64,
    pub(crate) loop_late: u64,
    /// Sends that began over 100 ms after their moment, whoever was the reason.
    pub(crate) behind_schedule: u64,
    pub(crate) unsent_requests: u64,
    pub(crate) acked_requests: u64,
    pub(crate) acked_samples: u64,
    /// Of those, within the scheduled duration.
    pub(crate) acked_in_window: u64,
    pub(crate) acked_requests_in_window: u64,
    pub(crate) refused_samples: u64,
    pub(crate) unknown_samples: u64,
    /// Sent with a fault, by kind; in the counts above they are as well, but for the bad ones.
    pub(crate) planted: Planted,
    pub(crate) retries: u64,
    pub(crate) reconnects: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) answers: BTreeMap<u16, u64>,
    pub(crate) errors: BTreeMap<&'static str, u64>,
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self {
            corrected_us: histogram(),
            service_us: histogram(),
            begin_lag_us: histogram(),
            loop_lag_us: histogram(),
            begun: 0,
            begun_late: 0,
            loop_ticks: 0,
            loop_late: 0,
            behind_schedule: 0,
            unsent_requests: 0,
            acked_requests: 0,
            acked_samples: 0,
            acked_in_window: 0,
            acked_requests_in_window: 0,
            refused_samples: 0,
            unknown_samples: 0,
            planted: Planted::default(),
            retries: 0,
            reconnects: 0,
            bytes_sent: 0,
            answers: BTreeMap::new(),
            errors: BTreeMap::new(),
        }
    }

    pub(crate) fn begun(&mut self, could_begin_ago: Duration, due_ago: Duration) {
        self.begun += 1;
        self.begun_late += u64::from(could_begin_ago > LATE);
        self.behind_schedule += u64::from(due_ago > LATE);
        self.begin_lag_us.saturating_record(micros(could_begin_ago));
    }

    pub(crate) fn loop_tick(&mut self, lag: Duration) {
        self.loop_ticks += 1;
        self.loop_late += u64::from(lag > LATE);
        self.loop_lag_us.saturating_record(micros(lag));
    }

    fn merge(&mut self, other: &Self) -> anyhow::Result<()> {
        self.corrected_us.add(&other.corrected_us)?;
        self.service_us.add(&other.service_us)?;
        self.begin_lag_us.add(&other.begin_lag_us)?;
        self.loop_lag_us.add(&other.loop_lag_us)?;
        for (sum, part) in [
            (&mut self.begun, other.begun),
            (&mut self.begun_late, other.begun_late),
            (&mut self.loop_ticks, other.loop_ticks),
            (&mut self.loop_late, other.loop_late),
            (&mut self.behind_schedule, other.behind_schedule),
            (&mut self.unsent_requests, other.unsent_requests),
            (&mut self.acked_requests, other.acked_requests),
            (&mut self.acked_samples, other.acked_samples),
            (&mut self.acked_in_window, other.acked_in_window),
            (
                &mut self.acked_requests_in_window,
                other.acked_requests_in_window,
            ),
            (&mut self.refused_samples, other.refused_samples),
            (&mut self.unknown_samples, other.unknown_samples),
            (&mut self.retries, other.retries),
            (&mut self.reconnects, other.reconnects),
            (&mut self.bytes_sent, other.bytes_sent),
        ] {
            *sum += part;
        }
        self.planted.add(&other.planted);
        for (status, count) in &other.answers {
            *self.answers.entry(*status).or_default() += count;
        }
        for (kind, count) in &other.errors {
            *self.errors.entry(kind).or_default() += count;
        }
        Ok(())
    }
}

/// What a worker thread hands back.
#[derive(Debug)]
pub(crate) struct WorkerResult {
    pub(crate) stats: Stats,
    pub(crate) timeline: Timeline,
    pub(crate) entries: Vec<Entry>,
    pub(crate) cpu: Duration,
    /// The busiest thread's CPU, as a share of its time.
    pub(crate) cpu_share: f64,
    /// From the start line to the last answer.
    pub(crate) elapsed: Duration,
}

impl WorkerResult {
    pub(crate) fn new(duration: Duration) -> Self {
        Self {
            stats: Stats::new(),
            timeline: Timeline::new(duration),
            entries: Vec::new(),
            cpu: Duration::ZERO,
            cpu_share: 0.0,
            elapsed: Duration::ZERO,
        }
    }

    pub(crate) fn merge(&mut self, other: Self) -> anyhow::Result<()> {
        self.stats.merge(&other.stats)?;
        self.timeline.merge(&other.timeline);
        self.cpu += other.cpu;
        self.cpu_share = self.cpu_share.max(other.cpu_share);
        self.elapsed = self.elapsed.max(other.elapsed);
        if self.entries.is_empty() {
            self.entries = other.entries;
        } else {
            self.entries.extend_from_slice(&other.entries);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_waits_keep_their_length() {
        let mut stats = Stats::new();
        for seconds in [1, 30, 7_200] {
            stats
                .loop_lag_us
                .saturating_record(micros(Duration::from_secs(seconds)));
        }
        let at = |q| stats.loop_lag_us.value_at_quantile(q) as f64 / 1e6;
        assert!((at(0.3) - 1.0).abs() < 0.01 && (at(0.6) - 30.0).abs() < 0.1);
        assert!((at(1.0) - 3_600.0).abs() < 4.0);
    }
}

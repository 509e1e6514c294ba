//! The journal's numbers: written by its threads, read by admission, `/api/status` and metrics.

use super::Refused;
use super::segment::FIRST_GROUP_AT;
use crate::limits::{APPEND_QUEUE_BYTES_MAX, GROUP_BYTES_MAX};
use crate::model::{GroupSeq, clock};
use fiber_contract::UnixMicros;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ok,
    /// Holds all the bytes it may; appends are refused until groups are released.
    Full,
    /// Its oldest group has waited for the database as long as it may; appends are refused.
    Aged,
    /// The disk is full; appends are refused until it is not.
    NoSpace,
    /// A write or fsync failed; only a restart helps.
    Poisoned,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Full => "full",
            Self::Aged => "aged",
            Self::NoSpace => "no_space",
            Self::Poisoned => "poisoned",
        }
    }
}

#[derive(Debug)]
pub struct Stats {
    segment_bytes: u64,
    segments_max: u64,
    age_max_us: i64,
    /// Segments with a number; the spare is not one.
    pub(super) segments: AtomicU64,
    /// Bytes used and left in the active segment.
    pub(super) active_used: AtomicU64,
    pub(super) active_left: AtomicU64,
    /// Of records between `try_append` and their answer.
    pub(super) queued_bytes: AtomicU64,
    pub(super) durable_seq: AtomicU64,
    pub(super) released_seq: AtomicU64,
    /// 0 when everything is released.
    pub(super) oldest_unreleased: AtomicI64,
    pub(super) groups: AtomicU64,
    pub(super) records: AtomicU64,
    pub(super) samples: AtomicU64,
    pub(super) bytes_written: AtomicU64,
    /// Sequences that recovery found lost, over the life of the process.
    pub(super) lost: AtomicU64,
    /// Groups that found the hand-off full.
    pub(super) not_handed_over: AtomicU64,
    /// Of one group's write and fdatasync.
    pub(super) commit: Histogram,
    pub(super) no_space: AtomicBool,
    pub(super) poisoned: AtomicBool,
    pub(super) stopping: AtomicBool,
}

impl Stats {
    pub(crate) fn new(segment_bytes: u64, bytes_max: u64, age_max: Duration) -> Self {
        Self {
            segment_bytes,
            // The least that can rotate: active and spare.
            segments_max: (bytes_max / segment_bytes).max(2),
            age_max_us: i64::try_from(age_max.as_micros()).unwrap_or(i64::MAX),
            segments: AtomicU64::default(),
            active_used: AtomicU64::default(),
            active_left: AtomicU64::default(),
            queued_bytes: AtomicU64::default(),
            durable_seq: AtomicU64::default(),
            released_seq: AtomicU64::default(),
            oldest_unreleased: AtomicI64::default(),
            groups: AtomicU64::default(),
            records: AtomicU64::default(),
            samples: AtomicU64::default(),
            bytes_written: AtomicU64::default(),
            lost: AtomicU64::default(),
            not_handed_over: AtomicU64::default(),
            commit: Histogram::default(),
            no_space: AtomicBool::default(),
            poisoned: AtomicBool::default(),
            stopping: AtomicBool::default(),
        }
    }

    pub fn state(&self) -> State {
        if self.is_poisoned() {
            State::Poisoned
        } else if self.no_space.load(Ordering::Relaxed) {
            State::NoSpace
        } else if self.room() < self.largest_group().min(self.segment_bytes / 16) {
            State::Full
        } else if self.is_aged(clock::now()) {
            State::Aged
        } else {
            State::Ok
        }
    }

    /// Bytes that hold groups, released or not: closed segments whole, the active one as far as it
    /// is written.
    pub fn bytes(&self) -> u64 {
        self.segments().saturating_sub(1) * self.segment_bytes
            + self.active_used.load(Ordering::Relaxed)
    }

    pub fn bytes_max(&self) -> u64 {
        self.segments_max * self.segment_bytes
    }

    pub fn segments(&self) -> u64 {
        self.segments.load(Ordering::Acquire)
    }

    pub fn durable_seq(&self) -> GroupSeq {
        GroupSeq(self.durable_seq.load(Ordering::Acquire))
    }

    pub fn released_seq(&self) -> GroupSeq {
        GroupSeq(self.released_seq.load(Ordering::Acquire))
    }

    /// When the oldest group that is not released became durable; a tenth of a second early at
    /// most while the journal is short, more when it holds hours.
    pub fn oldest_unreleased_at(&self) -> Option<UnixMicros> {
        let micros = self.oldest_unreleased.load(Ordering::Relaxed);
        (self.released_seq() < self.durable_seq() && micros != 0).then_some(UnixMicros(micros))
    }

    pub fn groups_written(&self) -> u64 {
        self.groups.load(Ordering::Relaxed)
    }

    pub fn records_written(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    pub fn samples_written(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }

    pub fn bytes_written(&self) -> u64 {
        self.bytes_written.load(Ordering::Relaxed)
    }

    pub fn groups_lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Groups that the writer has to read from disk because the hand-off in memory was full.
    pub fn groups_not_handed_over(&self) -> u64 {
        self.not_handed_over.load(Ordering::Relaxed)
    }

    pub fn queued_bytes(&self) -> u64 {
        self.queued_bytes.load(Ordering::Relaxed)
    }

    /// How long one group's write and fdatasync took; its count is the number of fsyncs.
    pub fn commit_latency(&self) -> &Histogram {
        &self.commit
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    pub(super) fn may_add_segment(&self) -> bool {
        self.segments() < self.segments_max
    }

    /// The largest group that any segment takes.
    pub(super) fn largest_group(&self) -> u64 {
        (self.segment_bytes - FIRST_GROUP_AT).min(GROUP_BYTES_MAX as u64)
    }

    /// A clock that was set back makes ages short, never long.
    fn is_aged(&self, now: UnixMicros) -> bool {
        self.oldest_unreleased_at()
            .is_some_and(|oldest| now.0.saturating_sub(oldest.0) > self.age_max_us)
    }

    fn room(&self) -> u64 {
        let free = self.segments_max.saturating_sub(self.segments());
        self.active_left.load(Ordering::Relaxed) + free * (self.segment_bytes - FIRST_GROUP_AT)
    }

    /// What is decided before a body is read. Groups do not straddle segments, so the last segment
    /// may turn out smaller than promised here; then the record's answer is `NoSpace`.
    pub(super) fn admit(&self, bytes: u64) -> Result<(), Refused> {
        if self.is_poisoned() {
            return Err(Refused::Poisoned);
        }
        if self.stopping.load(Ordering::Acquire) {
            return Err(Refused::Stopping);
        }
        let wanted = self.queued_bytes().saturating_add(bytes);
        if self.no_space.load(Ordering::Relaxed) || wanted > self.room() {
            return Err(Refused::Full);
        }
        if self.is_aged(clock::now()) {
            return Err(Refused::Aged);
        }
        if wanted > APPEND_QUEUE_BYTES_MAX as u64 {
            return Err(Refused::Busy);
        }
        Ok(())
    }
}

/// Counts of durations: bucket i holds those under 2^i µs that no smaller bucket holds.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

const BUCKETS: usize = 32;

impl Histogram {
    pub(crate) fn record(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let at = (u64::BITS - us.leading_zeros()) as usize;
        self.buckets[at.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    pub fn count(&self) -> u64 {
        self.buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .sum()
    }

    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us.load(Ordering::Relaxed))
    }

    /// Each bucket's upper bound and its count, smallest first.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        let bound = |at: usize| Duration::from_micros(1 << at);
        self.buckets
            .iter()
            .enumerate()
            .map(move |(at, n)| (bound(at), n.load(Ordering::Relaxed)))
    }

    /// An upper bound of the quantile, at most twice the value; zero when nothing was counted.
    pub fn quantile(&self, quantile: f64) -> Duration {
        let count = self.count() as f64;
        let mut seen = 0;
        for (bound, n) in self.buckets() {
            seen += n;
            if n > 0 && seen as f64 >= quantile * count {
                return bound;
            }
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_within_twice_the_value() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.99), Duration::ZERO);
        for us in 1..=1000 {
            histogram.record(Duration::from_micros(us));
        }
        assert_eq!(histogram.count(), 1000);
        assert_eq!(histogram.quantile(0.5), Duration::from_micros(512));
        assert_eq!(histogram.quantile(1.0), Duration::from_micros(1024));
        histogram.record(Duration::MAX);
        assert_eq!(histogram.count(), 1001);
    }
}

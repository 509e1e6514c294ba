//! What was sent, and what the server said about it: the witness that `verify` believes.
//!
//! One entry of 16 bytes per sample. On disk it is a text file that only grows (see [`file`]): what
//! a request holds is appended before its first byte is sent, how it ended afterwards. So a
//! generator that is killed leaves no sample without a line, and what it had no answer for is
//! unknown: stored or not, both are right.

pub mod file;

pub use file::LedgerFile;

use crate::workload::ProbeIdentity;
use std::path::Path;

/// What the client knows about a sample that it sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered 202 or 200: it must be stored, once.
    Acked,
    /// Every try was answered with a refusal, or never reached the server.
    Refused,
    /// A try was sent and not answered: stored or not, both are right.
    Unknown,
}

/// One sample: which series, when, a hash of its values, its outcome, and whether it was bad on
/// purpose. The last two are apart: what was planted says what must happen, the outcome what did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub time_us: i64,
    pub hash: u32,
    series_and_bits: u32,
}

const OUTCOME_BITS: u32 = 0b011;
const BAD_BIT: u32 = 0b100;
const BITS: u32 = 3;
/// Series one ledger can name.
pub const SERIES_MAX: u32 = 1 << (32 - BITS);

impl Entry {
    pub const fn new(series: u32, time_us: i64, hash: u32, outcome: Outcome) -> Self {
        Self {
            time_us,
            hash,
            series_and_bits: series << BITS,
        }
        .with(outcome)
    }

    /// It breaks the contract: the server must refuse it.
    #[must_use]
    pub const fn bad(mut self) -> Self {
        self.series_and_bits |= BAD_BIT;
        self
    }

    #[must_use]
    pub const fn with(mut self, outcome: Outcome) -> Self {
        let code = match outcome {
            Outcome::Acked => 0,
            Outcome::Refused => 1,
            Outcome::Unknown => 2,
        };
        self.series_and_bits = self.series_and_bits & !OUTCOME_BITS | code;
        self
    }

    pub const fn series(self) -> u32 {
        self.series_and_bits >> BITS
    }

    pub const fn outcome(self) -> Outcome {
        match self.series_and_bits & OUTCOME_BITS {
            0 => Outcome::Acked,
            1 => Outcome::Refused,
            _ => Outcome::Unknown,
        }
    }

    pub const fn is_bad(self) -> bool {
        self.series_and_bits & BAD_BIT != 0
    }
}

/// The names behind a series number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesName {
    pub node_id: String,
    /// Empty when the samples name no target.
    pub target_host: String,
    pub probe_type: String,
}

impl SeriesName {
    pub fn of_probe(probe: &ProbeIdentity) -> Self {
        Self {
            node_id: probe.node_id.clone(),
            target_host: probe.target_host.clone(),
            probe_type: probe.probe_type.clone(),
        }
    }
}

/// The whole witness of one or more runs.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub series: Vec<SeriesName>,
    pub entries: Vec<Entry>,
}

impl Ledger {
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.entries
            .iter()
            .filter(|entry| entry.outcome() == outcome)
            .count() as u64
    }

    /// First and last time of any sample.
    pub fn span_us(&self) -> Option<(i64, i64)> {
        let times = self.entries.iter().map(|entry| entry.time_us);
        times.clone().min().zip(times.max())
    }

    /// Reads what [`LedgerFile`] wrote. A torn last line is what a killed writer leaves; it is
    /// ignored. Anything else that cannot be read is an error: a witness must not guess.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        file::read(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_sixteen_bytes_and_keeps_its_parts() {
        assert_eq!(size_of::<Entry>(), 16);
        for outcome in [Outcome::Acked, Outcome::Refused, Outcome::Unknown] {
            let entry = Entry::new(SERIES_MAX - 1, i64::MIN, u32::MAX, Outcome::Unknown);
            let entry = entry.with(outcome);
            assert_eq!((entry.series(), entry.outcome()), (SERIES_MAX - 1, outcome));
            assert!(!entry.is_bad() && entry.bad().is_bad());
            assert_eq!(
                entry.bad().outcome(),
                outcome,
                "what was planted is no outcome"
            );
            assert_eq!(
                entry.bad().with(Outcome::Acked).bad(),
                entry.with(Outcome::Acked).bad()
            );
        }
    }
}

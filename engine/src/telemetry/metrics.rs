//! Counters of the process. Ingest counters are per core, each on its own cache lines, and added
//! up when somebody looks; the rest are touched once per group or transaction and need no such care.

use crate::journal::{self, Histogram};
use crate::planted::planted;
use crossbeam::utils::CachePadded;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use fiber_contract::ErrorCode;
use fiber_contract::ingest::SampleError;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes both ways.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub struct Metrics {
    /// One per ingest core, and the last for ingest through hyper.
    pub ingest: Vec<CachePadded<IngestCounters>>,
    pub copy: CopyCounters,
    /// The journal's own, once it is open.
    pub journal: OnceLock<Arc<journal::Stats>>,
}

/// `received = stored + duplicate + quarantined + in flight`; refused and shed are counted apart.
#[derive(Debug, Default)]
pub struct IngestCounters {
    pub requests: Counter,
    pub connections_opened: Counter,
    pub connections_open: Gauge,
    pub body_bytes: Counter,
    /// Samples made durable, so acknowledged.
    pub samples_received: Counter,
    /// Samples refused one by one, in bodies that were read.
    pub samples_rejected: Counter,
    /// Requests refused because their probe has its share of an overloaded instance.
    pub refused_by_share: Counter,
    /// Requests refused, by HTTP status.
    pub refused: [Counter; REFUSED_STATUS.len()],
    /// The same, by error code.
    refused_by_code: [Counter; REFUSED_CODES.len()],
    /// Samples refused one by one, by the field at fault.
    samples_by_field: [Counter; SAMPLE_FIELDS.len()],
}

/// The statuses counted apart, in the order of `IngestCounters::refused`; the last takes the rest.
pub const REFUSED_STATUS: [u16; 13] = [
    400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 503, 0,
];

/// Every code that a push may get, in the order of `IngestCounters::refused_by_code`.
const REFUSED_CODES: [ErrorCode; 19] = [
    ErrorCode::MalformedBatch,
    ErrorCode::MissingBatchId,
    ErrorCode::InvalidToken,
    ErrorCode::Forbidden,
    ErrorCode::NotFound,
    ErrorCode::MethodNotAllowed,
    ErrorCode::RequestTimeout,
    ErrorCode::BatchConflict,
    ErrorCode::PayloadTooLarge,
    ErrorCode::UriTooLong,
    ErrorCode::UnsupportedMedia,
    ErrorCode::ExpectationFailed,
    ErrorCode::InvalidMetric,
    ErrorCode::RateLimited,
    ErrorCode::HeadTooLarge,
    ErrorCode::Internal,
    ErrorCode::NotImplemented,
    ErrorCode::Overloaded,
    ErrorCode::HttpVersion,
];
/// The fields of a sample that can be at fault; the last takes the rest.
const SAMPLE_FIELDS: [&str; 13] = [
    "node_id",
    "country",
    "region",
    "latency_ms",
    "uptime_pct",
    "packet_loss",
    "timestamp",
    "target_host",
    "probe_type",
    "metadata",
    "seq",
    "metrics",
    "other",
];

/// What was refused for one reason since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    pub reason: &'static str,
    pub requests: u64,
    pub samples: u64,
}

impl IngestCounters {
    pub fn refuse(&self, code: ErrorCode) {
        if let Some(at) = REFUSED_CODES.iter().position(|known| *known == code) {
            self.refused_by_code[at].add(1);
        }
        let status = code.http_status();
        let at = REFUSED_STATUS.iter().position(|known| *known == status);
        self.refused[at.unwrap_or(REFUSED_STATUS.len() - 1)].add(1);
    }

    /// Refused samples of one body; of many, only the first few say why.
    pub fn reject_samples(&self, count: usize, told: &[SampleError]) {
        let other = SAMPLE_FIELDS.len() - 1;
        self.samples_rejected.add(count as u64);
        for error in told {
            let at = SAMPLE_FIELDS.iter().position(|field| *field == error.field);
            self.samples_by_field[at.unwrap_or(other)].add(1);
        }
        self.samples_by_field[other].add(count.saturating_sub(told.len()) as u64);
    }
}

#[derive(Debug, Default)]
pub struct CopyCounters {
    pub transactions: Counter,
    pub retries: Counter,
    /// Samples that the journal held at start and the tables did not: received by the run before.
    pub replayed: Counter,
    pub stored: Counter,
    pub duplicate: Counter,
    pub quarantined: Counter,
    /// Rows that took the exact path.
    pub exact_path_rows: Counter,
    /// The last group whose commit was confirmed.
    pub committed_seq: Counter,
    /// From BEGIN to the confirmed COMMIT, of the attempts that succeeded.
    pub commit: Histogram,
    /// How many rows a transaction may have at this moment.
    pub rows_max: Gauge,
    /// How many sessions write.
    pub writers: Gauge,
    /// 1 while the writer has a database session.
    pub connected: Gauge,
    /// Samples of the groups whose commit was confirmed, as the journal counted them when it sealed
    /// each group: not as the writer sorted them into fates, which is what it is compared with.
    settled: Counter,
    /// Held while a transaction is added, so that no reader sees half of one.
    settling: Mutex<()>,
}

/// Where every sample is that this process answers for.
/// `received = stored + duplicate + quarantined + in_flight` is a statement, not an arithmetic
/// truth: the left side and `in_flight` are the journal's counts, the rest is the writer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// Durable: from requests of this process, and left over by the run before.
    pub received: u64,
    pub stored: u64,
    pub duplicate: u64,
    pub quarantined: u64,
    pub in_flight: u64,
}

/// What one transaction made of its samples.
#[derive(Clone, Copy, Debug)]
pub struct Settled {
    /// By the journal's count.
    pub samples: u64,
    /// Of these, the ones that this process did not make durable, or settled before.
    pub replayed: u64,
    pub stored: u64,
    pub duplicate: u64,
    pub quarantined: u64,
}

impl CopyCounters {
    /// Adds a confirmed transaction.
    pub fn settle(&self, transaction: Settled) {
        let _whole = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        self.transactions.add(1);
        self.settled.add(transaction.samples);
        self.replayed.add(transaction.replayed);
        self.stored.add(transaction.stored);
        if !planted("duplicates-not-counted") {
            self.duplicate.add(transaction.duplicate);
        }
        self.quarantined.add(transaction.quarantined);
    }

    /// Every group up to this one is in the tables; it never goes back.
    pub fn committed_through(&self, seq: u64) {
        let before = self.committed_seq.get();
        self.committed_seq.add(seq.saturating_sub(before));
    }

    /// `durable` reads how many samples this process made durable.
    pub fn accounts(&self, durable: impl FnOnce() -> u64) -> Accounts {
        let _whole = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        // Read last: what is settled was durable before.
        let settled = self.settled.get();
        let received = durable() + self.replayed.get();
        Accounts {
            received,
            stored: self.stored.get(),
            duplicate: self.duplicate.get(),
            quarantined: self.quarantined.get(),
            in_flight: received.saturating_sub(settled),
        }
    }
}

impl Metrics {
    pub fn new(ingest_cores: usize) -> Arc<Self> {
        let ingest = (0..=ingest_cores).map(|_| CachePadded::default()).collect();
        Arc::new(Self {
            ingest,
            copy: CopyCounters::default(),
            journal: OnceLock::new(),
        })
    }

    /// Every reason, also those that never came.
    pub fn refusals(&self) -> Vec<Refused> {
        let codes = REFUSED_CODES.iter().enumerate().map(|(at, code)| Refused {
            reason: code.as_str(),
            requests: self.sum(|core| &core.refused_by_code[at]),
            samples: 0,
        });
        let fields = SAMPLE_FIELDS.iter().enumerate().map(|(at, field)| Refused {
            reason: field,
            requests: 0,
            samples: self.sum(|core| &core.samples_by_field[at]),
        });
        codes.chain(fields).collect()
    }

    /// The sum over all cores of one counter.
    pub fn sum(&self, counter: impl Fn(&IngestCounters) -> &Counter) -> u64 {
        self.ingest.iter().map(|core| counter(core).get()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closes(accounts: Accounts) -> bool {
        let somewhere =
            accounts.stored + accounts.duplicate + accounts.quarantined + accounts.in_flight;
        accounts.received == somewhere
    }

    #[test]
    fn the_accounts_close_unless_a_sample_lost_its_fate() {
        let copy = CopyCounters::default();
        let whole = Settled {
            samples: 10,
            replayed: 3,
            stored: 7,
            duplicate: 2,
            quarantined: 1,
        };
        copy.settle(whole);
        let accounts = copy.accounts(|| 12);
        assert_eq!((accounts.received, accounts.in_flight), (15, 5));
        assert!(closes(accounts));
        copy.settle(Settled { stored: 6, ..whole });
        assert!(
            !closes(copy.accounts(|| 30)),
            "one of ten samples has no fate"
        );
    }
}

//! Counters of the process. Ingest counters are per core, each on its own cache lines, and added
//! up when somebody looks; the rest are touched once per group or transaction and need no such care.

use crossbeam::utils::CachePadded;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

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
    /// Requests refused, by HTTP status.
    pub refused: [Counter; REFUSED_STATUS.len()],
}

/// The statuses counted apart, in the order of `IngestCounters::refused`; the last takes the rest.
pub const REFUSED_STATUS: [u16; 13] = [
    400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 503, 0,
];

impl IngestCounters {
    pub fn refuse(&self, status: u16) {
        let at = REFUSED_STATUS.iter().position(|known| *known == status);
        self.refused[at.unwrap_or(REFUSED_STATUS.len() - 1)].add(1);
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
    /// 1 while the writer has a database session.
    pub connected: Gauge,
}

impl Metrics {
    pub fn new(ingest_cores: usize) -> Arc<Self> {
        let ingest = (0..=ingest_cores).map(|_| CachePadded::default()).collect();
        Arc::new(Self {
            ingest,
            copy: CopyCounters::default(),
        })
    }

    /// Samples that are durable and have no fate in the database yet.
    pub fn in_flight(&self) -> u64 {
        // The later counters first: read the other way round a sample could be stored and not received.
        let settled =
            self.copy.stored.get() + self.copy.duplicate.get() + self.copy.quarantined.get();
        self.received().saturating_sub(settled)
    }

    /// Samples made durable, those included that the run before left to this one.
    pub fn received(&self) -> u64 {
        self.sum(|core| &core.samples_received) + self.copy.replayed.get()
    }

    /// The sum over all cores of one counter.
    pub fn sum(&self, counter: impl Fn(&IngestCounters) -> &Counter) -> u64 {
        self.ingest.iter().map(|core| counter(core).get()).sum()
    }
}

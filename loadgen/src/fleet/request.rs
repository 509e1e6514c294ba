//! Renders a request of a run: head and body as one slice, ready to send.

use super::Shared;
use super::config::Rate;
use crate::ledger::Entry;
use crate::ledger::Outcome;
use crate::pace::Slot;
use crate::workload::body::{SampleTemplate, TimestampCache, decimal};
use crate::workload::sample::mix;
use crate::workload::{ProbeIdentity, ProbeWorkload};
use fiber_contract::UnixMicros;

/// How often a probe repeats its metadata.
pub(crate) const METADATA_EVERY_US: i64 = 300 * 1_000_000;

/// What one probe of a lane needs to render its samples.
#[derive(Debug)]
pub(super) struct ProbeWriter {
    series: u32,
    template: SampleTemplate,
    workload: ProbeWorkload,
    metadata_due_us: i64,
    last_us: i64,
}

impl ProbeWriter {
    pub(super) fn new(shared: &Shared, series: u32, identity: &ProbeIdentity) -> Self {
        Self {
            series,
            template: SampleTemplate::new(identity, shared.config.interval_s()),
            workload: ProbeWorkload::new(shared.config.seed, series),
            metadata_due_us: i64::MIN,
            last_us: 0,
        }
    }
}

/// The buffers of one lane.
#[derive(Debug)]
pub(super) struct RequestWriter {
    head: Vec<u8>,
    body: Vec<u8>,
    clock: TimestampCache,
    batch_key: u64,
    pub(super) bytes: Vec<u8>,
    /// The samples of the request, as the ledger will know them.
    pub(super) entries: Vec<Entry>,
}

impl RequestWriter {
    pub(super) fn new(shared: &Shared, began: UnixMicros) -> Self {
        let query = if shared.config.ack_committed {
            "?ack=committed"
        } else {
            ""
        };
        let route = if shared.config.batch == 1 {
            "/api/push"
        } else {
            "/api/ingest"
        };
        let mut head = format!(
            "POST {}{query} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n",
            shared.url.join(route),
            shared.url.authority()
        );
        if !shared.config.secret.is_empty() {
            head.push_str("Authorization: Bearer ");
            head.push_str(&shared.config.secret);
            head.push_str("\r\n");
        }
        Self {
            head: head.into_bytes(),
            body: Vec::new(),
            clock: TimestampCache::default(),
            batch_key: mix(shared.config.seed ^ mix(began.0.cast_unsigned())),
            bytes: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Renders the probe's request `slot.round`.
    pub(super) fn render(
        &mut self,
        shared: &Shared,
        probe: &mut ProbeWriter,
        slot: Slot,
        start: UnixMicros,
    ) {
        let batch = shared.config.batch;
        self.body.clear();
        self.entries.clear();
        if batch > 1 {
            probe.template.batch_open(&mut self.body);
        }
        let now_us = match shared.config.rate {
            Rate::PerSecond(_) => 0,
            Rate::Max => UnixMicros::now().0 - i64::from(batch),
        };
        for member in 0..u64::from(batch) {
            let number = slot.round * u64::from(batch) + member;
            let time_us = match shared.config.rate {
                Rate::PerSecond(_) => {
                    let (probes, probe) = (shared.config.probes, slot.probe);
                    start.0
                        + shared
                            .schedule
                            .sample_offset_us(probes, probe, batch, number)
                }
                Rate::Max => now_us.max(probe.last_us) + 1,
            };
            probe.last_us = time_us;
            let with_metadata = time_us >= probe.metadata_due_us;
            if with_metadata {
                probe.metadata_due_us = time_us + METADATA_EVERY_US;
            }
            let values = probe.workload.values(number);
            if member > 0 {
                self.body.push(b',');
            }
            let time = UnixMicros(time_us);
            probe
                .template
                .sample(&mut self.body, &mut self.clock, time, values, with_metadata);
            let hash = values.hash();
            self.entries
                .push(Entry::new(probe.series, time_us, hash, Outcome::Unknown));
        }
        if batch > 1 {
            SampleTemplate::batch_close(&mut self.body);
        }
        self.assemble(batch, slot.k);
    }

    fn assemble(&mut self, batch: u32, k: u64) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&self.head);
        if batch > 1 {
            self.bytes.extend_from_slice(b"X-Batch-ID: ");
            let id = batch_id(self.batch_key, k);
            let mut text = uuid::Uuid::encode_buffer();
            self.bytes
                .extend_from_slice(id.hyphenated().encode_lower(&mut text).as_bytes());
            self.bytes.extend_from_slice(b"\r\n");
        }
        self.bytes.extend_from_slice(b"Content-Length: ");
        decimal(&mut self.bytes, self.body.len() as u64);
        self.bytes.extend_from_slice(b"\r\n\r\n");
        self.bytes.extend_from_slice(&self.body);
    }
}

/// A batch id of a run's request `k`: the same for every retry, another in every run.
pub(crate) fn batch_id(key: u64, k: u64) -> uuid::Uuid {
    uuid::Builder::from_random_bytes(
        (u128::from(mix(key ^ k)) << 64 | u128::from(mix(key.rotate_left(32) ^ mix(k))))
            .to_be_bytes(),
    )
    .into_uuid()
}

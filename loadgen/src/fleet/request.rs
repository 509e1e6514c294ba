//! Renders a request of a run: head and body as one slice, ready to send.

use super::Shared;
use super::config::{Format, Rate};
use super::stats::Planted;
use crate::ledger::{Entry, Outcome};
use crate::pace::Planned;
use crate::workload::body::{SampleTemplate, TimestampCache, decimal};
use crate::workload::faults::{Bad, Fault, ProbeFaults};
use crate::workload::path::Path;
use crate::workload::sample::mix;
use crate::workload::{ProbeIdentity, Values};
use fiber_contract::UnixMicros;
use fiber_contract::signature::{self, Message, SigningKey};
use std::io::Write;

/// How often a probe repeats its metadata.
pub(crate) const METADATA_EVERY_US: i64 = 300 * 1_000_000;

/// What one probe of a lane needs to render its samples.
#[derive(Debug)]
pub(super) struct ProbeWriter {
    series: u32,
    template: SampleTemplate,
    authorization: Box<[u8]>,
    path: Path,
    faults: ProbeFaults,
    metadata_due_us: i64,
    last_us: i64,
    /// The last sample without a fault, for one to be sent twice.
    last_good: Option<(i64, Values)>,
}

impl ProbeWriter {
    pub(super) fn new(
        shared: &Shared,
        series: u32,
        identity: &ProbeIdentity,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            series,
            template: SampleTemplate::new(identity, shared.config.interval_s()),
            authorization: shared
                .credentials
                .line(&identity.node_id)?
                .into_bytes()
                .into(),
            path: Path::new(&identity.path, shared.config.seed, series),
            faults: ProbeFaults::new(shared.config.faults, shared.config.seed, series),
            metadata_due_us: i64::MIN,
            last_us: i64::MIN,
            last_good: None,
        })
    }
}

/// The buffers of one lane.
#[derive(Debug)]
pub(super) struct RequestWriter {
    head_single: Box<[u8]>,
    head_batch: Box<[u8]>,
    body: Vec<u8>,
    packed: Vec<u8>,
    clock: TimestampCache,
    batch_key: u64,
    keeps_entries: bool,
    pub(super) bytes: Vec<u8>,
    pub(super) samples: u32,
    /// The samples of the request, as the ledger will know them.
    pub(super) entries: Vec<Entry>,
    /// Members that are bad on purpose, in order.
    pub(super) bad: Vec<(u32, Bad)>,
    pub(super) planted: Planted,
}

impl RequestWriter {
    pub(super) fn new(shared: &Shared, began: UnixMicros) -> Self {
        let config = &shared.config;
        let head = |route: &str| {
            let (path, content) = match config.format {
                Format::Json => (shared.url.join(route), "application/json"),
                Format::Line => (shared.url.path.clone(), "text/plain"),
            };
            let query = if config.ack_committed {
                "?ack=committed"
            } else {
                ""
            };
            format!(
                "POST {path}{query} HTTP/1.1\r\nHost: {}\r\nContent-Type: {content}\r\n",
                shared.url.authority()
            )
            .into_bytes()
            .into()
        };
        Self {
            head_single: head("/api/push"),
            head_batch: head("/api/ingest"),
            body: Vec::new(),
            packed: Vec::new(),
            clock: TimestampCache::default(),
            batch_key: mix(config.seed ^ mix(began.0.cast_unsigned())),
            keeps_entries: config.keep_ledger || config.ledger_file.is_some(),
            bytes: Vec::new(),
            samples: 0,
            entries: Vec::new(),
            bad: Vec::new(),
            planted: Planted::default(),
        }
    }

    /// Renders a probe's request, or its backlog of several.
    pub(super) fn render(
        &mut self,
        shared: &Shared,
        probe: &mut ProbeWriter,
        planned: Planned,
        start: UnixMicros,
    ) -> anyhow::Result<()> {
        let batch = shared.config.batch;
        self.body.clear();
        self.entries.clear();
        self.bad.clear();
        self.planted = Planted::default();
        self.samples = batch * planned.rounds;
        let framed = self.samples > 1 && shared.config.format == Format::Json;
        if framed {
            probe.template.batch_open(&mut self.body);
        }
        let first = planned.round * u64::from(batch);
        for round in 0..u64::from(planned.rounds) {
            let k = planned.k + round * u64::from(shared.config.probes);
            let times = Times::of(shared, probe, planned.probe, k, start);
            for member in 0..batch {
                let index = u32::try_from(round).unwrap_or(0) * batch + member;
                if index > 0 && framed {
                    self.body.push(b',');
                }
                let number = first + u64::from(index);
                self.sample(shared, probe, &times, number, index);
            }
        }
        if framed {
            SampleTemplate::batch_close(&mut self.body);
        }
        self.assemble(shared, probe, planned.k)
    }

    fn sample(
        &mut self,
        shared: &Shared,
        probe: &mut ProbeWriter,
        times: &Times<'_>,
        number: u64,
        index: u32,
    ) {
        let mut time_us = times.of_sample(&mut self.planted, probe, number);
        probe.last_us = probe.last_us.max(time_us);
        let mut values = probe.path.measured(times.utc_hour);
        let with_metadata = time_us >= probe.metadata_due_us;
        if with_metadata {
            probe.metadata_due_us = time_us + METADATA_EVERY_US;
        }
        let fault = probe.faults.of(number);
        let mut bad = None;
        match fault {
            Fault::None if with_metadata => {}
            Fault::None => probe.last_good = Some((time_us, values)),
            Fault::Late => {
                time_us -= times.late_us;
                self.planted.late += 1;
            }
            Fault::Duplicate => {
                if let Some(before) = probe.last_good {
                    (time_us, values) = before;
                    self.planted.duplicate += 1;
                }
            }
            Fault::Bad(kind) => {
                time_us += kind.moved_us();
                self.planted.bad += 1;
                self.bad.push((index, kind));
                bad = Some(kind);
            }
        }
        let time = UnixMicros(time_us);
        let (out, clock) = (&mut self.body, &mut self.clock);
        match (shared.config.format, bad) {
            (Format::Line, _) => probe.template.line(out, time, values),
            (Format::Json, Some(kind)) => probe.template.broken(out, clock, time, values, kind),
            (Format::Json, None) => {
                let with_metadata = with_metadata && fault == Fault::None;
                probe
                    .template
                    .sample(out, clock, time, values, with_metadata);
            }
        }
        if self.keeps_entries {
            let entry = Entry::new(probe.series, time_us, values.hash(), Outcome::Unknown);
            let entry = if bad.is_some() { entry.bad() } else { entry };
            self.entries.push(entry);
        }
    }

    fn assemble(&mut self, shared: &Shared, probe: &ProbeWriter, k: u64) -> anyhow::Result<()> {
        let config = &shared.config;
        let body = if config.gzip {
            self.packed.clear();
            let level = flate2::Compression::fast();
            let mut packer = flate2::write::GzEncoder::new(&mut self.packed, level);
            packer.write_all(&self.body)?;
            packer.finish()?;
            &self.packed
        } else {
            &self.body
        };
        let out = &mut self.bytes;
        out.clear();
        let is_batch = self.samples > 1;
        out.extend_from_slice(if is_batch {
            &self.head_batch
        } else {
            &self.head_single
        });
        out.extend_from_slice(&probe.authorization);
        let mut id = uuid::Uuid::encode_buffer();
        let id = batch_id(self.batch_key, k)
            .hyphenated()
            .encode_lower(&mut id)
            .as_bytes();
        let id: &[u8] = if is_batch && config.format == Format::Json {
            out.extend_from_slice(b"X-Batch-ID: ");
            out.extend_from_slice(id);
            out.extend_from_slice(b"\r\n");
            id
        } else {
            b""
        };
        if config.gzip {
            out.extend_from_slice(b"Content-Encoding: gzip\r\n");
        }
        if let Some(key) = &shared.credentials.signing {
            sign(
                out,
                key,
                id,
                &batch_id(!self.batch_key, k).simple().to_string(),
                body,
            );
        }
        out.extend_from_slice(b"Content-Length: ");
        decimal(out, body.len() as u64);
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(body);
        Ok(())
    }
}

/// The fields of a signed push. A retry is the same bytes: by contract no replay.
fn sign(out: &mut Vec<u8>, key: &SigningKey, batch_id: &[u8], nonce: &str, body: &[u8]) {
    let timestamp = UnixMicros::now().to_string();
    let message = Message {
        batch_id,
        timestamp: timestamp.as_bytes(),
        nonce: nonce.as_bytes(),
        body_sha256: &signature::body_sha256(body),
    };
    for (name, value) in [
        (signature::TIMESTAMP_FIELD, timestamp.as_str()),
        (signature::NONCE_FIELD, nonce),
        (signature::SIGNATURE_FIELD, &key.sign(&message)),
    ] {
        for part in [name, ": ", value, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

/// When the samples of one request were measured.
struct Times<'a> {
    shared: &'a Shared,
    probe: u32,
    start_us: i64,
    /// The request's own numbers, to find out which samples are of another.
    first: u64,
    own: crate::pace::SampleTimes,
    closed_loop_us: Option<i64>,
    late_us: i64,
    utc_hour: f64,
}

impl<'a> Times<'a> {
    fn of(shared: &'a Shared, writer: &ProbeWriter, probe: u32, k: u64, start: UnixMicros) -> Self {
        let batch = shared.config.batch;
        let own = shared.schedule.sample_times(shared.config.probes, k);
        let start_us = start.0 + writer.faults.skew_us();
        // Without a schedule the samples are of just now.
        let closed_loop_us = (shared.config.rate == Rate::Max).then(|| {
            let newest_us = UnixMicros::now().0 + writer.faults.skew_us();
            (newest_us - i64::from(batch)).max(writer.last_us) + 1
        });
        let at = UnixMicros(closed_loop_us.unwrap_or(start_us + own.offset_us(batch - 1)));
        let (hour, minute, ..) = at.utc_time();
        let late = shared.config.faults.late_by(shared.config.duration);
        Self {
            shared,
            probe,
            start_us,
            first: k / u64::from(shared.config.probes) * u64::from(batch),
            own,
            closed_loop_us,
            late_us: i64::try_from(late.as_micros()).unwrap_or(i64::MAX),
            utc_hour: f64::from(hour) + f64::from(minute) / 60.0,
        }
    }

    fn of_sample(&self, planted: &mut Planted, writer: &ProbeWriter, number: u64) -> i64 {
        planted.skewed += u64::from(writer.faults.skew_us() != 0);
        let batch = u64::from(self.shared.config.batch);
        let member = |of: u64| u32::try_from(of % batch).unwrap_or(0);
        if let Some(first_us) = self.closed_loop_us {
            return first_us + i64::from(member(number));
        }
        let of = writer.faults.time_of(number);
        planted.reordered += u64::from(of != number);
        if (self.first..self.first + batch).contains(&of) {
            return self.start_us + self.own.offset_us(member(of));
        }
        let (schedule, probes) = (&self.shared.schedule, self.shared.config.probes);
        let k = of / batch * u64::from(probes) + u64::from(self.probe);
        self.start_us + schedule.sample_times(probes, k).offset_us(member(of))
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

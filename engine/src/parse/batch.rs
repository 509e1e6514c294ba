//! The rows of one body, encoded as they are read, with the dictionary of their series.

use super::sample::Sample;
use crate::copy::row::{Row, TUPLE_BYTES_TYPICAL};
use crate::journal::record::SeriesEntry;
use crate::model::{NodeKey, SeriesKey};
use fiber_contract::UnixMicros;
use fiber_contract::ingest::SampleError;
use std::collections::{HashMap, HashSet};

/// A body, read: what the journal will hold of it and what the client will be told.
#[derive(Debug)]
pub struct Parsed {
    /// Samples of the body.
    pub queued: u32,
    /// Good samples, each a tuple.
    pub rows: u32,
    /// Of the good, those whose series and time stood earlier in the body.
    pub duplicates: u32,
    pub rejected: u32,
    pub errors: Vec<SampleError>,
    pub tuples: Vec<u8>,
    series: Vec<OwnedEntry>,
}

/// Names copied out of the body, whose bytes are gone after parsing.
#[derive(Debug)]
struct OwnedEntry {
    series_key: SeriesKey,
    node_key: NodeKey,
    /// All names in one allocation: node, country, region, target, type.
    names: String,
    ends: [usize; 5],
    place: String,
}

impl Parsed {
    pub fn series(&self) -> Vec<SeriesEntry<'_>> {
        self.series.iter().map(OwnedEntry::borrow).collect()
    }

    /// The nodes that the samples name; some may come more than once.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.series.iter().map(|entry| entry.borrow().node_id)
    }

    /// The node that the request's quota counts for: the first sample's.
    pub fn first_node(&self) -> Option<NodeKey> {
        self.series.first().map(|entry| entry.node_key)
    }
}

impl OwnedEntry {
    fn new(sample: &Sample<'_>) -> Self {
        let name = &sample.name;
        let mut ends = [0; 5];
        let parts = [
            name.node_id,
            name.country,
            name.region,
            name.target_host,
            name.probe_type,
        ];
        let mut names = String::with_capacity(parts.iter().map(|part| part.len()).sum());
        for (end, part) in ends.iter_mut().zip(parts) {
            names.push_str(part);
            *end = names.len();
        }
        Self {
            series_key: name.series_key(),
            node_key: name.node_key(),
            names,
            ends,
            place: String::new(),
        }
    }

    fn name(&self, part: usize) -> &str {
        let start = if part == 0 { 0 } else { self.ends[part - 1] };
        &self.names[start..self.ends[part]]
    }

    fn borrow(&self) -> SeriesEntry<'_> {
        SeriesEntry {
            series_key: self.series_key,
            node_key: self.node_key,
            node_id: self.name(0),
            country: self.name(1),
            region: self.name(2),
            target_host: self.name(3),
            probe_type: self.name(4),
            place: &self.place,
        }
    }

    fn is_of(&self, sample: &Sample<'_>) -> bool {
        let name = &sample.name;
        self.name(0) == name.node_id
            && self.name(3) == name.target_host
            && self.name(4) == name.probe_type
            && self.name(1) == name.country
            && self.name(2) == name.region
    }
}

/// Collects the rows of a body.
#[derive(Debug, Default)]
pub(super) struct Rows {
    rows: u32,
    tuples: Vec<u8>,
    series: Vec<OwnedEntry>,
    by_key: HashMap<SeriesKey, usize>,
    /// The series of the sample before: bodies come sorted by series, mostly.
    current: usize,
    /// Newest time per series, while every series' times only grow.
    newest: Vec<UnixMicros>,
    /// Filled from the first time that does not grow.
    seen: Option<HashSet<(SeriesKey, UnixMicros)>>,
    duplicates: u32,
}

impl Rows {
    pub(super) fn reserve(&mut self, samples: usize) {
        self.tuples.reserve(samples * TUPLE_BYTES_TYPICAL);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub(super) fn push(&mut self, sample: &Sample<'_>) {
        let at = self.entry_of(sample);
        let entry = &mut self.series[at];
        if let Some(metadata) = &sample.metadata {
            entry.place.clone_from(metadata);
        }
        let row = Row {
            time: sample.time,
            series_key: entry.series_key,
            node_key: entry.node_key,
            latency_ms: sample.latency_ms,
            uptime_pct: sample.uptime_pct,
            packet_loss: sample.packet_loss,
            metadata: sample.metadata.as_deref(),
        };
        self.note_time(at, row.series_key, row.time);
        row.encode(&mut self.tuples);
        self.rows += 1;
    }

    fn entry_of(&mut self, sample: &Sample<'_>) -> usize {
        if self
            .series
            .get(self.current)
            .is_some_and(|entry| entry.is_of(sample))
        {
            return self.current;
        }
        let entry = OwnedEntry::new(sample);
        let next = self.series.len();
        self.current = *self.by_key.entry(entry.series_key).or_insert(next);
        if self.current == next {
            self.series.push(entry);
            self.newest.push(UnixMicros(i64::MIN));
        } else {
            // The same series under another country or region: the later word counts.
            let place = std::mem::take(&mut self.series[self.current].place);
            self.series[self.current] = OwnedEntry { place, ..entry };
        }
        self.current
    }

    /// Times that only grow need no set, which is nearly every body.
    fn note_time(&mut self, at: usize, series_key: SeriesKey, time: UnixMicros) {
        if self.seen.is_none() {
            if time > self.newest[at] {
                self.newest[at] = time;
                return;
            }
            let encoded = crate::copy::row::Tuples::new(&self.tuples);
            self.seen = Some(
                encoded
                    .map(|tuple| (tuple.row.series_key, tuple.row.time))
                    .collect(),
            );
        }
        if let Some(seen) = &mut self.seen
            && !seen.insert((series_key, time))
        {
            self.duplicates += 1;
        }
    }

    pub(super) fn finish(self, queued: usize, errors: Vec<SampleError>, rejected: u32) -> Parsed {
        Parsed {
            queued: u32::try_from(queued).unwrap_or(u32::MAX),
            rows: self.rows,
            duplicates: self.duplicates,
            rejected,
            errors,
            tuples: self.tuples,
            series: self.series,
        }
    }
}

//! The content of one journal record: a batch as it was accepted, self-contained.
//!
//! ```text
//! version u8 = 1 │ flags u8 (1: the client named the batch) │ batch id 16 │ received_at i64 µs │ body hash 32
//! region str │ trace id str │ rejected u32 │ answer bytes
//! series count u32 × { series_key i64 │ node_key i64 │ node_id str │ country str │ region str │ target str │ type str │ place bytes }
//! rows u32 │ tuples bytes
//! ```
//! `str` and `bytes` are a u32 length and the content; numbers are little-endian; `place` is the
//! JSON of the node's metadata, empty when it told none. The names travel with every batch, so a
//! journal can be replayed by an engine that never saw the series.
//!
//! The record has no checksum of its own: the group around it has one over everything.

use crate::model::{BatchId, NodeKey, SeriesKey};
use fiber_contract::UnixMicros;
use uuid::Uuid;

const VERSION: u8 = 1;
const NAMED_BY_CLIENT: u8 = 1;

/// A batch, borrowed from a request or from the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<'a> {
    pub batch_id: BatchId,
    /// The client sent the id, so it may ask for it again.
    pub named_by_client: bool,
    pub received_at: UnixMicros,
    /// SHA-256 of the body as received, to tell a retry from a conflict. Zero when the id is ours.
    pub body_hash: [u8; 32],
    /// `X-Region-ID`; empty when not sent.
    pub source_region: &'a str,
    pub trace_id: &'a str,
    pub rejected: u32,
    /// The JSON that the client was answered; empty when the id is ours.
    pub answer: &'a [u8],
    pub series: Vec<SeriesEntry<'a>>,
    /// Number of tuples.
    pub rows: u32,
    /// `copy::row` tuples, in the order of the body.
    pub tuples: &'a [u8],
}

/// The names behind the keys that the tuples carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesEntry<'a> {
    pub series_key: SeriesKey,
    pub node_key: NodeKey,
    pub node_id: &'a str,
    pub country: &'a str,
    pub region: &'a str,
    pub target_host: &'a str,
    pub probe_type: &'a str,
    /// JSON of `fiber_contract::sample::Metadata`, as sent; empty when none came.
    pub place: &'a str,
}

impl Record<'_> {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.tuples.len() + self.answer.len() + 128 + self.series.len() * 96);
        out.push(VERSION);
        out.push(if self.named_by_client {
            NAMED_BY_CLIENT
        } else {
            0
        });
        out.extend_from_slice(self.batch_id.0.as_bytes());
        out.extend_from_slice(&self.received_at.0.to_le_bytes());
        out.extend_from_slice(&self.body_hash);
        put_bytes(out, self.source_region.as_bytes());
        put_bytes(out, self.trace_id.as_bytes());
        out.extend_from_slice(&self.rejected.to_le_bytes());
        put_bytes(out, self.answer);
        put_u32(out, self.series.len());
        for entry in &self.series {
            out.extend_from_slice(&entry.series_key.0.to_le_bytes());
            out.extend_from_slice(&entry.node_key.0.to_le_bytes());
            let names = [entry.node_id, entry.country, entry.region];
            for text in names
                .into_iter()
                .chain([entry.target_host, entry.probe_type, entry.place])
            {
                put_bytes(out, text.as_bytes());
            }
        }
        out.extend_from_slice(&self.rows.to_le_bytes());
        put_bytes(out, self.tuples);
    }
}

impl<'a> Record<'a> {
    /// `None` for anything that `encode` did not write.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        if from.array::<1>()? != [VERSION] {
            return None;
        }
        let [flags] = from.array()?;
        let batch_id = BatchId(Uuid::from_bytes(from.array()?));
        let received_at = UnixMicros(from.i64()?);
        let body_hash = from.array()?;
        let source_region = from.str()?;
        let trace_id = from.str()?;
        let rejected = from.u32()?;
        let answer = from.bytes()?;
        let series_count = from.u32()?;
        let mut series = Vec::new();
        for _ in 0..series_count {
            series.push(SeriesEntry {
                series_key: SeriesKey(from.i64()?),
                node_key: NodeKey(from.i64()?),
                node_id: from.str()?,
                country: from.str()?,
                region: from.str()?,
                target_host: from.str()?,
                probe_type: from.str()?,
                place: from.str()?,
            });
        }
        let rows = from.u32()?;
        let tuples = from.bytes()?;
        from.0.is_empty().then_some(Self {
            batch_id,
            named_by_client: flags & NAMED_BY_CLIENT != 0,
            received_at,
            body_hash,
            source_region,
            trace_id,
            rejected,
            answer,
            series,
            rows,
            tuples,
        })
    }
}

fn put_u32(out: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).expect("a record is bounded by RECORD_BYTES_MAX");
    out.extend_from_slice(&len.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len());
    out.extend_from_slice(bytes);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.u32()?).ok()?;
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn str(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record<'static> {
        Record {
            batch_id: BatchId(Uuid::from_u128(7)),
            named_by_client: true,
            received_at: UnixMicros(-3),
            body_hash: [9; 32],
            source_region: "west",
            trace_id: "",
            rejected: 2,
            answer: b"{}",
            series: vec![SeriesEntry {
                series_key: SeriesKey(-1),
                node_key: NodeKey(5),
                node_id: "accra-01",
                country: "GH",
                region: "Greater Accra",
                target_host: "",
                probe_type: "ping",
                place: r#"{"city":"Accra"}"#,
            }],
            rows: 1,
            tuples: b"tuple bytes",
        }
    }

    #[test]
    fn what_is_encoded_decodes() {
        let mut bytes = Vec::new();
        record().encode(&mut bytes);
        assert_eq!(Record::decode(&bytes), Some(record()));
    }

    #[test]
    fn a_cut_or_longer_record_is_refused() {
        let mut bytes = Vec::new();
        record().encode(&mut bytes);
        for len in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..len]), None, "cut at {len}");
        }
        bytes.push(0);
        assert_eq!(Record::decode(&bytes), None);
    }
}

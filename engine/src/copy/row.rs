//! One row of `metrics` as a tuple of PostgreSQL's binary COPY format, which is also how the
//! journal stores it: made once on the ingest core, copied unchanged from then on.
//!
//! ```text
//! field count i16 = 7 │ 8, time i64 µs since 2000-01-01 │ 8, series_key i64 │ 8, node_key i64
//!                     │ 4, latency f32 or -1 │ 4, uptime f32 │ 4, loss f32 │ len, jsonb or -1
//! ```
//! Every field is preceded by its length as i32; all numbers are big-endian. The first 38 bytes
//! have a fixed layout, so time and keys are read without decoding the rest. `jsonb` is one version
//! byte (1) and the JSON text. Source: PostgreSQL 17 documentation, "COPY", "Binary Format".

use crate::model::{NodeKey, SeriesKey};
use fiber_contract::UnixMicros;

/// Between the Unix epoch and PostgreSQL's, 2000-01-01T00:00:00Z.
const PG_EPOCH_UNIX_MICROS: i64 = 946_684_800_000_000;
const FIELDS: i16 = 7;
const TIME_AT: usize = 6;
const SERIES_AT: usize = 18;
const NODE_AT: usize = 30;
const LATENCY_AT: usize = 38;
const NULL: i32 = -1;
const JSONB_VERSION: u8 = 1;
/// A tuple with latency and without metadata.
pub const TUPLE_BYTES_TYPICAL: usize = 66;

/// The file header of binary COPY: signature, no flags, no extension.
pub const COPY_HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// The file trailer: a field count of -1.
pub const COPY_TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// The columns, in the order of a tuple.
pub const COLUMNS: &str =
    "\"time\", series_key, node_key, latency_ms, uptime_pct, packet_loss, metadata";

/// A decoded row; `metadata` stays text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    pub time: UnixMicros,
    pub series_key: SeriesKey,
    pub node_key: NodeKey,
    pub latency_ms: Option<f32>,
    pub uptime_pct: f32,
    pub packet_loss: f32,
    pub metadata: Option<&'a str>,
}

impl Row<'_> {
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut fixed = [0; LATENCY_AT];
        fixed[0..2].copy_from_slice(&FIELDS.to_be_bytes());
        fixed[2..6].copy_from_slice(&8_i32.to_be_bytes());
        fixed[6..14].copy_from_slice(&(self.time.0 - PG_EPOCH_UNIX_MICROS).to_be_bytes());
        fixed[14..18].copy_from_slice(&8_i32.to_be_bytes());
        fixed[18..26].copy_from_slice(&self.series_key.0.to_be_bytes());
        fixed[26..30].copy_from_slice(&8_i32.to_be_bytes());
        fixed[30..38].copy_from_slice(&self.node_key.0.to_be_bytes());
        out.extend_from_slice(&fixed);
        match self.latency_ms {
            Some(latency_ms) => put_f32(out, latency_ms),
            None => out.extend_from_slice(&NULL.to_be_bytes()),
        }
        put_f32(out, self.uptime_pct);
        put_f32(out, self.packet_loss);
        match self.metadata {
            Some(json) => {
                let len = i32::try_from(json.len() + 1).expect("metadata is at most 4 KiB");
                out.extend_from_slice(&len.to_be_bytes());
                out.push(JSONB_VERSION);
                out.extend_from_slice(json.as_bytes());
            }
            None => out.extend_from_slice(&NULL.to_be_bytes()),
        }
    }
}

fn put_f32(out: &mut Vec<u8>, value: f32) {
    out.extend_from_slice(&4_i32.to_be_bytes());
    out.extend_from_slice(&value.to_be_bytes());
}

/// Tuples one after the other; ends, with `damaged` set, at the first that cannot be one.
#[derive(Clone, Debug)]
pub struct Tuples<'a> {
    rest: &'a [u8],
    damaged: bool,
}

/// One tuple: its bytes, ready for COPY, and its row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuple<'a> {
    pub bytes: &'a [u8],
    pub row: Row<'a>,
}

impl<'a> Tuples<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            damaged: false,
        }
    }

    /// True when iteration ended before the bytes did: a bug, because the group's checksum held.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }
}

impl<'a> Iterator for Tuples<'a> {
    type Item = Tuple<'a>;

    fn next(&mut self) -> Option<Tuple<'a>> {
        if self.rest.is_empty() || self.damaged {
            return None;
        }
        let tuple = decode(self.rest);
        match tuple {
            Some(tuple) => self.rest = &self.rest[tuple.bytes.len()..],
            None => self.damaged = true,
        }
        tuple
    }
}

fn decode(bytes: &[u8]) -> Option<Tuple<'_>> {
    let fixed = bytes.get(..LATENCY_AT)?;
    if fixed[0..2] != FIELDS.to_be_bytes() {
        return None;
    }
    let mut rest = &bytes[LATENCY_AT..];
    let latency_ms = take_f32(&mut rest)?;
    let uptime_pct = take_f32(&mut rest)??;
    let packet_loss = take_f32(&mut rest)??;
    let metadata = match take_field(&mut rest)? {
        Some([JSONB_VERSION, json @ ..]) => Some(std::str::from_utf8(json).ok()?),
        Some(_) => return None,
        None => None,
    };
    let row = Row {
        time: UnixMicros(i64_at(fixed, TIME_AT).checked_add(PG_EPOCH_UNIX_MICROS)?),
        series_key: SeriesKey(i64_at(fixed, SERIES_AT)),
        node_key: NodeKey(i64_at(fixed, NODE_AT)),
        latency_ms,
        uptime_pct,
        packet_loss,
        metadata,
    };
    Some(Tuple {
        bytes: &bytes[..bytes.len() - rest.len()],
        row,
    })
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    i64::from_be_bytes(value)
}

/// The next field's bytes; inner `None` is SQL NULL.
#[expect(clippy::option_option, reason = "outside: damaged; inside: SQL NULL")]
fn take_field<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (len, after) = rest.split_first_chunk::<4>()?;
    let len = i32::from_be_bytes(*len);
    if len == NULL {
        *rest = after;
        return Some(None);
    }
    let (field, after) = after.split_at_checked(usize::try_from(len).ok()?)?;
    *rest = after;
    Some(Some(field))
}

#[expect(clippy::option_option, reason = "outside: damaged; inside: SQL NULL")]
fn take_f32(rest: &mut &[u8]) -> Option<Option<f32>> {
    match take_field(rest)? {
        Some(field) => Some(Some(f32::from_be_bytes(field.try_into().ok()?))),
        None => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row<'static> {
        Row {
            time: UnixMicros(1_795_460_400_123_456),
            series_key: SeriesKey(-7),
            node_key: NodeKey(i64::MAX),
            latency_ms: Some(12.5),
            uptime_pct: 100.0,
            packet_loss: 0.25,
            metadata: Some(r#"{"city":"Accra"}"#),
        }
    }

    #[test]
    fn what_is_encoded_decodes() {
        let rows = [
            row(),
            Row {
                latency_ms: None,
                metadata: None,
                ..row()
            },
        ];
        let mut bytes = Vec::new();
        for row in &rows {
            row.encode(&mut bytes);
        }
        let mut tuples = Tuples::new(&bytes);
        let decoded: Vec<_> = tuples.by_ref().map(|tuple| tuple.row).collect();
        assert_eq!(decoded, rows);
        assert!(!tuples.is_damaged());
    }

    #[test]
    fn a_plain_row_has_the_typical_size() {
        let mut bytes = Vec::new();
        Row {
            metadata: None,
            ..row()
        }
        .encode(&mut bytes);
        assert_eq!(bytes.len(), TUPLE_BYTES_TYPICAL);
    }

    #[test]
    fn a_tuple_cut_anywhere_is_damage_and_never_a_row() {
        let mut bytes = Vec::new();
        row().encode(&mut bytes);
        for len in 1..bytes.len() {
            let mut tuples = Tuples::new(&bytes[..len]);
            assert_eq!(tuples.next(), None, "cut at {len}");
            assert!(tuples.is_damaged());
        }
    }
}

//! Records as bytes. Pure.

use super::Seq;

const MAGIC: [u8; 8] = *b"FBRSPOOL";
const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: u64 = 16;
pub(super) const RECORD_HEAD_BYTES: u64 = 17;
const HEAD: usize = 17;
/// A sample is at most 4 KiB; a longer length is damage.
const PAYLOAD_BYTES_MAX: usize = 8 * 1024;

pub(super) fn header() -> [u8; 16] {
    let mut header = [0; 16];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let crc = crc32c::crc32c(&header[..12]);
    header[12..].copy_from_slice(&crc.to_le_bytes());
    header
}

pub(super) fn is_header(bytes: &[u8]) -> bool {
    bytes.starts_with(&header())
}

/// Nothing, or the beginning of a header: a spool that was being made.
pub(super) fn is_torn_header(bytes: &[u8]) -> bool {
    bytes.len() < header().len() && header().starts_with(bytes)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sample = 1,
    Batch = 2,
    Settled = 3,
    Dropped = 4,
}

impl Kind {
    const fn of(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Sample),
            2 => Some(Self::Batch),
            3 => Some(Self::Settled),
            4 => Some(Self::Dropped),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    pub(super) seq: Seq,
    pub(super) payload: &'a [u8],
}

pub(super) fn encode(kind: Kind, seq: Seq, payload: &[u8]) -> Vec<u8> {
    debug_assert!(payload.len() <= PAYLOAD_BYTES_MAX);
    let mut bytes = Vec::with_capacity(HEAD + payload.len());
    bytes.extend_from_slice(
        &u32::try_from(payload.len())
            .unwrap_or(u32::MAX)
            .to_le_bytes(),
    );
    bytes.extend_from_slice(&[0; 4]);
    bytes.push(kind as u8);
    bytes.extend_from_slice(&seq.0.to_le_bytes());
    bytes.extend_from_slice(payload);
    let crc = crc32c::crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The record at the beginning of `bytes`, if a whole and intact one is there.
fn decode(bytes: &[u8]) -> Option<Record<'_>> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let summed = rest.get(..9 + length)?;
    let kind = Kind::of(summed[0])?;
    if crc32c::crc32c(summed) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (seq, payload) = summed[1..].split_first_chunk::<8>()?;
    Some(Record {
        kind,
        seq: Seq(u64::from_le_bytes(*seq)),
        payload,
    })
}

/// Walks the intact records of a whole file, over damage between them.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) record: Record<'a>,
    pub(super) payload_offset: u64,
    pub(super) end: u64,
    pub(super) damage_before: u64,
}

impl<'a> Scan<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: header().len(),
        }
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        // A false find needs a kind, a plausible length and 32 matching bits.
        let start = (self.at..self.bytes.len()).find(|at| decode(&self.bytes[*at..]).is_some())?;
        let record = decode(&self.bytes[start..])?;
        let end = start + HEAD + record.payload.len();
        let damage_before = (start - self.at) as u64;
        self.at = end;
        Some(Found {
            record,
            payload_offset: (start + HEAD) as u64,
            end: end as u64,
            damage_before,
        })
    }
}

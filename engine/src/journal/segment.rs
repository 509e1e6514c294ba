//! The name and the first block of a segment file.
//!
//! ```text
//! magic 8 │ version u32 │ crc32c u32 │ journal 16 │ number u64 │ first group u64 │ file bytes u64 │ 0 u64
//! ```
//! 64 bytes at the front of a 4 KiB block of their own, so no group's write ever touches their
//! sector. Every future version keeps the size and the first four fields; the checksum is over
//! all the others, so an unknown version is told from a damaged one.

use crate::model::{GroupSeq, JournalId};
use uuid::Uuid;

pub(super) const FORMAT_VERSION: u32 = 1;
pub(super) const HEADER_BYTES: usize = 64;
/// Groups begin here.
pub(super) const FIRST_GROUP_AT: u64 = 4096;
const MAGIC: [u8; 8] = *b"fiberWAL";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) journal: JournalId,
    pub(super) number: u64,
    /// Sequence of the first group in the file, whether or not there is one yet.
    pub(super) first_seq: GroupSeq,
    /// A shorter file was cut by somebody: the length is synced before the file gets its name.
    pub(super) file_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    Damaged,
    Version(u32),
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(self.journal.0.as_bytes());
        bytes[32..40].copy_from_slice(&self.number.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.first_seq.0.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.file_bytes.to_le_bytes());
        let crc = checksum(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, BadHeader> {
        if bytes[0..8] != MAGIC || u32_at(bytes, 12) != checksum(bytes) {
            return Err(BadHeader::Damaged);
        }
        let version = u32_at(bytes, 8);
        if version != FORMAT_VERSION {
            return Err(BadHeader::Version(version));
        }
        let mut journal = [0; 16];
        journal.copy_from_slice(&bytes[16..32]);
        Ok(Self {
            journal: JournalId(Uuid::from_bytes(journal)),
            number: u64_at(bytes, 32),
            first_seq: GroupSeq(u64_at(bytes, 40)),
            file_bytes: u64_at(bytes, 48),
        })
    }
}

fn checksum(bytes: &[u8; HEADER_BYTES]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[0..12]), &bytes[16..])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

pub(super) fn file_name(number: u64) -> String {
    format!("{number:016x}.seg")
}

/// `None` for every other file.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (digits.len() == 16 && digits.bytes().all(lower))
        .then(|| u64::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let journal = JournalId(Uuid::from_u128(7));
        Header {
            journal,
            number: 3,
            first_seq: GroupSeq(9),
            file_bytes: 1 << 26,
        }
    }

    #[test]
    fn a_header_with_any_bit_flipped_is_damaged() {
        let good = header().encode();
        assert_eq!(Header::decode(&good), Ok(header()));
        for bit in 0..HEADER_BYTES * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&bad), Err(BadHeader::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut newer = header().encode();
        newer[8] = 2;
        let crc = checksum(&newer);
        newer[12..16].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::decode(&newer), Err(BadHeader::Version(2)));
    }

    #[test]
    fn only_segments_have_numbers() {
        assert_eq!(number_of(&file_name(255)), Some(255));
        for name in [
            "ff.seg",
            "00000000000000FF.seg",
            "00000000000000ff.seg.damaged",
            "journal.id",
        ] {
            assert_eq!(number_of(name), None, "{name}");
        }
    }
}

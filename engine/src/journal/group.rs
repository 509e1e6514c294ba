//! The bytes of a group: the unit that is written, synced, verified and lost.
//!
//! ```text
//! magic u32 │ crc32c u32 │ bytes u32 │ kind u32 │ seq u64 │ records u32 │ samples u32 │ sealed_at i64 µs │ segment u64
//! records × { len u32 │ content } │ zeros up to 8 bytes
//! ```
//! The checksum covers everything but itself, and begins with the journal's id and the segment's
//! number: bytes of another place, or bytes that a client made up, are not a group here.
//!
//! A group of kind *gap* has no records and stands for sequences that are lost: its content is the
//! last of them. It keeps the sequence without holes on disk, so that damage once accepted is not
//! found again, and so that no sequence is ever given twice.

use super::segment::{u32_at, u64_at};
use crate::model::{GroupSeq, JournalId};
use crate::planted::planted;
use bytes::Bytes;
use fiber_contract::UnixMicros;

pub(super) const HEADER_BYTES: usize = 48;
/// Between a group's start and the next.
pub(super) const ALIGN: usize = 8;
const RECORD_PREFIX_BYTES: usize = 4;
/// The smallest group: one empty record. Bounds how many groups lost bytes can have held.
pub(super) const GROUP_BYTES_MIN: usize = 56;
/// Holds bytes that no UTF-8 text has.
pub(super) const MAGIC: [u8; 4] = [0xf1, 0xbe, 0xc0, 0xff];
const KIND_RECORDS: u32 = 0;
const KIND_GAP: u32 = 1;

/// Where a group belongs; part of its checksum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) journal: JournalId,
    pub(super) segment: u64,
}

impl Place {
    fn checksum(self, group: &[u8]) -> u32 {
        crc32c::crc32c_append(self.checksum_start(group), &group[8..])
    }

    /// Over what comes before the checksum.
    fn checksum_start(self, group: &[u8]) -> u32 {
        let seed = crc32c::crc32c(self.journal.0.as_bytes());
        let seed = crc32c::crc32c_append(seed, &self.segment.to_le_bytes());
        crc32c::crc32c_append(seed, &group[0..4])
    }
}

/// The fields of a verified group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) bytes: usize,
    pub(super) seq: GroupSeq,
    pub(super) records: u32,
    pub(super) samples: u32,
    pub(super) sealed_at: UnixMicros,
    /// The last of the lost sequences, for a gap.
    pub(super) gap_through: Option<GroupSeq>,
}

impl Head {
    /// The last sequence that this group stands for.
    pub(super) fn last_seq(&self) -> GroupSeq {
        self.gap_through.unwrap_or(self.seq)
    }
}

/// What `record` adds to a group.
pub(super) fn record_bytes(record: &[u8]) -> usize {
    RECORD_PREFIX_BYTES + record.len()
}

/// Bytes of a group whose records take `content` bytes.
pub(super) fn group_bytes(content: usize) -> usize {
    (HEADER_BYTES + content).next_multiple_of(ALIGN)
}

/// A group ready to be written: its bytes, part after part, and its records among them.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) parts: Vec<Bytes>,
    pub(super) bytes: usize,
    pub(super) records: Vec<Bytes>,
}

/// A record of this size is written from where it lies. To copy it and to fault the pages of the
/// copy in took as long as its checksum did; below, one more part costs more than the copy. In
/// tests nearly every record is large, so that they see parts.
const IN_PLACE_BYTES: usize = if cfg!(test) { 64 } else { 16 * 1024 };

/// Builds a group of one buffer and its large records; both are also what its readers get.
pub(super) fn encode(
    records: impl Iterator<Item = Vec<u8>>,
    samples: u32,
    seq: GroupSeq,
    sealed_at: UnixMicros,
    place: Place,
) -> Encoded {
    let mut frame = vec![0; HEADER_BYTES];
    // Of each record: where it ends in the frame, and its bytes when they are not in there.
    let mut ends: Vec<(usize, Option<Bytes>)> = Vec::with_capacity(records.size_hint().0);
    let mut in_place = 0;
    for record in records {
        frame.extend_from_slice(&narrow(record.len()).to_le_bytes());
        if record.len() >= IN_PLACE_BYTES {
            in_place += record.len();
            ends.push((frame.len(), Some(Bytes::from(record))));
        } else {
            frame.extend_from_slice(&record);
            ends.push((frame.len(), None));
        }
    }
    let bytes = (frame.len() + in_place)
        .next_multiple_of(ALIGN)
        .max(GROUP_BYTES_MIN);
    frame.resize(bytes - in_place, 0);
    let count = narrow(ends.len());
    put_head(
        &mut frame,
        bytes,
        KIND_RECORDS,
        (seq, count, samples),
        sealed_at,
        place,
    );
    let mut crc = place.checksum_start(&frame);
    let mut at = 8;
    for (end, record) in &ends {
        if let Some(record) = record {
            crc = crc32c::crc32c_append(crc, &frame[at..*end]);
            crc = crc32c::crc32c_append(crc, record);
            at = *end;
        }
    }
    crc = crc32c::crc32c_append(crc, &frame[at..]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
    assemble(&Bytes::from(frame), bytes, ends)
}

/// The frame cut where the large records belong.
fn assemble(frame: &Bytes, bytes: usize, ends: Vec<(usize, Option<Bytes>)>) -> Encoded {
    let (mut parts, mut records) = (Vec::new(), Vec::with_capacity(ends.len()));
    let (mut record_at, mut part_at) = (HEADER_BYTES, 0);
    for (end, record) in ends {
        if let Some(record) = record {
            parts.push(frame.slice(part_at..end));
            parts.push(record.clone());
            part_at = end;
            records.push(record);
        } else {
            records.push(frame.slice(record_at + RECORD_PREFIX_BYTES..end));
        }
        record_at = end;
    }
    if part_at < frame.len() {
        parts.push(frame.slice(part_at..));
    }
    Encoded {
        parts,
        bytes,
        records,
    }
}

pub(super) fn encode_gap(
    from: GroupSeq,
    through: GroupSeq,
    sealed_at: UnixMicros,
    place: Place,
) -> Bytes {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes.extend_from_slice(&through.0.to_le_bytes());
    let len = bytes.len();
    put_head(&mut bytes, len, KIND_GAP, (from, 0, 0), sealed_at, place);
    let crc = place.checksum(&bytes);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    Bytes::from(bytes)
}

const _: () = assert!(HEADER_BYTES + 8 == GROUP_BYTES_MIN);

/// All of the header but the checksum.
fn put_head(
    head: &mut [u8],
    group_bytes: usize,
    kind: u32,
    (seq, records, samples): (GroupSeq, u32, u32),
    sealed_at: UnixMicros,
    place: Place,
) {
    head[0..4].copy_from_slice(&MAGIC);
    head[8..12].copy_from_slice(&narrow(group_bytes).to_le_bytes());
    head[12..16].copy_from_slice(&kind.to_le_bytes());
    head[16..24].copy_from_slice(&seq.0.to_le_bytes());
    head[24..28].copy_from_slice(&records.to_le_bytes());
    head[28..32].copy_from_slice(&samples.to_le_bytes());
    head[32..40].copy_from_slice(&sealed_at.0.to_le_bytes());
    head[40..48].copy_from_slice(&place.segment.to_le_bytes());
}

fn narrow(len: usize) -> u32 {
    u32::try_from(len).expect("a group is bounded by GROUP_BYTES_MAX")
}

/// The length that a group at the front of `bytes` claims; nothing else is verified.
pub(super) fn claimed_bytes(bytes: &[u8]) -> Option<usize> {
    if bytes.len() < HEADER_BYTES || bytes[0..4] != MAGIC {
        return None;
    }
    let len = usize::try_from(u32_at(bytes, 8)).ok()?;
    (len >= GROUP_BYTES_MIN && len.is_multiple_of(ALIGN)).then_some(len)
}

/// The group at the front of `bytes`, when it is whole and belongs here.
pub(super) fn verify(bytes: &[u8], place: Place) -> Option<Head> {
    let group = bytes.get(..claimed_bytes(bytes)?)?;
    if u64_at(group, 40) != place.segment || u32_at(group, 4) != place.checksum(group) {
        if planted("checksum-not-compared") {
            return Some(head(group));
        }
        return None;
    }
    Some(head(group))
}

/// The sequence of what looks like the header of a group of this segment, whole or not.
pub(super) fn resembles(bytes: &[u8], place: Place) -> Option<GroupSeq> {
    claimed_bytes(bytes)?;
    let known_kind = matches!(u32_at(bytes, 12), KIND_RECORDS | KIND_GAP);
    (known_kind && u64_at(bytes, 40) == place.segment).then(|| GroupSeq(u64_at(bytes, 16)))
}

/// The fields of a group that needs no check, because it was just made or checked.
pub(super) fn head(group: &[u8]) -> Head {
    let kind = u32_at(group, 12);
    let gap_through = (kind == KIND_GAP).then(|| GroupSeq(u64_at(group, HEADER_BYTES)));
    Head {
        bytes: group.len(),
        seq: GroupSeq(u64_at(group, 16)),
        records: u32_at(group, 24),
        samples: u32_at(group, 28),
        sealed_at: UnixMicros(u64_at(group, 32).cast_signed()),
        gap_through,
    }
}

/// The records of a verified group, as slices of its bytes. `None` is a bug of the writer, because
/// the checksum held.
pub(super) fn records(group: &Bytes, head: &Head) -> Option<Vec<Bytes>> {
    let count = usize::try_from(head.records).ok()?;
    let mut records = Vec::with_capacity(count.min(group.len() / RECORD_PREFIX_BYTES));
    let mut at = HEADER_BYTES;
    for _ in 0..count {
        let content = at + RECORD_PREFIX_BYTES;
        let prefix = group.get(at..content)?;
        let end = content.checked_add(usize::try_from(u32_at(prefix, 0)).ok()?)?;
        group.get(content..end)?;
        records.push(group.slice(content..end));
        at = end;
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const PLACE: Place = Place {
        journal: JournalId(Uuid::from_u128(1)),
        segment: 4,
    };

    fn whole(records: &[&[u8]], samples: u32, seq: u64, sealed_at: i64) -> Bytes {
        let records = records.iter().map(|record| record.to_vec());
        let (seq, sealed_at) = (GroupSeq(seq), UnixMicros(sealed_at));
        let encoded = encode(records, samples, seq, sealed_at, PLACE);
        let bytes = Bytes::from(encoded.parts.concat());
        assert_eq!(bytes.len(), encoded.bytes);
        let head = verify(&bytes, PLACE).unwrap();
        assert_eq!(super::records(&bytes, &head).unwrap(), encoded.records);
        bytes
    }

    fn group() -> Bytes {
        whole(&[b"one", b"", b"three"], 7, 9, -5)
    }

    #[test]
    fn large_records_stay_where_they_are_and_the_bytes_are_the_same() {
        let large = [7; IN_PLACE_BYTES];
        let larger = [9; IN_PLACE_BYTES + 3];
        let sets: [&[&[u8]]; 6] = [
            &[&large],
            &[&larger, &large],
            &[b"a", &larger, b"", b"b"],
            &[&large, b"tail"],
            &[b"head", &larger],
            &[&larger, b"", &large, &larger, b"x"],
        ];
        for records in sets {
            let group = whole(records, 1, 1, 0);
            let head = verify(&group, PLACE).unwrap();
            assert_eq!(super::records(&group, &head).unwrap(), records);
        }
        let owned = vec![7; IN_PLACE_BYTES];
        let lies_at = owned.as_ptr();
        let encoded = encode([owned].into_iter(), 1, GroupSeq(1), UnixMicros(0), PLACE);
        assert_eq!(encoded.records[0].as_ptr(), lies_at);
    }

    #[test]
    fn what_is_encoded_verifies_and_gives_its_records_back() {
        let group = group();
        let head = verify(&group, PLACE).unwrap();
        assert_eq!((head.seq, head.records, head.samples), (GroupSeq(9), 3, 7));
        assert_eq!((head.bytes, head.sealed_at), (group.len(), UnixMicros(-5)));
        assert_eq!(
            records(&group, &head).unwrap(),
            [&b"one"[..], b"", b"three"]
        );
    }

    #[test]
    fn any_flipped_bit_cut_or_other_place_is_no_group() {
        let good = group();
        for bit in 0..good.len() * 8 {
            let mut bad = good.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verify(&bad, PLACE), None, "bit {bit}");
        }
        for len in 0..good.len() {
            assert_eq!(verify(&good[..len], PLACE), None, "cut at {len}");
        }
        assert_eq!(
            verify(
                &good,
                Place {
                    segment: 5,
                    ..PLACE
                }
            ),
            None
        );
        let journal = JournalId(Uuid::from_u128(2));
        assert_eq!(verify(&good, Place { journal, ..PLACE }), None);
    }

    #[test]
    fn the_smallest_groups_have_the_least_size() {
        let group = whole(&[b""], 0, 1, 0);
        assert_eq!(group.len(), GROUP_BYTES_MIN);
        let gap = encode_gap(GroupSeq(3), GroupSeq(8), UnixMicros(0), PLACE);
        assert_eq!(gap.len(), GROUP_BYTES_MIN);
        assert_eq!(verify(&gap, PLACE).unwrap().last_seq(), GroupSeq(8));
    }
}

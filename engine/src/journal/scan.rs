//! Finds the groups of one segment, whatever happened to it.

use super::group::{self, ALIGN, Head, MAGIC, Place};
use super::segment::{BadHeader, FIRST_GROUP_AT, HEADER_BYTES, Header};
use super::storage::{File, read_full_at};
use crate::model::GroupSeq;
use std::io;

/// `FIRST_GROUP_AT` as an index.
pub(super) const FIRST_GROUP: usize = 4096;
const _: () = assert!(FIRST_GROUP as u64 == FIRST_GROUP_AT);

/// Groups that follow each other without a hole, neither in bytes nor in sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: GroupSeq,
    pub(super) last: GroupSeq,
    /// Bytes of the file.
    pub(super) from: usize,
    pub(super) to: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// One when all is well; none when there are no groups.
    pub(super) runs: Vec<Run>,
    /// Where the last group begins.
    pub(super) last_group_at: Option<usize>,
    /// End of the last group.
    pub(super) end: usize,
    /// End of the last byte behind it that is not zero.
    pub(super) dirty_to: Option<usize>,
    /// The last sequence seen there on the remains of a group that was not the one under way: only
    /// one ever is, so the groups up to this one were durable once.
    pub(super) remains: Option<GroupSeq>,
}

/// The file's bytes; shorter than its header says when somebody cut it.
pub(super) fn read(file: &dyn File, into: &mut Vec<u8>) -> io::Result<()> {
    let len = usize::try_from(file.bytes()?).map_err(io::Error::other)?;
    into.resize(len, 0);
    let read = read_full_at(file, into, 0)?;
    into.truncate(read);
    Ok(())
}

pub(super) fn header(bytes: &[u8]) -> Result<Header, BadHeader> {
    bytes
        .first_chunk::<HEADER_BYTES>()
        .ok_or(BadHeader::Damaged)
        .and_then(Header::decode)
}

/// Groups from `expected` on, or from any sequence when that is not known.
pub(super) fn scan(
    bytes: &[u8],
    place: Place,
    expected: Option<GroupSeq>,
    mut visit: impl FnMut(usize, &Head),
) -> Scan {
    let mut scan = Scan {
        runs: Vec::new(),
        last_group_at: None,
        end: FIRST_GROUP,
        dirty_to: None,
        remains: None,
    };
    let mut expected = expected;
    let mut at = FIRST_GROUP;
    while let Some((found_at, head)) = next_group(bytes, at, place, expected) {
        visit(found_at, &head);
        let follows = found_at == scan.end && expected == Some(head.seq);
        let to = found_at + head.bytes;
        match scan.runs.last_mut().filter(|_| follows) {
            Some(run) => (run.last, run.to) = (head.last_seq(), to),
            None => {
                let (first, last) = (head.seq, head.last_seq());
                scan.runs.push(Run {
                    first,
                    last,
                    from: found_at,
                    to,
                });
            }
        }
        scan.last_group_at = Some(found_at);
        scan.end = to;
        at = to;
        expected = Some(head.last_seq().next());
    }
    let rest = bytes.get(scan.end..).unwrap_or_default();
    scan.dirty_to = rest
        .iter()
        .rposition(|byte| *byte != 0)
        .map(|at| scan.end + at + 1);
    scan.remains = scan
        .dirty_to
        .and_then(|to| remains(&bytes[scan.end..to], place, expected?));
    scan
}

fn remains(bytes: &[u8], place: Place, expected: GroupSeq) -> Option<GroupSeq> {
    let most = GroupSeq(expected.0 + (bytes.len() / group::GROUP_BYTES_MIN) as u64);
    (ALIGN..bytes.len())
        .step_by(ALIGN)
        .filter_map(|at| group::resembles(&bytes[at..], place))
        .filter(|seq| *seq > expected && *seq <= most)
        .max()
}

/// The first whole group at or after `at` whose sequence is not of the past. A group that is not
/// where it should be costs a look at every eighth byte; only magics cost a checksum.
fn next_group(
    bytes: &[u8],
    at: usize,
    place: Place,
    expected: Option<GroupSeq>,
) -> Option<(usize, Head)> {
    let expected = expected.unwrap_or(GroupSeq(1));
    let mut at = at;
    while at + group::HEADER_BYTES <= bytes.len() {
        if bytes[at..at + MAGIC.len()] == MAGIC
            && let Some(head) = group::verify(&bytes[at..], place)
            && head.seq >= expected
            && head.last_seq() >= head.seq
        {
            return Some((at, head));
        }
        at += ALIGN;
    }
    None
}

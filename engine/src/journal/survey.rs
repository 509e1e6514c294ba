//! What is in the folder, group by group, and what is missing.

use super::error::Damage;
use super::group::{GROUP_BYTES_MIN, Place};
use super::identity::{self, Identity};
use super::quarantine::{Piece, Repair};
use super::scan::{self, Scan};
use super::segment::{self, BadHeader, FIRST_GROUP_AT, FORMAT_VERSION, Header};
use super::shared::Marks;
use super::storage::{Storage, read_full_at};
use super::{OpenError, Options};
use crate::model::{GroupSeq, JournalId};
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Survey {
    /// `None`: nothing here has ever been a journal, or nothing of it can be told any more.
    pub(super) journal: Option<JournalId>,
    pub(super) id_is_stored: bool,
    pub(super) segments: Vec<Found>,
    pub(super) damages: Vec<Damage>,
    /// Sequences that the damages cost.
    pub(super) lost: u64,
    /// The sequence after the last.
    pub(super) expected: GroupSeq,
    pub(super) groups: u64,
    pub(super) marks: Marks,
    /// Numbers of the oldest segments, when they hold nothing that can be told.
    pub(super) unreadable: Vec<u64>,
    segment_bytes: u64,
}

/// One segment's file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) number: u64,
    pub(super) first_seq: GroupSeq,
    pub(super) file_bytes: u64,
    pub(super) scan: Scan,
    /// How to make it whole again.
    pub(super) repair: Option<Repair>,
}

/// Sequences, first and last.
type Lost = Option<(GroupSeq, GroupSeq)>;

pub(super) fn survey(options: &Options, storage: &dyn Storage) -> Result<Survey, OpenError> {
    let names = storage.list().map_err(OpenError::io(storage.path("")))?;
    let mut numbers: Vec<_> = names
        .iter()
        .filter_map(|name| segment::number_of(name))
        .collect();
    numbers.sort_unstable();
    let identity = identity::read(storage, &names)?;
    let mut survey = Survey {
        journal: None,
        id_is_stored: matches!(identity, Identity::Known(_)),
        segments: Vec::with_capacity(numbers.len()),
        damages: Vec::new(),
        lost: 0,
        expected: GroupSeq(1),
        groups: 0,
        marks: Marks::new(),
        unreadable: Vec::new(),
        segment_bytes: options.segment_bytes,
    };
    match identity {
        Identity::Known(_) if numbers.is_empty() => {
            let path = storage.path(identity::ID_NAME);
            survey.damage(path, 0, "every segment is missing", None);
        }
        Identity::Known(id) => survey.journal = Some(id),
        Identity::Unknown => survey.journal = id_of_segments(storage, &numbers)?,
    }
    let mut bytes = Vec::new();
    for (at, number) in numbers.iter().enumerate() {
        let is_last = at + 1 == numbers.len();
        survey.look_at(storage, *number, is_last, &mut bytes)?;
    }
    if survey.segments.is_empty() {
        survey.journal = None;
    }
    Ok(survey)
}

/// What the first good header says.
fn id_of_segments(storage: &dyn Storage, numbers: &[u64]) -> Result<Option<JournalId>, OpenError> {
    for number in numbers {
        let name = segment::file_name(*number);
        let mut bytes = [0; segment::HEADER_BYTES];
        storage
            .open(&name)
            .and_then(|file| read_full_at(&*file, &mut bytes, 0))
            .map_err(OpenError::io(storage.path(&name)))?;
        if let Ok(header) = scan::header(&bytes) {
            return Ok(Some(header.journal));
        }
    }
    Ok(None)
}

impl Survey {
    /// One segment, after those before it.
    fn look_at(
        &mut self,
        storage: &dyn Storage,
        number: u64,
        is_last: bool,
        bytes: &mut Vec<u8>,
    ) -> Result<(), OpenError> {
        let path = storage.path(&segment::file_name(number));
        read(storage, number, bytes).map_err(OpenError::io(path.clone()))?;
        let damages_before = self.damages.len();
        let header = self.header(&path, number, bytes)?;
        let Some(journal) = self.journal else {
            // Without any id no group can be told from noise.
            self.unreadable.push(number);
            return Ok(());
        };
        let from = match header {
            Some(header) if self.segments.is_empty() => Some(header.first_seq),
            None if self.segments.is_empty() => None,
            _ => Some(self.expected),
        };
        let scan = self.scan(
            bytes,
            Place {
                journal,
                segment: number,
            },
            from,
        );
        let Some(first_seq) = from.or_else(|| least_first_seq(&scan)) else {
            // The next segment tells how far its groups went.
            self.unreadable.push(number);
            return Ok(());
        };
        self.lose_unreadable(storage, first_seq);
        self.expected = first_seq;
        let mut pieces = Vec::new();
        if let Some(header) = header {
            self.compare_beginning(storage, &header, &mut pieces);
        }
        self.follow(&path, &scan, &mut pieces);
        let least = self.segment_bytes.max(bytes.len() as u64);
        let file_bytes = header.map_or(least, |header| header.file_bytes);
        if is_last && (bytes.len() as u64) < file_bytes {
            self.lose_end(path, scan.end, file_bytes, &mut pieces);
        } else if is_last && let Some(last) = scan.remains {
            let lost = self.lost_until(last.next());
            self.damage(path, scan.end as u64, "bytes that are no group", lost);
            self.mark(lost, &mut pieces);
        } else if is_last && scan.dirty_to.is_some() && self.damages.len() > damages_before {
            // Torn besides: see `recover::settle`.
            self.mark(Some((self.expected, self.expected)), &mut pieces);
        }
        let header = Header {
            journal,
            number,
            first_seq,
            file_bytes,
        };
        let damaged = self.damages.len() > damages_before;
        let repair = damaged.then_some(Repair { header, pieces });
        self.segments.push(Found {
            number,
            first_seq,
            file_bytes,
            scan,
            repair,
        });
        Ok(())
    }

    /// `None` when it cannot be used.
    fn header(
        &mut self,
        path: &Path,
        number: u64,
        bytes: &[u8],
    ) -> Result<Option<Header>, OpenError> {
        let path = path.to_path_buf();
        let header = match scan::header(bytes) {
            Ok(header) => header,
            Err(BadHeader::Version(found)) => {
                return Err(OpenError::Version {
                    path,
                    found,
                    known: FORMAT_VERSION,
                });
            }
            Err(BadHeader::Damaged) => {
                self.damage(path, 0, "the header is damaged", None);
                return Ok(None);
            }
        };
        let expected = *self.journal.get_or_insert(header.journal);
        if expected != header.journal {
            return Err(OpenError::Foreign {
                path,
                found: header.journal,
                expected,
            });
        }
        if header.number != number {
            self.damage(path, 0, "the file was renamed", None);
            return Ok(None);
        }
        Ok(Some(header))
    }

    fn scan(&mut self, bytes: &[u8], place: Place, from: Option<GroupSeq>) -> Scan {
        let (groups, marks) = (&mut self.groups, &mut self.marks);
        scan::scan(bytes, place, from, |_, head| {
            *groups += u64::from(head.gap_through.is_none());
            marks.add(head.seq, head.sealed_at);
        })
    }

    /// Does the segment begin where the one before ended?
    fn compare_beginning(
        &mut self,
        storage: &dyn Storage,
        header: &Header,
        pieces: &mut Vec<Piece>,
    ) {
        let path = |number| storage.path(&segment::file_name(number));
        if header.first_seq < self.expected {
            let what = "its sequence begins before the end of the segment before";
            self.damage(path(header.number), 0, what, None);
        }
        let lost = self.lost_until(header.first_seq);
        if lost.is_none() {
            return;
        }
        match self.segments.last() {
            Some(before) if before.number + 1 == header.number => {
                let (number, offset) = (before.number, before.scan.end as u64);
                self.damage(
                    path(number),
                    offset,
                    "the segment's last groups are damaged",
                    lost,
                );
            }
            _ => self.damage(path(header.number - 1), 0, "the segment is missing", lost),
        }
        self.mark(lost, pieces);
    }

    /// The oldest segments, when nothing in them can be told: their groups end before `first_seq`.
    fn lose_unreadable(&mut self, storage: &dyn Storage, first_seq: GroupSeq) {
        if !self.segments.is_empty() {
            return;
        }
        let Some(number) = self.unreadable.last() else {
            return;
        };
        let path = storage.path(&segment::file_name(*number));
        let most = self.unreadable.len() as u64 * self.segment_bytes / GROUP_BYTES_MIN as u64;
        self.expected = GroupSeq(first_seq.0.saturating_sub(most).max(1));
        let lost = self.lost_until(first_seq);
        self.damage(
            path,
            FIRST_GROUP_AT,
            "nothing in the segment can be read",
            lost,
        );
        if let Some(damage) = self.damages.last_mut() {
            damage.at_most = true;
        }
    }

    /// Do the groups follow each other?
    fn follow(&mut self, path: &Path, scan: &Scan, pieces: &mut Vec<Piece>) {
        let mut end = scan::FIRST_GROUP;
        for run in &scan.runs {
            if run.from != end || run.first != self.expected {
                let lost = self.lost_until(run.first);
                self.damage(
                    path.to_path_buf(),
                    end as u64,
                    "bytes that are no group",
                    lost,
                );
                self.mark(lost, pieces);
            }
            pieces.push(Piece::Bytes {
                from: run.from,
                to: run.to,
            });
            (end, self.expected) = (run.to, run.last.next());
        }
    }

    /// The end of the journal was cut off: nobody knows how many groups there were. As many
    /// sequences as would have fitted are never given again.
    fn lose_end(&mut self, path: PathBuf, end: usize, file_bytes: u64, pieces: &mut Vec<Piece>) {
        let missing = file_bytes.saturating_sub(end as u64) / GROUP_BYTES_MIN as u64;
        let lost = self.lost_until(GroupSeq(self.expected.0 + missing));
        self.damage(path, end as u64, "the end of the file is missing", lost);
        if let Some(damage) = self.damages.last_mut() {
            damage.at_most = true;
        }
        self.mark(lost, pieces);
    }

    fn damage(&mut self, path: PathBuf, offset: u64, what: &'static str, lost: Lost) {
        if let Some((from, through)) = lost {
            self.lost += through.0 - from.0 + 1;
        }
        self.damages.push(Damage {
            path,
            offset,
            what,
            lost,
            at_most: false,
        });
    }

    fn lost_until(&self, next: GroupSeq) -> Lost {
        (next > self.expected).then_some((self.expected, GroupSeq(next.0.saturating_sub(1))))
    }

    fn mark(&mut self, lost: Lost, pieces: &mut Vec<Piece>) {
        if let Some((from, through)) = lost {
            pieces.push(Piece::Gap { from, through });
            self.expected = through.next();
        }
    }
}

fn read(storage: &dyn Storage, number: u64, into: &mut Vec<u8>) -> io::Result<()> {
    scan::read(&*storage.open(&segment::file_name(number))?, into)
}

/// The oldest segment, without a header: as many groups may have been before its first one as fit
/// there, and those are not known to be released.
fn least_first_seq(scan: &Scan) -> Option<GroupSeq> {
    let first = scan.runs.first()?;
    let room = (first.from - scan::FIRST_GROUP) / GROUP_BYTES_MIN;
    Some(GroupSeq(first.first.0.saturating_sub(room as u64).max(1)))
}

//! Opens a folder: finds every group that is there, takes away what a crash left half written, and
//! refuses damage unless it was told to set it aside.
//!
//! Only one group is ever under way, at the end of the last segment. So bytes there that are no
//! group are what a crash leaves, and are cut. Bytes that are no group anywhere else are damage.

use super::error::Damage;
use super::group::{self, GROUP_BYTES_MIN, Place};
use super::identity::{self, Identity};
use super::quarantine::{self, Piece, Repair};
use super::scan::{self, Scan};
use super::segment::{self, BadHeader, FIRST_GROUP_AT, FORMAT_VERSION, Header};
use super::shared::{Marks, SPARE_NAME, Segment, Shared, new_file};
use super::storage::{Storage, write_all_at, write_zeros};
use super::writer::Active;
use super::{OnDamage, OpenError, Options};
use crate::model::{GroupSeq, JournalId};
use fiber_contract::UnixMicros;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use uuid::Uuid;

#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) shared: Arc<Shared>,
    pub(super) active: Active,
}

pub(super) fn recover(
    options: &Options,
    storage: Arc<dyn Storage>,
) -> Result<Recovered, OpenError> {
    identity::lock(&*storage)?;
    let dir = storage.path("");
    remove_temporary(&*storage).map_err(OpenError::io(dir.clone()))?;
    let mut names = storage.list().map_err(OpenError::io(dir.clone()))?;
    let mut survey = survey(options, &*storage, &names)?;
    if !survey.damages.is_empty() {
        if options.on_damage == OnDamage::Refuse {
            return Err(OpenError::Damaged {
                damages: survey.damages,
            });
        }
        for damage in &survey.damages {
            tracing::error!(%damage, "journal damage is set aside");
        }
        quarantine::apply(&*storage, &survey).map_err(OpenError::io(dir.clone()))?;
        let lost = survey.lost;
        names = storage.list().map_err(OpenError::io(dir.clone()))?;
        survey = self::survey(options, &*storage, &names)?;
        survey.lost = lost;
        if !survey.damages.is_empty() {
            return Err(OpenError::Damaged {
                damages: survey.damages,
            });
        }
    }
    let journal = match survey.journal {
        Some(journal) => journal,
        None => create(options, &*storage)?,
    };
    if survey.segments.is_empty() {
        survey = self::survey(
            options,
            &*storage,
            &storage.list().map_err(OpenError::io(dir.clone()))?,
        )?;
    } else if !survey.id_is_stored {
        identity::write(&*storage, journal)?;
    }
    let active = settle(&*storage, journal, &mut survey)?;
    // Names that a crash before the last fsync of the folder left to chance.
    storage.sync_dir().map_err(OpenError::io(dir))?;
    let Survey {
        segments,
        marks,
        expected,
        lost,
        groups,
        ..
    } = survey;
    let list: VecDeque<_> = segments
        .iter()
        .map(|found| Segment {
            number: found.number,
            first_seq: found.first_seq,
        })
        .collect();
    let through = GroupSeq(expected.0 - 1);
    tracing::info!(journal = %journal.0, segments = list.len(), groups, through = through.0, "journal opened");
    let shared = Shared::new(options, storage, journal, list, marks, through);
    shared.stats.lost.store(lost, Ordering::Relaxed);
    Ok(Recovered {
        shared: Arc::new(shared),
        active,
    })
}

/// Files that have no name yet hold nothing that was acknowledged.
fn remove_temporary(storage: &dyn Storage) -> io::Result<()> {
    for name in storage.list()?.iter().filter(|name| name.ends_with(".tmp")) {
        storage.remove(name)?;
    }
    Ok(())
}

/// Makes the first segment, then the id: see `identity`.
fn create(options: &Options, storage: &dyn Storage) -> Result<JournalId, OpenError> {
    let journal = JournalId(Uuid::new_v4());
    let (number, first_seq, file_bytes) = (1, GroupSeq(1), options.segment_bytes);
    let header = Header {
        journal,
        number,
        first_seq,
        file_bytes,
    };
    let name = segment::file_name(number);
    let make = || {
        let file = new_file(storage, SPARE_NAME, file_bytes)?;
        write_all_at(&*file, &header.encode(), 0)?;
        file.sync()?;
        storage.rename(SPARE_NAME, &name)?;
        storage.sync_dir()
    };
    make().map_err(OpenError::io(storage.path(&name)))?;
    identity::write(storage, journal)?;
    Ok(journal)
}

/// What is in the folder.
#[derive(Debug)]
pub(super) struct Survey {
    /// `None`: nothing here has ever been a journal, or nothing of it can be told any more.
    pub(super) journal: Option<JournalId>,
    segment_bytes: u64,
    id_is_stored: bool,
    pub(super) segments: Vec<Found>,
    pub(super) damages: Vec<Damage>,
    /// Sequences that the damages cost.
    lost: u64,
    /// The sequence after the last.
    expected: GroupSeq,
    groups: u64,
    marks: Marks,
}

/// One segment's file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) number: u64,
    pub(super) first_seq: GroupSeq,
    pub(super) file_bytes: u64,
    scan: Scan,
    /// How to make it whole again.
    pub(super) repair: Option<Repair>,
}

fn survey(options: &Options, storage: &dyn Storage, names: &[String]) -> Result<Survey, OpenError> {
    let mut numbers: Vec<_> = names
        .iter()
        .filter_map(|name| segment::number_of(name))
        .collect();
    numbers.sort_unstable();
    let identity = identity::read(storage, names)?;
    let mut survey = Survey {
        journal: None,
        segment_bytes: options.segment_bytes,
        id_is_stored: matches!(identity, Identity::Known(_)),
        segments: Vec::with_capacity(numbers.len()),
        damages: Vec::new(),
        lost: 0,
        expected: GroupSeq(1),
        groups: 0,
        marks: Marks::new(),
    };
    if let Identity::Known(id) = identity {
        survey.journal = Some(id);
        if numbers.is_empty() {
            survey.journal = None;
            survey.damage(
                storage.path(identity::ID_NAME),
                0,
                "every segment is missing",
                None,
            );
        }
    }
    let mut bytes = Vec::new();
    for (at, number) in numbers.iter().enumerate() {
        let is_last = at + 1 == numbers.len();
        survey.look_at(storage, *number, is_last, &mut bytes)?;
    }
    Ok(survey)
}

impl Survey {
    fn damage(
        &mut self,
        path: std::path::PathBuf,
        offset: u64,
        what: &'static str,
        lost: Option<(GroupSeq, GroupSeq)>,
    ) {
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

    fn look_at(
        &mut self,
        storage: &dyn Storage,
        number: u64,
        is_last: bool,
        bytes: &mut Vec<u8>,
    ) -> Result<(), OpenError> {
        let path = storage.path(&segment::file_name(number));
        storage
            .open(&segment::file_name(number))
            .and_then(|file| scan::read(&*file, bytes))
            .map_err(OpenError::io(path.clone()))?;
        let mut header = match scan::header(bytes) {
            Ok(header) => Some(header),
            Err(BadHeader::Version(found)) => {
                return Err(OpenError::Version {
                    path,
                    found,
                    known: FORMAT_VERSION,
                });
            }
            Err(BadHeader::Damaged) => None,
        };
        if let Some(found) = header {
            let expected = *self.journal.get_or_insert(found.journal);
            if expected != found.journal {
                return Err(OpenError::Foreign {
                    path,
                    found: found.journal,
                    expected,
                });
            }
        }
        let mut damaged = false;
        if header.is_some_and(|header| header.number != number) {
            self.damage(path.clone(), 0, "the file was renamed", None);
            (header, damaged) = (None, true);
        } else if header.is_none() {
            self.damage(path.clone(), 0, "the header is damaged", None);
            damaged = true;
        }
        let Some(journal) = self.journal else {
            // Without any id no group can be told from noise.
            return Ok(());
        };
        let is_first = self.segments.is_empty();
        let mut expected = if is_first {
            header.map(|header| header.first_seq)
        } else {
            Some(self.expected)
        };
        let mut groups = 0;
        let marks = &mut self.marks;
        let scan = scan::scan(
            bytes,
            Place {
                journal,
                segment: number,
            },
            expected,
            |_, head| {
                groups += u64::from(head.gap_through.is_none());
                marks.add(head.seq, head.sealed_at);
            },
        );
        self.groups += groups;
        if expected.is_none() {
            // The oldest segment without a header: as many may have been before its first group
            // as fit there, and those are not known to be released.
            expected = scan.runs.first().map(|run| {
                let room = (run.from - FIRST_GROUP_AT as usize) / GROUP_BYTES_MIN;
                GroupSeq(run.first.0.saturating_sub(room as u64).max(1))
            });
        }
        let Some(first_seq) = expected else {
            self.damage(
                path,
                FIRST_GROUP_AT,
                "nothing tells where its sequence was",
                None,
            );
            self.journal = None;
            return Ok(());
        };
        let file_bytes = header.map_or(self.segment_bytes.max(bytes.len() as u64), |header| {
            header.file_bytes
        });
        let mut pieces = Vec::new();
        self.expected = first_seq;
        if let Some(header) = header.filter(|header| header.first_seq > first_seq) {
            damaged = true;
            self.lose_before(storage, &header, &mut pieces);
        } else if header.is_some_and(|header| header.first_seq < first_seq) {
            self.damage(
                path.clone(),
                0,
                "its sequence begins before the end of the last",
                None,
            );
            damaged = true;
        }
        let mut end = FIRST_GROUP_AT as usize;
        for run in &scan.runs {
            if run.from != end || run.first != self.expected {
                damaged = true;
                let lost = self.lost_until(run.first);
                self.damage(path.clone(), end as u64, "bytes that are no group", lost);
                pieces.extend(lost.map(|(from, through)| Piece::Gap { from, through }));
            }
            pieces.push(Piece::Bytes {
                from: run.from,
                to: run.to,
            });
            (end, self.expected) = (run.to, run.last.next());
        }
        let cut_short = (bytes.len() as u64) < file_bytes;
        if is_last && cut_short {
            damaged = true;
            self.lose_tail(&path, bytes.len() as u64, file_bytes, end, &mut pieces);
        }
        let repair = damaged.then(|| Repair {
            header: Header {
                journal,
                number,
                first_seq,
                file_bytes,
            },
            pieces,
        });
        self.segments.push(Found {
            number,
            first_seq,
            file_bytes,
            scan,
            repair,
        });
        Ok(())
    }

    fn lost_until(&self, next: GroupSeq) -> Option<(GroupSeq, GroupSeq)> {
        (next > self.expected).then(|| (self.expected, GroupSeq(next.0 - 1)))
    }

    /// Groups between the end of the segment before and the beginning of this one.
    fn lose_before(&mut self, storage: &dyn Storage, header: &Header, pieces: &mut Vec<Piece>) {
        let lost = self.lost_until(header.first_seq);
        match self.segments.last() {
            Some(before) if before.number + 1 == header.number => {
                let path = storage.path(&segment::file_name(before.number));
                let offset = before.scan.end as u64;
                self.damage(
                    path,
                    offset,
                    "the last groups of the segment are damaged",
                    lost,
                );
            }
            _ => {
                let path = storage.path(&segment::file_name(header.number - 1));
                self.damage(path, 0, "the segment is missing", lost);
            }
        }
        pieces.extend(lost.map(|(from, through)| Piece::Gap { from, through }));
        self.expected = header.first_seq;
    }

    /// The end of the journal was cut off, or cannot be told from a crash: nobody knows how many
    /// groups there were. As many sequences as would have fitted are never given again.
    fn lose_tail(
        &mut self,
        path: &std::path::Path,
        bytes: u64,
        file_bytes: u64,
        end: usize,
        pieces: &mut Vec<Piece>,
    ) {
        let missing = file_bytes.saturating_sub(end as u64) / GROUP_BYTES_MIN as u64;
        let lost = (missing > 0).then(|| (self.expected, GroupSeq(self.expected.0 + missing - 1)));
        self.damage(
            path.to_path_buf(),
            bytes.min(end as u64),
            "the end of the file is missing",
            lost,
        );
        if let Some(damage) = self.damages.last_mut() {
            damage.at_most = true;
        }
        pieces.extend(lost.map(|(from, through)| Piece::Gap { from, through }));
        if let Some((_, through)) = lost {
            self.expected = through.next();
        }
    }
}

/// Cuts what a crash left at the end, and makes the last group durable for certain.
///
/// A group that is whole may be in memory only: the process may have died, or its fsync may have
/// failed, between write and acknowledgement. It is written again and synced before anyone reads
/// it, because after a failed fsync the kernel takes the old write for done.
///
/// A torn group may also be an acknowledged one that decayed since; its sequence is not given
/// again, or the database could take the next group for it.
fn settle(
    storage: &dyn Storage,
    journal: JournalId,
    survey: &mut Survey,
) -> Result<Active, OpenError> {
    let found = survey.segments.last().expect("created when there was none");
    let number = found.number;
    let name = segment::file_name(number);
    let place = Place {
        journal,
        segment: number,
    };
    let mut offset = found.scan.end as u64;
    let mut settle = || {
        let file = storage.open(&name)?;
        if let Some(at) = found.scan.last_group_at {
            let mut last = vec![0; found.scan.end - at];
            super::storage::read_full_at(&*file, &mut last, at as u64)?;
            write_all_at(&*file, &last, at as u64)?;
        }
        if let Some(dirty_to) = found.scan.dirty_to {
            let dirty_to = dirty_to as u64;
            let (path, bytes) = (storage.path(&name), dirty_to - offset);
            let seq = survey.expected;
            tracing::warn!(path = %path.display(), offset, bytes, seq = seq.0, "cut a torn group");
            write_zeros(&*file, offset, dirty_to)?;
            let gap = group::encode_gap(seq, seq, UnixMicros::now(), place);
            if offset + gap.len() as u64 <= found.file_bytes {
                write_all_at(&*file, &gap, offset)?;
                offset += gap.len() as u64;
                survey.expected = seq.next();
            }
        }
        file.sync()?;
        Ok(file)
    };
    let file = settle().map_err(OpenError::io(storage.path(&name)))?;
    Ok(Active {
        file,
        number,
        file_bytes: found.file_bytes,
        offset,
        dirty_to: None,
    })
}

//! Opens a folder: finds every group that is there, takes away what a crash left half written, and
//! refuses damage unless it was told to set it aside.
//!
//! Only one group is ever under way, at the end of the last segment. So bytes there that are no
//! group are what a crash leaves, and are cut. Bytes that are no group anywhere else are damage.

use super::group::{self, Place};
use super::identity;
use super::quarantine;
use super::segment::{self, Header};
use super::shared::{SPARE_NAME, Segment, Shared, new_file};
use super::storage::{Storage, read_full_at, write_all_at, write_zeros};
use super::survey::{self, Found, Survey};
use super::writer::Active;
use super::{OnDamage, OpenError, Options};
use crate::failpoint::{self, Point};
use crate::model::{GroupSeq, JournalId, clock};
use crate::planted::planted;
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
    remove_temporary(&*storage).map_err(OpenError::io(storage.path("")))?;
    let mut survey = survey::survey(options, &*storage)?;
    if !survey.damages.is_empty() {
        if options.on_damage == OnDamage::Refuse {
            return Err(OpenError::Damaged {
                damages: survey.damages,
            });
        }
        survey = set_aside(options, &*storage, &survey)?;
    }
    let journal = match survey.journal {
        Some(journal) => journal,
        None => {
            let lost = survey.lost;
            let journal = create(options, &*storage)?;
            survey = survey::survey(options, &*storage)?;
            survey.lost = lost;
            journal
        }
    };
    if !survey.id_is_stored {
        identity::write(&*storage, journal)?;
    }
    let active = settle(&*storage, journal, &mut survey)?;
    // Names that a crash before the last fsync of the folder left to chance.
    storage
        .sync_dir()
        .map_err(OpenError::io(storage.path("")))?;
    let Survey {
        segments,
        marks,
        expected,
        lost,
        groups,
        ..
    } = survey;
    let of = |found: &Found| Segment {
        number: found.number,
        first_seq: found.first_seq,
    };
    let list: VecDeque<_> = segments.iter().map(of).collect();
    let through = GroupSeq(expected.0 - 1);
    let (id, segments) = (journal.0, list.len());
    tracing::info!(journal = %id, segments, groups, through = through.0, "journal opened");
    let shared = Shared::new(options, storage, journal, list, marks, through);
    shared.stats.lost.store(lost, Ordering::Relaxed);
    Ok(Recovered {
        shared: Arc::new(shared),
        active,
    })
}

/// Quarantine, and a second look: what it made must be whole.
fn set_aside(
    options: &Options,
    storage: &dyn Storage,
    damaged: &Survey,
) -> Result<Survey, OpenError> {
    for damage in &damaged.damages {
        tracing::error!(%damage, "journal damage is set aside");
    }
    quarantine::apply(storage, damaged).map_err(OpenError::io(storage.path("")))?;
    let mut survey = survey::survey(options, storage)?;
    if !survey.damages.is_empty() {
        return Err(OpenError::Damaged {
            damages: survey.damages,
        });
    }
    survey.lost = damaged.lost;
    Ok(survey)
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
        // As the tidying thread does for every later one.
        write_zeros(&*file, 0, file_bytes)?;
        write_all_at(&*file, &header.encode(), 0)?;
        file.sync()?;
        storage.rename(SPARE_NAME, &name)?;
        storage.sync_dir()
    };
    make().map_err(OpenError::io(storage.path(&name)))?;
    identity::write(storage, journal)?;
    Ok(journal)
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
        if let Some(at) = found.scan.last_group_at
            && !planted("last-group-not-settled")
        {
            let mut last = vec![0; found.scan.end - at];
            read_full_at(&*file, &mut last, at as u64)?;
            write_all_at(&*file, &last, at as u64)?;
        }
        if let Some(dirty_to) = found.scan.dirty_to {
            let dirty_to = dirty_to as u64;
            let (path, bytes) = (storage.path(&name), dirty_to - offset);
            let seq = survey.expected;
            tracing::warn!(path = %path.display(), offset, bytes, seq = seq.0, "cut a torn group");
            if !planted("torn-tail-not-cut") {
                write_zeros(&*file, offset, dirty_to)?;
            }
            failpoint::pass(Point::TailCut);
            let gap = group::encode_gap(seq, seq, clock::now(), place);
            if offset + gap.len() as u64 <= found.file_bytes
                && !planted("torn-sequence-given-again")
            {
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

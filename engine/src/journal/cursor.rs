//! The way out: groups in order, from memory while the reader keeps up and from disk when not.
//!
//! Disk reads run on tokio's blocking threads, about a megabyte at a time: mostly they are copies
//! from the page cache, but a backlog of hours is not in it, and a worker that waits for a disk
//! would stall the queries beside it.

use super::error::Damage;
use super::group::{self, Place};
use super::segment::{self, FIRST_GROUP_AT};
use super::shared::{Handed, Shared};
use super::storage::{File, read_full_at};
use super::{Feed, Group, OpenError};
use crate::model::{GroupSeq, JournalId, clock};
use crate::planted::planted;
use bytes::Bytes;
use crossbeam::channel::Sender;
use fiber_contract::UnixMicros;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Read at once: enough to make the crossing to a blocking thread cheap.
const READ_BYTES: usize = 1024 * 1024;

/// Where the group after the last one given out is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    next: GroupSeq,
    /// Segment and offset, when known; looked up by sequence when not.
    at: Option<(u64, u64)>,
}

/// What one visit to the disk found.
#[derive(Debug)]
pub(super) struct Chunk {
    groups: VecDeque<Group>,
    after: Position,
}

type Reading = JoinHandle<Result<Chunk, OpenError>>;

#[derive(Debug)]
pub(super) struct Cursor {
    /// Of the group that `next` gives.
    position: Position,
    /// Read from disk and not given out.
    read: VecDeque<Group>,
    /// Behind `read`.
    read_end: Position,
    /// Kept here, so that a call dropped half way loses nothing.
    reading: Option<Reading>,
    /// Taken from memory too early: groups before it have to come from disk.
    held: Option<Handed>,
}

impl Cursor {
    fn at(next: GroupSeq) -> Self {
        let position = Position { next, at: None };
        Self {
            position,
            read: VecDeque::new(),
            read_end: position,
            reading: None,
            held: None,
        }
    }
}

impl Feed {
    pub(super) fn new(shared: Arc<Shared>, tidy: Sender<()>) -> Self {
        let cursor = Cursor::at(shared.stats.released_seq().next());
        Self {
            shared,
            tidy,
            cursor,
        }
    }

    pub fn journal_id(&self) -> JournalId {
        self.shared.journal
    }

    /// The oldest group that may still be read.
    pub fn oldest_available(&self) -> GroupSeq {
        self.shared
            .segments()
            .front()
            .map_or(GroupSeq::ZERO, |oldest| oldest.first_seq)
    }

    pub fn durable(&self) -> GroupSeq {
        self.shared.stats.durable_seq()
    }

    /// Continue after `seq`: the next group is `seq.next()`, or the first after it when sequences
    /// were lost. A group that is gone, or that never was, is an error of `next`.
    pub fn seek_after(&mut self, seq: GroupSeq) {
        let held = self.cursor.held.take().filter(|held| held.group.seq > seq);
        self.cursor = Cursor {
            held,
            ..Cursor::at(seq.next())
        };
    }

    /// The next durable group; waits for one. From memory when it just came, else from disk.
    /// Groups come in order; a sequence is left out only where recovery said that it is lost.
    /// May be dropped at any moment without losing a group.
    pub async fn next(&mut self) -> Result<Group, OpenError> {
        loop {
            if let Some(group) = self.try_next().await? {
                return Ok(group);
            }
            self.shared.hand_off.woken().await;
        }
    }

    /// The next group if there is one now.
    pub async fn try_next(&mut self) -> Result<Option<Group>, OpenError> {
        loop {
            if let Some(group) = self.cursor.read.pop_front() {
                self.cursor.position = match self.cursor.read.front() {
                    Some(next) => Position {
                        next: next.seq,
                        at: None,
                    },
                    None => self.cursor.read_end,
                };
                return Ok(Some(group));
            }
            if self.cursor.reading.is_none() {
                if let Some(group) = self.take_from_memory() {
                    return Ok(Some(group));
                }
                let (next, durable) = (self.cursor.position.next, self.shared.stats.durable_seq());
                if next > durable.next() {
                    let asked = GroupSeq(next.0 - 1);
                    return Err(OpenError::Behind { asked, durable });
                }
                let announced = GroupSeq(self.shared.announced_seq.load(Ordering::Acquire));
                if next > announced {
                    return Ok(None);
                }
                // Handed over between the look and the announcement.
                if let Some(group) = self.take_from_memory() {
                    return Ok(Some(group));
                }
                let (shared, from) = (Arc::clone(&self.shared), self.cursor.position);
                let read = move || read_chunk(&shared, from, announced);
                self.cursor.reading = Some(tokio::task::spawn_blocking(read));
            }
            if let Some(reading) = &mut self.cursor.reading {
                let chunk = reading.await;
                self.cursor.reading = None;
                let chunk = chunk.map_err(|error| self.io_error(io::Error::other(error)))??;
                (self.cursor.read, self.cursor.read_end) = (chunk.groups, chunk.after);
                if self.cursor.read.is_empty() {
                    // Nothing but lost sequences.
                    self.cursor.position = chunk.after;
                }
            }
        }
    }

    /// Everything up to `seq` is safe in the database's own log: its segments may go.
    pub fn release(&self, through: GroupSeq) {
        self.shared.release(through);
        // Full means that the thread is awake already; gone, that the journal stops.
        self.tidy.try_send(()).unwrap_or_default();
    }

    /// The group at the cursor, when memory has it.
    fn take_from_memory(&mut self) -> Option<Group> {
        let next = self.cursor.position.next;
        loop {
            let handed = self
                .cursor
                .held
                .take()
                .or_else(|| self.shared.hand_off.pop())?;
            if handed.group.seq < next {
                continue;
            }
            if handed.group.seq > next && !planted("memory-jumps-ahead") {
                self.cursor.held = Some(handed);
                return None;
            }
            let at = Some((handed.segment, handed.end));
            self.cursor.position = Position {
                next: next.next(),
                at,
            };
            return Some(handed.group);
        }
    }

    fn io_error(&self, error: io::Error) -> OpenError {
        OpenError::io(self.shared.storage.path(""))(error)
    }
}

/// Reads groups from `from` on, at least one (or a gap), none after `durable`: behind that the
/// writer may be at work.
fn read_chunk(shared: &Shared, from: Position, durable: GroupSeq) -> Result<Chunk, OpenError> {
    let mut after = from;
    let mut groups = VecDeque::new();
    while groups.is_empty() && after.next <= durable {
        let (number, offset) = locate(shared, after)?;
        let name = segment::file_name(number);
        let file = match shared.storage.open(&name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(gone(shared, after.next));
            }
            Err(error) => return Err(shared.segment_error(number)(error)),
        };
        let bytes = read_groups(&*file, offset).map_err(shared.segment_error(number))?;
        let mut at = 0;
        let place = Place {
            journal: shared.journal,
            segment: number,
        };
        while after.next <= durable
            && let Some(head) = group::verify(&bytes[at..], place)
        {
            let group = bytes.slice(at..at + head.bytes);
            at += head.bytes;
            if head.last_seq() < from.next {
                continue;
            }
            if head.gap_through.is_none() {
                let Some(records) = group::records(&group, &head) else {
                    break;
                };
                let durable_at = durable_at(shared, head.seq, head.sealed_at);
                groups.push_back(Group {
                    seq: head.seq,
                    durable_at,
                    samples: head.samples,
                    records,
                });
            }
            after.next = head.last_seq().next();
        }
        after.at = Some((number, offset + at as u64));
        if at == 0 {
            let lost = Some((after.next, after.next));
            let what = "a durable group cannot be read";
            let path = shared.storage.path(&name);
            let damage = Damage {
                path,
                offset,
                what,
                lost,
                at_most: false,
            };
            return Err(OpenError::Damaged {
                damages: vec![damage],
            });
        }
    }
    Ok(Chunk { groups, after })
}

/// Segment and offset from which to read.
fn locate(shared: &Shared, position: Position) -> Result<(u64, u64), OpenError> {
    let segments = shared.segments();
    let found = segments
        .iter()
        .rev()
        .find(|segment| segment.first_seq <= position.next);
    let number = found.map(|segment| segment.number);
    drop(segments);
    let number = number.ok_or_else(|| gone(shared, position.next))?;
    match position.at {
        Some((segment, offset)) if segment == number => Ok((number, offset)),
        _ => Ok((number, FIRST_GROUP_AT)),
    }
}

fn gone(shared: &Shared, asked: GroupSeq) -> OpenError {
    let oldest = shared
        .segments()
        .front()
        .map_or(GroupSeq::ZERO, |oldest| oldest.first_seq);
    OpenError::Gone { asked, oldest }
}

/// About `READ_BYTES`, and never less than one whole group.
fn read_groups(file: &dyn File, offset: u64) -> io::Result<Bytes> {
    let left = usize::try_from(file.bytes()?.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; READ_BYTES.min(left)];
    let read = read_full_at(file, &mut bytes, offset)?;
    bytes.truncate(read);
    let first = group::claimed_bytes(&bytes).unwrap_or(0);
    if first > read && first <= left {
        bytes.resize(first, 0);
        let more = read_full_at(file, &mut bytes[read..], offset + read as u64)?;
        bytes.truncate(read + more);
    }
    Ok(Bytes::from(bytes))
}

/// On this process's clock; groups of an earlier process count from when they were found.
fn durable_at(shared: &Shared, seq: GroupSeq, sealed_at: UnixMicros) -> Instant {
    if seq <= shared.recovered_through {
        return shared.opened_at;
    }
    let age_us = u64::try_from(clock::now().0 - sealed_at.0).unwrap_or(0);
    let at = Instant::now().checked_sub(Duration::from_micros(age_us));
    at.map_or(shared.opened_at, |at| at.max(shared.opened_at))
}

/// Everything on disk from `from` on, without the hand-off and without a runtime.
#[cfg(test)]
pub(super) fn read_all(shared: &Shared, from: GroupSeq) -> Result<Vec<Group>, OpenError> {
    let mut all = Vec::new();
    let mut position = Position {
        next: from,
        at: None,
    };
    let durable = shared.stats.durable_seq();
    while position.next <= durable {
        let chunk = read_chunk(shared, position, durable)?;
        all.extend(chunk.groups);
        position = chunk.after;
    }
    Ok(all)
}

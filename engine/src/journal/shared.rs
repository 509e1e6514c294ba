//! What the journal's threads and its feed hold in common.

use super::stats::Stats;
use super::storage::{File, Storage};
use super::{Group, OpenError, Options, segment};
use crate::batch::HandOff;
use crate::limits::{SEALED_BYTES_MAX, SEALED_GROUPS_MAX};
use crate::model::{GroupSeq, JournalId};
use fiber_contract::UnixMicros;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// The next segment before it has a number.
pub(super) const SPARE_NAME: &str = "spare.tmp";

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) journal: JournalId,
    pub(super) segment_bytes: u64,
    pub(super) stats: Arc<Stats>,
    pub(super) hand_off: HandOff<Handed>,
    /// The last group that is in the hand-off or was offered to it; what is missing there has to
    /// come from disk.
    pub(super) announced_seq: AtomicU64,
    /// Oldest first; the last is the active one.
    segments: Mutex<VecDeque<Segment>>,
    marks: Mutex<Marks>,
    /// Preallocated; whoever renames or remakes it holds the lock.
    spare: Mutex<Option<Spare>>,
    pub(super) poison: watch::Sender<bool>,
    pub(super) opened_at: Instant,
    /// The last sequence that was there at start.
    pub(super) recovered_through: GroupSeq,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) first_seq: GroupSeq,
}

/// The next segment's file.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) file: Arc<dyn File>,
    /// Zeros written, from the front: see `Tidy::fill_spare`.
    pub(super) filled: u64,
}

/// A group in memory, and where the next one begins on disk.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) group: Group,
    pub(super) segment: u64,
    pub(super) end: u64,
}

impl Shared {
    pub(super) fn new(
        options: &Options,
        storage: Arc<dyn Storage>,
        journal: JournalId,
        segments: VecDeque<Segment>,
        marks: Marks,
        recovered_through: GroupSeq,
    ) -> Self {
        let stats = Stats::new(options.segment_bytes, options.bytes_max, options.age_max);
        stats
            .segments
            .store(segments.len() as u64, Ordering::Release);
        stats
            .durable_seq
            .store(recovered_through.0, Ordering::Release);
        let before_first = segments.front().map_or(0, |first| first.first_seq.0 - 1);
        stats.released_seq.store(before_first, Ordering::Release);
        stats
            .oldest_unreleased
            .store(marks.oldest().0, Ordering::Relaxed);
        Self {
            storage,
            journal,
            segment_bytes: options.segment_bytes,
            stats: Arc::new(stats),
            hand_off: HandOff::new(SEALED_GROUPS_MAX, SEALED_BYTES_MAX),
            announced_seq: AtomicU64::new(recovered_through.0),
            segments: Mutex::new(segments),
            marks: Mutex::new(marks),
            spare: Mutex::default(),
            poison: watch::channel(false).0,
            opened_at: Instant::now(),
            recovered_through,
        }
    }

    pub(super) fn segments(&self) -> MutexGuard<'_, VecDeque<Segment>> {
        lock(&self.segments)
    }

    pub(super) fn spare(&self) -> MutexGuard<'_, Option<Spare>> {
        lock(&self.spare)
    }

    pub(super) fn add_mark(&self, seq: GroupSeq, at: UnixMicros) {
        let mut marks = lock(&self.marks);
        marks.add(seq, at);
        self.stats
            .oldest_unreleased
            .store(marks.oldest().0, Ordering::Relaxed);
    }

    /// Everything up to `through` may go; the files go when the tidying thread gets to it.
    pub(super) fn release(&self, through: GroupSeq) {
        let through = through.min(self.stats.durable_seq());
        if self
            .stats
            .released_seq
            .fetch_max(through.0, Ordering::AcqRel)
            < through.0
        {
            let mut marks = lock(&self.marks);
            marks.release(through);
            self.stats
                .oldest_unreleased
                .store(marks.oldest().0, Ordering::Relaxed);
        }
    }

    /// For ever. The first error is the one that is kept.
    pub(super) fn poison(&self, doing: &'static str, error: &io::Error) {
        if !self.stats.poisoned.swap(true, Ordering::AcqRel) {
            tracing::error!(%error, doing, "journal failed; refusing all work until a restart");
            self.poison.send_replace(true);
            self.hand_off.wake();
        }
    }

    /// Makes a spare where there is none. Its space is reserved and its length durable, so taking
    /// it into use needs nothing from the disk but a few sectors of the folder.
    pub(super) fn make_spare(&self, spare: &mut Option<Spare>) -> io::Result<()> {
        if spare.is_none() {
            let file = new_file(&*self.storage, SPARE_NAME, self.segment_bytes)?;
            *spare = Some(Spare { file, filled: 0 });
        }
        Ok(())
    }

    pub(super) fn segment_error(&self, number: u64) -> impl FnOnce(io::Error) -> OpenError {
        OpenError::io(self.storage.path(&segment::file_name(number)))
    }
}

pub(super) fn new_file(storage: &dyn Storage, name: &str, bytes: u64) -> io::Result<Arc<dyn File>> {
    let file = storage.create(name)?;
    let made = file.preallocate(bytes).and_then(|()| file.sync());
    if let Err(error) = made {
        // Half a file would hold the space that the disk is short of.
        if let Err(error) = storage.remove(name) {
            tracing::debug!(%error, name, "remove an unfinished file");
        }
        return Err(error);
    }
    Ok(file)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When groups became durable, coarsely: enough for the age of the oldest, in bounded memory.
#[derive(Debug)]
pub(super) struct Marks {
    marks: VecDeque<(GroupSeq, UnixMicros)>,
    interval_us: i64,
}

const MARK_INTERVAL_US: i64 = 100_000;
const MARKS_MAX: usize = 8_192;

impl Marks {
    pub(super) fn new() -> Self {
        Self {
            marks: VecDeque::new(),
            interval_us: MARK_INTERVAL_US,
        }
    }

    pub(super) fn add(&mut self, seq: GroupSeq, at: UnixMicros) {
        match self.marks.back() {
            // A clock that was set back makes a mark too: ages are then short, never stuck.
            Some((_, last)) if (0..self.interval_us).contains(&(at.0 - last.0)) => {}
            _ => self.marks.push_back((seq, at)),
        }
        if self.marks.len() > MARKS_MAX {
            let mut keep = false;
            self.marks.retain(|_| {
                keep = !keep;
                keep
            });
            self.interval_us *= 2;
        }
    }

    fn release(&mut self, through: GroupSeq) {
        while self
            .marks
            .get(1)
            .is_some_and(|(seq, _)| *seq <= through.next())
        {
            self.marks.pop_front();
        }
        if self.marks.len() < MARKS_MAX / 4 {
            self.interval_us = MARK_INTERVAL_US;
        }
    }

    fn oldest(&self) -> UnixMicros {
        self.marks.front().map_or(UnixMicros(0), |(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_follow_the_oldest_group_and_stay_few() {
        let mut marks = Marks::new();
        for seq in 1..=100_000 {
            marks.add(
                GroupSeq(seq),
                UnixMicros::from_secs(i64::try_from(seq).unwrap()),
            );
        }
        assert!(marks.marks.len() <= MARKS_MAX);
        assert_eq!(marks.oldest(), UnixMicros::from_secs(1));
        marks.release(GroupSeq(50_000));
        let age_s = marks.oldest().0 / 1_000_000;
        assert!((49_900..=50_001).contains(&age_s), "{age_s}");
    }
}

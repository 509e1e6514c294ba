//! The journal's thread: makes groups of what waits, writes, syncs, answers.
//!
//! `Writer` has no thread and no clock of its own, so tests drive it call by call over a fake disk;
//! `run` is the loop around it.

use super::answers::{self, Answering, Answers};
use super::error::is_no_space;
use super::segment::{self, FIRST_GROUP_AT, Header};
use super::shared::{Handed, SPARE_NAME, Segment, Shared};
use super::storage::{File, write_all_at, write_all_parts_at, write_zeros};
use super::{CommitFailed, Group, group};
use crate::failpoint::{self, Point};
use crate::model::{GroupSeq, clock};
use crate::planted::planted;
use bytes::Bytes;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use fiber_contract::UnixMicros;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often a full disk is tried again.
const NO_SPACE_RETRY: Duration = Duration::from_millis(500);

/// How long the thread looks for a record before it sleeps, if the one before came as soon. To be
/// put to sleep and woken takes 15 µs on an idle machine; under load there is always something, and
/// with nothing to do this is spent once. Others may have the core meanwhile.
const SPIN: Duration = Duration::from_micros(40);

#[derive(Debug)]
pub(super) enum Message {
    Append(Entry),
    /// Commit what is queued and end.
    Stop,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) record: Vec<u8>,
    pub(super) samples: u32,
    pub(super) answer: answers::Sender,
    /// Who gives the answer out; without, the journal does.
    pub(super) by: Option<Arc<Answers>>,
}

#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// Wakes the tidying thread.
    tidy: Sender<()>,
    active: Active,
    next_seq: GroupSeq,
}

#[derive(Debug)]
pub(super) struct Active {
    pub(super) file: Arc<dyn File>,
    pub(super) number: u64,
    pub(super) file_bytes: u64,
    /// Where the next group goes. Everything behind it is zeros, but for `dirty_to`.
    pub(super) offset: u64,
    /// End of a group whose write ended half way for want of space.
    pub(super) dirty_to: Option<u64>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, active: Active, tidy: Sender<()>) -> Self {
        let next_seq = shared.recovered_through.next();
        let writer = Self {
            shared,
            tidy,
            active,
            next_seq,
        };
        writer.show_active();
        writer
    }

    /// Makes one group of all entries, which must fit in one, and answers each of them.
    pub(super) fn commit(&mut self, entries: &mut Vec<Entry>) {
        let queued: usize = entries
            .iter()
            .map(|entry| group::record_bytes(&entry.record))
            .sum();
        let (result, written) = match self.write(entries, queued) {
            Ok(written) => (Ok(written.seq), Some(written)),
            Err(failed) => (Err(failed), None),
        };
        self.shared
            .stats
            .queued_bytes
            .fetch_sub(queued as u64, Ordering::AcqRel);
        let mut answering = Answering::default();
        for entry in entries.drain(..) {
            answering.answer(entry.answer, entry.by, result);
        }
        drop(answering);
        if let Some(written) = written {
            failpoint::pass(Point::GroupAnswered);
            self.publish(written);
        }
    }

    fn write(&mut self, entries: &mut [Entry], queued: usize) -> Result<Written, CommitFailed> {
        let group_bytes = group::group_bytes(queued) as u64;
        self.make_room(group_bytes)?;
        let samples = entries
            .iter()
            .fold(0_u32, |sum, entry| sum.saturating_add(entry.samples));
        let sealed_at = clock::now();
        let place = group::Place {
            journal: self.shared.journal,
            segment: self.active.number,
        };
        let records = entries
            .iter_mut()
            .map(|entry| std::mem::take(&mut entry.record));
        let encoded = group::encode(records, samples, self.next_seq, sealed_at, place);
        let bytes = encoded.bytes as u64;
        let began = Instant::now();
        let (file, offset) = (&*self.active.file, self.active.offset);
        if let Err(error) = write_all_parts_at(file, &encoded.parts, offset) {
            if !planted("half-write-left") {
                self.active.dirty_to = Some(offset + bytes);
            }
            return Err(self.fail("write a group", &error));
        }
        failpoint::pass(Point::GroupWritten);
        // Whatever its kind: after a failed fsync nobody knows what is on the disk.
        let synced = if planted("ack-before-fsync") {
            Ok(())
        } else {
            self.active.file.sync()
        };
        if let Err(error) = synced
            && !planted("failed-fsync-is-tried-again")
        {
            return Err(self.poison("fdatasync a group", &error));
        }
        failpoint::pass(Point::GroupSynced);
        self.shared.stats.commit.record(began.elapsed());
        self.active.offset += bytes;
        let seq = self.next_seq;
        self.next_seq = seq.next();
        let written = Written {
            seq,
            samples,
            sealed_at,
            bytes: encoded.bytes,
            records: encoded.records,
        };
        self.count(&written, entries.len());
        Ok(written)
    }

    /// Before the answers and the hand-off: whoever has heard of a group sees it counted.
    fn count(&self, written: &Written, records: usize) {
        let stats = &self.shared.stats;
        self.show_active();
        stats.groups.fetch_add(1, Ordering::Relaxed);
        stats.records.fetch_add(records as u64, Ordering::Relaxed);
        stats
            .samples
            .fetch_add(u64::from(written.samples), Ordering::Relaxed);
        stats
            .bytes_written
            .fetch_add(written.bytes as u64, Ordering::Relaxed);
        self.shared.add_mark(written.seq, written.sealed_at);
        stats.durable_seq.store(written.seq.0, Ordering::Release);
    }

    fn publish(&self, written: Written) {
        let Written {
            seq,
            samples,
            bytes,
            records,
            ..
        } = written;
        let group = Group {
            seq,
            durable_at: Instant::now(),
            samples,
            records,
        };
        let (segment, end) = (self.active.number, self.active.offset);
        // In the hand-off before it is announced: a reader that finds neither looks on disk.
        if self
            .shared
            .hand_off
            .push(
                Handed {
                    group,
                    segment,
                    end,
                },
                bytes,
            )
            .is_err()
        {
            self.shared
                .stats
                .not_handed_over
                .fetch_add(1, Ordering::Relaxed);
        }
        self.shared.announced_seq.store(seq.0, Ordering::Release);
        self.shared.hand_off.wake();
    }

    /// A clean tail in a segment that has `group_bytes` left.
    fn make_room(&mut self, group_bytes: u64) -> Result<(), CommitFailed> {
        if self.shared.stats.is_poisoned() {
            return Err(CommitFailed::Poisoned);
        }
        self.clean_tail()?;
        if self.active.offset + group_bytes <= self.active.file_bytes {
            return Ok(());
        }
        if !self.shared.stats.may_add_segment() {
            return Err(CommitFailed::NoSpace);
        }
        self.rotate()
    }

    /// Takes away what a failed write left, so that nothing that was refused can be found later.
    fn clean_tail(&mut self) -> Result<(), CommitFailed> {
        if let Some(dirty_to) = self.active.dirty_to {
            write_zeros(&*self.active.file, self.active.offset, dirty_to)
                .map_err(|error| self.fail("clear a half-written group", &error))?;
            self.active
                .file
                .sync()
                .map_err(|error| self.poison("fdatasync a cleared tail", &error))?;
            self.active.dirty_to = None;
        }
        Ok(())
    }

    /// Goes on in a new segment. Its header is durable before it has a name, and its name before a
    /// group in it is acknowledged.
    fn rotate(&mut self) -> Result<(), CommitFailed> {
        let shared = Arc::clone(&self.shared);
        let mut spare = shared.spare();
        shared
            .make_spare(&mut spare)
            .map_err(|error| self.fail("make a segment", &error))?;
        // Out of the slot: whatever fails from here, the next attempt begins with a new file.
        let file = spare.take().expect("made above").file;
        let number = self.active.number + 1;
        let (first_seq, file_bytes) = (self.next_seq, shared.segment_bytes);
        let header = Header {
            journal: shared.journal,
            number,
            first_seq,
            file_bytes,
        };
        write_all_at(&*file, &header.encode(), 0)
            .map_err(|error| self.fail("write a segment's header", &error))?;
        if !planted("name-before-durable-header") {
            file.sync()
                .map_err(|error| self.poison("fdatasync a segment's header", &error))?;
        }
        failpoint::pass(Point::SegmentHeaded);
        shared
            .storage
            .rename(SPARE_NAME, &segment::file_name(number))
            .map_err(|error| self.fail("name a segment", &error))?;
        failpoint::pass(Point::SegmentNamed);
        if !planted("name-not-durable") {
            shared
                .storage
                .sync_dir()
                .map_err(|error| self.poison("fsync the folder", &error))?;
        }
        drop(spare);
        let mut segments = shared.segments();
        segments.push_back(Segment { number, first_seq });
        self.active = Active {
            file,
            number,
            file_bytes,
            offset: FIRST_GROUP_AT,
            dirty_to: None,
        };
        self.show_active();
        shared
            .stats
            .segments
            .store(segments.len() as u64, Ordering::Release);
        drop(segments);
        self.wake_tidy();
        Ok(())
    }

    /// While the disk is full: see whether it still is.
    pub(super) fn retry_space(&mut self) {
        if !self.shared.stats.no_space.load(Ordering::Relaxed) || self.shared.stats.is_poisoned() {
            return;
        }
        if self.clean_tail().is_err() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let made = shared.make_spare(&mut shared.spare());
        match made {
            Ok(()) => {
                shared.stats.no_space.store(false, Ordering::Relaxed);
                tracing::info!("the disk has space again; the journal takes records");
            }
            Err(error) => {
                self.fail("make a segment", &error);
            }
        }
    }

    /// What an error of anything but an fsync means.
    fn fail(&self, doing: &'static str, error: &io::Error) -> CommitFailed {
        if !is_no_space(error) {
            return self.poison(doing, error);
        }
        if !self.shared.stats.no_space.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, doing, "no space for the journal; refusing records until there is");
        }
        CommitFailed::NoSpace
    }

    fn poison(&self, doing: &'static str, error: &io::Error) -> CommitFailed {
        self.shared.poison(doing, error);
        CommitFailed::Poisoned
    }

    fn show_active(&self) {
        let stats = &self.shared.stats;
        let left = self.active.file_bytes.saturating_sub(self.active.offset);
        stats.active_left.store(left, Ordering::Relaxed);
        stats
            .active_used
            .store(self.active.offset, Ordering::Relaxed);
    }

    fn wake_tidy(&self) {
        // Full means that it is awake already; gone, that the journal stops.
        self.tidy.try_send(()).unwrap_or_default();
    }

    /// The loop of the thread; ends after `Stop`, with everything that was queued committed.
    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        let group_max = usize::try_from(self.shared.stats.largest_group()).unwrap_or(usize::MAX);
        let mut gathered = Gathered::default();
        loop {
            match gathered.wait(queue, self.shared.stats.no_space.load(Ordering::Relaxed)) {
                Wait::Ready => {
                    gathered.gather(queue, group_max);
                    self.commit(&mut gathered.entries);
                }
                Wait::Tick => self.retry_space(),
                Wait::Ended => return,
            }
        }
    }
}

#[derive(Debug)]
struct Written {
    seq: GroupSeq,
    samples: u32,
    sealed_at: UnixMicros,
    bytes: usize,
    records: Vec<Bytes>,
}

enum Wait {
    Ready,
    Tick,
    Ended,
}

/// What goes into the next group.
#[derive(Default)]
struct Gathered {
    entries: Vec<Entry>,
    /// The first of the group after, when it did not fit any more.
    next: Option<Entry>,
    stopping: bool,
    /// The one before did not keep the thread waiting for long.
    came_soon: bool,
}

impl Gathered {
    /// Until there is a first entry.
    fn wait(&mut self, queue: &Receiver<Message>, no_space: bool) -> Wait {
        if let Some(next) = self.next.take() {
            self.entries.push(next);
            return Wait::Ready;
        }
        let message = if self.stopping {
            queue.try_recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else if no_space {
            queue.recv_timeout(NO_SPACE_RETRY)
        } else {
            self.receive(queue)
        };
        match message {
            Ok(Message::Append(entry)) => {
                self.entries.push(entry);
                Wait::Ready
            }
            Ok(Message::Stop) => {
                self.stopping = true;
                Wait::Tick
            }
            Err(RecvTimeoutError::Timeout) => Wait::Tick,
            Err(RecvTimeoutError::Disconnected) => Wait::Ended,
        }
    }

    /// The next message. A client that answers at once is met awake.
    fn receive(&mut self, queue: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        let began = Instant::now();
        while self.came_soon && began.elapsed() < SPIN {
            match queue.try_recv() {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Empty) => std::thread::yield_now(),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            }
        }
        let message = queue.recv().map_err(|_| RecvTimeoutError::Disconnected);
        self.came_soon = began.elapsed() < SPIN;
        message
    }

    /// Takes everything that waits already, as far as one group holds it.
    fn gather(&mut self, queue: &Receiver<Message>, group_max: usize) {
        let mut content: usize = self
            .entries
            .iter()
            .map(|entry| group::record_bytes(&entry.record))
            .sum();
        loop {
            match queue.try_recv() {
                Ok(Message::Append(entry)) => {
                    content += group::record_bytes(&entry.record);
                    if group::group_bytes(content) > group_max {
                        self.next = Some(entry);
                        return;
                    }
                    self.entries.push(entry);
                }
                Ok(Message::Stop) => self.stopping = true,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }
}

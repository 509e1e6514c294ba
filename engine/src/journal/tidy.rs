//! The second thread: frees released segments and keeps a spare ready, so that the first one never
//! waits for either.

use super::error::is_no_space;
use super::segment;
use super::shared::Shared;
use super::storage::write_zeros;
use crate::failpoint::{self, Point};
use crate::planted::planted;
use crossbeam::channel::{Receiver, RecvTimeoutError};
use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Zeros written to the spare at once.
const FILL_BYTES: u64 = 1024 * 1024;
/// A journal that writes groups of this size on average is at the disk's bandwidth, and zeros written
/// ahead would halve it. What they save, some 40 µs a sync, is then a small part of one.
const FILL_GROUP_BYTES_MAX: u64 = 128 * 1024;
/// How often a spare that could not be made, or was left without zeros, is tried again.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Tidy {
    shared: Arc<Shared>,
    /// Groups and their bytes when the last zeros were written.
    seen: Cell<(u64, u64)>,
}

impl Tidy {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            seen: Cell::default(),
        }
    }

    /// True when everything is done; false when it is to be tried again.
    pub(super) fn once(&self) -> bool {
        if self.shared.stats.is_poisoned() {
            return true;
        }
        self.free() && self.keep_spare()
    }

    /// Oldest first, each removal durable before the next: a crash must not bring an older segment
    /// back without its successor.
    fn free(&self) -> bool {
        loop {
            let released = self.shared.stats.released_seq();
            let number = {
                let segments = self.shared.segments();
                match (segments.front(), segments.get(1)) {
                    (Some(oldest), Some(next))
                        if next.first_seq <= released.next()
                            || planted("freed-one-early")
                                && next.first_seq == released.next().next() =>
                    {
                        oldest.number
                    }
                    _ => return true,
                }
            };
            let name = segment::file_name(number);
            match self.shared.storage.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, name, "cannot remove a released segment; trying again");
                    return false;
                }
                _ => {}
            }
            failpoint::pass(Point::SegmentRemoved);
            if let Err(error) = self.shared.storage.sync_dir() {
                self.shared.poison("fsync the folder", &error);
                return true;
            }
            let mut segments = self.shared.segments();
            segments.pop_front();
            self.shared
                .stats
                .segments
                .store(segments.len() as u64, Ordering::Release);
        }
    }

    fn keep_spare(&self) -> bool {
        if !self.shared.stats.may_add_segment() {
            return true;
        }
        let made = self.shared.make_spare(&mut self.shared.spare());
        match made.and_then(|()| self.fill_spare()) {
            Ok(filled) => filled,
            Err(error) if is_no_space(&error) => false,
            Err(error) => {
                self.shared.poison("make a spare segment", &error);
                true
            }
        }
    }

    /// Writes the spare's zeros, as far as it gets before the spare is taken. Syncing a write into
    /// blocks that were written before needs no change of the file's map. Measured on ext4 over
    /// NVMe with groups one after the other: 31 MB/s in place of 23 with 4 KiB, 360 in place of
    /// 250 with 64 KiB, and about a tenth less with 1 MiB, where the disk itself is the limit.
    ///
    /// The lock is held for each step, so the journal's thread never waits for more than one, and
    /// no error of its own syncs can be reported here instead.
    /// False when it was left for later, because groups are large now.
    fn fill_spare(&self) -> io::Result<bool> {
        loop {
            if self.groups_are_large() {
                return Ok(false);
            }
            let mut slot = self.shared.spare();
            let Some(spare) = slot.as_mut() else {
                return Ok(true);
            };
            if spare.filled >= self.shared.segment_bytes {
                return Ok(true);
            }
            let to = (spare.filled + FILL_BYTES).min(self.shared.segment_bytes);
            let filled = write_zeros(&*spare.file, spare.filled, to);
            if let Err(error) = filled.and_then(|()| spare.file.sync()) {
                *slot = None;
                return Err(error);
            }
            spare.filled = to;
        }
    }

    /// Those written since the last call.
    fn groups_are_large(&self) -> bool {
        let stats = &self.shared.stats;
        let seen = (stats.groups_written(), stats.bytes_written());
        let before = self.seen.replace(seen);
        let (groups, bytes) = (seen.0 - before.0, seen.1 - before.1);
        groups > 0 && bytes / groups > FILL_GROUP_BYTES_MAX
    }

    /// Until the other end of `wake` is gone, or the journal stops.
    pub(super) fn run(self, wake: &Receiver<()>) {
        while !self.shared.stats.stopping.load(Ordering::Acquire) {
            let woken = if self.once() {
                wake.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                wake.recv_timeout(RETRY)
            };
            if woken == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }
}

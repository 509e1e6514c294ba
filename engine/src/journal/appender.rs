//! The way in.

use super::answers::Answers;
use super::shared::Shared;
use super::stats::Stats;
use super::writer::{Entry, Message};
use super::{Appender, Pending, Refused, group};
use crate::limits::{APPEND_QUEUE_BYTES_MAX, APPEND_QUEUE_RECORDS};
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use futures_channel::oneshot;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(super) fn channel(shared: &Shared) -> (Appender, Receiver<Message>) {
    let (sender, receiver) = bounded(APPEND_QUEUE_RECORDS);
    (
        Appender {
            sender,
            stats: Arc::clone(&shared.stats),
        },
        receiver,
    )
}

impl Appender {
    /// Whether a record of `bytes` would be taken now: cheap, for the moment before a body is read.
    pub fn has_room(&self, bytes: usize) -> Result<(), Refused> {
        self.stats.admit(bytes as u64)
    }

    /// Queues one encoded record for the next group. `samples` is its row count, for the counters.
    /// The answer resolves after the group's fdatasync, on whatever runtime awaits it. An answer
    /// that is cancelled means that the journal stopped and the record may be lost: not an ack.
    pub fn try_append(&self, record: Vec<u8>, samples: u32) -> Result<Pending, Refused> {
        self.try_append_for(record, samples, None)
    }

    /// The same, answered through `by`.
    pub fn try_append_for(
        &self,
        record: Vec<u8>,
        samples: u32,
        by: Option<Arc<Answers>>,
    ) -> Result<Pending, Refused> {
        let bytes = group::record_bytes(&record);
        if group::group_bytes(bytes) as u64 > self.stats.largest_group() {
            return Err(Refused::TooLarge);
        }
        self.has_room(bytes)?;
        let reserved = Reserved::new(&self.stats, bytes as u64)?;
        let (answer, pending) = oneshot::channel();
        match self.sender.try_send(Message::Append(Entry {
            record,
            samples,
            answer,
            by,
        })) {
            Ok(()) => {
                // The writer gives the bytes back when it answers.
                reserved.keep();
                Ok(pending)
            }
            Err(TrySendError::Full(_)) => Err(Refused::Busy),
            Err(TrySendError::Disconnected(_)) => Err(Refused::Stopping),
        }
    }

    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    pub(super) fn sender(&self) -> &Sender<Message> {
        &self.sender
    }
}

/// Bytes in the queue, given back on every path that does not end in the queue.
struct Reserved<'a> {
    stats: &'a Stats,
    bytes: u64,
}

impl<'a> Reserved<'a> {
    fn new(stats: &'a Stats, bytes: u64) -> Result<Self, Refused> {
        let before = stats.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        let reserved = Self { stats, bytes };
        if before.saturating_add(bytes) > APPEND_QUEUE_BYTES_MAX as u64 {
            return Err(Refused::Busy);
        }
        Ok(reserved)
    }

    fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.stats
            .queued_bytes
            .fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

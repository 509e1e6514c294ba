//! To be filled.

mod error;
pub mod record;

pub use error::{CommitFailed, OpenError, Refused};

use crate::model::{GroupSeq, JournalId};
use bytes::Bytes;
use std::path::PathBuf;
use std::time::Instant;

#[derive(Clone, Debug)]
pub struct Options {
    pub dir: PathBuf,
    pub segment_bytes: u64,
    /// Bytes on disk at which appends are refused.
    pub bytes_max: u64,
}

/// The way in: cheap to clone, used from every core and from tokio.
#[derive(Clone, Debug)]
pub struct Appender {}

impl Appender {
    /// Queues one encoded record for the next group. `samples` is its row count, for the counters.
    /// The answer resolves after the group's fdatasync, on whatever runtime awaits it.
    pub fn try_append(&self, _record: Vec<u8>, _samples: u32) -> Result<Pending, Refused> {
        Err(Refused::Full)
    }
}

/// Resolves to the group that holds the record once it is durable.
pub type Pending = futures_channel::oneshot::Receiver<Result<GroupSeq, CommitFailed>>;

/// A durable group: what a transaction is made of.
#[derive(Clone, Debug)]
pub struct Group {
    pub seq: GroupSeq,
    /// When it became durable, or was found at start.
    pub durable_at: Instant,
    pub samples: u32,
    pub records: Vec<Bytes>,
}

/// The way out, for the one writer: groups in order from any position.
#[derive(Debug)]
pub struct Feed {}

impl Feed {
    pub fn journal_id(&self) -> JournalId {
        JournalId(uuid::Uuid::nil())
    }

    /// Continue after `seq`: the next group is `seq.next()`.
    pub fn seek_after(&mut self, _seq: GroupSeq) {}

    /// The next durable group; waits for one. From memory when it just came, else from disk.
    pub async fn next(&mut self) -> Result<Group, OpenError> {
        std::future::pending().await
    }

    /// The next group if there is one now.
    pub async fn try_next(&mut self) -> Result<Option<Group>, OpenError> {
        std::future::ready(Ok(None)).await
    }

    /// Everything up to `seq` is safe in the database's own log: its segments may go.
    pub fn release(&self, _through: GroupSeq) {}
}

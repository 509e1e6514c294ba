//! Where the writer takes its groups from: the journal, or memory in tests and benches.

use crate::journal::{Feed, Group, OpenError};
use crate::model::{GroupSeq, JournalId};
use std::future::Future;

/// Groups in order, from any position.
pub trait Groups: Send {
    fn journal_id(&self) -> JournalId;

    /// The oldest group that may still be read.
    fn oldest_available(&self) -> GroupSeq;

    /// The newest group that is there.
    fn durable(&self) -> GroupSeq;

    /// The next group is `seq.next()`, or the first after it where sequences were lost.
    fn seek_after(&mut self, seq: GroupSeq);

    /// Waits for a group. Dropping the future must not lose one.
    fn next(&mut self) -> impl Future<Output = Result<Group, OpenError>> + Send;

    fn try_next(&mut self) -> impl Future<Output = Result<Option<Group>, OpenError>> + Send;

    /// Everything up to `through` survives a crash of the database.
    fn release(&self, through: GroupSeq);
}

impl Groups for Feed {
    fn journal_id(&self) -> JournalId {
        Self::journal_id(self)
    }

    fn oldest_available(&self) -> GroupSeq {
        Self::oldest_available(self)
    }

    fn durable(&self) -> GroupSeq {
        Self::durable(self)
    }

    fn seek_after(&mut self, seq: GroupSeq) {
        Self::seek_after(self, seq);
    }

    fn next(&mut self) -> impl Future<Output = Result<Group, OpenError>> + Send {
        Self::next(self)
    }

    fn try_next(&mut self) -> impl Future<Output = Result<Option<Group>, OpenError>> + Send {
        Self::try_next(self)
    }

    fn release(&self, through: GroupSeq) {
        Self::release(self, through);
    }
}

//! Ids and positions. A journal is named by its id; a group by (journal, sequence); sequences of
//! one journal only grow and are never reused, so their order is the order of durability. Recovery
//! may leave out some, which were cut as torn or lost to damage.

use std::fmt;
use uuid::Uuid;

/// Drawn once when a journal directory is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JournalId(pub Uuid);

/// Position of a group in its journal, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupSeq(pub u64);

impl GroupSeq {
    /// The position before the first group.
    pub const ZERO: Self = Self(0);

    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for GroupSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `X-Batch-ID`, or one that the engine drew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchId(pub Uuid);

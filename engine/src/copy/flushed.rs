//! Which commits the database would still have after a crash.
//!
//! COMMIT is asynchronous: its answer says that others see the rows, not that they are on disk. A
//! group may leave the journal once the server's log is flushed past the position it had right
//! after the commit. What a crash of the server loses is then still in the journal, and the next
//! session starts where `commit_ledger` ends.

use super::error::Error;
use super::tables::Tables;
use crate::model::GroupSeq;
use crate::planted::planted;
use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(super) struct Unflushed {
    /// Ascending in both.
    waiting: VecDeque<(GroupSeq, i64)>,
}

impl Unflushed {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Asks the server, with a commit that was just confirmed if there is one; the answer is up to
    /// where the journal may be freed.
    pub(super) async fn poll(
        &mut self,
        session: &mut impl Tables,
        just_committed: Option<GroupSeq>,
    ) -> Result<Option<GroupSeq>, Error> {
        let Some((inserted, flushed)) = session.log_positions().await? else {
            return Ok(None);
        };
        Ok(self.note(just_committed, inserted, flushed))
    }

    fn note(
        &mut self,
        just_committed: Option<GroupSeq>,
        inserted: i64,
        flushed: i64,
    ) -> Option<GroupSeq> {
        self.waiting
            .extend(just_committed.map(|seq| (seq, inserted)));
        let mut safe = None;
        while let Some((seq, _)) = self
            .waiting
            .pop_front_if(|(_, at)| *at <= flushed || planted("freed-before-flushed"))
        {
            safe = Some(seq);
        }
        safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_safe_once_the_log_is_flushed_past_its_commit() {
        let mut unflushed = Unflushed::default();
        assert_eq!(unflushed.note(Some(GroupSeq(1)), 100, 90), None);
        assert_eq!(unflushed.note(Some(GroupSeq(2)), 200, 99), None);
        assert_eq!(unflushed.note(None, 300, 150), Some(GroupSeq(1)));
        assert!(!unflushed.is_empty());
        assert_eq!(
            unflushed.note(Some(GroupSeq(3)), 300, 300),
            Some(GroupSeq(3))
        );
        assert!(unflushed.is_empty());
    }
}

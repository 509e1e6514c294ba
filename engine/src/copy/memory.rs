//! A journal in memory, for tests and benches of the writer: what is appended is durable at once,
//! and nothing released is ever given again.

use super::source::Groups;
use crate::journal::{Group, OpenError};
use crate::model::{GroupSeq, JournalId};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Cheap to clone: the way in, and what a new `MemoryFeed` of the same journal reads.
#[derive(Clone, Debug)]
pub struct MemoryJournal {
    id: JournalId,
    groups: Arc<Mutex<VecDeque<Group>>>,
    durable: watch::Sender<GroupSeq>,
    released: watch::Sender<GroupSeq>,
}

#[derive(Debug)]
pub struct MemoryFeed {
    journal: MemoryJournal,
    position: GroupSeq,
}

impl MemoryJournal {
    pub fn new(id: JournalId) -> Self {
        Self {
            id,
            groups: Arc::default(),
            durable: watch::channel(GroupSeq::ZERO).0,
            released: watch::channel(GroupSeq::ZERO).0,
        }
    }

    /// One group of encoded records.
    pub fn append(&self, records: Vec<Bytes>, samples: u32) -> GroupSeq {
        let seq = self.durable.borrow().next();
        let durable_at = std::time::Instant::now();
        self.lock().push_back(Group {
            seq,
            durable_at,
            samples,
            records,
        });
        self.durable.send_replace(seq);
        seq
    }

    pub fn feed(&self) -> MemoryFeed {
        MemoryFeed {
            journal: self.clone(),
            position: GroupSeq::ZERO,
        }
    }

    pub fn released(&self) -> GroupSeq {
        *self.released.borrow()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryFeed {
    fn take(&mut self) -> Option<Group> {
        let next = self.position.next();
        let groups = self.journal.lock();
        let at = usize::try_from(next.0.checked_sub(groups.front()?.seq.0)?).ok()?;
        let group = groups.get(at)?.clone();
        drop(groups);
        self.position = next;
        Some(group)
    }
}

impl Groups for MemoryFeed {
    fn journal_id(&self) -> JournalId {
        self.journal.id
    }

    fn oldest_available(&self) -> GroupSeq {
        self.journal
            .lock()
            .front()
            .map_or(GroupSeq::ZERO, |oldest| oldest.seq)
    }

    fn durable(&self) -> GroupSeq {
        *self.journal.durable.borrow()
    }

    fn seek_after(&mut self, seq: GroupSeq) {
        self.position = seq;
    }

    async fn next(&mut self) -> Result<Group, OpenError> {
        let mut durable = self.journal.durable.subscribe();
        loop {
            if let Some(group) = self.take() {
                return Ok(group);
            }
            let position = self.position;
            if durable.wait_for(|seq| *seq > position).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    async fn try_next(&mut self) -> Result<Option<Group>, OpenError> {
        Ok(self.take())
    }

    fn release(&self, through: GroupSeq) {
        let mut groups = self.journal.lock();
        while groups.pop_front_if(|group| group.seq <= through).is_some() {}
        drop(groups);
        self.journal.released.send_if_modified(|released| {
            *released = through.max(*released);
            true
        });
    }
}

//! The answers to the batches that named themselves, so that a repeated request gets its first
//! answer again. An answer is remembered only once it is durable, never before; a retry that comes
//! while the first is under way is stored again, and its samples count as duplicates below.
//!
//! Bounded and in memory: what is forgotten costs a retry the exact path in `copy`, never a
//! duplicate row. A start fills it again: first from the journal's segments, where every record
//! holds its answer, before anything is accepted; then from `batches` (`copy::receipts`), for what
//! the journal has freed. No request waits for the database.

use crate::copy::Groups;
use crate::journal::OpenError;
use crate::journal::record::Record;
use crate::limits::BATCH_IDS_MAX;
use crate::model::{BatchId, GroupSeq};
use crate::planted::planted;
use fiber_contract::ingest::IngestData;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

const SHARDS: usize = 16;

#[derive(Debug, Default)]
pub struct BatchIds {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    known: HashMap<BatchId, Known>,
    oldest_first: VecDeque<BatchId>,
}

#[derive(Clone, Debug)]
struct Known {
    body_hash: [u8; 32],
    answer: Arc<IngestData>,
}

/// What is known of a batch id.
#[derive(Debug, PartialEq)]
pub enum Seen {
    New,
    /// The same body was answered so.
    Answered(Arc<IngestData>),
    /// Another body came under this id.
    Conflict,
}

impl BatchIds {
    fn shard(&self, id: BatchId) -> std::sync::MutexGuard<'_, Shard> {
        let at = usize::from(id.0.as_bytes()[15]) % SHARDS;
        self.shards[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub fn look(&self, id: BatchId, body_hash: &[u8; 32]) -> Seen {
        match self.shard(id).known.get(&id) {
            None => Seen::New,
            Some(known) if known.body_hash == *body_hash || planted("body-hash-not-compared") => {
                Seen::Answered(Arc::clone(&known.answer))
            }
            Some(_) => Seen::Conflict,
        }
    }

    /// The body's hash and the answer of a batch that is remembered.
    pub fn first_answer(&self, id: BatchId) -> Option<([u8; 32], Arc<IngestData>)> {
        let shard = self.shard(id);
        let known = shard.known.get(&id)?;
        Some((known.body_hash, Arc::clone(&known.answer)))
    }

    /// The first answer stays.
    pub fn remember(&self, id: BatchId, body_hash: [u8; 32], answer: IngestData) {
        let mut shard = self.shard(id);
        if shard.known.contains_key(&id) {
            return;
        }
        let newest_goes = planted("newest-answer-forgotten");
        if shard.oldest_first.len() >= BATCH_IDS_MAX / SHARDS
            && let Some(oldest) = if newest_goes {
                shard.oldest_first.pop_back()
            } else {
                shard.oldest_first.pop_front()
            }
        {
            shard.known.remove(&oldest);
        }
        shard.oldest_first.push_back(id);
        shard.known.insert(
            id,
            Known {
                body_hash,
                answer: Arc::new(answer),
            },
        );
    }
}

impl BatchIds {
    /// An answer older than all that is known: it takes room that is left, and never another's.
    pub fn remember_older(&self, id: BatchId, body_hash: [u8; 32], answer: IngestData) -> bool {
        let mut shard = self.shard(id);
        if shard.known.contains_key(&id) || shard.oldest_first.len() >= BATCH_IDS_MAX / SHARDS {
            return false;
        }
        shard.oldest_first.push_front(id);
        let answer = Arc::new(answer);
        shard.known.insert(id, Known { body_hash, answer });
        true
    }

    /// Reads the answers in the journal up to `through`, and leaves the feed before `released`.
    pub async fn restore(
        &self,
        feed: &mut impl Groups,
        released: GroupSeq,
        through: GroupSeq,
    ) -> Result<u64, OpenError> {
        let mut restored = 0;
        feed.seek_after(GroupSeq(feed.oldest_available().0.saturating_sub(1)));
        while let Some(group) = feed.try_next().await? {
            for bytes in &group.records {
                restored += u64::from(self.restore_record(bytes));
            }
            if group.seq >= through || planted("answers-of-one-group-restored") {
                break;
            }
        }
        feed.seek_after(released);
        Ok(restored)
    }

    fn restore_record(&self, bytes: &[u8]) -> bool {
        let named = Record::decode(bytes).filter(|record| record.named_by_client);
        let Some(record) = named else { return false };
        let Ok(answer) = serde_json::from_slice(record.answer) else {
            return false;
        };
        self.remember(record.batch_id, record.body_hash, answer);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn answer(queued: u32) -> IngestData {
        IngestData {
            batch_id: String::new(),
            source_region: None,
            queued,
            accepted: queued,
            duplicates: 0,
            rejected: 0,
            errors: Vec::new(),
        }
    }

    #[test]
    fn the_first_answer_comes_again_and_another_body_conflicts() {
        let (ids, id) = (BatchIds::default(), BatchId(Uuid::from_u128(1)));
        assert_eq!(ids.look(id, &[1; 32]), Seen::New);
        ids.remember(id, [1; 32], answer(5));
        ids.remember(id, [2; 32], answer(6));
        assert_eq!(ids.look(id, &[1; 32]), Seen::Answered(Arc::new(answer(5))));
        assert_eq!(ids.look(id, &[2; 32]), Seen::Conflict);
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let ids = BatchIds::default();
        let id = |n: usize| BatchId(Uuid::from_u128((n as u128) << 8));
        let per_shard = BATCH_IDS_MAX / SHARDS;
        for n in 0..=per_shard {
            ids.remember(id(n), [0; 32], answer(1));
        }
        assert_eq!(ids.look(id(0), &[0; 32]), Seen::New);
        assert!(matches!(ids.look(id(1), &[0; 32]), Seen::Answered(_)));
    }
}

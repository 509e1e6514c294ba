//! The answers to the batches that named themselves, so that a repeated request gets its first
//! answer again. An answer is remembered only once it is durable, never before; a retry that comes
//! while the first is under way is stored again, and its samples count as duplicates below.
//!
//! Bounded and in memory: what is forgotten costs a retry the exact path in `copy`, never a
//! duplicate row.

use crate::limits::BATCH_IDS_MAX;
use crate::model::BatchId;
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
            Some(known) if known.body_hash == *body_hash => {
                Seen::Answered(Arc::clone(&known.answer))
            }
            Some(_) => Seen::Conflict,
        }
    }

    /// The first answer stays.
    pub fn remember(&self, id: BatchId, body_hash: [u8; 32], answer: IngestData) {
        let mut shard = self.shard(id);
        if shard.known.contains_key(&id) {
            return;
        }
        if shard.oldest_first.len() >= BATCH_IDS_MAX / SHARDS
            && let Some(oldest) = shard.oldest_first.pop_front()
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

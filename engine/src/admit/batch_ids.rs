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
use fiber_contract::ingest::{IngestData, SampleError};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

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

#[derive(Debug)]
struct Known {
    body_hash: [u8; 32],
    answer: Kept,
}

/// An answer without what the id says again: there are 200,000 of them, and the whole ones took 30 MiB more.
#[derive(Debug)]
struct Kept {
    queued: u32,
    accepted: u32,
    duplicates: u32,
    rejected: u32,
    source_region: Option<Box<str>>,
    errors: Box<[SampleError]>,
}

impl Kept {
    fn of(answer: IngestData) -> Self {
        Self {
            queued: answer.queued,
            accepted: answer.accepted,
            duplicates: answer.duplicates,
            rejected: answer.rejected,
            source_region: answer.source_region.map(String::into_boxed_str),
            errors: answer.errors.into(),
        }
    }

    fn whole(&self, id: BatchId) -> IngestData {
        IngestData {
            batch_id: id.0.to_string(),
            source_region: self.source_region.as_deref().map(str::to_owned),
            queued: self.queued,
            accepted: self.accepted,
            duplicates: self.duplicates,
            rejected: self.rejected,
            errors: self.errors.to_vec(),
        }
    }
}

/// What is known of a batch id.
#[derive(Debug, PartialEq)]
pub enum Seen {
    New,
    /// The same body was answered so.
    Answered(IngestData),
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
                Seen::Answered(known.answer.whole(id))
            }
            Some(_) => Seen::Conflict,
        }
    }

    /// The body's hash and the answer of a batch that is remembered.
    pub fn first_answer(&self, id: BatchId) -> Option<([u8; 32], IngestData)> {
        let shard = self.shard(id);
        let known = shard.known.get(&id)?;
        Some((known.body_hash, known.answer.whole(id)))
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
        let answer = Kept::of(answer);
        shard.known.insert(id, Known { body_hash, answer });
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
        let answer = Kept::of(answer);
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

    fn answer(id: BatchId, queued: u32) -> IngestData {
        let is_odd = queued % 2 == 1;
        let error = || SampleError {
            index: 3,
            field: "latency_ms".to_owned(),
            reason: "is below 0".to_owned(),
        };
        IngestData {
            batch_id: id.0.to_string(),
            source_region: is_odd.then(|| "accra".to_owned()),
            queued,
            accepted: queued - 1,
            duplicates: 2,
            rejected: 1,
            errors: is_odd.then(error).into_iter().collect(),
        }
    }

    #[test]
    fn the_first_answer_comes_again_and_another_body_conflicts() {
        let (ids, id) = (BatchIds::default(), BatchId(Uuid::from_u128(1)));
        assert_eq!(ids.look(id, &[1; 32]), Seen::New);
        ids.remember(id, [1; 32], answer(id, 5));
        ids.remember(id, [2; 32], answer(id, 6));
        assert_eq!(ids.look(id, &[1; 32]), Seen::Answered(answer(id, 5)));
        assert_eq!(ids.look(id, &[2; 32]), Seen::Conflict);
        let other = BatchId(Uuid::from_u128(2));
        ids.remember(other, [3; 32], answer(other, 6));
        assert_eq!(ids.first_answer(other), Some(([3; 32], answer(other, 6))));
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let ids = BatchIds::default();
        let id = |n: usize| BatchId(Uuid::from_u128((n as u128) << 8));
        let per_shard = BATCH_IDS_MAX / SHARDS;
        for n in 0..=per_shard {
            ids.remember(id(n), [0; 32], answer(id(n), 1));
        }
        assert_eq!(ids.look(id(0), &[0; 32]), Seen::New);
        assert!(matches!(ids.look(id(1), &[0; 32]), Seen::Answered(_)));
    }
}

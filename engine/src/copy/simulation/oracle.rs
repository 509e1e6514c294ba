//! What the clients know, and what must follow from it.

use super::model::{Account, Content, Identity, REFUSED_LOSS};
use crate::copy::ledger::Totals;
use crate::copy::row::Tuples;
use crate::copy::shard::{SLOTS, Shard};
use crate::journal::Group;
use crate::model::GroupSeq;
use crate::parse::{Limits, Scratch, parse};
use crate::publish::rollup::LEVELS;
use crate::testing::random::Random;
use fiber_contract::UnixMicros;
use fiber_contract::ingest::{IngestAnswer, IngestData};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// A request as its client sends it, again and again.
#[derive(Clone, Debug)]
pub(super) struct Push {
    pub(super) id: Uuid,
    pub(super) body: Vec<u8>,
    pub(super) wait_for_commit: bool,
}

#[derive(Debug)]
struct Batch {
    push: Push,
    samples: Vec<(Identity, Option<f32>)>,
    answer: Option<Answered>,
}

/// The first answer, and when it came.
#[derive(Debug)]
struct Answered {
    life: u64,
    round: u64,
    data: IngestData,
}

#[derive(Debug, Default)]
pub(super) struct Oracle {
    batches: HashMap<Uuid, Batch>,
    order: Vec<Uuid>,
    /// Samples of every group that was ever durable.
    groups: BTreeMap<GroupSeq, u64>,
    lives: u64,
    /// Requests of one round are under way at the same time.
    rounds: u64,
    /// In every life so far the journal held all groups from the first on.
    nothing_freed: bool,
    samples_made: u32,
}

impl Oracle {
    pub(super) fn next_life(&mut self, nothing_freed: bool) {
        self.lives += 1;
        self.nothing_freed = nothing_freed;
    }

    /// What a start finds in the journal.
    pub(super) fn found(&mut self, groups: &[Group]) {
        for group in groups {
            self.durable(group.seq, u64::from(group.samples));
        }
    }

    pub(super) fn durable(&mut self, seq: GroupSeq, samples: u64) {
        let before = self.groups.insert(seq, samples);
        assert!(before.is_none_or(|before| before == samples), "{seq}");
    }

    /// What recovery puts in the place of a torn group comes behind it and needs no account.
    pub(super) fn last_group(&self) -> GroupSeq {
        let last = self.groups.last_key_value();
        last.map_or(GroupSeq::ZERO, |(seq, _)| *seq)
    }

    pub(super) fn next_round(&mut self) {
        self.rounds += 1;
    }

    /// A new batch, or one that was sent before.
    pub(super) fn next_push(&mut self, random: &mut Random) -> Push {
        if !self.order.is_empty() && random.one_in(4) {
            let id = self.order[random.below(self.order.len())];
            return self.batches[&id].push.clone();
        }
        let id = Uuid::from_u128(u128::from(random.bits()) << 64 | u128::from(random.bits()));
        let now_s = UnixMicros::now().floor_to(3_600).0 / 1_000_000;
        let sample = |random: &mut Random, made: u32| {
            // Few instants, so that many samples meet one that is there.
            let time = UnixMicros::from_secs(now_s - 60 * i64::try_from(random.below(40)).unwrap());
            let loss = if random.one_in(40) { REFUSED_LOSS } else { 0.0 };
            json!({
                "node_id": format!("node-{}", random.below(3)), "country": "GH", "region": "Accra",
                "latency_ms": f64::from(made) / 8.0, "uptime_pct": 100.0, "packet_loss": loss,
                "timestamp": time.to_string(),
            })
        };
        let mut samples = Vec::new();
        for _ in 0..1 + random.below(4) {
            self.samples_made += 1;
            samples.push(sample(random, self.samples_made));
        }
        let push = Push {
            id,
            body: json!({ "node_id": "hub", "metrics": samples })
                .to_string()
                .into_bytes(),
            wait_for_commit: random.one_in(6),
        };
        let batch = Batch {
            push: push.clone(),
            samples: samples_of(&push.body),
            answer: None,
        };
        self.batches.insert(id, batch);
        self.order.push(id);
        push
    }

    pub(super) fn answered(&mut self, push: &Push, status: u16, body: &[u8], content: &Content) {
        let (life, round, nothing_freed) = (self.lives, self.rounds, self.nothing_freed);
        let batch = self.batches.get_mut(&push.id).unwrap();
        if !matches!(status, 200 | 202) {
            assert_eq!(status, 503, "{}", String::from_utf8_lossy(body));
            return;
        }
        let answer: IngestAnswer = serde_json::from_slice(body).unwrap();
        let data = answer.data;
        assert_eq!(data.accepted as usize, batch.samples.len());
        match &batch.answer {
            None => batch.answer = Some(Answered { life, round, data }),
            Some(first) => {
                assert_eq!(first.data, data, "a retry gets its first answer");
                // Of two at the same time both may be stored; a start knows what the journal has.
                let must_know = if first.life == life {
                    first.round < round
                } else {
                    nothing_freed
                };
                assert!(status == 200 || !must_know, "the first answer is known");
            }
        }
        let committed =
            push.wait_for_commit && status == 202 && !answer.message.contains("pending");
        for (identity, _) in batch.samples.iter().filter(|_| committed) {
            assert!(
                content.has(identity),
                "{identity:?} was said to be committed"
            );
        }
    }

    /// After everything healed and drained.
    pub(super) fn judge(&self, content: &Content) {
        self.every_sample_is_there(content);
        self.nothing_else_is_there(content);
        self.the_accounts_close(content);
        for level in LEVELS {
            let buckets = content.buckets.iter();
            let of_level = buckets.filter(|((table, _), _)| *table == level.table);
            let counted: i64 = of_level.map(|(_, bucket)| bucket.count).sum();
            assert_eq!(counted, content.rows.len() as i64, "{}", level.table);
        }
    }

    fn every_sample_is_there(&self, content: &Content) {
        let acknowledged = self.batches.values().filter(|batch| batch.answer.is_some());
        for (identity, _) in acknowledged.flat_map(|batch| &batch.samples) {
            assert!(
                content.has(identity),
                "{identity:?} was acknowledged and is nowhere"
            );
        }
    }

    fn nothing_else_is_there(&self, content: &Content) {
        let sent = || self.batches.values().flat_map(|batch| &batch.samples);
        let ours = content.rows.iter();
        let ours = ours.filter(|(identity, _)| !content.foreign.contains(identity));
        for (identity, stored) in ours {
            let is_sent = |(sent, latency): &(Identity, Option<f32>)| {
                sent == identity && *latency == stored.latency_ms
            };
            assert!(sent().any(is_sent), "{identity:?} was never sent so");
        }
    }

    /// Of every slot, the accounts lead from the first group to the last; their sum is that of the
    /// groups; what is stored by the accounts is in the table.
    fn the_accounts_close(&self, content: &Content) {
        let last = self.last_group();
        let mut through = GroupSeq::ZERO;
        for slot in 0..SLOTS {
            let mut before = GroupSeq::ZERO;
            for account in content.accounts.iter().filter(|one| one.shard.has(slot)) {
                assert!(account.first <= self.after(before), "behind {before}");
                assert!(account.last >= before, "{} after {before}", account.last);
                before = account.last;
            }
            assert!(before >= last, "{last} is in no account of slot {slot}");
            through = through.max(before);
        }
        let held: u64 = self.groups.range(..=through).map(|(_, n)| n).sum();
        let totals = content.accounts.iter().map(|account| account.totals);
        let sum = |count: fn(Totals) -> u64| totals.clone().map(count).sum::<u64>();
        let stored = sum(|totals| totals.stored);
        let settled = stored + sum(|totals| totals.duplicate) + sum(|totals| totals.quarantined);
        assert_eq!(settled, held, "samples by the accounts");
        let ours = content.rows.len() - content.foreign.len();
        assert_eq!(stored, ours as u64, "stored by the accounts");
        self.whole_accounts_close(content);
    }

    /// Where one writer wrote for all, the sum is that of its groups.
    fn whole_accounts_close(&self, content: &Content) {
        let partly = |groups: &Account| {
            let apart = content
                .accounts
                .iter()
                .filter(|one| one.shard != Shard::ALL);
            let mut apart =
                apart.filter(|one| one.first <= groups.last && one.last >= groups.first);
            apart.next().is_some()
        };
        for account in content
            .accounts
            .iter()
            .filter(|one| one.shard == Shard::ALL)
        {
            if partly(account) {
                continue;
            }
            let (first, last) = (account.first, account.last);
            let held: u64 = self.groups.range(first..=last).map(|(_, n)| n).sum();
            let totals = account.totals;
            let settled = totals.stored + totals.duplicate + totals.quarantined;
            assert_eq!(settled, held, "groups {first} to {last}");
        }
    }

    /// The next group that was ever durable.
    fn after(&self, seq: GroupSeq) -> GroupSeq {
        let next = self.groups.range(seq.next()..).next();
        next.map_or(seq.next(), |(seq, _)| *seq)
    }
}

fn samples_of(body: &[u8]) -> Vec<(Identity, Option<f32>)> {
    let limits = Limits {
        samples_max: 100,
        single_allowed: true,
    };
    let parsed = parse(
        &mut body.to_vec(),
        limits,
        UnixMicros::now(),
        &mut Scratch::default(),
    );
    Tuples::new(&parsed.unwrap().tuples)
        .map(|tuple| ((tuple.row.series_key, tuple.row.time), tuple.row.latency_ms))
        .collect()
}

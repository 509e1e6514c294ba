//! Which samples this process has told to be settled, so that each is told once: also those whose
//! COMMIT happened and whose answer was lost, and those of a batch of which one writer committed and
//! another did not.
//!
//! Counters only: live views are not told of such samples, and show the next ones.

use super::error::Error;
use super::plan::{Plan, Plans};
use super::shard::{Positions, Shard};
use super::tables::Tables;
use crate::journal::Group;
use crate::model::{GroupSeq, JournalId};
use crate::planted::planted;
use crate::telemetry::metrics::{CopyCounters, Settled};

#[derive(Debug)]
pub(super) struct Settlement {
    /// What was durable at start: its samples were received by the run before.
    replay_through: GroupSeq,
    /// What was told, by slot.
    told: Positions,
    /// Transactions of which nothing was told.
    under_way: Vec<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    shard: Shard,
    last: GroupSeq,
    replayed: u64,
}

impl Settlement {
    pub(super) fn new(replay_through: GroupSeq) -> Self {
        Self {
            replay_through,
            told: Positions::default(),
            under_way: Vec::new(),
        }
    }

    /// These are going to be written.
    pub(super) fn begin(&mut self, plans: &Plans<'_>) {
        let under_way = plans.all().map(|plan| UnderWay {
            shard: plan.shard,
            last: plan.last_seq,
            replayed: self.replayed(plan),
        });
        self.under_way = under_way.collect();
    }

    /// All of them are committed. How many samples that settles, and how many of them this process did
    /// not receive, or settled before and the server lost in a crash.
    pub(super) fn end(&mut self, plans: &Plans<'_>, groups: &[Group]) -> (u64, u64) {
        let samples: u64 = groups.iter().map(|group| u64::from(group.samples)).sum();
        let left_out: u64 = plans.left_out.values().sum();
        let replayed = self.under_way.iter().map(|plan| plan.replayed).sum();
        self.under_way.clear();
        if let Some(last) = groups.last() {
            self.told.advance(Shard::ALL, last.seq);
        }
        (samples.saturating_sub(left_out), replayed)
    }

    /// At the start of a session: what of the last attempt is in the tables after all is told from
    /// its account. The rest comes again.
    pub(super) async fn catch_up(
        &mut self,
        session: &mut impl Tables,
        journal: JournalId,
        positions: &Positions,
        copy: &CopyCounters,
    ) -> Result<(), Error> {
        while let Some(plan) = self.under_way.last() {
            let is_committed = positions.of(plan.shard) >= plan.last;
            if is_committed && !planted("lost-answer-not-settled") {
                let totals = session.totals(journal, plan.shard, plan.last).await?;
                let totals = totals.unwrap_or_default();
                copy.settle(Settled {
                    samples: totals.stored + totals.duplicate + totals.quarantined,
                    replayed: plan.replayed,
                    stored: totals.stored,
                    duplicate: totals.duplicate,
                    quarantined: totals.quarantined,
                });
                self.told.advance(plan.shard, plan.last);
            }
            self.under_way.pop();
        }
        Ok(())
    }

    /// Through here everything was told.
    pub(super) fn told(&self) -> GroupSeq {
        self.told.oldest()
    }

    fn replayed(&self, plan: &Plan<'_>) -> u64 {
        let is_new = plan.first_seq > self.replay_through.max(self.told.newest());
        if is_new || planted("replayed-not-counted") {
            return 0;
        }
        let rows = plan.rows.iter().filter(|row| {
            let settled = self.told.of_node(row.node_key).max(self.replay_through);
            plan.records[row.record as usize].seq <= settled
        });
        let through = self.told.of(plan.shard).max(self.replay_through);
        let unreadable = if plan.last_seq <= through {
            plan.unreadable
        } else {
            0
        };
        rows.count() as u64 + unreadable
    }
}

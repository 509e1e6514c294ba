//! One batch: written by all writers at the same time, and told once all of it is committed.

use super::ahead::Batch;
use super::crew::Crew;
use super::error::{Error, Remedy};
use super::plan::{Fate, Plan, Plans};
use super::progress::{CommitWatch, CopyStatus};
use super::settlement::Settlement;
use super::shard::{Positions, Shard};
use super::tables::Tables;
use super::transaction::{self, Care, Done, Memory, Turn};
use crate::model::{GroupSeq, JournalId, NodeKey, clock};
use crate::planted::planted;
use crate::publish::notify::{Committed, CommittedSender, NodeSamples};
use crate::telemetry::metrics::{CopyCounters, Settled};
use futures_util::future::try_join_all;
use std::collections::HashMap;

/// Attempts at one transaction within a session; each has its own remedy, so few are needed.
const ATTEMPTS_MAX: u32 = 8;

/// What a commit needs of the writer, beside the feed.
#[derive(Debug)]
pub(super) struct Committer<'w> {
    pub(super) journal: JournalId,
    pub(super) status: &'w CopyStatus,
    pub(super) watch: &'w CommitWatch,
    pub(super) committed: &'w CommittedSender,
    pub(super) copy: &'w CopyCounters,
    pub(super) settlement: &'w mut Settlement,
}

impl Committer<'_> {
    /// Writes groups until they are committed. After an error some of the writers may have committed
    /// and others not: the positions tell.
    pub(super) async fn commit<T: Tables>(
        self,
        crew: &mut Crew<T>,
        positions: &mut Positions,
        batch: Batch,
    ) -> Result<GroupSeq, Error> {
        let groups = &batch.groups[..];
        let mut plans = Plans::of(groups, batch.order.as_ref(), &crew.shards, positions)
            .expect("gather gives at least one group");
        crew.make_room(&plans).await?;
        self.settlement.begin(&plans);
        let turn = Turn::of(plans.all().count());
        let writers = crew.sessions.iter_mut().zip(&mut crew.memories);
        let transactions = writers.zip(&mut plans.of_shards);
        let transactions = transactions.filter_map(|((session, memory), plan)| {
            let transaction = Transaction {
                journal: self.journal,
                copy: self.copy,
                turn: &turn,
                plan: plan.as_mut()?,
            };
            Some(transaction.commit(session, memory))
        });
        let done = try_join_all(transactions).await?;
        let last = groups[groups.len() - 1].seq;
        positions.advance(Shard::ALL, last);
        let (samples, replayed) = self.settlement.end(&plans, groups);
        let settled = Settled {
            samples,
            replayed,
            stored: done.iter().map(|done| done.totals.stored).sum(),
            duplicate: done.iter().map(|done| done.totals.duplicate).sum(),
            quarantined: done.iter().map(|done| done.totals.quarantined).sum(),
        };
        self.tell(&plans, settled, done, last).await;
        Ok(last)
    }

    /// Counters, waiters and readers, after a confirmed COMMIT.
    async fn tell(self, plans: &Plans<'_>, settled: Settled, done: Vec<Done>, last: GroupSeq) {
        let copy = self.copy;
        copy.settle(settled);
        let exact = done.iter().map(|done| done.exact_path_rows).sum();
        copy.exact_path_rows.add(exact);
        copy.committed_through(last.0);
        if settled.quarantined > 0 {
            tracing::error!(
                rows = settled.quarantined,
                "samples were set aside in quarantine"
            );
        }
        self.status.committed(last);
        self.watch.tell(last);
        let told = Committed {
            at: clock::now(),
            stored: settled.stored,
            duplicate: settled.duplicate,
            quarantined: settled.quarantined,
            nodes: plans
                .all()
                .zip(done)
                .flat_map(|(plan, done)| node_samples(plan, done))
                .collect(),
        };
        if self.committed.send(told).await.is_err() {
            tracing::debug!("nobody listens to commits");
        }
    }
}

/// What one writer does of a batch.
struct Transaction<'t, 'g> {
    journal: JournalId,
    copy: &'t CopyCounters,
    turn: &'t Turn,
    plan: &'t mut Plan<'g>,
}

impl Transaction<'_, '_> {
    /// Until it is committed, with what remedies there are within a session.
    async fn commit(self, session: &mut impl Tables, memory: &mut Memory) -> Result<Done, Error> {
        let mut care = Care::Trusting;
        for attempt in 1.. {
            let written =
                transaction::write(session, memory, self.journal, self.plan, care, self.turn);
            let error = match written.await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            memory.forget();
            if attempt >= ATTEMPTS_MAX || session.is_closed() {
                return Err(error);
            }
            self.copy.retries.add(1);
            match error.remedy() {
                Remedy::NewSession | Remedy::Migrate => return Err(error),
                Remedy::TrustNothing if care == Care::Trusting => care = Care::TrustNothing,
                Remedy::TrustNothing => {}
                Remedy::Isolate if care == Care::Isolate => return Err(error),
                Remedy::Isolate => care = Care::Isolate,
                Remedy::MakePartitions => {}
            }
            tracing::info!(%error, ?care, attempt, "a transaction starts over");
            session.batch("roll back", "ROLLBACK").await?;
            if error.remedy() == Remedy::MakePartitions
                && let Some(span) = self.plan.span()
            {
                session.ensure_span(span).await?;
            }
            if !planted("fates-kept-for-retry") {
                self.plan.undecide();
            }
        }
        unreachable!("attempts are bounded")
    }
}

fn node_samples(plan: &Plan<'_>, mut done: Done) -> Vec<NodeSamples> {
    let mut nodes: HashMap<NodeKey, NodeSamples> = HashMap::new();
    for run in plan.rows.chunk_by(|a, b| a.series_key == b.series_key) {
        let stored = run
            .iter()
            .filter(|row| row.fate == Fate::Stored)
            .map(|row| row.sample);
        let mut stored = stored.peekable();
        if stored.peek().is_none() {
            continue;
        }
        let node_key = run[0].node_key;
        let node = nodes.entry(node_key).or_insert_with(|| NodeSamples {
            node_key,
            registered: done.registered.remove(&node_key),
            samples: Vec::new(),
        });
        node.samples.extend(stored);
    }
    let mut nodes: Vec<NodeSamples> = nodes.into_values().collect();
    for node in &mut nodes {
        // One run is in order already, and the sort of what is sorted costs one walk.
        node.samples.sort_by_key(|sample| sample.time);
    }
    nodes
}

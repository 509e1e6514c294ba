//! The loop: a session, its transactions, and what is told afterwards.

use super::ahead::{Ahead, Batch};
use super::batch_size::BatchSize;
use super::error::{Error, Remedy};
use super::flushed::Unflushed;
use super::plan::{Fate, Plan};
use super::progress::{CommitWatch, CopyStatus};
use super::retry::Backoff;
use super::source::Groups;
use super::tables::{Database, Postgres, Tables};
use super::transaction::{self, Care, Done, Memory};
use crate::failpoint::{self, Point};
use crate::journal::Group;
use crate::limits::{COMMIT_LINGER, COMMIT_LINGER_QUIET};
use crate::model::{GroupSeq, JournalId, NodeKey, clock};
use crate::planted::planted;
use crate::publish::notify::{Committed, CommittedSender, NodeSamples};
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::{Metrics, Settled};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Below it a transaction waits for company.
const FEW_ROWS: usize = 20_000;
/// While commits wait for the server's log, or nodes for their `last_seen`.
const IDLE_POLL: Duration = Duration::from_millis(200);
/// What is durable stays durable: ending before it is committed only delays it.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Attempts at one transaction within a session; each has its own remedy, so few are needed.
const ATTEMPTS_MAX: u32 = 8;
const PRUNE_INTERVAL: Duration = Duration::from_secs(600);

/// What the writer works with.
#[derive(Clone, Debug)]
pub struct Context {
    pub database: tokio_postgres::Config,
    pub status: Arc<CopyStatus>,
    pub watch: CommitWatch,
    /// What was durable at start: its samples were received by the run before.
    pub replay_through: GroupSeq,
}

/// Writes until shutdown. The only writer of its journal.
pub async fn run(
    ctx: Context,
    feed: impl Groups,
    committed: CommittedSender,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
) {
    let database = Postgres::new(ctx.database.clone());
    run_with(database, ctx, feed, committed, metrics, shutdown).await;
}

pub(super) async fn run_with(
    database: impl Database,
    ctx: Context,
    feed: impl Groups,
    committed: CommittedSender,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
) {
    let _registered = shutdown.register("copy");
    let mut writer = Writer {
        database,
        // An abandoned session of this process is told from another engine's by the last part.
        session_name: format!(
            "fiber-copy:{}:{:08x}",
            feed.journal_id().0.simple(),
            xxhash_rust::xxh3::xxh3_64(uuid::Uuid::new_v4().as_bytes()) >> 32
        ),
        journal: feed.journal_id(),
        ctx,
        feed,
        committed,
        metrics,
        shutdown,
        drain_until: None,
        size: BatchSize::default(),
    };
    writer.show_size();
    writer.run().await;
    writer.metrics.copy.connected.set(0);
}

struct Writer<F, D> {
    database: D,
    ctx: Context,
    feed: F,
    journal: JournalId,
    committed: CommittedSender,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    session_name: String,
    /// Set when shutdown was asked for.
    drain_until: Option<Instant>,
    size: BatchSize,
}

/// What a commit needs of the writer, beside the feed.
#[derive(Clone, Copy)]
struct Committer<'w> {
    ctx: &'w Context,
    journal: JournalId,
    committed: &'w CommittedSender,
    metrics: &'w Metrics,
}

/// Ends the maintenance task with the session it belongs to.
struct Maintenance(tokio::task::JoinHandle<()>);

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<F: Groups, D: Database> Writer<F, D> {
    async fn run(&mut self) {
        let mut backoff = Backoff::default();
        loop {
            let error = match self.session(&mut backoff).await {
                Ok(()) => return,
                Err(error) => error,
            };
            self.metrics.copy.connected.set(0);
            self.metrics.copy.retries.add(1);
            if error.was_too_slow() {
                self.size.too_slow();
                self.show_size();
            }
            self.ctx.status.failed(&error);
            if error.remedy() == Remedy::Migrate {
                self.database.doubt_schema();
            }
            let pause = backoff.failed(&error);
            self.look_for_the_oldest().await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shutdown.asked(), if self.drain_until.is_none() => {}
            }
            if self.is_drain_over() {
                tracing::warn!("ending with groups in the journal; the next start commits them");
                return;
            }
        }
    }

    /// One session, from its first statement to shutdown (`Ok`) or failure.
    async fn session(&mut self, backoff: &mut Backoff) -> Result<(), Error> {
        let (mut session, edition) = self.database.open(self.journal, &self.session_name).await?;
        let mut position = self.start_position(&mut session).await?;
        self.feed.seek_after(position);
        self.ctx.watch.tell(position);
        self.ctx.status.connected(edition);
        self.metrics.copy.connected.set(1);
        let _maintenance = self.database.maintain(edition).map(Maintenance);

        let mut memory = Memory::default();
        let mut unflushed = Unflushed::default();
        self.release(unflushed.poll(&mut session, Some(position)).await?);
        let mut pruned_at = Instant::now();
        let mut ahead = Ahead::default();
        loop {
            let gathered = self.gather(&mut session, &mut unflushed, position, &mut ahead);
            let Some(batch) = gathered.await? else {
                return Ok(());
            };
            if planted("told-before-commit") {
                self.ctx
                    .watch
                    .tell(batch.groups[batch.groups.len() - 1].seq);
            }
            let (rows, began) = (batch.rows, Instant::now());
            let committer = Committer {
                ctx: &self.ctx,
                journal: self.journal,
                committed: &self.committed,
                metrics: &self.metrics,
            };
            let committing = committer.commit(&mut session, &mut memory, batch);
            position = ahead
                .during(committing, &mut self.feed, self.size.rows_max)
                .await?;
            let took = began.elapsed();
            self.metrics.copy.commit.record(took);
            self.size.committed(rows, took);
            self.show_size();
            if planted("freed-with-the-commit") {
                self.release(Some(position));
            }
            backoff.succeeded();
            failpoint::pass(Point::Told);
            self.release(unflushed.poll(&mut session, Some(position)).await?);
            failpoint::pass(Point::Released);
            if pruned_at.elapsed() >= PRUNE_INTERVAL {
                pruned_at = Instant::now();
                session.prune(self.journal, position).await?;
            }
        }
    }

    /// After which group to go on: the newest that the database holds.
    async fn start_position(&self, session: &mut D::Tables) -> Result<GroupSeq, Error> {
        let mut position = session.position(self.journal).await?;
        if planted("position-from-memory") && self.ctx.watch.committed() > GroupSeq::ZERO {
            position = Some(self.ctx.watch.committed());
        }
        let position = position.unwrap_or(GroupSeq::ZERO);
        let oldest = self.feed.oldest_available();
        if oldest > position.next() {
            // A new or restored database behind a journal that was freed for the one before. What
            // is left is written; what is gone cannot be, and somebody must know.
            tracing::error!(
                %position, %oldest,
                "the database lacks groups that the journal no longer has; going on without them"
            );
            return Ok(GroupSeq(oldest.0 - 1));
        }
        Ok(position)
    }

    fn release(&self, through: Option<GroupSeq>) {
        if let Some(through) = through.filter(|seq| *seq > GroupSeq::ZERO) {
            self.feed.release(through);
        }
    }

    /// The groups of the next transaction: those that are there, up to a bound; `None` at the end.
    async fn gather(
        &mut self,
        session: &mut D::Tables,
        unflushed: &mut Unflushed,
        position: GroupSeq,
        ahead: &mut Ahead,
    ) -> Result<Option<Batch>, Error> {
        let mut batch = ahead.take().await;
        if batch.groups.is_empty() {
            let Some(first) = self.first_group(session, unflushed).await? else {
                return Ok(None);
            };
            batch.push(first);
        } else if self.is_drain_over() {
            return Ok(None);
        }
        self.ctx
            .status
            .waiting_since(Some(batch.groups[0].durable_at));
        let linger_until = batch.since.unwrap_or_else(Instant::now) + COMMIT_LINGER;
        while !batch.is_full(self.size.rows_max) {
            let more = match self.feed.try_next().await? {
                Some(group) => Some(group),
                None if batch.rows < FEW_ROWS && !self.hurries() => {
                    let quiet = Instant::now() + COMMIT_LINGER_QUIET;
                    tokio::time::timeout_at(linger_until.min(quiet), self.feed.next())
                        .await
                        .ok()
                        .transpose()?
                }
                None => None,
            };
            let Some(group) = more else { break };
            batch.push(group);
        }
        check_order(position, &batch.groups)?;
        Ok(Some(batch))
    }

    fn show_size(&self) {
        let rows_max = i64::try_from(self.size.rows_max).unwrap_or(i64::MAX);
        self.metrics.copy.rows_max.set(rows_max);
    }

    fn hurries(&self) -> bool {
        self.drain_until.is_some() || self.ctx.watch.is_awaited()
    }

    /// Waits for a group, and meanwhile frees the journal as the server's log is flushed.
    async fn first_group(
        &mut self,
        session: &mut D::Tables,
        unflushed: &mut Unflushed,
    ) -> Result<Option<Group>, Error> {
        loop {
            if self.drain_until.is_some() || self.shutdown.is_asked() {
                if self.is_drain_over() {
                    return Ok(None);
                }
                return Ok(self.feed.try_next().await?);
            }
            let poll = !unflushed.is_empty();
            tokio::select! {
                biased;
                group = self.feed.next() => return Ok(Some(group?)),
                () = self.shutdown.asked() => continue,
                () = tokio::time::sleep(IDLE_POLL), if poll => {}
            }
            let safe = unflushed.poll(session, None).await?;
            self.release(safe);
        }
    }

    /// True once the time to drain is over; starts it at the first call after shutdown was asked.
    fn is_drain_over(&mut self) -> bool {
        if !self.shutdown.is_asked() {
            return false;
        }
        let until = *self
            .drain_until
            .get_or_insert_with(|| Instant::now() + DRAIN_MAX);
        Instant::now() >= until
    }

    /// While the database is away, the age of the backlog must still be known.
    async fn look_for_the_oldest(&mut self) {
        if self.ctx.status.is_waiting() {
            return;
        }
        // Before the first session the feed stands where the journal was freed, which will do.
        if self.ctx.watch.committed() > GroupSeq::ZERO {
            self.feed.seek_after(self.ctx.watch.committed());
        }
        match self.feed.try_next().await {
            Ok(group) => self
                .ctx
                .status
                .waiting_since(group.map(|group| group.durable_at)),
            Err(error) => tracing::warn!(%error, "the journal cannot be read"),
        }
    }
}

impl Committer<'_> {
    /// Writes groups until they are committed, with what remedies there are within a session.
    async fn commit(
        self,
        session: &mut impl Tables,
        memory: &mut Memory,
        batch: Batch,
    ) -> Result<GroupSeq, Error> {
        let (groups, order) = (&batch.groups[..], batch.order);
        let mut plan = Plan::with(groups, order).expect("gather gives at least one group");
        let mut care = Care::Trusting;
        for attempt in 1.. {
            let written = transaction::write(session, memory, self.journal, &mut plan, care).await;
            let error = match written {
                Ok(done) => {
                    self.tell(&plan, groups, done).await;
                    break;
                }
                Err(error) => error,
            };
            memory.forget();
            if attempt >= ATTEMPTS_MAX || session.is_closed() {
                return Err(error);
            }
            self.metrics.copy.retries.add(1);
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
            if error.remedy() == Remedy::MakePartitions {
                session.ensure_partitions(plan.span()).await?;
            }
            if !planted("fates-kept-for-retry") {
                plan.undecide();
            }
        }
        Ok(plan.last_seq)
    }

    /// Samples that this process did not receive, or settled once before: those of the run before,
    /// and those whose confirmed commit the server lost in a crash.
    fn replayed(self, groups: &[Group]) -> u64 {
        if planted("replayed-not-counted") {
            return 0;
        }
        let settled = GroupSeq(self.metrics.copy.committed_seq.get());
        let through = settled.max(self.ctx.replay_through);
        let again = groups.iter().filter(|group| group.seq <= through);
        again.map(|group| u64::from(group.samples)).sum()
    }

    /// Counters, waiters and readers, after a confirmed COMMIT.
    async fn tell(self, plan: &Plan<'_>, groups: &[Group], done: Done) {
        let copy = &self.metrics.copy;
        copy.settle(Settled {
            samples: groups.iter().map(|group| u64::from(group.samples)).sum(),
            replayed: self.replayed(groups),
            stored: done.totals.stored,
            duplicate: done.totals.duplicate,
            quarantined: done.totals.quarantined,
        });
        copy.exact_path_rows.add(done.exact_path_rows);
        copy.committed_seq
            .add(plan.last_seq.0.saturating_sub(copy.committed_seq.get()));
        if done.totals.quarantined > 0 {
            tracing::error!(
                rows = done.totals.quarantined,
                "samples were set aside in quarantine"
            );
        }
        self.ctx.status.committed(plan.last_seq);
        self.ctx.watch.tell(plan.last_seq);
        let told = Committed {
            at: clock::now(),
            stored: done.totals.stored,
            duplicate: done.totals.duplicate,
            quarantined: done.totals.quarantined,
            nodes: node_samples(plan, done),
        };
        if self.committed.send(told).await.is_err() {
            tracing::debug!("nobody listens to commits");
        }
    }
}

/// Sequences ascend. One is left out only where the journal's recovery found it destroyed.
fn check_order(position: GroupSeq, groups: &[Group]) -> Result<(), Error> {
    let mut before = position;
    for group in groups {
        let expected = before.next();
        if group.seq < expected {
            return Err(Error::OutOfOrder {
                expected: expected.0,
                found: group.seq.0,
            });
        }
        if group.seq > expected {
            tracing::error!(%expected, found = %group.seq, "the journal lost groups");
        }
        before = group.seq;
    }
    Ok(())
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

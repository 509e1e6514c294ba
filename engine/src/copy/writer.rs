//! The loop: sessions, and the batches that they commit.

use super::ahead::{Ahead, Batch, FEW_ROWS};
use super::batch_size::BatchSize;
use super::commit::Committer;
use super::crew::Crew;
use super::error::{Error, Remedy};
use super::flushed::Unflushed;
use super::progress::{CommitWatch, CopyStatus};
use super::retry::Backoff;
use super::settlement::Settlement;
use super::shard::{Positions, Shard};
use super::source::Groups;
use super::tables::{Database, Postgres, Tables};
use crate::failpoint::{self, Point};
use crate::journal::{Group, OpenError};
use crate::limits::{COMMIT_LINGER, COMMIT_LINGER_QUIET};
use crate::model::{GroupSeq, JournalId};
use crate::planted::planted;
use crate::publish::notify::CommittedSender;
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::Metrics;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// While commits wait for the server's log, or nodes for their `last_seen`.
const IDLE_POLL: Duration = Duration::from_millis(200);
/// What is durable stays durable: ending before it is committed only delays it.
const DRAIN_MAX: Duration = Duration::from_secs(10);
const PRUNE_INTERVAL: Duration = Duration::from_secs(600);

/// What the writer works with.
#[derive(Clone, Debug)]
pub struct Context {
    pub database: tokio_postgres::Config,
    pub status: Arc<CopyStatus>,
    pub watch: CommitWatch,
    /// What was durable at start: its samples were received by the run before.
    pub replay_through: GroupSeq,
    /// How many sessions write: one at least, and not more than the largest number.
    pub writers: RangeInclusive<usize>,
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
        settlement: Settlement::new(ctx.replay_through),
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
    settlement: Settlement,
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
        let (first, edition) = self.database.open(self.journal, &self.session_name).await?;
        let mut crew = Crew::of(first, self.ctx.writers.clone());
        let mut positions = self.start_positions(crew.first()).await?;
        let mut position = positions.oldest();
        self.feed.seek_after(position);
        self.ctx.watch.tell(position);
        self.ctx.status.connected(edition);
        self.metrics.copy.connected.set(1);
        let _maintenance = self.database.maintain(edition).map(Maintenance);

        let mut unflushed = Unflushed::default();
        self.release(unflushed.poll(crew.first(), Some(position)).await?);
        let mut pruned_at = Instant::now();
        let mut ahead = Ahead::default();
        loop {
            let gathered = self.gather(crew.first(), &mut unflushed, position, &mut ahead);
            let Some(batch) = gathered.await? else {
                return Ok(());
            };
            if planted("told-before-commit") {
                self.ctx
                    .watch
                    .tell(batch.groups[batch.groups.len() - 1].seq);
            }
            let rows_max = self.size.rows_max;
            crew.fit(
                &batch,
                rows_max,
                &self.database,
                self.journal,
                &self.session_name,
            )
            .await?;
            self.metrics.copy.writers.set(crew.width() as i64);
            let (rows, began) = (batch.rows, Instant::now());
            let committer = Committer {
                journal: self.journal,
                status: &self.ctx.status,
                watch: &self.ctx.watch,
                committed: &self.committed,
                copy: &self.metrics.copy,
                settlement: &mut self.settlement,
            };
            let committing = committer.commit(&mut crew, &mut positions, batch);
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
            self.release(unflushed.poll(crew.first(), Some(position)).await?);
            failpoint::pass(Point::Released);
            if pruned_at.elapsed() >= PRUNE_INTERVAL {
                pruned_at = Instant::now();
                crew.first().prune(self.journal, position).await?;
            }
        }
    }

    /// After which groups to go on: the newest that the database holds, slot by slot.
    async fn start_positions(&mut self, session: &mut D::Tables) -> Result<Positions, Error> {
        let mut positions = session.positions(self.journal).await?;
        let copy = &self.metrics.copy;
        self.settlement
            .catch_up(session, self.journal, &positions, copy)
            .await?;
        copy.committed_through(self.settlement.told().0);
        if planted("position-from-memory") && self.ctx.watch.committed() > GroupSeq::ZERO {
            positions = Positions::default();
            positions.advance(Shard::ALL, self.ctx.watch.committed());
        }
        if planted("position-of-the-fastest") {
            positions.advance(Shard::ALL, positions.newest());
        }
        let (position, durable) = (positions.oldest(), self.feed.durable());
        if positions.newest() > durable && position <= durable {
            // Part of a batch that this journal does not know: new groups would be taken for it.
            let asked = positions.newest();
            return Err(OpenError::Behind { asked, durable }.into());
        }
        let oldest = self.feed.oldest_available();
        if oldest > position.next() {
            // A new or restored database behind a journal that was freed for the one before. What
            // is left is written; what is gone cannot be, and somebody must know.
            tracing::error!(
                %position, %oldest,
                "the database lacks groups that the journal no longer has; going on without them"
            );
            positions.advance(Shard::ALL, GroupSeq(oldest.0 - 1));
        }
        Ok(positions)
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

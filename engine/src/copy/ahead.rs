//! The next transaction, gathered and sorted while the one before is under way: else the database
//! would wait for that, some 8 % of its time when it is what binds.

use super::error::Error;
use super::plan::{self, Order};
use super::shard::SLOTS;
use super::source::Groups;
use crate::journal::Group;
use crate::limits::COMMIT_BYTES_MAX;
use bytes::Bytes;
use std::future::Future;
use std::pin::pin;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Below it a batch waits for company.
pub(super) const FEW_ROWS: usize = 20_000;

/// Groups that are out of the feed and in no transaction. Nothing of it outlives its session: the
/// next one reads them again, from the position that the database tells.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    batch: Batch,
    /// Kept here, so that a call dropped half way loses nothing.
    sorting: Option<JoinHandle<Batch>>,
}

/// The groups of one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) groups: Vec<Group>,
    pub(super) rows: usize,
    bytes: usize,
    /// When the first came out of the feed.
    pub(super) since: Option<Instant>,
    /// Made ahead only for a full batch: others still grow.
    pub(super) order: Option<Order>,
}

impl Batch {
    pub(super) fn push(&mut self, group: Group) {
        self.rows += group.samples as usize;
        self.bytes += group.records.iter().map(Bytes::len).sum::<usize>();
        self.since.get_or_insert_with(Instant::now);
        self.order = None;
        self.groups.push(group);
    }

    /// How many rows each slot has, where it was counted.
    pub(super) fn weights(&self) -> [u64; SLOTS] {
        self.order.as_ref().map_or([0; SLOTS], Order::weights)
    }

    /// By rows, or by what they hold in memory: a sample that came alone brings its names.
    pub(super) fn is_full(&self, rows_max: usize) -> bool {
        self.rows >= rows_max || self.bytes >= COMMIT_BYTES_MAX
    }
}

impl Ahead {
    /// Takes groups as they come, until `rows_max` are there; then sorts them, on another thread.
    async fn fill(&mut self, feed: &mut impl Groups, rows_max: usize) -> Result<(), Error> {
        if self.sorting.is_none() {
            while !self.batch.is_full(rows_max) {
                let group = feed.next().await?;
                self.batch.push(group);
            }
            if self.batch.order.is_some() {
                return Ok(());
            }
            let mut batch = std::mem::take(&mut self.batch);
            self.sorting = Some(tokio::task::spawn_blocking(move || {
                batch.order = plan::sort(&batch.groups);
                batch
            }));
        }
        self.sorted().await;
        Ok(())
    }

    async fn sorted(&mut self) {
        if let Some(sorting) = &mut self.sorting {
            let sorted = sorting.await;
            self.sorting = None;
            match sorted {
                Ok(batch) => self.batch = batch,
                Err(error) if error.is_panic() => {
                    std::panic::resume_unwind(error.into_panic());
                }
                // The runtime ends, and this task with it.
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// What is there so far.
    pub(super) async fn take(&mut self) -> Batch {
        self.sorted().await;
        std::mem::take(&mut self.batch)
    }

    /// Fills while `work` is under way, and as long.
    pub(super) async fn during<T>(
        &mut self,
        work: impl Future<Output = Result<T, Error>>,
        feed: &mut impl Groups,
        rows_max: usize,
    ) -> Result<T, Error> {
        let mut work = pin!(work);
        let filling = self.fill(feed, rows_max);
        tokio::select! {
            biased;
            done = &mut work => done,
            filled = filling => {
                // What went wrong with the journal must not leave a COMMIT without its answer.
                let done = work.await?;
                filled?;
                Ok(done)
            }
        }
    }
}

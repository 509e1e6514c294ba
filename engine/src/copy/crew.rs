//! The sessions that write, each with the nodes of its shard and what it remembers of them.
//!
//! One is enough for most loads, and costs the database least: what a transaction costs beside its
//! rows is paid once. When it is the database that everybody waits for, batch after batch, the others
//! join. Whatever fails ends all sessions, and the next ones begin with one: two writers can come to
//! wait for each other through somebody else, one cannot.

use super::ahead::{Batch, FEW_ROWS};
use super::error::Error;
use super::plan::Plans;
use super::retention::DAY_S;
use super::shard::{SLOTS, Shard};
use super::tables::{Database, Tables};
use super::transaction::Memory;
use crate::model::JournalId;
use fiber_contract::UnixMicros;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use tokio::task::JoinSet;

/// Full batches in a row. One batch at least is written by one writer after every failure, so that two
/// that wait for each other cannot do it for ever.
const WIDEN_AFTER: u32 = 1;
/// Small batches in a row.
const NARROW_AFTER: u32 = 50;
/// Days whose partitions or chunks are known to be there; beyond it all are asked for again.
const DAYS_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Crew<T> {
    /// Those that write come first; the others stay for the next time.
    pub(super) sessions: Vec<T>,
    pub(super) memories: Vec<Memory>,
    pub(super) shards: Vec<Shard>,
    /// How many may write.
    allowed: RangeInclusive<usize>,
    /// Sessions that are on their way; they end with the crew.
    joining: JoinSet<Result<T, Error>>,
    /// How many batches in a row spoke for more writers, and for fewer.
    pressed: u32,
    calm: u32,
    days: BTreeSet<UnixMicros>,
}

/// What a batch says about the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// As many rows waited as one batch may have.
    Pressing,
    Some,
    Little,
}

fn load_of(batch: &Batch, rows_max: usize) -> Load {
    if batch.is_full(rows_max) {
        Load::Pressing
    } else if batch.rows < FEW_ROWS {
        Load::Little
    } else {
        Load::Some
    }
}

impl<T: Tables> Crew<T> {
    pub(super) fn of(first: T, allowed: RangeInclusive<usize>) -> Self {
        Self {
            sessions: vec![first],
            memories: vec![Memory::of_one(1)],
            shards: vec![Shard::ALL],
            allowed,
            joining: JoinSet::new(),
            pressed: 0,
            calm: 0,
            days: BTreeSet::new(),
        }
    }

    pub(super) fn first(&mut self) -> &mut T {
        &mut self.sessions[0]
    }

    pub(super) fn width(&self) -> usize {
        self.shards.len()
    }

    /// Before a batch: as many writers as the load asks for. Those that are missing join while batches are
    /// written without them: a dozen round trips are long on a machine that is busy.
    pub(super) async fn fit(
        &mut self,
        batch: &Batch,
        rows_max: usize,
        database: &impl Database<Tables = T>,
        journal: JournalId,
        name: &str,
    ) -> Result<(), Error> {
        let load = load_of(batch, rows_max);
        let (least, most) = (*self.allowed.start(), *self.allowed.end());
        let is_pressed = load == Load::Pressing || self.width() < least;
        self.pressed = if is_pressed { self.pressed + 1 } else { 0 };
        self.calm = if load == Load::Little {
            self.calm + 1
        } else {
            0
        };
        if is_pressed {
            self.take_in_joined(most, database, journal, name).await?;
        }
        let width = if self.pressed > WIDEN_AFTER {
            most.min(self.sessions.len())
        } else if self.calm > NARROW_AFTER && self.width() > least {
            least
        } else {
            return Ok(());
        };
        if width != self.width() {
            self.deal(width, &batch.weights());
        }
        Ok(())
    }

    /// Takes in those that have joined, and calls for those that are missing or were lost while they did
    /// not write.
    async fn take_in_joined(
        &mut self,
        most: usize,
        database: &impl Database<Tables = T>,
        journal: JournalId,
        name: &str,
    ) -> Result<(), Error> {
        let (width, mut at) = (self.width(), 0);
        self.sessions.retain(|session| {
            at += 1;
            at <= width || !session.is_closed()
        });
        let before = self.sessions.len();
        while let Some(joined) = self.joining.try_join_next() {
            match joined {
                Ok(Ok(session)) => self.sessions.push(session),
                // The server may have no connection left. One is enough to go on.
                Ok(Err(error)) => tracing::info!(%error, "no other writer can join"),
                Err(error) => tracing::warn!(%error, "no other writer can join"),
            }
        }
        if self.sessions.len() > before {
            // It is still the first, so they joined nobody else.
            self.first().log_positions().await?;
        }
        while self.sessions.len() + self.joining.len() < most {
            self.joining.spawn(database.join(journal, name));
        }
        Ok(())
    }

    /// Nothing that is remembered of nodes outlives the change of who writes them.
    fn deal(&mut self, width: usize, weights: &[u64; SLOTS]) {
        tracing::info!(writers = width, "the nodes are dealt to writers anew");
        (self.pressed, self.calm) = (0, 0);
        self.shards = Shard::deal(width, weights);
        self.memories = (0..width).map(|_| Memory::of_one(width)).collect();
    }

    /// Makes what the rows go into, because the transaction that makes it by the way keeps the others
    /// waiting until its end, and the first ends last.
    pub(super) async fn make_room(&mut self, plans: &Plans<'_>) -> Result<(), Error> {
        if self.width() == 1 {
            return Ok(());
        }
        if self.days.len() > DAYS_MAX {
            self.days.clear();
        }
        let mut new = BTreeSet::new();
        for (oldest, newest) in plans.all().flat_map(|plan| plan.spans.values()) {
            let mut day = oldest.floor_to(DAY_S);
            while day <= *newest {
                if !self.days.contains(&day) {
                    new.insert(day);
                }
                day = UnixMicros(day.0 + UnixMicros::from_secs(DAY_S).0);
            }
        }
        for day in new {
            let end = UnixMicros(day.0 + UnixMicros::from_secs(DAY_S).0 - 1);
            self.first().ensure_span((day, end)).await?;
            self.days.insert(day);
        }
        Ok(())
    }
}

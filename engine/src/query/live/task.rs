//! The task that owns the live state's time.

use super::fleet::{Loaded, Pending};
use super::hub::Hub;
use super::load::load;
use crate::limits::LIVE_TICK;
use crate::publish::notify::CommittedReceiver;
use crate::query::Reading;
use crate::registry::edited_since;
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::Accounts;
use deadpool_postgres::Pool;
use fiber_contract::UnixMicros;
use fiber_contract::live::LiveTotals;
use fiber_contract::status::EtlStatus;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

/// Where the live state comes from.
#[derive(Debug)]
pub struct Sources {
    pub committed: CommittedReceiver,
    pub etl: Reading<EtlStatus>,
    pub accounts: Reading<Accounts>,
    /// For the nodes and their last samples at start. Of `sql::pool`.
    pub pool: Pool,
}

/// A fleet where nothing happens still says so now and then, so that a browser knows its stream is
/// alive: well inside the 45 s after which the dashboard opens another.
const QUIET_MAX: Duration = Duration::from_secs(10);
const LOAD_RETRY: Duration = Duration::from_secs(1);
/// An edit is read again for so long: a replica may be behind, and transactions end out of order.
const EDITS_OVERLAP_MICROS: i64 = 60_000_000;
/// Nodes that another engine registered are loaded, but not more often than this.
const RELOAD_EVERY: Duration = Duration::from_secs(10);

/// Runs until the end is asked for. The channel is always emptied, whatever the database does, so
/// the writer never waits for it.
pub async fn run(hub: Hub, mut sources: Sources, shutdown: Shutdown) {
    let _registered = shutdown.register("live");
    let mut ticks = interval(LIVE_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pending = Pending::default();
    let mut rate = Rate::default();
    let mut told = Instant::now();
    let mut loading = Some(Box::pin(load_until_it_works(sources.pool.clone())));
    let mut loaded_at = Instant::now();
    let mut loaded: Vec<Loaded> = Vec::new();
    let mut edits = Edits::new(hub.clone(), sources.pool.clone());
    let mut open = true;
    loop {
        tokio::select! {
            committed = sources.committed.recv(), if open => match committed {
                Some(committed) => pending.add(committed),
                None => open = false,
            },
            nodes = async { loading.as_mut().expect("the branch is guarded").await },
                if loading.is_some() =>
            {
                loading = None;
                loaded_at = Instant::now();
                loaded = nodes;
            }
            _ = ticks.tick() => {
                let now = Instant::now();
                let totals = totals(&sources, &mut rate, now);
                let quiet_too = now.duration_since(told) >= QUIET_MAX;
                let nodes = std::mem::take(&mut loaded);
                if hub.tick(UnixMicros::now(), &mut pending, nodes, totals, quiet_too) {
                    told = now;
                }
                let idle = loading.is_none() && now.duration_since(loaded_at) >= RELOAD_EVERY;
                if idle && hub.take_strangers() {
                    loading = Some(Box::pin(load_until_it_works(sources.pool.clone())));
                }
            }
            () = edits.look() => {}
            () = shutdown.asked() => return,
        }
    }
}

/// Looks for what operators changed on other engines.
struct Edits {
    hub: Hub,
    pool: Pool,
    since: UnixMicros,
    next: tokio::time::Instant,
}

impl Edits {
    fn new(hub: Hub, pool: Pool) -> Self {
        Self {
            hub,
            pool,
            since: UnixMicros(UnixMicros::now().0 - EDITS_OVERLAP_MICROS),
            next: tokio::time::Instant::now() + RELOAD_EVERY,
        }
    }

    /// May be dropped at any point: what was not taken is asked for again.
    async fn look(&mut self) {
        tokio::time::sleep_until(self.next).await;
        if let Ok(edits) = edited_since(&self.pool, self.since).await {
            for edit in &edits {
                self.hub.edit(edit);
            }
            if let Some(newest) = edits.last().and_then(|edit| edit.edited_at) {
                self.since = self.since.max(UnixMicros(newest.0 - EDITS_OVERLAP_MICROS));
            }
        }
        self.next = tokio::time::Instant::now() + RELOAD_EVERY;
    }
}

async fn load_until_it_works(pool: Pool) -> Vec<Loaded> {
    let mut told = false;
    loop {
        match load(&pool).await {
            Ok(nodes) => {
                tracing::info!(nodes = nodes.len(), "loaded the live state");
                return nodes;
            }
            // The database is away, or not migrated yet; its own check says so once a second.
            Err(error) if !told => {
                told = true;
                tracing::warn!(%error, "load the live state; trying again every second");
            }
            Err(_) => {}
        }
        tokio::time::sleep(LOAD_RETRY).await;
    }
}

fn totals(sources: &Sources, rate: &mut Rate, now: Instant) -> LiveTotals {
    let accounts = sources.accounts.get();
    let settled = accounts.stored + accounts.duplicate + accounts.quarantined;
    LiveTotals {
        received: accounts.received,
        stored: accounts.stored,
        duplicate: accounts.duplicate,
        quarantined: accounts.quarantined,
        in_flight: accounts.in_flight,
        rate_per_s: rate.measure(now, settled),
        lag_s: sources.etl.get().lag_s,
    }
}

/// Samples per second over the last second or so.
#[derive(Debug, Default)]
pub(super) struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    pub(super) fn measure(&mut self, now: Instant, count: u64) -> f64 {
        self.0.push_back((now, count));
        // Keep the youngest measure that is a second old or more.
        while self
            .0
            .get(1)
            .is_some_and(|(at, _)| now.duration_since(*at) >= Duration::from_secs(1))
        {
            self.0.pop_front();
        }
        let Some((at, before)) = self.0.front() else {
            return 0.0;
        };
        let seconds = now.duration_since(*at).as_secs_f64();
        if seconds > 0.0 {
            (count.saturating_sub(*before)) as f64 / seconds
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_the_last_second_and_falls_to_zero() {
        let start = Instant::now();
        let mut rate = Rate::default();
        let at = |half_seconds: u64| start + Duration::from_millis(500 * half_seconds);
        assert!(rate.measure(at(0), 0).abs() < 1e-9);
        assert!((rate.measure(at(1), 50) - 100.0).abs() < 1e-9);
        assert!((rate.measure(at(2), 100) - 100.0).abs() < 1e-9);
        assert!((rate.measure(at(3), 100) - 50.0).abs() < 1e-9);
        assert!(rate.measure(at(4), 100).abs() < 1e-9);
    }
}

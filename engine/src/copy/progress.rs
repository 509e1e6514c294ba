//! How far the writer is, for those who wait for it and those who look.

use crate::model::GroupSeq;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Tells when a group is in the tables: `?ack=committed`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CommitWatch {
    committed: watch::Sender<GroupSeq>,
    waiting: Arc<AtomicUsize>,
}

impl CommitWatch {
    #[expect(
        clippy::new_without_default,
        reason = "a second one by accident would never be told"
    )]
    pub fn new() -> Self {
        Self {
            committed: watch::channel(GroupSeq::ZERO).0,
            waiting: Arc::default(),
        }
    }

    /// Resolves once the group's transaction is confirmed. Have a deadline: the database may be
    /// away for long.
    pub async fn wait(&self, seq: GroupSeq) {
        let _waiting = Waiting::new(&self.waiting);
        let mut committed = self.committed.subscribe();
        // An error means that the sender is gone, and `self` holds one.
        committed
            .wait_for(|committed| *committed >= seq)
            .await
            .map(drop)
            .unwrap_or_default();
    }

    pub fn committed(&self) -> GroupSeq {
        *self.committed.borrow()
    }

    /// Somebody waits: a transaction must not linger for company.
    pub(super) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    pub(super) fn tell(&self, seq: GroupSeq) {
        self.committed.send_if_modified(|committed| {
            let ahead = seq > *committed;
            *committed = seq.max(*committed);
            ahead
        });
    }
}

/// Counts one waiter, also when it gives up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The state of the writer, for `/api/status`.
#[derive(Debug)]
pub struct CopyStatus(Mutex<State>);

#[derive(Debug)]
struct State {
    connected: bool,
    since: Instant,
    last_error: Option<String>,
    committed: GroupSeq,
    /// When the oldest group that is not committed became durable.
    oldest_waiting: Option<Instant>,
    edition: Option<crate::schema::Edition>,
}

#[derive(Clone, Debug)]
pub struct CopySnapshot {
    pub connected: bool,
    /// How long it has been so.
    pub since: Duration,
    /// Why the last session ended; kept after a new one stands, until its first commit.
    pub last_error: Option<String>,
    pub committed: GroupSeq,
    /// Age of the oldest group that is not committed, as far as the writer has looked.
    pub lag: Duration,
    /// What the server is; unknown before the first session.
    pub edition: Option<crate::schema::Edition>,
}

impl CopyStatus {
    #[expect(
        clippy::new_without_default,
        reason = "a second one by accident would never be filled"
    )]
    pub fn new() -> Self {
        Self(Mutex::new(State {
            connected: false,
            since: Instant::now(),
            last_error: None,
            committed: GroupSeq::ZERO,
            oldest_waiting: None,
            edition: None,
        }))
    }

    pub fn snapshot(&self) -> CopySnapshot {
        let state = self.lock();
        CopySnapshot {
            connected: state.connected,
            since: state.since.elapsed(),
            last_error: state.last_error.clone(),
            committed: state.committed,
            lag: state
                .oldest_waiting
                .map_or(Duration::ZERO, |at| at.elapsed()),
            edition: state.edition,
        }
    }

    pub(super) fn connected(&self, edition: crate::schema::Edition) {
        let mut state = self.lock();
        state.connected = true;
        state.since = Instant::now();
        state.edition = Some(edition);
    }

    pub(super) fn failed(&self, error: &super::Error) {
        let mut state = self.lock();
        if state.connected {
            state.since = Instant::now();
        }
        state.connected = false;
        state.last_error = Some(error.to_string());
    }

    pub(super) fn waiting_since(&self, oldest: Option<Instant>) {
        self.lock().oldest_waiting = oldest;
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.lock().oldest_waiting.is_some()
    }

    pub(super) fn committed(&self, seq: GroupSeq) {
        let mut state = self.lock();
        state.committed = seq;
        state.oldest_waiting = None;
        state.last_error = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_waiter_is_released_by_its_group_or_a_later_one() {
        let watch = CommitWatch::new();
        let waiter = tokio::spawn({
            let watch = watch.clone();
            async move { watch.wait(GroupSeq(3)).await }
        });
        while !watch.is_awaited() {
            tokio::task::yield_now().await;
        }
        watch.tell(GroupSeq(2));
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        watch.tell(GroupSeq(5));
        waiter.await.unwrap();
        assert!(!watch.is_awaited());
    }

    #[test]
    fn the_position_never_goes_back() {
        let watch = CommitWatch::new();
        watch.tell(GroupSeq(5));
        watch.tell(GroupSeq(4));
        assert_eq!(watch.committed(), GroupSeq(5));
    }
}

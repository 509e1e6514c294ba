//! The shared state behind one lock, and the ways in and out of it.

use super::fleet::{Changes, Fleet, Loaded, Pending};
use super::ring::{EventId, Ring};
use crate::limits::LIVE_RING_TICKS;
use crate::query::packed::Event;
use crate::registry::Edit;
use fiber_contract::live::{EVENT_CHANGE, EVENT_SNAPSHOT, LiveChange, LiveSnapshot, LiveTotals};
use fiber_contract::{NodeState, NodeView, UnixMicros};
use serde::Serialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hub {
    state: Arc<Mutex<State>>,
    ticks: broadcast::Sender<Event>,
}

#[derive(Debug)]
struct State {
    fleet: Fleet,
    ring: Ring<Event>,
    totals: LiveTotals,
    now: UnixMicros,
    /// The snapshot after the newest tick, once somebody asked for it: a crowd that reconnects
    /// costs one.
    snapshot: Option<(EventId, Event)>,
}

/// What a browser gets first, and where the rest comes from.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) first: Vec<Event>,
    pub(super) rest: broadcast::Receiver<Event>,
}

/// Ticks that a browser may lag behind; the bytes are shared, so this costs nothing per browser.
const BEHIND_TICKS_MAX: usize = 16;

impl Hub {
    /// `run` tells this process's stream from the one before it.
    #[must_use]
    pub fn new(run: u64) -> Self {
        let (ticks, _) = broadcast::channel(BEHIND_TICKS_MAX);
        let state = State {
            fleet: Fleet::default(),
            ring: Ring::new(run, LIVE_RING_TICKS),
            totals: LiveTotals::default(),
            now: UnixMicros::now(),
            snapshot: None,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            ticks,
        }
    }

    /// The current fleet, in the order of ids.
    pub fn nodes(&self) -> Vec<NodeView> {
        self.lock().fleet.views()
    }

    pub fn node(&self, node_id: &str) -> Option<NodeView> {
        self.lock().fleet.view(node_id).cloned()
    }

    /// How many nodes are in each state.
    pub fn states(&self) -> Vec<(NodeState, usize)> {
        self.lock().fleet.states()
    }

    pub fn totals(&self) -> LiveTotals {
        self.lock().totals
    }

    /// Browsers that listen now.
    pub fn watchers(&self) -> usize {
        self.ticks.receiver_count()
    }

    /// Shows what an operator said, in lists at once and in streams with the next tick.
    pub(crate) fn edit(&self, edit: &Edit) {
        let mut state = self.lock();
        state.fleet.edit(edit, UnixMicros::now());
        state.snapshot = None;
    }

    /// One tick: folds in, publishes. Quiet ticks, where nothing moved, are left out unless
    /// `even_if_quiet`.
    pub(super) fn tick(
        &self,
        now: UnixMicros,
        pending: &mut Pending,
        loaded: Vec<Loaded>,
        totals: LiveTotals,
        even_if_quiet: bool,
    ) -> bool {
        let mut state = self.lock();
        let changes = state.fleet.tick(now, pending, loaded);
        if !even_if_quiet && changes == Changes::default() && totals == state.totals {
            return false;
        }
        state.totals = totals;
        state.now = now;
        state.snapshot = None;
        let change = LiveChange {
            now,
            nodes: changes.nodes,
            added: changes.whole,
            removed: changes.removed,
            totals,
        };
        let event = state.ring.push(|id| frame(EVENT_CHANGE, id, &change));
        // An error means that nobody listens.
        self.ticks.send(event).map(drop).unwrap_or_default();
        true
    }

    /// Whether samples came of nodes that nobody introduced here, since the last call.
    pub(super) fn take_strangers(&self) -> bool {
        self.lock().fleet.take_strangers()
    }

    /// Resumes after `last` if the ring still holds all that was missed; else starts with a snapshot.
    pub(super) fn subscribe(&self, last: Option<EventId>) -> Subscription {
        let mut state = self.lock();
        // Under the lock, so that no tick falls between the first events and the rest.
        let rest = self.ticks.subscribe();
        let first = match last.and_then(|last| state.ring.after(last)) {
            Some(missed) => missed,
            None => vec![state.snapshot()],
        };
        Subscription { first, rest }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn snapshot(&mut self) -> Event {
        let newest = self.ring.newest();
        if let Some((_, event)) = self.snapshot.as_ref().filter(|(id, _)| *id == newest) {
            return event.clone();
        }
        let snapshot = LiveSnapshot {
            now: self.now,
            nodes: self.fleet.views(),
            totals: self.totals,
        };
        let event = frame(EVENT_SNAPSHOT, newest, &snapshot);
        self.snapshot = Some((newest, event.clone()));
        event
    }
}

/// One event of the stream. JSON has no line breaks, so one data line holds it.
fn frame<T: Serialize>(event: &str, id: EventId, data: &T) -> Event {
    let mut out = format!("event: {event}\nid: {id}\ndata: ").into_bytes();
    if let Err(error) = serde_json::to_writer(&mut out, data) {
        tracing::error!(%error, event, "serialise a live event");
    }
    out.extend_from_slice(b"\n\n");
    Event::new(out.into())
}

//! The live fleet as signals: one stream feeds every page.

use std::time::Duration;

use fiber_contract::UnixMicros;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::fleet::{Fleet, Node, Summary};
use super::posture::{Posture, posture};
use crate::api;
use crate::api::error::Error;
use crate::api::live::Event;
use crate::slim::memo;

/// How the numbers on the page reach it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Connection {
    Connecting,
    Live,
    /// What is shown is as old as the last event.
    Lost {
        since: UnixMicros,
    },
}

/// Without a stream for this long the list is asked for instead: some proxies hold streams back.
const LIST_AFTER_S: f64 = 4.0;
const LIST_EVERY_S: i64 = 5;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    pub(crate) fleet: RwSignal<Fleet>,
    pub(crate) connection: RwSignal<Connection>,
    /// The engine's clock, ticking every second.
    pub(crate) now: RwSignal<UnixMicros>,
    pub(crate) summary: Memo<Summary>,
    pub(crate) posture: Memo<Posture>,
    /// Whether anything was ever heard.
    pub(crate) ready: Memo<bool>,
    pub(crate) empty: Memo<bool>,
    /// Why the list did not come either, while the stream is lost.
    pub(crate) problem: RwSignal<Option<Error>>,
    /// Engine's clock minus the browser's, in microseconds.
    skew: RwSignal<i64>,
}

impl Live {
    /// Opens the stream. Once, in the root component.
    pub(crate) fn provide() -> Self {
        let fleet = RwSignal::new(Fleet::default());
        let live = Self {
            fleet,
            connection: RwSignal::new(Connection::Connecting),
            now: RwSignal::new(browser_now()),
            summary: memo(move || fleet.with(Fleet::summary)),
            posture: memo(move || fleet.with(posture)),
            ready: memo(move || fleet.with(|fleet| fleet.now.is_some())),
            empty: memo(move || fleet.with(|fleet| fleet.nodes.is_empty())),
            problem: RwSignal::new(None),
            skew: RwSignal::new(0),
        };
        provide_context(live);
        api::live::follow(move |event| live.hear(event));
        set_interval(move || live.tick(), Duration::from_secs(1));
        live
    }

    pub(crate) fn expect() -> Self {
        expect_context()
    }

    /// One node, changing only when it does.
    pub(crate) fn node(
        self,
        id: impl Fn() -> String + Send + Sync + 'static,
    ) -> Memo<Option<Node>> {
        memo(move || self.fleet.with(|fleet| fleet.nodes.get(&id()).cloned()))
    }

    fn hear(self, event: Event) {
        let known = match event {
            Event::Snapshot(snapshot) => {
                let now = snapshot.now;
                self.fleet
                    .try_update(|fleet| fleet.apply_snapshot(snapshot));
                Some(now)
            }
            Event::Change(change) => {
                let now = change.now;
                self.fleet.try_update(|fleet| fleet.apply_change(change));
                Some(now)
            }
            Event::Lost => None,
        };
        let before = self.connection.try_get_untracked();
        let after = match (known, before) {
            (Some(now), _) => {
                // Steady clocks would tick unevenly if every event's travel time moved them.
                let skew = now.0 - browser_now().0;
                let old = self.skew.try_get_untracked().unwrap_or(skew);
                if (skew - old).abs() > 500_000 {
                    self.skew.try_set(skew);
                }
                Connection::Live
            }
            (None, Some(lost @ Connection::Lost { .. })) => lost,
            (None, _) => Connection::Lost {
                since: self.engine_now(),
            },
        };
        if before != Some(after) {
            self.connection.try_set(after);
            if after == Connection::Live {
                self.problem.try_set(None);
            }
        }
    }

    fn tick(self) {
        let now = self.engine_now();
        self.now.try_set(now);
        let Some(Connection::Lost { since }) = self.connection.try_get_untracked() else {
            return;
        };
        let lost_s = now.secs_since(since);
        if lost_s > LIST_AFTER_S && (now.as_millis() / 1_000) % LIST_EVERY_S == 0 {
            self.ask_list();
        }
    }

    /// The fleet as a list, for a browser that cannot hold the stream.
    pub(crate) fn ask_list(self) {
        spawn_local(async move {
            let problem = match api::nodes::list().await {
                Ok(nodes) => {
                    let now = self.engine_now();
                    self.fleet.try_update(|fleet| fleet.apply_list(nodes, now));
                    None
                }
                Err(error) => Some(error),
            };
            // The stream may be back by now.
            if self.connection.try_get_untracked() != Some(Connection::Live) {
                self.problem.try_set(problem);
            }
        });
    }

    /// The engine's clock this very moment, as far as the stream has told it.
    pub(crate) fn engine_now(self) -> UnixMicros {
        UnixMicros(browser_now().0 + self.skew.try_get_untracked().unwrap_or_default())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "milliseconds since 1970 fit 53 bits"
)]
fn browser_now() -> UnixMicros {
    UnixMicros::from_millis(js_sys::Date::now() as i64)
}

//! A series over the range in the URL, asked for again as time passes.

use std::sync::Arc;
use std::time::Duration;

use fiber_contract::UnixMicros;
use fiber_contract::query::SeriesAnswer;
use fiber_contract::time::MICROS_PER_S;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::live::Live;
use super::range::Range;
use crate::api;
use crate::api::error::Error;
use crate::router::Router;

/// Whose history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Fleet,
    Node(String),
}

/// A series as shared by the parts that draw it; equal only to itself.
#[derive(Clone, Debug)]
pub(crate) struct Series(pub(crate) Arc<SeriesAnswer>);

impl PartialEq for Series {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct History {
    live: Live,
    subject: Memo<Subject>,
    pub(crate) range: Memo<Range>,
    pub(crate) series: RwSignal<Option<Series>>,
    pub(crate) problem: RwSignal<Option<Error>>,
    /// Set while somebody reads values: nothing may move under the pointer.
    pub(crate) paused: RwSignal<bool>,
    /// Counts the questions, so that a late answer to an old one is dropped.
    asked: StoredValue<u64>,
    asked_at: StoredValue<UnixMicros>,
}

impl History {
    /// Asks until the component that called this goes.
    pub(crate) fn follow(subject: Memo<Subject>) -> Self {
        let router = Router::expect();
        let range =
            Memo::new(move |_| router.with(|address| Range::from_query(address.value("range"))));
        let history = Self {
            live: Live::expect(),
            subject,
            range,
            series: RwSignal::new(None),
            problem: RwSignal::new(None),
            paused: RwSignal::new(false),
            asked: StoredValue::new(0),
            asked_at: StoredValue::new(UnixMicros(0)),
        };
        Effect::new(move || {
            // Read, not only tracked: a memo that nobody reads never runs.
            drop(subject.get());
            range.get();
            history.series.set(None);
            history.problem.set(None);
            history.ask();
        });
        let beat = set_interval_with_handle(move || history.ask_when_due(), Duration::from_secs(1));
        on_cleanup(move || {
            if let Ok(beat) = beat {
                beat.clear();
            }
        });
        history
    }

    fn ask_when_due(self) {
        let (Some(paused), Some(asked_at), Some(range)) = (
            self.paused.try_get_untracked(),
            self.asked_at.try_get_value(),
            self.range.try_get_untracked(),
        ) else {
            return;
        };
        let waited_s = self.live.engine_now().secs_since(asked_at);
        if !paused && waited_s >= f64::from(range.refresh_s()) {
            self.ask();
        }
    }

    pub(crate) fn ask(self) {
        let to = self.live.engine_now();
        let from = UnixMicros(to.0 - self.range.get_untracked().span_s() * MICROS_PER_S);
        let subject = self.subject.get_untracked();
        self.asked.update_value(|asked| *asked += 1);
        self.asked_at.set_value(to);
        let mine = self.asked.get_value();
        spawn_local(async move {
            let answer = api::series::of(&subject, from, to).await;
            // The page may be gone, or ask for something else by now.
            if self.asked.try_get_value() != Some(mine) {
                return;
            }
            match answer {
                Ok(answer) => {
                    self.series.try_set(Some(Series(Arc::new(answer))));
                    self.problem.try_set(None);
                }
                Err(error) => {
                    self.problem.try_set(Some(error));
                }
            }
        });
    }
}

//! A series over the page's stretch of time, asked for again when that moves.

use std::sync::Arc;

use fiber_contract::query::SeriesAnswer;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::view::TimeView;
use crate::api;
use crate::api::error::Error;
use crate::chart::picture::{Kind, Picture};
use crate::slim::{effect, memo};

/// Whose history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Fleet,
    Node(String),
    Region(String),
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
    view: TimeView,
    subject: StoredValue<Subject>,
    /// With the distribution of every step, for smoke plot and heatmap.
    sketch: bool,
    pub(crate) series: RwSignal<Option<Series>>,
    pub(crate) problem: RwSignal<Option<Error>>,
    /// Counts the questions, so that a late answer to an old one is dropped.
    asked: StoredValue<u64>,
}

impl History {
    /// Asks until the component that called this goes. What is drawn stays until the answer for
    /// another stretch of time is there: it lies where it belongs on the new axis meanwhile.
    pub(crate) fn follow(subject: Subject, sketch: bool) -> Self {
        let view = TimeView::expect();
        let history = Self {
            view,
            subject: StoredValue::new(subject),
            sketch,
            series: RwSignal::new(None),
            problem: RwSignal::new(None),
            asked: StoredValue::new(0),
        };
        effect(move || {
            view.domain.track();
            history.ask();
        });
        history
    }

    pub(crate) fn ask(self) {
        let (Some(domain), Some(subject)) = (
            self.view.domain.try_get_untracked(),
            self.subject.try_get_value(),
        ) else {
            return;
        };
        let step_s = match &subject {
            Subject::Node(id) if self.sketch => self.view.spread_step(id, domain),
            _ => None,
        };
        self.asked.update_value(|asked| *asked += 1);
        let mine = self.asked.get_value();
        spawn_local(async move {
            let answer = api::series::of(&subject, domain, self.sketch, step_s).await;
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

    pub(crate) fn picture(self, kind: Kind) -> Signal<Option<Picture>> {
        let series = self.series;
        memo(move || {
            series
                .get()
                .map(|Series(answer)| Picture::One(kind, answer))
        })
        .into()
    }
}

use leptos::prelude::*;

use super::keys::{self, Key};
use super::notice::Failure;
use super::range_picker::RangePicker;
use super::series_chart::SeriesChart;
use crate::chart::layout::Proportions;
use crate::router::{Router, Step};
use crate::state::history::History;

/// A chart with its range; the children are shown under the notice that it is empty.
#[component]
pub(crate) fn HistoryPanel(
    title: &'static str,
    history: History,
    proportions: Proportions,
    children: ChildrenFn,
) -> impl IntoView {
    let router = Router::expect();
    keys::listen(move |key| {
        let next = match key {
            Key::Shorter => history.range.get_untracked().step(false),
            Key::Longer => history.range.get_untracked().step(true),
            _ => return,
        };
        router.set("range", Some(next.as_str()), Step::SamePage);
    });
    let empty = Memo::new(move |_| {
        history
            .series
            .with(|series| series.as_ref().is_some_and(|s| s.0.points.is_empty()))
    });
    let waiting =
        move || history.series.with(Option::is_none) && history.problem.with(Option::is_none);
    view! {
        <section class="panel history">
            <div class="tools">
                <h2>{title}</h2>
                <RangePicker current=history.range/>
            </div>
            {move || history.problem.get().map(|error| view! { <Failure error retry=move || history.ask()/> })}
            {move || {
                empty
                    .get()
                    .then(|| {
                        view! {
                            <div class="notice">
                                <p class="notice-title">
                                    "No samples in the " {move || history.range.get().words()} "."
                                </p>
                                {children()}
                            </div>
                        }
                    })
            }}
            <div class:waiting=waiting class:hidden=move || empty.get()>
                <SeriesChart series=history.series paused=history.paused proportions/>
            </div>
        </section>
    }
}

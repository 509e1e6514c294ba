use leptos::prelude::*;

use super::chart::Chart;
use super::notice::Failure;
use super::time_bar::TimeBar;
use crate::chart::picture::Kind;
use crate::slim::{dynamic, memo};
use crate::state::history::History;

/// What a panel of charts shows, top to bottom, and how tall each is.
pub(crate) type Shown = &'static [(Kind, f64)];

/// Everything there is to see of one node.
pub(crate) const FULL: Shown = &[
    (Kind::Smoke, 210.0),
    (Kind::Fan, 190.0),
    (Kind::Heat, 190.0),
    (Kind::Loss, 84.0),
    (Kind::Uptime, 84.0),
];
/// Beside other panels.
pub(crate) const COMPACT: Shown = &[(Kind::Fan, 196.0), (Kind::Loss, 68.0), (Kind::Uptime, 68.0)];

const fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Fan => "Latency percentiles, ms",
        Kind::Smoke => "Latency smoke, ms",
        Kind::Heat => "Latency heatmap, ms",
        Kind::Loss => "Packet loss",
        Kind::Uptime => "Uptime",
    }
}

/// Charts of one series under one time bar; the children are shown under the notice that there is
/// nothing.
#[component]
pub(crate) fn HistoryPanel(
    name: &'static str,
    history: History,
    shown: Shown,
    children: ChildrenFn,
) -> impl IntoView {
    let empty = memo(move || {
        history
            .series
            .with(|series| series.as_ref().is_some_and(|s| s.0.points.is_empty()))
    });
    let waiting =
        move || history.series.with(Option::is_none) && history.problem.with(Option::is_none);
    view! {
        <section class="panel history" class:waiting=waiting>
            <div class="tools">
                <h2>{name}</h2>
                <TimeBar/>
            </div>
            {dynamic(move || history.problem.get().map(|error| view! { <Failure error retry=move || history.ask()/> }))}
            {dynamic(move || empty.get().then(|| view! {
                <div class="notice">
                    <p class="notice-title">"No samples in this range."</p>
                    {children()}
                </div>
            }))}
            <div class="charts">
                {shown
                    .iter()
                    .map(|(kind, height_px)| view! {
                        <Chart title=title(*kind).to_owned() height_px=*height_px picture=history.picture(*kind)/>
                    })
                    .collect_view()}
            </div>
        </section>
    }
}

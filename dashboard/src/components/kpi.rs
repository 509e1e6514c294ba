use fiber_contract::NodeState;
use leptos::prelude::*;

use super::state_mark::{STATES, StateMark, tone};
use crate::format;
use crate::slim::{derive, dynamic, memo};
use crate::state::live::Live;

/// The figures of the fleet in one row.
#[component]
pub(crate) fn KpiRow() -> impl IntoView {
    let live = Live::expect();
    let known = move |text: String| {
        if live.ready.get() {
            text
        } else {
            format::UNKNOWN.to_owned()
        }
    };
    let summary = live.summary;
    let totals = memo(move || live.fleet.with(|fleet| fleet.totals));
    view! {
        <section class="kpis" aria-label="Fleet figures">
            {STATES.map(|state| view! { <StateTile state/> })}
            <Tile
                label="Latency p50"
                unit="ms"
                title="Median over the nodes' newest samples; silent nodes left out"
                value=derive(move || known(format::ms(summary.get().p50_ms)))
                note=derive(|| "over nodes, now".to_owned())
            />
            <Tile
                label="Latency p95"
                unit="ms"
                title="95th percentile over the nodes' newest samples; silent nodes left out"
                value=derive(move || known(format::ms(summary.get().p95_ms)))
                note=derive(|| "over nodes, now".to_owned())
            />
            <Tile
                label="Packet loss"
                unit="%"
                title="Mean over the nodes' newest samples; silent nodes left out"
                value=derive(move || known(format::pct(summary.get().loss_pct)))
                note=derive(|| "mean over nodes, now".to_owned())
            />
            <Tile
                label="Samples stored"
                unit=""
                title="Rows committed to the database since the engine started"
                value=derive(move || {
                    totals.get().map_or(format::UNKNOWN.to_owned(), |t| format::count(t.stored))
                })
                note=derive(move || {
                    totals
                        .get()
                        .map_or("since start".to_owned(), |t| {
                            format!("{} per second", format::rate(t.rate_per_s))
                        })
                })
            />
        </section>
    }
}

#[component]
fn StateTile(state: NodeState) -> impl IntoView {
    let live = Live::expect();
    let count = memo(move || live.summary.get().count(state));
    let word = state.as_str();
    view! {
        <a
            class=move || {
                let quiet = if count.get() == 0 { " none" } else { "" };
                format!("kpi kpi-state {}{quiet}", tone(state))
            }
            href=format!("/nodes?state={word}")
            title=format!("Show the nodes that are {word}")
        >
            <span class="kpi-label"><StateMark state=Signal::from(state)/>{word}</span>
            <span class="kpi-value">
                {dynamic(move || {
                    if live.ready.get() {
                        format::count(count.get() as u64)
                    } else {
                        format::UNKNOWN.to_owned()
                    }
                })}
            </span>
            <span class="kpi-note">
                {dynamic(move || format!("of {}", format::plural(live.summary.get().nodes, "node", "nodes")))}
            </span>
        </a>
    }
}

#[component]
fn Tile(
    label: &'static str,
    unit: &'static str,
    title: &'static str,
    value: Signal<String>,
    note: Signal<String>,
) -> impl IntoView {
    view! {
        <div class="kpi" title=title>
            <span class="kpi-label">{label}</span>
            <span class="kpi-value">
                {value} {(!unit.is_empty()).then(|| view! { <small>" "{unit}</small> })}
            </span>
            <span class="kpi-note">{note}</span>
        </div>
    }
}

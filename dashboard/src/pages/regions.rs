use std::time::Duration;

use fiber_contract::summary::{AggregateRow, AggregatedAnswer};
use fiber_contract::time::MICROS_PER_S;
use fiber_contract::{NodeState, UnixMicros};
use leptos::prelude::*;

use crate::api;
use crate::api::client::encode;
use crate::api::error::Error;
use crate::components::notice::Failure;
use crate::components::range_picker::RangePicker;
use crate::components::state_mark::{STATES, StateMark, tone};
use crate::format;
use crate::router::Router;
use crate::routes::Page;
use crate::slim::{derive, dynamic, effect, memo};
use crate::state::comparison::{Comparison, Subject};
use crate::state::live::Live;
use crate::state::range::Range;
use crate::state::sort::sort;

const ASK_EVERY: Duration = Duration::from_secs(15);

/// Every region over a range: how it measured, and how its nodes stand now. Worst first.
#[component]
pub(crate) fn RegionsPage() -> impl IntoView {
    let (router, live) = (Router::expect(), Live::expect());
    let range = memo(move || router.with(|at| Range::from_query(at.value("range"))));
    let found = RwSignal::new(None::<AggregatedAnswer>);
    let problem = RwSignal::new(None::<Error>);
    // Counts the questions, so that a late answer to an old one is dropped.
    let asked = StoredValue::new(0_u64);
    let ask = move || {
        let Some(range) = range.try_get_untracked() else {
            return;
        };
        asked.update_value(|asked| *asked += 1);
        let mine = asked.get_value();
        let to = live.engine_now();
        let from = UnixMicros(to.0 - range.span_s() * MICROS_PER_S);
        api::summary::regions(from, to, move |answer| {
            if asked.try_get_value() != Some(mine) {
                return;
            }
            match answer {
                Ok(mut answer) => {
                    sort(&mut answer.rows, |a, b| {
                        let known = |row: &AggregateRow| row.availability_pct.unwrap_or(-1.0);
                        let order = known(a).total_cmp(&known(b));
                        order.then_with(|| a.key.cmp(&b.key))
                    });
                    found.try_set(Some(answer));
                    problem.try_set(None);
                }
                Err(error) => {
                    problem.try_set(Some(error));
                }
            }
        });
    };
    effect(move || {
        // Read, not only tracked: a memo that nobody reads never runs.
        range.get();
        ask();
    });
    let beat = set_interval_with_handle(ask, ASK_EVERY);
    on_cleanup(move || {
        if let Ok(beat) = beat {
            beat.clear();
        }
    });
    let empty =
        move || found.with(|found| found.as_ref().is_some_and(|found| found.rows.is_empty()));
    view! {
        <div class="regions-page">
            <h1>"Regions"</h1>
            <section class="panel account">
                <div class="tools">
                    <h2>"Worst availability first"</h2>
                    <RangePicker current=derive(move || Some(range.get()))/>
                </div>
                {dynamic(move || problem.get().map(|error| view! { <Failure error retry=ask/> }))}
                {dynamic(move || empty().then(|| view! { <p class="table-note">"No samples in this range."</p> }))}
                <div class="scroll" tabindex="0" role="region" aria-label="Regions">
                    <Table found/>
                </div>
            </section>
        </div>
    }
}

const COLUMNS: [&str; 11] = [
    "Region",
    "Nodes now",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "Loss %",
    "Availability %",
    "Downtime",
    "Reporting",
    "Samples",
    "Look",
];

#[component]
fn Table(found: RwSignal<Option<AggregatedAnswer>>) -> impl IntoView {
    let rows = move || {
        let rows = found.get()?.rows.into_iter();
        Some(rows.map(|row| view! { <Row row/> }).collect_view())
    };
    view! {
        <table class="figures regions">
            <thead>
                <tr>{COLUMNS.map(|name| view! { <th scope="col">{name}</th> })}</tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
}

#[component]
fn Row(row: AggregateRow) -> impl IntoView {
    let name = row.key.clone();
    let compare = Comparison::default()
        .with(Subject::Region(name.clone()))
        .href();
    let figures = [
        format::ms(row.p50_ms),
        format::ms(row.p95_ms),
        format::ms(row.p99_ms),
        format::pct(Some(row.loss)),
        format::pct(row.availability_pct),
        if row.downtime_s < 1.0 {
            "none".to_owned()
        } else {
            format::span(row.downtime_s)
        },
        format!("{} of {}", row.reporting, row.nodes),
        format::count(row.count),
    ]
    .map(|figure| view! { <td class="num">{figure}</td> });
    view! {
        <tr>
            <th scope="row">
                <a href=format!("{}?q={}", Page::Nodes.href(), encode(&name))>{name.clone()}</a>
            </th>
            <td><Now region=name.clone()/></td>
            {figures}
            <td><a class="button" href=compare aria-label=format!("Chart of {name}")>"Chart"</a></td>
        </tr>
    }
}

/// How many of the region's nodes are in each state, this moment.
#[component]
fn Now(region: String) -> impl IntoView {
    let live = Live::expect();
    let counts = memo(move || {
        live.fleet.with(|fleet| {
            STATES.map(|state| {
                let of_it = fleet.nodes.values().filter(|node| node.region == region);
                of_it.filter(|node| node.state == state).count()
            })
        })
    });
    let part = move |(at, state): (usize, NodeState)| {
        view! {
            <span class=format!("state-count {}", tone(state)) class:none=move || counts.get()[at] == 0>
                <StateMark state=Signal::from(state)/>
                <b>{dynamic(move || counts.get()[at])}</b>
                <span class="hidden-text">{state.as_str()}</span>
            </span>
        }
    };
    view! { <span class="state-counts">{STATES.into_iter().enumerate().map(part).collect_view()}</span> }
}

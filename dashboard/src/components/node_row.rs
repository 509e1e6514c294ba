use fiber_contract::NodeState;
use leptos::prelude::*;

use super::state_mark::{STATES, StateMark, tone};
use crate::chart::strip::{cells, spark};
use crate::format::{self, px};
use crate::routes::Page;
use crate::slim::{dynamic, memo};
use crate::state::live::Live;
use crate::state::order::place;

const STRIP_WIDTH: f64 = 240.0;
const SPARK_WIDTH: f64 = 130.0;
const HEIGHT: f64 = 20.0;

/// One node of the table. Only what changed is drawn anew.
#[component]
pub(crate) fn NodeRow(
    id: String,
    #[prop(into)] index: Signal<usize>,
    #[prop(into)] selected: Signal<bool>,
) -> impl IntoView {
    let live = Live::expect();
    let key = id.clone();
    let node = live.node(move || key.clone());
    let of = move |pick: fn(&fiber_contract::NodeView) -> String| {
        memo(move || {
            node.get()
                .map_or(format::UNKNOWN.to_owned(), |node| pick(&node))
        })
    };
    let state = memo(move || node.get().map_or(NodeState::Unobserved, |node| node.state));
    let seen = memo(move || {
        let last = node.get().and_then(|node| node.last_seen);
        last.map_or(format::UNKNOWN.to_owned(), |last| {
            format::age(live.now.get().secs_since(last))
        })
    });
    let lossy = move || {
        node.get()
            .and_then(|node| node.packet_loss)
            .is_some_and(|loss| loss > 0.0)
    };
    let place = memo(move || node.get().map(|node| place(&node)).unwrap_or_default());
    view! {
        <div class="row" role="row" class:selected=selected
            aria-rowindex=move || (index.get() + 2).to_string()>
            <span class="cell state" role="cell">
                <StateMark state=Signal::from(state)/>
                <span class=move || format!("word {}", tone(state.get()))>
                    {dynamic(move || state.get().as_str())}
                </span>
            </span>
            <span class="cell name" role="rowheader">
                <a href=Page::Node(id.clone()).href()>{id.clone()}</a>
            </span>
            <span class="cell place" role="cell">
                {dynamic(move || place.get().0)}" "<small>{dynamic(move || place.get().1)}</small>
            </span>
            <span class="cell num seen" role="cell">{seen}</span>
            <span class="cell num p50" role="cell">{of(|node| format::ms(node.p50_ms))}</span>
            <span class="cell num p95" role="cell">{of(|node| format::ms(node.p95_ms))}</span>
            <span class="cell num loss" role="cell" class:dim=move || !lossy()>
                {of(|node| format::pct(node.packet_loss))}
            </span>
            <span class="cell num uptime" role="cell">{of(|node| format::pct(node.uptime_pct))}</span>
            <span class="cell strip" role="cell">
                <svg viewBox=format!("0 0 {} {}", px(STRIP_WIDTH), px(HEIGHT)) preserveAspectRatio="none" aria-hidden="true">
                    {STATES
                        .map(|state| {
                            let path = of_strip(node, state);
                            view! { <path class=tone(state) d=path/> }
                        })}
                </svg>
            </span>
            <span class="cell spark" role="cell">
                <svg viewBox=format!("0 0 {} {}", px(SPARK_WIDTH), px(HEIGHT)) preserveAspectRatio="none" aria-hidden="true">
                    <path d=move || {
                        node.get().map(|node| spark(&node.spark_ms, SPARK_WIDTH, HEIGHT))
                    }/>
                </svg>
            </span>
        </div>
    }
}

fn of_strip(node: Memo<Option<crate::state::fleet::Node>>, state: NodeState) -> Memo<String> {
    memo(move || {
        node.get()
            .map(|node| cells(&node.strip, state, STRIP_WIDTH, HEIGHT))
            .unwrap_or_default()
    })
}

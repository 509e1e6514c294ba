use leptos::prelude::*;

use super::state_mark::StateMark;
use crate::routes::Page;
use crate::slim::{derive, dynamic, memo};
use crate::state::live::Live;
use crate::state::order::{Wanted, place, rows};
use crate::state::reason::why;

const ROWS: usize = 8;

/// The nodes to look at first, each with the reason.
#[component]
pub(crate) fn WorstNodes() -> impl IntoView {
    let live = Live::expect();
    let worst = memo(move || {
        live.fleet.with(|fleet| {
            let mut ids = rows(fleet, &Wanted::default());
            ids.truncate(ROWS);
            ids
        })
    });
    view! {
        <section class="panel worst">
            <h2>"Look here first"</h2>
            <ol>
                <For each=move || worst.get() key=String::clone let:id>
                    <WorstRow id/>
                </For>
            </ol>
        </section>
    }
}

#[component]
fn WorstRow(id: String) -> impl IntoView {
    let live = Live::expect();
    let key = id.clone();
    let node = live.node(move || key.clone());
    let state = derive(move || {
        node.get()
            .map_or(fiber_contract::NodeState::Unobserved, |node| node.state)
    });
    view! {
        <li>
            <a href=Page::Node(id.clone()).href()>
                <StateMark state/>
                <span class="worst-place">
                    {dynamic(move || node.get().map(|node| place(&node).0))} <small>{id.clone()}</small>
                </span>
                <span class="worst-why">
                    {dynamic(move || node.get().map(|node| why(&node, live.now.get())))}
                </span>
            </a>
        </li>
    }
}

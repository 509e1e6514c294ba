use leptos::prelude::*;

use crate::components::blind::Blind;
use crate::components::first_run::FirstRun;
use crate::components::node_table::NodeTable;
use crate::slim::memo;
use crate::state::live::Live;

/// The table alone, as tall as the fleet.
#[component]
pub(crate) fn NodesPage() -> impl IntoView {
    let live = Live::expect();
    let first_run = memo(move || live.ready.get() && live.empty.get());
    view! {
        <h1 class="hidden-text">"Nodes"</h1>
        <Blind/>
        <Show when=move || !first_run.get() fallback=|| view! { <FirstRun/> }>
            <NodeTable/>
        </Show>
    }
}

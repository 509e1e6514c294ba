use fiber_contract::NodeState;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api;
use crate::api::error::Error;
use crate::components::first_run::SendSample;
use crate::components::heartbeat::heartbeat;
use crate::components::history_panel::{FULL, HistoryPanel};
use crate::components::node_account::NodeAccount;
use crate::components::node_edit::NodeEdit;
use crate::components::notice::Failure;
use crate::components::state_mark::{StateMark, tone};
use crate::format;
use crate::routes::Page;
use crate::slim::{derive, dynamic, effect, memo};
use crate::state::comparison::Comparison;
use crate::state::fleet::Node;
use crate::state::history::{History, Subject};
use crate::state::live::Live;
use crate::state::order::place;
use crate::state::prefs::Prefs;
use crate::state::view::TimeView;

/// One node: what it is, and how it has been.
#[component]
pub(crate) fn NodePage(id: String) -> impl IntoView {
    TimeView::provide();
    let history = History::follow(Subject::Node(id.clone()), true);
    let (sender, account) = (id.clone(), id.clone());
    view! {
        <div class="node-page">
            <Heading id/>
            <HistoryPanel name="History" history shown=FULL>
                <p>"This line sends one:"</p>
                <SendSample node_id=sender.clone()/>
            </HistoryPanel>
            <NodeAccount id=account/>
        </div>
    }
}

/// Who the node is, from the live fleet, or from the registry when the stream does not know it.
#[component]
fn Heading(id: String) -> impl IntoView {
    let (live, prefs) = (Live::expect(), Prefs::expect());
    let registered = RwSignal::new(None::<Result<Node, Error>>);
    let key = id.clone();
    let streamed = live.node(move || key.clone());
    let key = id.clone();
    let ask = move || {
        let id = key.clone();
        spawn_local(async move {
            let found = api::nodes::one(&id).await.map(Node::from);
            registered.try_set(Some(found));
        });
    };
    let first = ask.clone();
    effect(move || {
        if live.ready.get() && streamed.with(Option::is_none) {
            first();
        }
    });
    let node = memo(move || {
        streamed
            .get()
            .or_else(|| registered.get().and_then(Result::ok))
    });
    let state = memo(move || node.get().map_or(NodeState::Unobserved, |node| node.state));
    let fact = move |name: &'static str, pick: Signal<String>| {
        view! {
            <div>
                <dt>{name}</dt>
                <dd>{pick}</dd>
            </div>
        }
    };
    let of = move |pick: fn(&Node) -> String| {
        derive(move || {
            node.get()
                .map_or(format::UNKNOWN.to_owned(), |node| pick(&node))
        })
    };
    let seen = derive(move || {
        node.get()
            .and_then(|node| node.last_seen)
            .map_or(format::UNKNOWN.to_owned(), |seen| {
                match live.now.get().secs_since(seen) {
                    age if age < 1.0 => "now".to_owned(),
                    age => format!("{} ago", format::span(age)),
                }
            })
    });
    let first_seen = derive(move || {
        node.get()
            .and_then(|node| node.first_seen)
            .map_or(format::UNKNOWN.to_owned(), |seen| {
                format::date_clock(prefs.zone.get().zoned(seen))
            })
    });
    let pushes_to = heartbeat(id.clone());
    let compare = Comparison::default().with(Subject::Node(id.clone())).href();
    let problem = move || match (streamed.get(), registered.get()) {
        (None, Some(Err(error))) => Some(error),
        _ => None,
    };
    view! {
        <header class="node-head">
            <a class="back" href=Page::Nodes.href()>"Nodes"</a>
            <h1>{id.clone()}</h1>
            <span class=move || format!("state-word {}", tone(state.get()))>
                <StateMark state=Signal::from(state)/>
                {dynamic(move || state.get().as_str())}
            </span>
            <a class="button" href=compare>"Compare"</a>
            <NodeEdit id=id.clone() node/>
            {dynamic(move || problem().map(|error| {
                let ask = ask.clone();
                if error.is_not_found() {
                    view! { <p class="node-unknown">"No node of this name has ever reported."</p> }.into_any()
                } else {
                    view! { <Failure error retry=ask/> }.into_any()
                }
            }))}
            <dl class="facts">
                {fact("Place", of(|node| {
                    let (town, country) = place(node);
                    format!("{town}, {country}")
                }))}
                {fact("Last seen", seen)}
                {fact("p50 now", of(|node| format!("{} ms", format::ms(node.p50_ms))))}
                {fact("p95 now", of(|node| format!("{} ms", format::ms(node.p95_ms))))}
                {fact("Loss", of(|node| format!("{} %", format::pct(node.packet_loss))))}
                {fact("Targets", of(|node| node.targets.to_string()))}
                {fact("Interval", of(|node| format::span(node.interval_s)))}
                {fact("First seen", first_seen)}
                {fact("Pushes to", pushes_to)}
                {fact("Tags", of(|node| {
                    if node.tags.is_empty() { format::UNKNOWN.to_owned() } else { node.tags.join(", ") }
                }))}
            </dl>
        </header>
    }
}

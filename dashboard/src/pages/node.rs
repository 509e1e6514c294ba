use std::sync::Arc;
use std::time::Duration;

use fiber_contract::time::MICROS_PER_S;
use fiber_contract::{NodeState, UnixMicros};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_navigate, use_params_map, use_query_map};

use crate::api;
use crate::api::error::Error;
use crate::components::first_run::SendSample;
use crate::components::keys::{self, Key};
use crate::components::notice::Failure;
use crate::components::range_picker::RangePicker;
use crate::components::series_chart::{Series, SeriesChart};
use crate::components::state_mark::{StateMark, tone};
use crate::format;
use crate::routes::Page;
use crate::state::fleet::Node;
use crate::state::live::Live;
use crate::state::order::place;
use crate::state::prefs::Prefs;
use crate::state::range::Range;

/// One node: what it is, and how it has been.
#[component]
pub(crate) fn NodePage() -> impl IntoView {
    let (params, query) = (use_params_map(), use_query_map());
    let id = Memo::new(move |_| params.with(|params| params.get("id").unwrap_or_default()));
    let range =
        Memo::new(move |_| query.with(|query| Range::from_query(query.get("range").as_deref())));
    let history = History::follow(id, range);
    let navigate = use_navigate();
    keys::listen(move |key| {
        let next = match key {
            Key::Shorter => range.get_untracked().step(false),
            Key::Longer => range.get_untracked().step(true),
            _ => return,
        };
        let href = format!(
            "{}?range={}",
            Page::Node(id.get_untracked()).href(),
            next.as_str()
        );
        navigate(&href, NavigateOptions::default());
    });
    view! {
        <div class="node-page">
            {move || view! { <Heading id=id.get()/> }}
            <section class="panel history">
                <div class="tools">
                    <h2>"Latency, loss and uptime"</h2>
                    <RangePicker current=range/>
                </div>
                {move || match history.problem.get() {
                    Some(error) => Some(view! { <Failure error retry=move || history.ask()/> }),
                    None => None,
                }}
                <Show when=move || history.empty.get()>
                    <div class="notice">
                        <p class="notice-title">
                            "No samples in the " {move || range.get().words()} "."
                        </p>
                        <p>"This line sends one:"</p>
                        {move || view! { <SendSample node_id=id.get()/> }}
                    </div>
                </Show>
                <div class="chart-hold" class:waiting=move || history.waiting.get()
                    class:hidden=move || history.empty.get()>
                    <SeriesChart series=history.series paused=history.paused/>
                </div>
            </section>
        </div>
    }
}

/// The series of one node and range, asked for again as time passes.
#[derive(Clone, Copy)]
struct History {
    live: Live,
    id: Memo<String>,
    range: Memo<Range>,
    series: RwSignal<Option<Series>>,
    problem: RwSignal<Option<Error>>,
    paused: RwSignal<bool>,
    empty: Memo<bool>,
    /// Nothing to show yet and nothing went wrong.
    waiting: Memo<bool>,
    /// Counts the questions, so that a late answer to an old one is dropped.
    asked: StoredValue<u64>,
    asked_at: StoredValue<UnixMicros>,
}

impl History {
    fn follow(id: Memo<String>, range: Memo<Range>) -> Self {
        let series = RwSignal::new(None::<Series>);
        let problem = RwSignal::new(None);
        let live = Live::expect();
        let history = Self {
            live,
            id,
            range,
            series,
            problem,
            paused: RwSignal::new(false),
            empty: Memo::new(move |_| {
                series.with(|series| series.as_ref().is_some_and(|s| s.0.points.is_empty()))
            }),
            waiting: Memo::new(move |_| {
                series.with(Option::is_none) && problem.with(Option::is_none)
            }),
            asked: StoredValue::new(0),
            asked_at: StoredValue::new(UnixMicros(0)),
        };
        Effect::new(move || {
            id.track();
            range.track();
            series.set(None);
            problem.set(None);
            history.ask();
        });
        let beat = set_interval_with_handle(
            move || {
                let (Some(now), Some(paused), Some(asked_at), Some(range)) = (
                    live.now.try_get_untracked(),
                    history.paused.try_get_untracked(),
                    history.asked_at.try_get_value(),
                    range.try_get_untracked(),
                ) else {
                    return;
                };
                if !paused && now.secs_since(asked_at) >= f64::from(range.refresh_s()) {
                    history.ask();
                }
            },
            Duration::from_secs(1),
        );
        on_cleanup(move || {
            if let Ok(beat) = beat {
                beat.clear();
            }
        });
        history
    }

    fn ask(self) {
        let to = self.live.engine_now();
        let range = self.range.get_untracked();
        let from = UnixMicros(to.0 - range.span_s() * MICROS_PER_S);
        let id = self.id.get_untracked();
        self.asked.update_value(|asked| *asked += 1);
        self.asked_at.set_value(to);
        let mine = self.asked.get_value();
        spawn_local(async move {
            let answer = api::series::of_node(&id, from, to).await;
            // The page may be gone, or ask for something else by now.
            if self.asked.try_get_value() != Some(mine) {
                return;
            }
            match answer {
                Ok(answer) => {
                    drop(self.series.try_set(Some(Series(Arc::new(answer)))));
                    drop(self.problem.try_set(None));
                }
                Err(error) => drop(self.problem.try_set(Some(error))),
            }
        });
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
            drop(registered.try_set(Some(found)));
        });
    };
    let first = ask.clone();
    Effect::new(move || {
        if live.ready.get() && streamed.with(Option::is_none) {
            first();
        }
    });
    let node = Memo::new(move |_| {
        streamed
            .get()
            .or_else(|| registered.get().and_then(Result::ok))
    });
    let state = Memo::new(move |_| node.get().map_or(NodeState::Unobserved, |node| node.state));
    let fact = move |name: &'static str, pick: Signal<String>| {
        view! {
            <div>
                <dt>{name}</dt>
                <dd>{pick}</dd>
            </div>
        }
    };
    let of = move |pick: fn(&Node) -> String| {
        Signal::derive(move || {
            node.get()
                .map_or(format::UNKNOWN.to_owned(), |node| pick(&node))
        })
    };
    let seen = Signal::derive(move || {
        node.get()
            .and_then(|node| node.last_seen)
            .map_or(format::UNKNOWN.to_owned(), |seen| {
                match live.now.get().secs_since(seen) {
                    age if age < 1.0 => "now".to_owned(),
                    age => format!("{} ago", format::span(age)),
                }
            })
    });
    let first_seen = Signal::derive(move || {
        node.get()
            .and_then(|node| node.first_seen)
            .map_or(format::UNKNOWN.to_owned(), |seen| {
                format::date_clock(prefs.zone.get().zoned(seen))
            })
    });
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
                {move || state.get().as_str()}
            </span>
            {move || problem().map(|error| {
                let ask = ask.clone();
                if error.is_not_found() {
                    view! { <p class="node-unknown">"No node of this name has ever reported."</p> }.into_any()
                } else {
                    view! { <Failure error retry=ask/> }.into_any()
                }
            })}
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
                {fact("Tags", of(|node| {
                    if node.tags.is_empty() { format::UNKNOWN.to_owned() } else { node.tags.join(", ") }
                }))}
            </dl>
        </header>
    }
}

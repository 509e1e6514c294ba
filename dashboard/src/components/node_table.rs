use std::time::Duration;

use leptos::html::{Div, Input};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::HtmlAnchorElement;

use super::node_row::NodeRow;
use super::state_mark::{STATES, StateMark};
use crate::api::client::encode;
use crate::components::keys::{self, Key};
use crate::format::{self, fixed};
use crate::router::{Router, Step};
use crate::routes::Page;
use crate::slim::{dynamic, effect, memo};
use crate::state::comparison::{Comparison, Subject};
use crate::state::csv::csv;
use crate::state::live::Live;
use crate::state::order::{SortKey, Wanted, rows, state_from_query};

/// Rows change places at most this often, and never under the pointer.
const RESORT_EVERY: Duration = Duration::from_secs(3);
/// Rows drawn beyond each edge of the window, so that scrolling does not show blanks.
const OVERSCAN: usize = 6;
/// As in the style sheet: a phone's row is a card of two lines.
const PHONE_WIDTH_PX: f64 = 720.0;
const ROW_PX: f64 = 34.0;
const PHONE_ROW_PX: f64 = 62.0;

/// Search, state filter and the rows of the fleet. Only rows near the window exist.
#[component]
pub(crate) fn NodeTable() -> impl IntoView {
    let wanted = wanted_of_url();
    let order = Order::new(wanted);
    let body = NodeRef::<Div>::new();
    let window = Window::new(body, order.ids);
    let selected = RwSignal::new(None::<String>);
    let router = Router::expect();
    keys::listen(move |key| match (key, selected.get_untracked()) {
        (Key::Open, Some(id)) => router.go(&Page::Node(id).href(), Step::NewPage),
        (Key::Escape, _) => selected.set(None),
        (Key::Down, now) => select(1, now, selected, order.ids, body, window.row_px),
        (Key::Up, now) => select(-1, now, selected, order.ids, body, window.row_px),
        _ => {}
    });
    let shown = memo(move || {
        let (start, end) = window.slice.get();
        order.ids.with(|ids| {
            ids.get(start..end.min(ids.len()))
                .unwrap_or_default()
                .to_vec()
        })
    });
    let index_of = move |id: &str| {
        order
            .ids
            .with(|ids| ids.iter().position(|other| other == id))
    };
    view! {
        <section class="panel nodes">
            <Tools wanted order/>
            <div class="table" role="table" aria-label="Nodes"
                aria-rowcount=move || (order.ids.with(Vec::len) + 1).to_string()
                on:mouseenter=move |_| order.held.set(true)
                on:mouseleave=move |_| order.held.set(false)>
                <Header wanted/>
                <div class="body" role="rowgroup" node_ref=body
                    style:height=move || {
                        format!("{}px", fixed(order.ids.with(Vec::len) as f64 * window.row_px.get(), 0))
                    }>
                    <div class="slice" style:transform=move || {
                        format!("translateY({}px)", fixed(window.slice.get().0 as f64 * window.row_px.get(), 0))
                    }>
                        <For each=move || shown.get() key=String::clone let:id>
                            {
                                let (key, mine) = (id.clone(), id.clone());
                                let index = memo(move || index_of(&key).unwrap_or_default());
                                let chosen = memo(move || {
                                    selected.with(|chosen| chosen.as_deref() == Some(mine.as_str()))
                                });
                                view! { <NodeRow id index selected=chosen/> }
                            }
                        </For>
                    </div>
                </div>
                {dynamic(move || {
                    let live = Live::expect();
                    (live.ready.get() && order.ids.with(Vec::is_empty) && !live.empty.get())
                        .then(|| view! { <p class="none-found">"No node matches."</p> })
                })}
            </div>
        </section>
    }
}

/// The ids in the order shown: at once after a change of wishes or membership, else on a slow beat.
#[derive(Clone, Copy)]
struct Order {
    ids: RwSignal<Vec<String>>,
    held: RwSignal<bool>,
}

impl Order {
    fn new(wanted: Memo<Wanted>) -> Self {
        let live = Live::expect();
        let order = Self {
            ids: RwSignal::new(Vec::new()),
            held: RwSignal::new(false),
        };
        let sort = move || {
            let sorted = wanted.try_with_untracked(|wanted| {
                live.fleet.try_with_untracked(|fleet| rows(fleet, wanted))
            });
            if let Some(Some(sorted)) = sorted
                && order.ids.try_with_untracked(|ids| *ids != sorted) == Some(true)
            {
                order.ids.try_set(sorted);
            }
        };
        let membership = memo(move || live.fleet.with(|fleet| fleet.nodes.len()));
        effect(move || {
            // Read, not only tracked: a memo that nobody reads never runs.
            wanted.get();
            membership.get();
            sort();
        });
        let beat = set_interval_with_handle(
            move || {
                if order.held.try_get_untracked() == Some(false) {
                    sort();
                }
            },
            RESORT_EVERY,
        );
        on_cleanup(move || {
            if let Ok(beat) = beat {
                beat.clear();
            }
        });
        order
    }
}

/// Which rows lie near the browser's window.
#[derive(Clone, Copy)]
struct Window {
    slice: Memo<(usize, usize)>,
    row_px: Memo<f64>,
}

impl Window {
    fn new(body: NodeRef<Div>, ids: RwSignal<Vec<String>>) -> Self {
        // Where the body's top edge lies, and how large the window is.
        let (seen, set_seen) = signal((0.0_f64, 1_000.0_f64, 1_000.0_f64));
        let look = move || {
            let Some(Some(body)) = body.try_get_untracked() else {
                return;
            };
            let size = |value: Result<wasm_bindgen::JsValue, _>| {
                value
                    .ok()
                    .and_then(|value| value.as_f64())
                    .unwrap_or(1_000.0)
            };
            let top = body.get_bounding_client_rect().top();
            let (width, height) = (size(window().inner_width()), size(window().inner_height()));
            set_seen.try_set((top, width, height));
        };
        let listeners = [
            window_event_listener_untyped("scroll", move |_| look()),
            window_event_listener_untyped("resize", move |_| look()),
        ];
        on_cleanup(move || listeners.into_iter().for_each(WindowListenerHandle::remove));
        effect(move || {
            body.track();
            ids.track();
            request_animation_frame(look);
        });
        let row_px = memo(move || {
            if seen.get().1 < PHONE_WIDTH_PX {
                PHONE_ROW_PX
            } else {
                ROW_PX
            }
        });
        let slice = memo(move || {
            let (top, _, height) = seen.get();
            visible(top, height, row_px.get(), ids.with(Vec::len))
        });
        Self { slice, row_px }
    }
}

/// First and one-past-last row to draw.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=count"
)]
fn visible(top_px: f64, window_px: f64, row_px: f64, count: usize) -> (usize, usize) {
    let row = |px: f64| (px / row_px).clamp(0.0, count as f64);
    let first = row(-top_px).floor() as usize;
    let last = row(window_px - top_px).ceil() as usize;
    (first.saturating_sub(OVERSCAN), (last + OVERSCAN).min(count))
}

fn wanted_of_url() -> Memo<Wanted> {
    let router = Router::expect();
    memo(move || {
        router.with(|address| Wanted {
            text: address.value("q").unwrap_or_default().to_lowercase(),
            state: state_from_query(address.value("state")),
            sort: SortKey::from_query(address.value("sort")),
        })
    })
}

/// The rows on top, as many as one can tell apart at a glance.
fn compared(order: Order) -> String {
    const TOP: usize = 4;
    let top = |ids: &Vec<String>| ids.iter().take(TOP).cloned().map(Subject::Node).collect();
    Comparison(order.ids.with(top)).href()
}

#[component]
fn Tools(wanted: Memo<Wanted>, order: Order) -> impl IntoView {
    let live = Live::expect();
    let router = Router::expect();
    let field = NodeRef::<Input>::new();
    keys::listen(move |key| {
        if let (Key::Filter, Some(Some(field))) = (key, field.try_get_untracked()) {
            // Focus fails only for elements that cannot take it.
            drop(field.focus());
            field.select();
        }
    });
    view! {
        <div class="tools">
            <h2 class="nodes-title">"Nodes"</h2>
            <input node_ref=field type="search" placeholder="Search node, place, tag" aria-label="Search nodes"
                aria-keyshortcuts="f" prop:value=move || router.value("q")
                on:input=move |event| {
                    router.set("q", Some(&event_target_value(&event)), Step::Replace);
                }/>
            <div class="segments" role="group" aria-label="State">
                {STATES
                    .map(|state| {
                        let pressed = move || wanted.get().state == Some(state);
                        view! {
                            <button type="button" title=format!("Only {}", state.as_str())
                                aria-label=move || format!("{} {}", live.summary.get().count(state), state.as_str())
                                aria-pressed=move || pressed().to_string()
                                on:click=move |_| {
                                    let on = wanted.get_untracked().state == Some(state);
                                    router.set("state", (!on).then_some(state.as_str()), Step::SamePage);
                                }>
                                <StateMark state=Signal::from(state)/>
                                {dynamic(move || live.summary.get().count(state))}
                            </button>
                        }
                    })}
            </div>
            <a class="button" download="nodes.csv" href="/api/nodes" title="The rows that are shown, as a file"
                on:click=move |event| {
                    let text = live.fleet.with_untracked(|fleet| order.ids.with_untracked(|ids| csv(fleet, ids)));
                    let link = event.current_target().and_then(|link| link.dyn_into::<HtmlAnchorElement>().ok());
                    if let Some(link) = link {
                        link.set_href(&format!("data:text/csv;charset=utf-8,{}", encode(&text)));
                    }
                }>
                "CSV"
            </a>
            <a class="button" title="The first rows on one axis of time" href=move || compared(order)>
                "Compare"
            </a>
            <span class="tools-note">
                {dynamic(move || {
                    let (shown, all) = (order.ids.with(Vec::len), live.summary.get().nodes);
                    let held = if order.held.get() { " · order held" } else { "" };
                    if shown == all {
                        format!("{}{held}", format::plural(all, "node", "nodes"))
                    } else {
                        format!("{shown} of {all}{held}")
                    }
                })}
            </span>
        </div>
    }
}

#[component]
fn Header(wanted: Memo<Wanted>) -> impl IntoView {
    let router = Router::expect();
    let column =
        move |class: &'static str, label: &'static str, title: &'static str, key: SortKey| {
            let active = move || wanted.get().sort == key;
            view! {
                <span class=format!("cell {class}") role="columnheader" title=title
                    aria-sort=move || active().then_some("descending")>
                    <a data-noscroll="true"
                        href=move || router.href_with("sort", Some(key.as_str()))
                        class:active=active>
                        {label}
                    </a>
                </span>
            }
        };
    view! {
        <div class="row head" role="row" aria-rowindex="1">
            {column("state", "State", "Worst first", SortKey::Worst)}
            {column("name", "Node", "By name", SortKey::Name)}
            {column("place", "Place", "By place", SortKey::Place)}
            {column("num seen", "Seen", "Age of the newest sample", SortKey::LastSeen)}
            {column("num p50", "p50 ms", "Median of the last 60 samples", SortKey::P50)}
            {column("num p95", "p95 ms", "95th percentile of the last 60 samples", SortKey::P95)}
            {column("num loss", "Loss %", "Packet loss of the newest sample", SortKey::Loss)}
            {column("num uptime", "Uptime %", "Uptime in the newest sample", SortKey::Uptime)}
            <span class="cell strip" role="columnheader" title="What each of the last 60 samples says">
                "Last 60 samples"
            </span>
            <span class="cell spark" role="columnheader" title="Latency of the last 60 samples">
                "Latency"
            </span>
        </div>
    }
}

/// Moves the selection by one row and brings it into the window.
fn select(
    step: isize,
    now: Option<String>,
    selected: RwSignal<Option<String>>,
    ids: RwSignal<Vec<String>>,
    body: NodeRef<Div>,
    row_px: Memo<f64>,
) {
    let next = ids.with_untracked(|ids| {
        let at = now.and_then(|now| ids.iter().position(|id| *id == now));
        let next = match at {
            Some(at) => at
                .saturating_add_signed(step)
                .min(ids.len().saturating_sub(1)),
            None => 0,
        };
        ids.get(next).map(|id| (next, id.clone()))
    });
    let (Some((at, id)), Some(body)) = (next, body.get_untracked()) else {
        return;
    };
    selected.set(Some(id));
    // Keep the row clear of the bars at the top and of the window's end.
    let row_px = row_px.get_untracked();
    let top = body.get_bounding_client_rect().top() + at as f64 * row_px;
    let height = window()
        .inner_height()
        .ok()
        .and_then(|h| h.as_f64())
        .unwrap_or(0.0);
    if top < 120.0 {
        window().scroll_by_with_x_and_y(0.0, top - 120.0);
    } else if top + row_px > height - 16.0 {
        window().scroll_by_with_x_and_y(0.0, top + row_px - height + 16.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_near_the_window_are_drawn() {
        assert_eq!(visible(0.0, 340.0, 34.0, 1_000), (0, 16));
        assert_eq!(visible(-3_400.0, 340.0, 34.0, 1_000), (94, 116));
        assert_eq!(visible(5_000.0, 340.0, 34.0, 1_000), (0, 6));
        assert_eq!(visible(-99_999.0, 340.0, 34.0, 1_000), (994, 1_000));
        assert_eq!(visible(0.0, 340.0, 34.0, 0), (0, 0));
    }
}

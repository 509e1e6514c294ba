use fiber_contract::NodeState;
use leptos::either::Either;
use leptos::prelude::*;

use super::map::Told;
use super::state_mark::{STATES, StateMark, shape, tone};
use crate::chart::cluster::Mark;
use crate::chart::trig::circle;
use crate::format::{self, fixed, px};
use crate::routes::Page;
use crate::slim::{derive, dynamic};
use crate::state::live::Live;
use crate::state::order::place;
use crate::state::reason::why;

/// Names a card lists before it counts the rest.
const NAMES_MAX: usize = 8;
const CARD_WIDTH_PX: f64 = 250.0;

/// One node as a link to its page, or several as a ring whose click lists them.
#[component]
pub(crate) fn MarkView(mark: Mark, told: RwSignal<Option<Told>>) -> impl IntoView {
    let (left, top) = (format!("{}px", px(mark.x)), format!("{}px", px(mark.y)));
    let tell = {
        let mark = mark.clone();
        move || {
            if !told.get_untracked().is_some_and(|told| told.pinned) {
                told.set(Some(Told {
                    mark: mark.clone(),
                    pinned: false,
                }));
            }
        }
    };
    let silence = move || {
        if !told.get_untracked().is_some_and(|told| told.pinned) {
            told.set(None);
        }
    };
    let (enter, focus) = (tell.clone(), tell);
    let worst = mark.worst();
    let class = format!("mark {}", tone(worst));
    if let [(state, id)] = mark.members.as_slice() {
        let label = format!("{id}, {}", state.as_str());
        Either::Left(view! {
            <a class=class style:left=left style:top=top href=Page::Node(id.clone()).href()
                aria-label=label
                on:mouseenter=move |_| enter() on:focus=move |_| focus()
                on:mouseleave=move |_| silence() on:blur=move |_| silence()>
                <svg class="glyph" viewBox="-1.5 -1.5 15 15" aria-hidden="true"><path d=shape(*state)/></svg>
            </a>
        })
    } else {
        let label = format!(
            "{}: {}",
            format::plural(mark.members.len(), "node", "nodes"),
            tally(&mark)
        );
        let count = mark.members.len();
        let size = format!("{}px", px(mark.size_px()));
        let arcs = ring(&mark);
        Either::Right(view! {
            <button type="button" class=format!("{class} cluster") style:left=left style:top=top
                style:width=size.clone() style:height=size aria-label=label
                on:mouseenter=move |_| enter() on:focus=move |_| focus()
                on:mouseleave=move |_| silence() on:blur=move |_| silence()
                on:click=move |event| {
                    event.stop_propagation();
                    told.set(Some(Told { mark: mark.clone(), pinned: true }));
                }>
                <svg viewBox="-20 -20 40 40" aria-hidden="true">
                    <circle class="cluster-ground" r="19"/>
                    {arcs
                        .into_iter()
                        .map(|(state, d)| view! { <path class=format!("arc {}", tone(state)) d=d/> })
                        .collect_view()}
                </svg>
                <span>{count}</span>
            </button>
        })
    }
}

/// `3 up, 1 down`.
fn tally(mark: &Mark) -> String {
    STATES
        .into_iter()
        .map(|state| (mark.count(state), state))
        .filter(|(count, _)| *count > 0)
        .map(|(count, state)| format!("{count} {}", state.as_str()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The ring's share of each state, worst from the top.
fn ring(mark: &Mark) -> Vec<(NodeState, String)> {
    const RADIUS: f64 = 16.8;
    let total = mark.members.len() as f64;
    let mut from = 0.0;
    let mut out = Vec::new();
    for state in [
        NodeState::Down,
        NodeState::Degraded,
        NodeState::Unobserved,
        NodeState::Up,
    ] {
        let share = mark.count(state) as f64 / total;
        if share <= 0.0 {
            continue;
        }
        // A full circle has no two ends, so it stops a hair before.
        let to = from + share.min(0.9999);
        let point = |turn: f64| {
            let (sine, cosine) = circle(turn);
            (RADIUS * sine, -RADIUS * cosine)
        };
        let ((x0, y0), (x1, y1)) = (point(from), point(to));
        let large = i32::from(share > 0.5);
        out.push((
            state,
            format!(
                "M{} {}A{r} {r} 0 {large} 1 {} {}",
                fixed(x0, 2),
                fixed(y0, 2),
                fixed(x1, 2),
                fixed(y1, 2),
                r = px(RADIUS)
            ),
        ));
        from += share;
    }
    out
}

/// What is known about the mark under the pointer, or the list of a clicked cluster.
#[component]
pub(crate) fn Card(told: RwSignal<Option<Told>>, size: ReadSignal<(f64, f64)>) -> impl IntoView {
    move || {
        let Told { mark, pinned } = told.get()?;
        let (width, height) = size.get();
        let left = (mark.x + 18.0).min(width - CARD_WIDTH_PX - 8.0).max(8.0);
        let below = mark.y < height / 2.0;
        let single = mark.members.len() == 1;
        let more = mark.members.len().saturating_sub(NAMES_MAX);
        let title = format!("{} nodes: {}", mark.members.len(), tally(&mark));
        let list_max = if pinned {
            mark.members.len()
        } else {
            NAMES_MAX
        };
        let rows: Vec<_> = mark
            .members
            .iter()
            .take(list_max)
            .map(|(_, id)| view! { <CardRow id=id.clone() single/> })
            .collect();
        Some(view! {
            <div class="card" class:pinned=pinned style:left=format!("{}px", fixed(left, 0))
                style:width=format!("{}px", fixed(CARD_WIDTH_PX, 0))
                style:top=if below { format!("{}px", fixed(mark.y + 18.0, 0)) } else { "auto".to_owned() }
                style:bottom=if below {
                    "auto".to_owned()
                } else {
                    format!("{}px", fixed(height - mark.y + 18.0, 0))
                }
                on:click=move |event| event.stop_propagation()>
                {(!single).then(|| view! { <p class="card-title">{title}</p> })}
                {rows}
                {(!pinned && more > 0).then(|| view! { <p class="card-more">{more}" more; click to list"</p> })}
            </div>
        })
    }
}

#[component]
fn CardRow(id: String, single: bool) -> impl IntoView {
    let live = Live::expect();
    let key = id.clone();
    let node = live.node(move || key.clone());
    let state = derive(move || node.get().map_or(NodeState::Unobserved, |node| node.state));
    let href = Page::Node(id.clone()).href();
    view! {
        <a class="card-row" href=href>
            <StateMark state/>
            <span>{id}</span>
            <em>{dynamic(move || node.get().map(|node| why(&node, live.now.get())))}</em>
        </a>
        {single
            .then(|| {
                view! {
                    <dl class="card-facts">
                        <dt>"Place"</dt>
                        <dd>
                            {dynamic(move || node.get().map(|node| {
                                let (town, country) = place(&node);
                                format!("{town}, {country}")
                            }))}
                        </dd>
                        <dt>"p50 / p95"</dt>
                        <dd>
                            {dynamic(move || node.get().map(|node| {
                                format!("{} / {} ms", format::ms(node.p50_ms), format::ms(node.p95_ms))
                            }))}
                        </dd>
                        <dt>"Loss"</dt>
                        <dd>
                            {dynamic(move || node.get().map(|node| format!("{} %", format::pct(node.packet_loss))))}
                        </dd>
                    </dl>
                }
            })}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(states: &[NodeState]) -> Mark {
        let members = states
            .iter()
            .map(|state| (*state, "n".to_owned()))
            .collect();
        Mark {
            x: 0.0,
            y: 0.0,
            members,
        }
    }

    #[test]
    fn a_ring_has_one_arc_per_state_present() {
        let arcs = ring(&mark(&[
            NodeState::Down,
            NodeState::Up,
            NodeState::Up,
            NodeState::Up,
        ]));
        assert_eq!(arcs.len(), 2);
        assert_eq!(arcs[0].0, NodeState::Down);
        assert!(
            arcs[1].1.contains(" 0 1 1 "),
            "three quarters take the long way"
        );
        assert_eq!(ring(&mark(&[NodeState::Up, NodeState::Up])).len(), 1);
    }

    #[test]
    fn a_tally_leaves_out_what_is_not_there() {
        assert_eq!(
            tally(&mark(&[NodeState::Down, NodeState::Up, NodeState::Up])),
            "2 up, 1 down"
        );
    }
}

use fiber_contract::NodeState;
use leptos::prelude::*;

/// All states, as the page lists them.
pub(crate) const STATES: [NodeState; 4] = [
    NodeState::Up,
    NodeState::Degraded,
    NodeState::Down,
    NodeState::Unobserved,
];

/// Path data in a box of 12 × 12. Each state has its own shape, so colour is never alone.
pub(crate) const fn shape(state: NodeState) -> &'static str {
    match state {
        NodeState::Up => "M6 1a5 5 0 1 0 0 10a5 5 0 1 0 0-10Z",
        NodeState::Degraded => "M6 .8 11.6 11H.4Z",
        NodeState::Down => "M2.9.9 6 4 9.1.9l2 2L8 6l3.1 3.1-2 2L6 8l-3.1 3.1-2-2L4 6 .9 2.9Z",
        NodeState::Unobserved => {
            "M6 .8a5.2 5.2 0 1 0 0 10.4A5.2 5.2 0 1 0 6 .8Zm0 2a3.2 3.2 0 1 1 0 6.4 3.2 3.2 0 1 1 0-6.4Z"
        }
    }
}

/// The class that carries the state's colour as `currentColor`.
pub(crate) const fn tone(state: NodeState) -> &'static str {
    match state {
        NodeState::Up => "tone-up",
        NodeState::Degraded => "tone-degraded",
        NodeState::Down => "tone-down",
        NodeState::Unobserved => "tone-unobserved",
    }
}

/// The shape alone. The word stands beside it, or in the label of what holds it.
#[component]
pub(crate) fn StateMark(#[prop(into)] state: Signal<NodeState>) -> impl IntoView {
    view! {
        <svg class=move || format!("glyph {}", tone(state.get())) viewBox="0 0 12 12" aria-hidden="true">
            <path d=move || shape(state.get())/>
        </svg>
    }
}

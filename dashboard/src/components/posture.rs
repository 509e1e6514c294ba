use fiber_contract::NodeState;
use leptos::prelude::*;

use super::state_mark::StateMark;
use crate::format;
use crate::slim::{derive, dynamic, memo};
use crate::state::live::{Connection, Live};

/// After this long without the stream the sentence is about us, not about the fleet.
const BLIND_AFTER_S: f64 = 10.0;

/// The fleet in one sentence, or the admission that nothing is known.
#[component]
pub(crate) fn PostureLine() -> impl IntoView {
    let live = Live::expect();
    let blind = memo(move || match live.connection.get() {
        Connection::Lost { since } => {
            let lost_s = live.now.get().secs_since(since);
            (lost_s >= BLIND_AFTER_S).then(|| format::span((lost_s / 5.0).floor() * 5.0))
        }
        Connection::Connecting | Connection::Live => None,
    });
    let line = memo(move || {
        if let Some(lost) = blind.get() {
            return (
                NodeState::Unobserved,
                "No live view of the fleet".to_owned(),
                format!("Stream to the engine lost {lost} ago; the values below are from before"),
                String::new(),
            );
        }
        if !live.ready.get() {
            return (
                NodeState::Unobserved,
                "Connecting to the fleet".to_owned(),
                String::new(),
                String::new(),
            );
        }
        if live.empty.get() {
            return (
                NodeState::Unobserved,
                "Waiting for the first sample".to_owned(),
                String::new(),
                String::new(),
            );
        }
        let posture = live.posture.get();
        (
            posture.worst,
            posture.headline,
            posture.detail,
            posture.changing,
        )
    });
    let changing = move || {
        let (_, _, detail, changing) = line.get();
        if detail.is_empty() || changing.is_empty() {
            changing
        } else {
            format!(" · {changing}")
        }
    };
    view! {
        <section class="posture" aria-live="polite">
            <StateMark state=derive(move || line.get().0)/>
            <h1>{dynamic(move || line.get().1)}</h1>
            <p>
                {dynamic(move || line.get().2)}
                // Seen and not read out: it comes and goes with every lost round.
                <span aria-hidden="true">{dynamic(changing)}</span>
            </p>
        </section>
    }
}

use std::time::Duration;

use fiber_contract::summary::{ProbeTarget, TargetState};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api;
use crate::format;
use crate::slim::derive;
use crate::state::live::Live;

/// As often as a probe reports.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// Where the node last said it pushes, in words; asked for as long as the component lives.
pub(crate) fn heartbeat(node_id: String) -> Signal<String> {
    let live = Live::expect();
    let known = RwSignal::new(None::<ProbeTarget>);
    let ask = move || {
        let node_id = node_id.clone();
        spawn_local(async move {
            // Without an answer what is known stands, and ages.
            if let Ok(answer) = api::federation::target(&node_id).await {
                known.try_set(answer);
            }
        });
    };
    ask();
    let beat = set_interval_with_handle(ask, ASK_EVERY);
    on_cleanup(move || {
        if let Ok(beat) = beat {
            beat.clear();
        }
    });
    derive(move || {
        let age_s = |at| live.now.get().secs_since(at);
        known.with(|known| said(known.as_ref(), age_s))
    })
}

fn said(target: Option<&ProbeTarget>, age_s: impl Fn(fiber_contract::UnixMicros) -> f64) -> String {
    let Some(target) = target else {
        return format::UNKNOWN.to_owned();
    };
    let word = match (target.state, target.active_target.as_deref()) {
        (TargetState::Unknown, None) => return "never said".to_owned(),
        (TargetState::Unknown, Some(last)) => format!("last said {last}"),
        (_, Some(name)) => name.to_owned(),
        (TargetState::Primary, None) => "primary".to_owned(),
        (TargetState::Failover, None) => "failover".to_owned(),
        (TargetState::Degraded, None) => "degraded".to_owned(),
    };
    match target.reported_at.map(age_s).filter(|age_s| *age_s >= 60.0) {
        Some(age_s) => format!("{word}, {} ago", format::span(age_s)),
        None => word,
    }
}

#[cfg(test)]
mod tests {
    use fiber_contract::UnixMicros;

    use super::*;

    #[test]
    fn an_old_heartbeat_says_how_old_it_is() {
        let target = |state, active: Option<&str>| ProbeTarget {
            node_id: "a".to_owned(),
            state,
            active_target: active.map(str::to_owned),
            reported_at: active.map(|_| UnixMicros::from_secs(0)),
        };
        let check = |target: Option<ProbeTarget>, age: f64, expect: &str| {
            assert_eq!(said(target.as_ref(), |_| age), expect);
        };
        check(None, 0.0, format::UNKNOWN);
        check(Some(target(TargetState::Unknown, None)), 0.0, "never said");
        check(
            Some(target(TargetState::Primary, Some("primary"))),
            5.0,
            "primary",
        );
        check(
            Some(target(TargetState::Unknown, Some("failover"))),
            7_200.0,
            "last said failover, 2 h 00 min ago",
        );
    }
}

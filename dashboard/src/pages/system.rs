use std::time::Duration;

use fiber_contract::NodeState;
use fiber_contract::status::{Component as Part, Status};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api;
use crate::api::error::Error;
use crate::components::ledger::LedgerLine;
use crate::components::notice::Failure;
use crate::components::state_mark::{StateMark, tone};
use crate::format;
use crate::slim::dynamic;

const ASK_EVERY: Duration = Duration::from_secs(3);

/// What the engine says about itself and the services behind it.
#[component]
pub(crate) fn SystemPage() -> impl IntoView {
    let status = RwSignal::new(None::<Status>);
    let problem = RwSignal::new(None::<Error>);
    let ask = move || {
        spawn_local(async move {
            match api::status::get().await {
                Ok(answer) => {
                    status.try_set(Some(answer));
                    problem.try_set(None);
                }
                Err(error) => {
                    problem.try_set(Some(error));
                }
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
    view! {
        <div class="system-page">
            <h1>"System"</h1>
            <LedgerLine/>
            {dynamic(move || problem.get().map(|error| view! { <Failure error retry=ask/> }))}
            {dynamic(move || status.get().map(|status| view! { <Parts status/> }))}
        </div>
    }
}

#[component]
fn Parts(status: Status) -> impl IntoView {
    let journal_detail = format!(
        "{} of {} in {}",
        format::bytes(status.journal.bytes),
        format::bytes(status.journal.bytes_max),
        format::plural(status.journal.segments as usize, "segment", "segments"),
    );
    let journal_facts = vec![
        (
            "Oldest not in the database",
            format::span(status.journal.oldest_age_s),
        ),
        (
            "Durable up to group",
            format::count(status.journal.durable_seq),
        ),
        (
            "Committed up to group",
            format::count(status.journal.committed_seq),
        ),
    ];
    let etl_facts = vec![
        ("Lag", format::span(status.etl.lag_s)),
        ("In flight", format::count(status.etl.in_flight)),
        (
            "Last error",
            status
                .etl
                .last_error
                .clone()
                .unwrap_or_else(|| "none".to_owned()),
        ),
    ];
    let engine_facts = vec![
        ("Version", status.version.clone()),
        ("Environment", status.environment.clone()),
        ("Role", status.role.clone()),
        ("Instance", status.instance.clone()),
        ("Running for", format::span(status.uptime_s)),
        ("Ingest cores", status.ingest_cores.to_string()),
        ("Driver", status.driver.clone()),
        ("Rate limits", status.rate_limit_policy.clone()),
    ];
    let detail = |part: &Part| part.detail.clone().unwrap_or_default();
    view! {
        <div class="parts">
            {part("Engine", status.api.state.clone(), detail(&status.api), engine_facts)}
            {part("Journal", status.journal.state.clone(), journal_detail, journal_facts)}
            {part("Writers", status.etl.state.clone(), String::new(), etl_facts)}
            {part("Database", status.database.state.clone(), detail(&status.database), Vec::new())}
            {part("Redis", status.redis.state.clone(), detail(&status.redis), Vec::new())}
            {part("Search", status.search.state.clone(), detail(&status.search), Vec::new())}
        </div>
    }
}

fn part(
    name: &'static str,
    word: String,
    detail: String,
    facts: Vec<(&'static str, String)>,
) -> impl IntoView {
    let state = shown_as(&word);
    view! {
        <section class="panel part">
            <h2>{name}</h2>
            <span class=format!("state-word {}", tone(state))>
                <StateMark state=Signal::from(state)/>
                {word}
            </span>
            {(!detail.is_empty()).then(|| view! { <p>{detail}</p> })}
            <dl>
                {facts
                    .into_iter()
                    .map(|(name, value)| view! { <dt>{name}</dt><dd>{value}</dd> })
                    .collect_view()}
            </dl>
        </section>
    }
}

/// The engine's word as one of the four states. A word not known here is shown, and as degraded.
fn shown_as(word: &str) -> NodeState {
    match word {
        "up" | "ok" | "running" | "open" => NodeState::Up,
        "down" | "poisoned" | "stopped" => NodeState::Down,
        "off" => NodeState::Unobserved,
        _ => NodeState::Degraded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_is_switched_off_is_not_an_outage() {
        assert_eq!(shown_as("off"), NodeState::Unobserved);
        assert_eq!(shown_as("poisoned"), NodeState::Down);
        assert_eq!(shown_as("something new"), NodeState::Degraded);
    }
}

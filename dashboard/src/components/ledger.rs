use leptos::prelude::*;

use crate::format;
use crate::slim::{dynamic, memo};
use crate::state::fleet::closes;
use crate::state::live::Live;

/// The identity that every sample is accounted for, with a check mark only while it holds.
#[component]
pub(crate) fn LedgerLine() -> impl IntoView {
    let live = Live::expect();
    let totals = memo(move || live.fleet.with(|fleet| fleet.totals));
    let part = move |name: &'static str, pick: fn(&fiber_contract::live::LiveTotals) -> u64| {
        view! {
            <span class="ledger-part">
                <b>
                    {dynamic(move || {
                        totals.get().map_or(format::UNKNOWN.to_owned(), |t| format::count(pick(&t)))
                    })}
                </b>
                <i>{name}</i>
            </span>
        }
    };
    // Always there, so that nothing below moves when the figures come.
    let verdict = move || match totals.get() {
        None => ("ledger-verdict", "\u{a0}"),
        Some(totals) if closes(&totals) => {
            ("ledger-verdict tone-up", "✓ every sample accounted for")
        }
        Some(_) => (
            "ledger-verdict tone-degraded",
            "≠ does not close at this instant",
        ),
    };
    view! {
        <section class="ledger" aria-label="Sample ledger since the engine started">
            {part("received", |t| t.received)} <span class="op">"="</span>
            {part("stored", |t| t.stored)} <span class="op">"+"</span>
            {part("duplicate", |t| t.duplicate)} <span class="op">"+"</span>
            {part("quarantined", |t| t.quarantined)} <span class="op">"+"</span>
            {part("in flight", |t| t.in_flight)}
            <span class=move || verdict().0>{dynamic(move || verdict().1)}</span>
            <span class="ledger-lag" title="Age of the oldest sample that is durable but not yet in the table">
                "lag "
                {dynamic(move || totals.get().map_or(format::UNKNOWN.to_owned(), |t| format::span(t.lag_s)))}
            </span>
        </section>
    }
}

use fiber_contract::UnixMicros;
use fiber_contract::account::LedgerAnswer;
use fiber_contract::time::MICROS_PER_S;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::notice::Failure;
use super::receipt::ReceiptPanel;
use super::state_mark::{StateMark, tone};
use crate::api;
use crate::api::error::Error;
use crate::format;
use crate::slim::dynamic;
use crate::state::account::verdict;
use crate::state::live::Live;

const SPAN_S: i64 = 86_400;

/// What became of a node's samples in the last day, and the receipts of its batches.
#[component]
pub(crate) fn NodeAccount(id: String) -> impl IntoView {
    let live = Live::expect();
    let account = RwSignal::new(None::<Result<LedgerAnswer, Error>>);
    let ledger = format!("/ledger?node={id}&range=24h");
    let ask = move || {
        let id = id.clone();
        let to = live.engine_now();
        let from = UnixMicros(to.0 - SPAN_S * MICROS_PER_S);
        spawn_local(async move {
            let answer = api::ledger::of(Some(&id), from, to).await;
            account.try_set(Some(answer));
        });
    };
    ask();
    view! {
        <section class="panel node-account">
            <div class="tools">
                <h2>"Account of the last 24 hours"</h2>
                <a class="button" href=ledger>"By the hour"</a>
            </div>
            {dynamic(move || account.get().map(|answer| match answer {
                Ok(answer) => view! { <Sums answer/> }.into_any(),
                Err(error) => view! { <Failure error retry=ask.clone()/> }.into_any(),
            }))}
        </section>
        <ReceiptPanel/>
    }
}

#[component]
fn Sums(answer: LedgerAnswer) -> impl IntoView {
    let (totals, found) = (answer.totals, verdict(&answer.totals, answer.now.in_flight));
    let facts = [
        ("Received", totals.received),
        ("Stored", totals.stored),
        ("Duplicate", totals.duplicate),
        ("Quarantined", totals.quarantined),
    ]
    .map(|(name, count)| view! { <div><dt>{name}</dt><dd>{format::count(count)}</dd></div> })
    .into_iter()
    .collect_view();
    view! {
        <dl class="facts">
            {facts}
            <div>
                <dt>"Account"</dt>
                <dd class=format!("state-word {}", tone(found.state))>
                    <StateMark state=Signal::from(found.state)/>
                    {found.words}
                </dd>
            </div>
        </dl>
    }
}

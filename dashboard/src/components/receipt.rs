use fiber_contract::UnixMicros;
use fiber_contract::account::Receipt;
use leptos::html::Input;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::notice::Failure;
use crate::api;
use crate::api::error::Error;
use crate::format;
use crate::router::{Router, Step};
use crate::slim::{dynamic, effect, memo};
use crate::state::prefs::Prefs;

/// Looks up what became of one batch; its id is in the URL, so a receipt has an address.
#[component]
pub(crate) fn ReceiptPanel() -> impl IntoView {
    let router = Router::expect();
    let wanted = memo(move || router.value("batch").filter(|id| !id.is_empty()));
    let found = RwSignal::new(None::<Result<Receipt, Error>>);
    let ask = move || {
        let Some(Some(id)) = wanted.try_get_untracked() else {
            return;
        };
        spawn_local(async move {
            let answer = api::ledger::receipt(&id).await;
            // The page may be gone, or ask for another one by now.
            if wanted.try_get_untracked() == Some(Some(id)) {
                found.try_set(Some(answer));
            }
        });
    };
    effect(move || {
        drop(wanted.get());
        found.set(None);
        ask();
    });
    let field = NodeRef::<Input>::new();
    let look = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        if let Some(field) = field.get_untracked() {
            router.set("batch", Some(field.value().trim()), Step::SamePage);
        }
    };
    view! {
        <section class="panel receipt">
            <form class="tools" on:submit=look>
                <h2>"Receipt of a batch"</h2>
                <input node_ref=field type="search" class="wide" aria-label="Batch id"
                    placeholder="Batch id, as in X-Batch-ID"
                    prop:value=move || wanted.get().unwrap_or_default()/>
                <button type="submit" class="button">"Look up"</button>
            </form>
            <div role="status">
            {dynamic(move || found.get().map(|answer| match answer {
                Ok(receipt) => view! { <Facts receipt/> }.into_any(),
                Err(error) if error.is_not_found() => view! {
                    <p class="table-note">
                        "No batch of this id was acknowledged, or its receipt is past its retention."
                    </p>
                }
                .into_any(),
                Err(error) => view! { <Failure error retry=ask/> }.into_any(),
            }))}
            </div>
        </section>
    }
}

#[component]
fn Facts(receipt: Receipt) -> impl IntoView {
    let prefs = Prefs::expect();
    let when = move |at: Option<UnixMicros>| {
        at.map_or(format::UNKNOWN.to_owned(), |at| {
            format::date_clock(prefs.zone.get().zoned(at))
        })
    };
    let known = |text: Option<String>| text.unwrap_or_else(|| format::UNKNOWN.to_owned());
    let (received, committed) = (receipt.received_at, receipt.committed_at);
    let facts = [
        ("State", receipt.state),
        ("Accepted", format::count(u64::from(receipt.accepted))),
        ("Rejected", format::count(u64::from(receipt.rejected))),
        ("Source region", known(receipt.source_region)),
        ("Journal", known(receipt.journal_id)),
        ("Journal group", known(receipt.group_seq.map(format::count))),
        ("Trace", known(receipt.trace_id)),
        ("SHA-256 of the body", receipt.body_sha256),
    ]
    .map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> });
    view! {
        <dl class="facts">
            <div><dt>"Received"</dt><dd>{dynamic(move || when(received))}</dd></div>
            <div><dt>"Committed"</dt><dd>{dynamic(move || when(committed))}</dd></div>
            {facts}
        </dl>
    }
}

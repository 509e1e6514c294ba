use std::time::Duration;

use fiber_contract::UnixMicros;
use fiber_contract::account::{LedgerAnswer, LedgerCounts, Refusal};
use fiber_contract::time::MICROS_PER_S;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api;
use crate::api::error::Error;
use crate::components::ledger::LedgerLine;
use crate::components::notice::Failure;
use crate::components::range_picker::RangePicker;
use crate::components::receipt::ReceiptPanel;
use crate::components::state_mark::{StateMark, tone};
use crate::format;
use crate::router::{Router, Step};
use crate::routes::Page;
use crate::slim::{derive, dynamic, effect, memo};
use crate::state::account::verdict;
use crate::state::live::Live;
use crate::state::prefs::Prefs;
use crate::state::range::Range;

const ASK_EVERY: Duration = Duration::from_secs(10);

/// What became of every sample: per node and hour, and what was refused.
#[component]
pub(crate) fn LedgerPage() -> impl IntoView {
    let (router, live) = (Router::expect(), Live::expect());
    let range = memo(move || router.with(|at| Range::from_query(at.value("range"))));
    let node = memo(move || router.value("node").filter(|node| !node.is_empty()));
    let account = RwSignal::new(None::<LedgerAnswer>);
    let problem = RwSignal::new(None::<Error>);
    // Counts the questions, so that a late answer to an old one is dropped.
    let asked = StoredValue::new(0_u64);
    let ask = move || {
        let (Some(range), Some(node)) = (range.try_get_untracked(), node.try_get_untracked())
        else {
            return;
        };
        asked.update_value(|asked| *asked += 1);
        let mine = asked.get_value();
        let to = live.engine_now();
        let from = UnixMicros(to.0 - range.span_s() * MICROS_PER_S);
        spawn_local(async move {
            let answer = api::ledger::of(node.as_deref(), from, to).await;
            if asked.try_get_value() != Some(mine) {
                return;
            }
            match answer {
                Ok(answer) => {
                    account.try_set(Some(answer));
                    problem.try_set(None);
                }
                Err(error) => {
                    problem.try_set(Some(error));
                }
            }
        });
    };
    effect(move || {
        // Read, not only tracked: a memo that nobody reads never runs.
        range.get();
        drop(node.get());
        account.set(None);
        problem.set(None);
        ask();
    });
    let beat = set_interval_with_handle(ask, ASK_EVERY);
    on_cleanup(move || {
        if let Ok(beat) = beat {
            beat.clear();
        }
    });
    view! {
        <div class="ledger-page">
            <h1>"Ledger"</h1>
            <LedgerLine/>
            <section class="panel account">
                <div class="tools">
                    <h2>"By node and hour"</h2>
                    <input type="search" placeholder="Node, as named" aria-label="Only this node"
                        prop:value=move || node.get().unwrap_or_default()
                        on:change=move |event| {
                            let wanted = event_target_value(&event);
                            router.set("node", Some(wanted.trim()), Step::SamePage);
                        }/>
                    <RangePicker current=derive(move || Some(range.get()))/>
                </div>
                {dynamic(move || problem.get().map(|error| view! { <Failure error retry=ask/> }))}
                {dynamic(move || account.get().map(|account| view! { <Account account/> }))}
            </section>
            <ReceiptPanel/>
        </div>
    }
}

#[component]
fn Account(account: LedgerAnswer) -> impl IntoView {
    let prefs = Prefs::expect();
    let (totals, in_flight) = (account.totals, account.now.in_flight);
    let cut = account.rows.len() >= api::ledger::ROWS;
    let when = move |hour: UnixMicros| format::date_clock(prefs.zone.get().zoned(hour));
    let rows = account
        .rows
        .into_iter()
        .map(|row| {
            let (id, hour) = (row.node_id, row.hour);
            let href = Page::Node(id.clone()).href();
            view! {
                <tr>
                    <th scope="row"><a href=href>{id}</a></th>
                    <td>{dynamic(move || when(hour))}</td>
                    {figures(&row.counts, in_flight)}
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label="Ledger by hour">
            <table class="figures">
                <thead>
                    <tr>
                        <th scope="col">"Node"</th>
                        <th scope="col">"Hour"</th>
                        <th scope="col">"Received ="</th>
                        <th scope="col">"stored +"</th>
                        <th scope="col">"duplicate +"</th>
                        <th scope="col">"quarantined"</th>
                        <th scope="col">"Account"</th>
                    </tr>
                </thead>
                <tbody>
                    <tr class="sum">
                        <th scope="row">"All of the range"</th>
                        <td></td>
                        {figures(&totals, in_flight)}
                    </tr>
                    {rows}
                </tbody>
            </table>
        </div>
        {cut.then(|| view! { <p class="table-note">"Only the newest lines are listed; the sum is of all."</p> })}
        <Refusals refused=account.refused/>
    }
}

fn figures(counts: &LedgerCounts, in_flight: u64) -> impl IntoView + use<> {
    let found = verdict(counts, in_flight);
    let cells = [
        counts.received,
        counts.stored,
        counts.duplicate,
        counts.quarantined,
    ]
    .map(|value| view! { <td class="num">{format::count(value)}</td> });
    view! {
        {cells}
        <td>
            <span class=format!("state-word {}", tone(found.state))>
                <StateMark state=Signal::from(found.state)/>
                {found.words}
            </span>
        </td>
    }
}

/// What was never acknowledged stands apart from the sum.
#[component]
fn Refusals(refused: Vec<Refusal>) -> impl IntoView {
    if refused.is_empty() {
        return view! { <p class="table-note">"Nothing was refused in this range."</p> }.into_any();
    }
    let prefs = Prefs::expect();
    let rows = refused
        .into_iter()
        .map(|line| {
            let hour = line.hour;
            view! {
                <tr>
                    <th scope="row"><code>{line.reason}</code></th>
                    <td>{dynamic(move || format::date_clock(prefs.zone.get().zoned(hour)))}</td>
                    <td class="num">{format::count(line.requests)}</td>
                    <td class="num">{format::count(line.samples)}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <h2 class="table-title">"Refused, never acknowledged"</h2>
        <div class="scroll" tabindex="0" role="region" aria-label="Refusals by reason">
            <table class="figures">
                <thead>
                    <tr>
                        <th scope="col">"Reason"</th>
                        <th scope="col">"Hour"</th>
                        <th scope="col">"Requests"</th>
                        <th scope="col">"Samples"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

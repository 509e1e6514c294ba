use leptos::prelude::*;

use crate::components::blind::Blind;
use crate::components::first_run::FirstRun;
use crate::components::history_panel::{COMPACT, HistoryPanel};
use crate::components::kpi::KpiRow;
use crate::components::ledger::LedgerLine;
use crate::components::map::FleetMap;
use crate::components::node_table::NodeTable;
use crate::components::posture::PostureLine;
use crate::components::worst::WorstNodes;
use crate::slim::memo;
use crate::state::history::{History, Subject};
use crate::state::live::Live;
use crate::state::view::TimeView;

/// The whole fleet in five seconds: sentence, figures, map, worst, everything.
#[component]
pub(crate) fn Overview() -> impl IntoView {
    let live = Live::expect();
    let first_run = memo(move || live.ready.get() && live.empty.get());
    view! {
        <div class="overview">
            <PostureLine/>
            <Blind/>
            <KpiRow/>
            <LedgerLine/>
            <Show when=move || !first_run.get() fallback=|| view! { <FirstRun/> }>
                <div class="overview-body">
                    <FleetMap/>
                    <FleetHistory/>
                    <WorstNodes/>
                    <NodeTable/>
                </div>
            </Show>
        </div>
    }
}

#[component]
fn FleetHistory() -> impl IntoView {
    TimeView::provide();
    let history = History::follow(Subject::Fleet, false);
    view! {
        <HistoryPanel name="Whole fleet" history shown=COMPACT>
            <p>"The figures above start with the first sample."</p>
        </HistoryPanel>
    }
}

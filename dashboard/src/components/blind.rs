use leptos::prelude::*;

use super::notice::Failure;
use crate::state::live::Live;

/// Why neither the stream nor the list brings anything; nothing while one of them does.
#[component]
pub(crate) fn Blind() -> impl IntoView {
    let live = Live::expect();
    move || {
        live.problem.get().map(|error| {
            view! { <section class="panel"><Failure error retry=move || live.ask_list()/></section> }
        })
    }
}

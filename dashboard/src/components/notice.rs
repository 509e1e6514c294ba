use leptos::prelude::*;

use crate::api::error::Error;

/// What went wrong, how to try again, and the id under which the engine logged it.
#[component]
pub(crate) fn Failure(error: Error, retry: impl Fn() + 'static) -> impl IntoView {
    let trace = error.trace_id().map(str::to_owned);
    view! {
        <div class="notice" role="alert">
            <p class="notice-title">{error.to_string()}</p>
            {trace.map(|id| view! { <p class="notice-trace">"Trace " <code>{id}</code></p> })}
            <button type="button" class="button" on:click=move |_| retry()>"Try again"</button>
        </div>
    }
}

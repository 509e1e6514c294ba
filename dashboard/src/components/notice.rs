use leptos::prelude::*;

use crate::api::error::Error;
use crate::slim::dynamic;

/// What went wrong, how to try again, and the id under which the engine logged it.
#[component]
pub(crate) fn Failure(error: Error, retry: impl Fn() + 'static) -> impl IntoView {
    view! {
        <div class="notice" role="alert">
            <p class="notice-title">{error.to_string()}</p>
            {trace(&error)}
            <button type="button" class="button" on:click=move |_| retry()>"Try again"</button>
        </div>
    }
}

/// Why something that was asked for was not done.
#[component]
pub(crate) fn Problem(problem: RwSignal<Option<Error>>) -> impl IntoView {
    view! {
        <div class="problem" role="alert">
            {dynamic(move || problem.get().map(|error| view! {
                <p>{error.to_string()}</p>
                {trace(&error)}
            }))}
        </div>
    }
}

fn trace(error: &Error) -> impl IntoView + use<> {
    let id = error.trace_id().map(str::to_owned);
    id.map(|id| view! { <p class="notice-trace">"Trace " <code>{id}</code></p> })
}

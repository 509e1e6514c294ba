use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::routes::with_query;
use crate::state::range::Range;

/// Links, so that each range has an address and the browser's back is undo.
#[component]
pub(crate) fn RangePicker(#[prop(into)] current: Signal<Range>) -> impl IntoView {
    let query = use_query_map();
    view! {
        <nav class="segments" aria-label="Time range">
            {Range::ALL
                .map(|range| {
                    view! {
                        <a
                            href=move || query.with(|query| with_query(query, "range", Some(range.as_str())))
                            title=range.words() data-noscroll="true"
                            aria-current=move || (current.get() == range).then_some("true")
                        >
                            {range.as_str()}
                        </a>
                    }
                })}
        </nav>
    }
}

use leptos::prelude::*;

use crate::router::Router;
use crate::state::range::Range;

/// Links, so that each range has an address and the browser's back is undo.
#[component]
pub(crate) fn RangePicker(#[prop(into)] current: Signal<Range>) -> impl IntoView {
    let router = Router::expect();
    view! {
        <nav class="segments" aria-label="Time range">
            {Range::ALL
                .map(|range| {
                    view! {
                        <a
                            href=move || router.href_with("range", Some(range.as_str()))
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

use leptos::prelude::*;

use crate::router::Router;
use crate::state::range::Range;

/// Links, so that each range has an address and the browser's back is undo. None is current while
/// the page shows a stretch between two instants.
#[component]
pub(crate) fn RangePicker(#[prop(into)] current: Signal<Option<Range>>) -> impl IntoView {
    let router = Router::expect();
    view! {
        <nav class="segments" aria-label="Time range">
            {Range::ALL
                .map(|range| {
                    let href = move || {
                        let named = ("range", Some(range.as_str()));
                        router.href_with_all(&[named, ("from", None), ("to", None)])
                    };
                    view! {
                        <a
                            href=href title=range.words() data-noscroll="true"
                            aria-current=move || (current.get() == Some(range)).then_some("true")
                        >
                            {range.as_str()}
                        </a>
                    }
                })}
        </nav>
    }
}

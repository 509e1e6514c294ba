use crate::slim::dynamic;
use leptos::prelude::*;

/// A button that does nothing until it is pressed a second time, beside a way out.
#[component]
pub(crate) fn Confirm(
    label: &'static str,
    /// What is asked before it is done.
    question: String,
    act: impl Fn() + Copy + Send + 'static,
) -> impl IntoView {
    let asking = RwSignal::new(false);
    view! {
        <span class="confirm">
            {dynamic(move || if asking.get() {
                view! {
                    <span class="confirm-question" role="alert">{question.clone()}</span>
                    <button type="button" class="button danger"
                        on:click=move |_| { asking.set(false); act(); }>
                        {label}
                    </button>
                    <button type="button" class="button" on:click=move |_| asking.set(false)>"Keep"</button>
                }.into_any()
            } else {
                view! {
                    <button type="button" class="button" on:click=move |_| asking.set(true)>{label}</button>
                }.into_any()
            })}
        </span>
    }
}

use leptos::prelude::*;

use crate::routes::Page;

#[component]
pub(crate) fn Missing() -> impl IntoView {
    view! {
        <section class="panel notice">
            <h1>"There is no such page"</h1>
            <p>
                <a href=Page::Overview.href()>"Go to the overview"</a>
            </p>
        </section>
    }
}

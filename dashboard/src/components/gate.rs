use fiber_contract::access::Role;
use leptos::prelude::*;

use crate::router::Router;
use crate::slim::{dynamic, memo};
use crate::state::session::{Session, sign_in_href};

/// A page that needs a role: itself for who has it, else who would have to ask whom.
#[component]
pub(crate) fn Gate(title: &'static str, least: Role, children: ChildrenFn) -> impl IntoView {
    let (session, router) = (Session::expect(), Router::expect());
    let allowed = memo(move || session.may(least));
    let known = memo(move || session.me.with(Option::is_some));
    view! {
        <div class="people-page">
            <h1>{title}</h1>
            {dynamic(move || if allowed.get() {
                children().into_any()
            } else if known.get() {
                view! {
                    <section class="panel notice">
                        <p class="notice-title">{format!("This page is for the role {}.", least.as_str())}</p>
                        <p><a href=move || sign_in_href(&router.with(|at| at.href()))>"Sign in as another user"</a></p>
                    </section>
                }.into_any()
            } else {
                view! { <section class="panel notice"><p>"Asking the engine who you are."</p></section> }.into_any()
            })}
        </div>
    }
}

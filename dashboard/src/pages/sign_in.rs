use leptos::html::Input;
use leptos::prelude::*;

use crate::api;
use crate::api::error::Error;
use crate::components::notice::Problem;
use crate::router::{Router, Step};
use crate::slim::dynamic;
use crate::state::session::{NEXT, Session, way_back};

/// Name and password, then back to where one was sent here from.
#[component]
pub(crate) fn SignInPage() -> impl IntoView {
    let (router, session) = (Router::expect(), Session::expect());
    let (name, password) = (NodeRef::<Input>::new(), NodeRef::<Input>::new());
    let problem = RwSignal::new(None::<Error>);
    let busy = RwSignal::new(false);
    let sign_in = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let (Some(name), Some(field)) = (name.get_untracked(), password.get_untracked()) else {
            return;
        };
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        problem.set(None);
        let (name, password) = (name.value(), field.value());
        api::access::login(name.trim(), &password, move |answer| {
            busy.try_set(false);
            match answer {
                Ok(me) => {
                    session.me.set(Some(me));
                    api::live::hurry();
                    let next = router.with_untracked(|at| way_back(at.value(NEXT)));
                    router.go(&next, Step::Replace);
                }
                Err(error) => {
                    problem.try_set(Some(error));
                    // Typed again from the start; fails only for elements that cannot take it.
                    drop(field.focus());
                    field.select();
                }
            }
        });
    };
    view! {
        <div class="sign-in-page">
            <form class="panel sign-in" on:submit=sign_in>
                <h1>"Sign in"</h1>
                {dynamic(move || session.me.with(|me| {
                    let name = me.as_ref().filter(|me| !me.anonymous)?.name.clone();
                    Some(view! { <p>"You are signed in as " <b>{name}</b> "."</p> })
                }))}
                <label>
                    "Name"
                    <input type="text" name="username" autocomplete="username" autocapitalize="none"
                        spellcheck="false" required=true autofocus=true node_ref=name/>
                </label>
                <label>
                    "Password"
                    <input type="password" name="password" autocomplete="current-password"
                        required=true node_ref=password/>
                </label>
                <Problem problem/>
                <button type="submit" class="button primary" aria-disabled=move || busy.get().to_string()>
                    {dynamic(move || if busy.get() { "Signing in" } else { "Sign in" })}
                </button>
                <p class="hint">"An admin gives out names and passwords."</p>
            </form>
        </div>
    }
}

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::components::help::{Help, HelpOpen};
use crate::components::keys::Keys;
use crate::components::palette::Palette;
use crate::components::topbar::TopBar;
use crate::pages::lazy;
use crate::pages::missing::Missing;
use crate::pages::overview::Overview;
use crate::router::Router;
use crate::routes::Page;
use crate::slim::{dynamic, memo};
use crate::state::atlas::Atlas;
use crate::state::live::Live;
use crate::state::prefs::Prefs;
use crate::state::session::Session;

/// The element of `index.html` that holds the static shell.
const ROOT_ID: &str = "app";

/// Puts the application where the static shell was.
pub(crate) fn mount() {
    let Some(root) = document().get_element_by_id(ROOT_ID) else {
        return leptos::mount::mount_to_body(App);
    };
    root.set_text_content(None);
    leptos::mount::mount_to(wasm_bindgen::JsCast::unchecked_into(root), App).forget();
}

#[component]
fn App() -> impl IntoView {
    let router = Router::provide();
    Prefs::provide();
    Session::provide();
    Live::provide();
    Atlas::provide();
    HelpOpen::provide();
    // A page is made anew when another one is asked for, not when its query changes.
    let page = memo(move || router.with(Page::at));
    view! {
        <TopBar/>
        <Keys/>
        <Palette/>
        <Help/>
        <main id="main">
            {dynamic(move || match page.get() {
                Some(Page::Overview) => view! { <Overview/> }.into_any(),
                Some(other) => view! { <Later page=other/> }.into_any(),
                None => view! { <Missing/> }.into_any(),
            })}
        </main>
    }
}

/// A page whose code may still have to come. Until then its place is empty: it is a moment, and only
/// the first time.
#[component]
fn Later(page: Page) -> impl IntoView {
    let made = RwSignal::new(None::<Result<lazy::Make, ()>>);
    let id = match &page {
        Page::Node(id) => id.clone(),
        _ => String::new(),
    };
    spawn_local(async move {
        if let Some(loaded) = lazy::load(&page).await {
            // Nobody is there to take it when another page was asked for meanwhile.
            made.try_set(Some(loaded.map_err(drop)));
        }
    });
    dynamic(move || match made.get() {
        None => ().into_any(),
        Some(Ok(make)) => make(id.clone()),
        // A build that is gone: the engine was updated below an open tab, or is away.
        Some(Err(())) => view! {
            <section class="panel notice" role="alert">
                <h1>"This page could not be loaded"</h1>
                <p>"The engine is away, or newer than the dashboard in this tab."</p>
                <p><a href="" class="button">"Load it again"</a></p>
            </section>
        }
        .into_any(),
    })
}

use leptos::prelude::*;
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::path;

use crate::components::keys::Keys;
use crate::components::topbar::TopBar;
use crate::pages::missing::Missing;
use crate::pages::node::NodePage;
use crate::pages::nodes::NodesPage;
use crate::pages::overview::Overview;
use crate::pages::system::SystemPage;
use crate::state::atlas::Atlas;
use crate::state::live::Live;
use crate::state::prefs::Prefs;

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
    Prefs::provide();
    Live::provide();
    Atlas::provide();
    view! {
        <Router>
            <TopBar/>
            <Keys/>
            <main id="main">
                <FlatRoutes fallback=Missing>
                    <Route path=path!("/") view=Overview/>
                    <Route path=path!("/nodes") view=NodesPage/>
                    <Route path=path!("/nodes/:id") view=NodePage/>
                    <Route path=path!("/system") view=SystemPage/>
                </FlatRoutes>
            </main>
        </Router>
    }
}

use leptos::prelude::*;

use crate::components::help::{Help, HelpOpen};
use crate::components::keys::Keys;
use crate::components::palette::Palette;
use crate::components::topbar::TopBar;
use crate::pages::compare::ComparePage;
use crate::pages::keys::KeysPage;
use crate::pages::ledger::LedgerPage;
use crate::pages::missing::Missing;
use crate::pages::node::NodePage;
use crate::pages::nodes::NodesPage;
use crate::pages::overview::Overview;
use crate::pages::regions::RegionsPage;
use crate::pages::sign_in::SignInPage;
use crate::pages::system::SystemPage;
use crate::pages::users::UsersPage;
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
                Some(Page::Nodes) => view! { <NodesPage/> }.into_any(),
                Some(Page::Node(id)) => view! { <NodePage id/> }.into_any(),
                Some(Page::Regions) => view! { <RegionsPage/> }.into_any(),
                Some(Page::Compare) => view! { <ComparePage/> }.into_any(),
                Some(Page::Ledger) => view! { <LedgerPage/> }.into_any(),
                Some(Page::System) => view! { <SystemPage/> }.into_any(),
                Some(Page::Users) => view! { <UsersPage/> }.into_any(),
                Some(Page::Keys) => view! { <KeysPage/> }.into_any(),
                Some(Page::SignIn) => view! { <SignInPage/> }.into_any(),
                None => view! { <Missing/> }.into_any(),
            })}
        </main>
    }
}

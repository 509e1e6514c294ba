use fiber_contract::access::Role;
use leptos::html::Details;
use leptos::prelude::*;

use crate::format;
use crate::router::Router;
use crate::routes::Page;
use crate::slim::{dynamic, effect, memo};
use crate::state::live::{Connection, Live};
use crate::state::prefs::{Prefs, Theme, Zone};
use crate::state::session::{Session, sign_in_href};

#[component]
pub(crate) fn TopBar() -> impl IntoView {
    view! {
        <header class="topbar">
            <a class="skip" href="#main">"Skip to content"</a>
            <a class="brand" href="/">
                <svg viewBox="0 0 20 20" aria-hidden="true">
                    <path d="M2 14.5h3l2.4-9 3.4 12 2.6-8 1.2 2.5H18"/>
                </svg>
                "FiberStack"
            </a>
            <nav aria-label="Pages">
                <PageLink page=Page::Overview name="Overview"/>
                <PageLink page=Page::Nodes name="Nodes"/>
                <PageLink page=Page::Regions name="Regions"/>
                <PageLink page=Page::Ledger name="Ledger"/>
                <PageLink page=Page::System name="System"/>
            </nav>
            <Clock/>
            <Link/>
            <Preferences/>
            <Account/>
        </header>
    }
}

/// A node's page counts as one of the nodes.
#[component]
fn PageLink(page: Page, name: &'static str) -> impl IntoView {
    let router = Router::expect();
    let href = page.href();
    let current = memo(move || match router.with(Page::at) {
        Some(Page::Node(_)) => page == Page::Nodes,
        shown => shown.as_ref() == Some(&page),
    });
    view! {
        <a href=href aria-current=move || current.get().then_some("page")>{name}</a>
    }
}

#[component]
fn Clock() -> impl IntoView {
    let (live, prefs) = (Live::expect(), Prefs::expect());
    view! {
        <span class="clock" aria-hidden="true">
            {dynamic(move || format::clock(prefs.zone.get().zoned(live.now.get())))}
        </span>
    }
}

/// Whether the numbers on the page are live, and how old they are when not.
#[component]
fn Link() -> impl IntoView {
    let live = Live::expect();
    let word = memo(move || match live.connection.get() {
        Connection::Live => ("link live", "live".to_owned()),
        Connection::Connecting => ("link", "connecting".to_owned()),
        Connection::Lost { .. } => {
            let heard = live.fleet.with(|fleet| fleet.now);
            let age = heard.map_or(String::new(), |heard| {
                format!(
                    " · {} old",
                    format::span(live.now.get().secs_since(heard).max(1.0))
                )
            });
            ("link lost", format!("reconnecting{age}"))
        }
    });
    view! {
        <span class=move || word.get().0 title="Stream of live changes from the engine">
            <i></i>
            {dynamic(move || word.get().1)}
        </span>
    }
}

/// Who is signed in, and what only that one sees.
#[component]
fn Account() -> impl IntoView {
    let (session, router) = (Session::expect(), Router::expect());
    let fold = NodeRef::<Details>::new();
    // Any step to another address closes the menu.
    effect(move || {
        router.with(|_| ());
        if let Some(fold) = fold.get_untracked() {
            fold.set_open(false);
        }
    });
    let name = memo(move || {
        let me = session.me.get().filter(|me| !me.anonymous)?;
        Some((me.name, me.role))
    });
    view! {
        <span class="who">
            {dynamic(move || match name.get() {
                None => view! {
                    <a class="button" href=move || sign_in_href(&router.with(|at| at.href()))>"Sign in"</a>
                }.into_any(),
                Some((name, role)) => view! {
                    <details class="menu" node_ref=fold>
                        <summary class="button">{name}</summary>
                        <div>
                            <p>{role.as_str()}</p>
                            {(role == Role::Admin).then(|| view! {
                                <a href=Page::Users.href()>"Users"</a>
                                <a href=Page::Keys.href()>"Keys of probes"</a>
                            })}
                            <button type="button" class="button" on:click=move |_| session.leave()>"Sign out"</button>
                        </div>
                    </details>
                }.into_any(),
            })}
        </span>
    }
}

#[component]
fn Preferences() -> impl IntoView {
    let prefs = Prefs::expect();
    let zone = move || match prefs.zone.get() {
        Zone::Utc => "UTC",
        Zone::Local => "Local",
    };
    let theme = move || match prefs.theme.get() {
        Theme::System => "Auto",
        Theme::Light => "Light",
        Theme::Dark => "Dark",
    };
    view! {
        <span class="prefs">
            <button type="button" class="button" title="Times in local time or UTC"
                on:click=move |_| prefs.other_zone()>
                {zone}
            </button>
            <button type="button" class="button" title="Theme: as the system, light, dark"
                on:click=move |_| prefs.next_theme()>
                {theme}
            </button>
        </span>
    }
}

use leptos::ev;
use leptos::html::{Dialog, Input};
use leptos::prelude::*;
use web_sys::KeyboardEvent;

use super::help::HelpOpen;
use super::keys::{self, Key};
use crate::router::{Router, Step};
use crate::routes::Page;
use crate::slim::{dynamic, memo};
use crate::state::commands::{Act, Command, Place, find};
use crate::state::comparison::Comparison;
use crate::state::live::Live;
use crate::state::prefs::Prefs;

/// One field for everything that has a name: Ctrl-K or `/`.
#[component]
pub(crate) fn Palette() -> impl IntoView {
    let (router, live) = (Router::expect(), Live::expect());
    let (dialog, field) = (NodeRef::<Dialog>::new(), NodeRef::<Input>::new());
    let open = RwSignal::new(false);
    let text = RwSignal::new(String::new());
    let at = RwSignal::new(0_usize);
    keys::listen(move |key| {
        if key == Key::Search
            && let Some(Some(dialog)) = dialog.try_get_untracked()
            && !dialog.open()
        {
            text.set(String::new());
            at.set(0);
            open.set(true);
            // Refused only for a dialog that is not in the page.
            drop(dialog.show_modal());
            if let Some(field) = field.get_untracked() {
                field.set_value("");
                drop(field.focus());
            }
        }
    });
    // Looked up while it is open only: the fleet changes twice a second.
    let found = memo(move || {
        if !open.get() {
            return Vec::new();
        }
        let place = router.with(place);
        live.fleet
            .with_untracked(|fleet| find(&text.get(), fleet, &place))
    });
    let close = move || close(dialog);
    let perform = performer();
    let choose = move |index: usize| {
        let chosen = found.with_untracked(|found| found.get(index).map(|it| it.act.clone()));
        if let Some(act) = chosen {
            close();
            perform(act);
        }
    };
    let by_key = move |event: KeyboardEvent| {
        let count = found.with_untracked(Vec::len);
        match event.key().as_str() {
            "ArrowDown" => at.update(|at| *at = (*at + 1) % count.max(1)),
            "ArrowUp" => at.update(|at| *at = (*at + count.max(1) - 1) % count.max(1)),
            "Enter" => choose(at.get_untracked()),
            _ => return,
        }
        event.prevent_default();
    };
    view! {
        <dialog class="palette" node_ref=dialog aria-label="Search and commands"
            on:close=move |_| open.set(false)
            on:click=move |event: ev::MouseEvent| {
                // A click on the backdrop is one on the dialog itself.
                if event.target() == event.current_target() {
                    close();
                }
            }>
            <div class="palette-box">
                <input type="text" node_ref=field role="combobox" aria-expanded="true"
                    aria-controls="commands" aria-label="Search and commands" autocomplete="off"
                    spellcheck="false" placeholder="Node, region, page or command"
                    aria-activedescendant=move || format!("command-{}", at.get())
                    on:input=move |event| {
                        text.set(event_target_value(&event));
                        at.set(0);
                    }
                    on:keydown=by_key/>
                <Matches found at choose/>
            </div>
        </dialog>
    }
}

fn close(dialog: NodeRef<Dialog>) {
    if let Some(dialog) = dialog.get_untracked() {
        dialog.close();
    }
}

#[component]
fn Matches(
    found: Memo<Vec<Command>>,
    at: RwSignal<usize>,
    choose: impl Fn(usize) + Copy + Send + 'static,
) -> impl IntoView {
    let option = move |(index, command): (usize, Command)| {
        view! {
            <li role="option" id=format!("command-{index}")
                aria-selected=move || (at.get() == index).to_string()
                on:click=move |_| choose(index)>
                <span>{command.title}</span>
                <small>{command.note}</small>
            </li>
        }
    };
    view! {
        <ul id="commands" role="listbox" aria-label="Matches">
            {dynamic(move || found.get().into_iter().enumerate().map(option).collect_view())}
        </ul>
        {dynamic(move || {
            found.with(Vec::is_empty)
                .then(|| view! { <p class="palette-none">"Nothing of that name."</p> })
        })}
    }
}

fn place(address: &crate::router::Address) -> Place {
    let page = Page::at(address);
    Place {
        node: match &page {
            Some(Page::Node(id)) => Some(id.clone()),
            _ => None,
        },
        comparison: (page == Some(Page::Compare))
            .then(|| Comparison::from_query(address.value("with"))),
        has_time: matches!(page, Some(Page::Overview | Page::Node(_) | Page::Compare)),
    }
}

fn performer() -> impl Fn(Act) + Copy + 'static {
    let (router, prefs, help) = (Router::expect(), Prefs::expect(), HelpOpen::expect());
    move |act| match act {
        Act::Go(href) => router.go(&href, Step::NewPage),
        Act::Range(range) => router.set_all(
            &[
                ("range", Some(range.as_str())),
                ("from", None),
                ("to", None),
            ],
            Step::SamePage,
        ),
        Act::Live => router.set_all(&[("from", None), ("to", None)], Step::SamePage),
        Act::Theme => prefs.next_theme(),
        Act::Zone => prefs.other_zone(),
        Act::Help => help.open(),
    }
}

//! The keyboard, heard in one place. Fields keep their own keys, and so does an open dialog.

use leptos::ev;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, KeyboardEvent};

use crate::router::{Router, Step};
use crate::routes::Page;

/// What a key asks of the page that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The palette.
    Search,
    Help,
    /// The field of the table.
    Filter,
    Down,
    Up,
    Open,
    Escape,
    Shorter,
    Longer,
    Earlier,
    Later,
    Live,
}

/// The whole keyboard as the help lists it.
pub(crate) const MAP: [(&str, &str); 14] = [
    ("Ctrl K  or  /", "Search nodes, regions, pages and commands"),
    ("?", "This list"),
    ("g o  or  g m", "Overview with the map"),
    ("g n", "Nodes"),
    ("g c", "Compare"),
    ("g l", "Ledger"),
    ("g s", "System"),
    ("f", "Filter the table of nodes"),
    ("j  k", "Next and previous row"),
    ("Enter", "Open the row"),
    ("[  ]", "Earlier and later"),
    ("+  −", "Closer and wider"),
    ("l", "Live again"),
    (
        "← →",
        "Move the cursor of a chart that has the focus; with Shift by ten",
    ),
];

impl Key {
    fn of(event: &KeyboardEvent) -> Option<Self> {
        let key = event.key();
        let command = event.ctrl_key() || event.meta_key();
        if command && key.eq_ignore_ascii_case("k") {
            return Some(Self::Search);
        }
        // Brackets are typed with AltGr on many keyboards, which reports Ctrl and Alt as well.
        if (command || event.alt_key()) && !event.get_modifier_state("AltGraph") {
            return None;
        }
        let target = event
            .target()
            .and_then(|target| target.dyn_into::<HtmlElement>().ok());
        let tag = target.map(|target| target.tag_name()).unwrap_or_default();
        let in_field = matches!(tag.as_str(), "INPUT" | "TEXTAREA" | "SELECT");
        let on_control = matches!(tag.as_str(), "A" | "BUTTON" | "SUMMARY");
        match key.as_str() {
            "Escape" => Some(Self::Escape),
            _ if in_field || dialog_is_open() => None,
            "/" => Some(Self::Search),
            "?" => Some(Self::Help),
            "f" => Some(Self::Filter),
            "j" => Some(Self::Down),
            "k" => Some(Self::Up),
            "Enter" if !on_control => Some(Self::Open),
            "+" | "=" => Some(Self::Shorter),
            "-" | "_" => Some(Self::Longer),
            "[" => Some(Self::Earlier),
            "]" => Some(Self::Later),
            "l" => Some(Self::Live),
            _ => None,
        }
    }
}

fn dialog_is_open() -> bool {
    matches!(document().query_selector("dialog[open]"), Ok(Some(_)))
}

/// Calls `act` for every key until the component goes.
pub(crate) fn listen(act: impl Fn(Key) + 'static) {
    let listener = window_event_listener(ev::keydown, move |event| {
        if let Some(key) = Key::of(&event) {
            if matches!(key, Key::Search | Key::Filter) {
                event.prevent_default();
            }
            act(key);
        }
    });
    on_cleanup(move || listener.remove());
}

/// Where `g` and then a letter leads.
fn page_of(letter: &str) -> Option<Page> {
    Some(match letter {
        "o" | "m" => Page::Overview,
        "n" => Page::Nodes,
        "c" => Page::Compare,
        "l" => Page::Ledger,
        "s" => Page::System,
        _ => return None,
    })
}

/// `g` and a letter goes to a page; Esc leaves a field. Mounted before any page, so that it hears
/// the letter first and no page takes it for a key of its own.
#[component]
pub(crate) fn Keys() -> impl IntoView {
    let router = Router::expect();
    let armed = StoredValue::new(false);
    let listener = window_event_listener(ev::keydown, move |event| {
        let leaving = Key::of(&event) == Some(Key::Escape);
        let focused = document()
            .active_element()
            .and_then(|el| el.dyn_into::<HtmlElement>().ok());
        let in_field = focused.as_ref().is_some_and(|el| el.tag_name() == "INPUT");
        if let (true, Some(field)) = (leaving, focused) {
            drop(field.blur());
        }
        if in_field || event.ctrl_key() || event.meta_key() || event.alt_key() || dialog_is_open() {
            return;
        }
        let was_armed = armed.try_get_value().unwrap_or_default();
        armed.set_value(event.key() == "g" && !was_armed);
        if let Some(page) = page_of(&event.key()).filter(|_| was_armed) {
            event.stop_immediate_propagation();
            event.prevent_default();
            router.go(&page.href(), Step::NewPage);
        }
    });
    on_cleanup(move || listener.remove());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_page_that_g_leads_to() {
        for letter in ('a'..='z').map(String::from) {
            if page_of(&letter).is_some() {
                let listed = MAP
                    .iter()
                    .any(|(keys, _)| keys.contains(&format!("g {letter}")));
                assert!(listed, "g {letter} is not in the help");
            }
        }
    }
}

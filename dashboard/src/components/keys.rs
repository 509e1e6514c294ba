//! The keyboard, heard in one place. Fields keep their own keys.

use leptos::ev;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, KeyboardEvent};

use crate::router::{Router, Step};
use crate::routes::Page;

/// What a key asks of the page that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Search,
    Down,
    Up,
    Open,
    Escape,
    Shorter,
    Longer,
}

impl Key {
    fn of(event: &KeyboardEvent) -> Option<Self> {
        if event.ctrl_key() || event.meta_key() || event.alt_key() {
            return None;
        }
        let target = event
            .target()
            .and_then(|target| target.dyn_into::<HtmlElement>().ok());
        let tag = target.map(|target| target.tag_name()).unwrap_or_default();
        let in_field = matches!(tag.as_str(), "INPUT" | "TEXTAREA" | "SELECT");
        let on_control = matches!(tag.as_str(), "A" | "BUTTON");
        match event.key().as_str() {
            "Escape" => Some(Self::Escape),
            _ if in_field => None,
            "/" => Some(Self::Search),
            "j" => Some(Self::Down),
            "k" => Some(Self::Up),
            "Enter" if !on_control => Some(Self::Open),
            "+" => Some(Self::Shorter),
            "-" => Some(Self::Longer),
            _ => None,
        }
    }
}

/// Calls `act` for every key until the component goes.
pub(crate) fn listen(act: impl Fn(Key) + 'static) {
    let listener = window_event_listener(ev::keydown, move |event| {
        if let Some(key) = Key::of(&event) {
            if key == Key::Search {
                event.prevent_default();
            }
            act(key);
        }
    });
    on_cleanup(move || listener.remove());
}

/// `g` then `o` (or `m`), `n`, `l` or `s` goes to a page; Esc leaves a field.
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
        if in_field || event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        let was_armed = armed.try_get_value().unwrap_or_default();
        armed.set_value(event.key() == "g" && !was_armed);
        let page = match event.key().as_str() {
            "o" | "m" => Page::Overview,
            "n" => Page::Nodes,
            "l" => Page::Ledger,
            "s" => Page::System,
            _ => return,
        };
        if was_armed {
            router.go(&page.href(), Step::NewPage);
        }
    });
    on_cleanup(move || listener.remove());
}

//! The address bar as a signal: links are followed without loading the page anew, and the browser's
//! back is undo.
//!
//! Only what the pages need: a path, a query, and no nesting. Any text in the address bar gives an
//! address: what is not percent-encoded properly is taken as it stands, because a mangled link must
//! open a page that says so, and not stop the dashboard.

use leptos::ev;
use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, HtmlAnchorElement, MouseEvent};

use crate::api::client::encode;

/// Links whose address the engine answers itself.
const ENGINE_PATHS: [&str; 2] = ["/api/", "/metrics"];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) path: String,
    /// In the order written; of a repeated key the last one counts.
    query: Vec<(String, String)>,
}

impl Address {
    pub(crate) fn parse(path: &str, search: &str) -> Self {
        let query = search.strip_prefix('?').unwrap_or(search);
        Self {
            path: decode(path),
            query: query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode_query(key), decode_query(value))
                })
                .collect(),
        }
    }

    /// As a link would name it.
    pub(crate) fn href(&self) -> String {
        self.with(&[], encode)
    }

    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        let found = self.query.iter().rev().find(|(other, _)| other == key);
        found.map(|(_, value)| value.as_str())
    }

    /// This address with some values changed; without a value the key goes. Everything else stays:
    /// the range of a chart and the filter of a table share one address.
    fn with(&self, changes: &[(&str, Option<&str>)], escape: fn(&str) -> String) -> String {
        let changed = |key: &str| changes.iter().any(|(other, _)| *other == key);
        let kept = self.query.iter().filter(|(key, _)| !changed(key));
        let new = changes
            .iter()
            .filter_map(|(key, value)| Some((*key, value.filter(|value| !value.is_empty())?)));
        let pairs: Vec<String> = kept
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .chain(new)
            .map(|(key, value)| format!("{}={}", escape(key), readable(escape(value))))
            .collect();
        let path: Vec<String> = self.path.split('/').map(escape).collect();
        let path = readable(path.join("/"));
        if pairs.is_empty() {
            return path;
        }
        format!("{path}?{}", pairs.join("&"))
    }
}

/// Characters that need no escape where they stand: an address is read by people, too.
fn readable(escaped: String) -> String {
    escaped
        .replace("%3A", ":")
        .replace("%2C", ",")
        .replace("%40", "@")
}

fn decode_query(text: &str) -> String {
    decode(&text.replace('+', " "))
}

/// `%41` as `A`; a `%` that starts no such pair stays.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let pair = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match pair {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = rest.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Back returns to what is shown now, and a page starts at its top.
    NewPage,
    /// Back returns to what is shown now; nothing scrolls.
    SamePage,
    /// No step back, for every letter of a search.
    Replace,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Router {
    address: RwSignal<Address>,
}

impl Router {
    /// Follows the address bar and takes over clicks on links. Once, in the root component.
    pub(crate) fn provide() -> Self {
        let router = Self {
            address: RwSignal::new(current()),
        };
        provide_context(router);
        // Both live as long as the page does.
        let _kept = window_event_listener_untyped("popstate", move |_| router.read());
        let _kept = window_event_listener(ev::click, move |event| router.follow(&event));
        router
    }

    pub(crate) fn expect() -> Self {
        expect_context()
    }

    pub(crate) fn with<T>(self, read: impl FnOnce(&Address) -> T) -> T {
        self.address.with(read)
    }

    pub(crate) fn with_untracked<T>(self, read: impl FnOnce(&Address) -> T) -> T {
        self.address.with_untracked(read)
    }

    /// A value of the query.
    pub(crate) fn value(self, key: &str) -> Option<String> {
        self.with(|address| address.value(key).map(str::to_owned))
    }

    /// The address that is shown with one value of its query changed.
    pub(crate) fn href_with(self, key: &str, value: Option<&str>) -> String {
        self.href_with_all(&[(key, value)])
    }

    /// The address that is shown with several values of its query changed.
    pub(crate) fn href_with_all(self, changes: &[(&str, Option<&str>)]) -> String {
        self.with(|address| address.with(changes, encode))
    }

    /// Changes one value of the query.
    pub(crate) fn set(self, key: &str, value: Option<&str>, step: Step) {
        self.set_all(&[(key, value)], step);
    }

    /// Changes several values of the query in one step.
    pub(crate) fn set_all(self, changes: &[(&str, Option<&str>)], step: Step) {
        let href = self
            .address
            .with_untracked(|address| address.with(changes, encode));
        self.go(&href, step);
    }

    pub(crate) fn go(self, href: &str, step: Step) {
        let Ok(history) = window().history() else {
            return;
        };
        let (state, url) = (JsValue::NULL, Some(href));
        let done = match step {
            Step::NewPage | Step::SamePage => history.push_state_with_url(&state, "", url),
            Step::Replace => history.replace_state_with_url(&state, "", url),
        };
        // Browsers refuse a storm of changes; the next one will get through.
        if done.is_ok() {
            self.read();
            if step == Step::NewPage {
                window().scroll_to_with_x_and_y(0.0, 0.0);
            }
        }
    }

    fn read(self) {
        let now = current();
        if self.address.try_with_untracked(|before| *before != now) == Some(true) {
            self.address.try_set(now);
        }
    }

    /// A plain click on a link to a page of ours; every other click is the browser's.
    fn follow(self, event: &MouseEvent) {
        let held = event.ctrl_key() || event.meta_key() || event.shift_key() || event.alt_key();
        if event.default_prevented() || event.button() != 0 || held {
            return;
        }
        let target = event.target().and_then(|t| t.dyn_into::<Element>().ok());
        let link = target
            .and_then(|target| target.closest("a[href]").ok().flatten())
            .and_then(|link| link.dyn_into::<HtmlAnchorElement>().ok());
        let Some(link) = link else { return };
        let path = link.pathname();
        let ours = location()
            .origin()
            .is_ok_and(|origin| origin == link.origin())
            && !ENGINE_PATHS.iter().any(|other| path.starts_with(other));
        let elsewhere = link.has_attribute("target") || link.has_attribute("download");
        // A brand-new document is what the banner's reload link asks for.
        let reload = link.get_attribute("href").as_deref() == Some("");
        if !ours || elsewhere || reload || !link.hash().is_empty() {
            return;
        }
        event.prevent_default();
        let step = if link.has_attribute("data-noscroll") {
            Step::SamePage
        } else {
            Step::NewPage
        };
        self.go(&format!("{path}{}", link.search()), step);
    }
}

fn current() -> Address {
    let bar = location();
    Address::parse(
        &bar.pathname().unwrap_or_default(),
        &bar.search().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escape(text: &str) -> String {
        text.replace('%', "%25")
            .replace(' ', "%20")
            .replace('&', "%26")
            .replace(':', "%3A")
    }

    #[test]
    fn a_query_is_read_as_browsers_write_it() {
        let address = Address::parse("/nodes", "?q=accra+fibre&state=down&x&q=a%20%C3%A9");
        assert_eq!(address.value("q"), Some("a é"));
        assert_eq!(address.value("state"), Some("down"));
        assert_eq!(address.value("x"), Some(""));
        assert_eq!(address.value("y"), None);
    }

    #[test]
    fn mangled_escapes_are_text() {
        for text in ["%", "%4", "%zz", "%%%", "a%e", "%é1"] {
            assert_eq!(decode(text), text);
        }
        assert_eq!(decode("%41%"), "A%");
        assert_eq!(decode("%ff"), "\u{fffd}");
    }

    #[test]
    fn one_value_changes_and_the_rest_stays() {
        let address = Address::parse("/nodes/a:b", "?range=6h&q=x");
        let with = |key, value| address.with(&[(key, value)], escape);
        assert_eq!(with("range", Some("1h")), "/nodes/a:b?q=x&range=1h");
        assert_eq!(with("q", None), "/nodes/a:b?range=6h");
        assert_eq!(with("q", Some("")), "/nodes/a:b?range=6h");
        assert_eq!(with("q", Some("a &")), "/nodes/a:b?range=6h&q=a%20%26");
        assert_eq!(
            Address::parse("/", "?a=b").with(&[("a", None)], escape),
            "/"
        );
        assert_eq!(
            address.with(
                &[
                    ("range", None),
                    ("from", Some("10:00")),
                    ("to", Some("11:00"))
                ],
                escape
            ),
            "/nodes/a:b?q=x&from=10:00&to=11:00"
        );
    }
}

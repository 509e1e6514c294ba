//! The live stream, kept open for the life of the page.
//!
//! The browser's own reconnection gives up on a refusal (503 while the engine drains, 502 from a
//! proxy) and otherwise asks in a fixed rhythm. So every failure closes the stream here, and a new
//! one is opened after a growing wait. A new stream starts with a snapshot: nothing is missed.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use fiber_contract::live::{EVENT_CHANGE, EVENT_SNAPSHOT, LiveChange, LiveSnapshot};
use leptos::leptos_dom::helpers::TimeoutHandle;
use leptos::prelude::{set_interval, set_timeout_with_handle, window_event_listener_untyped};
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{EventSource, MessageEvent};

use super::json::{self, Read};
use crate::state::backoff;

const PATH: &str = "/api/live";
/// A stream without any event for this long may be a dead connection that nobody closed. A fleet
/// that really is this quiet pays one snapshot for the certainty.
const QUIET_MAX_MS: f64 = 45_000.0;
const QUIET_CHECK: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) enum Event {
    Snapshot(LiveSnapshot),
    Change(LiveChange),
    /// The stream broke; another attempt is under way.
    Lost,
}

type Listener = Closure<dyn FnMut(MessageEvent)>;

struct Follower {
    tell: Box<dyn Fn(Event)>,
    source: Option<EventSource>,
    /// Held because the browser calls them as long as the stream is open.
    listeners: Vec<Listener>,
    retry: Option<TimeoutHandle>,
    failures: u32,
    heard_at_ms: f64,
}

/// Opens the stream and never ends. `tell` is called outside of any reactive observer.
pub(crate) fn follow(tell: impl Fn(Event) + 'static) {
    let follower = Rc::new(RefCell::new(Follower {
        tell: Box::new(tell),
        source: None,
        listeners: Vec::new(),
        retry: None,
        failures: 0,
        heard_at_ms: js_sys::Date::now(),
    }));
    open(&follower);
    let watched = Rc::clone(&follower);
    set_interval(
        move || {
            let quiet_ms = js_sys::Date::now() - watched.borrow().heard_at_ms;
            if quiet_ms > QUIET_MAX_MS && watched.borrow().source.is_some() {
                open(&watched);
            }
        },
        QUIET_CHECK,
    );
    // The network came back: do not sit out the rest of a long wait. The page keeps this for ever.
    let _kept = window_event_listener_untyped("online", move |_| open(&follower));
}

/// Opens the stream anew without sitting out the wait, for who has just signed in.
pub(crate) fn hurry() {
    if let Ok(event) = web_sys::Event::new("online") {
        // Refused only for an event that is under way.
        drop(leptos::prelude::window().dispatch_event(&event));
    }
}

fn open(follower: &Rc<RefCell<Follower>>) {
    close(follower);
    follower.borrow_mut().heard_at_ms = js_sys::Date::now();
    let Ok(source) = EventSource::new(PATH) else {
        lost(follower);
        return;
    };
    let listeners = vec![
        listen(follower, &source, EVENT_SNAPSHOT, Event::Snapshot),
        listen(follower, &source, EVENT_CHANGE, Event::Change),
        on_error(follower, &source),
    ];
    let mut state = follower.borrow_mut();
    state.listeners = listeners;
    state.source = Some(source);
}

fn close(follower: &Rc<RefCell<Follower>>) {
    let mut state = follower.borrow_mut();
    if let Some(source) = state.source.take() {
        source.close();
    }
    if let Some(retry) = state.retry.take() {
        retry.clear();
    }
}

fn listen<T: Read + 'static>(
    follower: &Rc<RefCell<Follower>>,
    source: &EventSource,
    name: &str,
    event: fn(T) -> Event,
) -> Listener {
    let follower = Rc::clone(follower);
    let listener = Closure::new(move |message: MessageEvent| {
        let text = message.data().as_string().unwrap_or_default();
        match json::from_text::<T>(&text) {
            Ok(news) => {
                {
                    let mut state = follower.borrow_mut();
                    state.heard_at_ms = js_sys::Date::now();
                    state.failures = 0;
                }
                (follower.borrow().tell)(event(news));
            }
            Err(json::Bad(what)) => {
                web_sys::console::error_2(&"live event does not read:".into(), &what.into());
                lost(&follower);
            }
        }
    });
    add(source, name, &listener);
    listener
}

fn on_error(follower: &Rc<RefCell<Follower>>, source: &EventSource) -> Listener {
    let follower = Rc::clone(follower);
    let listener = Closure::new(move |_: MessageEvent| lost(&follower));
    add(source, "error", &listener);
    listener
}

fn add(source: &EventSource, name: &str, listener: &Listener) {
    source
        .add_event_listener_with_callback(name, listener.as_ref().unchecked_ref())
        .expect("an event source takes listeners of any name");
}

fn lost(follower: &Rc<RefCell<Follower>>) {
    close(follower);
    let again = Rc::clone(follower);
    {
        let mut state = follower.borrow_mut();
        let wait = backoff::wait(state.failures, js_sys::Math::random());
        state.failures = state.failures.saturating_add(1);
        state.retry = set_timeout_with_handle(move || open(&again), wait).ok();
    }
    (follower.borrow().tell)(Event::Lost);
}

//! What a page's charts share: the stretch of time, the crosshair, the brush, and whether somebody
//! is reading. The stretch is in the URL, so a view has an address and the browser's back is undo.

use std::time::Duration;

use fiber_contract::UnixMicros;
use leptos::prelude::*;

use super::live::Live;
use super::window::{Shift, Window, spread_step};
use crate::chart::frame::Domain;
use crate::components::keys::{self, Key};
use crate::router::{Router, Step};
use crate::slim::{effect, memo};

const BEAT: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeView {
    live: Live,
    router: Router,
    pub(crate) window: Memo<Window>,
    /// What is drawn; moves with time while the window ends now and nobody reads.
    pub(crate) domain: RwSignal<Domain>,
    pub(crate) cursor: RwSignal<Option<UnixMicros>>,
    /// Both ends of a drag, in the order of the drag.
    pub(crate) brush: RwSignal<Option<(UnixMicros, UnixMicros)>>,
    /// Set while somebody reads values: nothing may move under the pointer.
    pub(crate) held: RwSignal<bool>,
    /// What the keyboard's cursor stands on, for a screen reader.
    pub(crate) said: RwSignal<String>,
}

impl TimeView {
    /// One for the page that calls this and all its charts.
    pub(crate) fn provide() -> Self {
        let (live, router) = (Live::expect(), Router::expect());
        let window = memo(move || {
            router
                .with(|at| Window::from_query(at.value("range"), at.value("from"), at.value("to")))
        });
        let view = Self {
            live,
            router,
            window,
            domain: RwSignal::new(window.get_untracked().domain(live.engine_now())),
            cursor: RwSignal::new(None),
            brush: RwSignal::new(None),
            held: RwSignal::new(false),
            said: RwSignal::new(String::new()),
        };
        effect(move || {
            let domain = window.get().domain(live.engine_now());
            view.domain.set(domain);
            view.brush.set(None);
        });
        let beat = set_interval_with_handle(move || view.move_on(), BEAT);
        on_cleanup(move || {
            if let Ok(beat) = beat {
                beat.clear();
            }
        });
        keys::listen(move |key| match key {
            Key::Shorter => view.change(|window, now| window.zoomed(true, now)),
            Key::Longer => view.change(|window, now| window.zoomed(false, now)),
            Key::Earlier => view.shift(Shift::Earlier),
            Key::Later => view.shift(Shift::Later),
            Key::Live => view.go_live(),
            _ => {}
        });
        provide_context(view);
        view
    }

    pub(crate) fn expect() -> Self {
        expect_context()
    }

    /// The step that shows how a node's latencies spread; `None` leaves it to the engine.
    pub(crate) fn spread_step(self, node_id: &str, domain: Domain) -> Option<u32> {
        let interval_s = self
            .live
            .fleet
            .with_untracked(|fleet| fleet.nodes.get(node_id).map(|node| node.interval_s))?;
        let age_s = self.live.engine_now().secs_since(domain.from);
        spread_step(domain, interval_s, age_s)
    }

    fn move_on(self) {
        let (Some(window), Some(held), Some(domain)) = (
            self.window.try_get_untracked(),
            self.held.try_get_untracked(),
            self.domain.try_get_untracked(),
        ) else {
            return;
        };
        let now = self.live.engine_now();
        if let Window::Last(range) = window
            && !held
            && now.secs_since(domain.to) >= f64::from(range.refresh_s())
        {
            self.domain.try_set(window.domain(now));
        }
    }

    /// A stretch that was dragged over.
    pub(crate) fn zoom_to(self, a: UnixMicros, b: UnixMicros) {
        self.change(|window, now| window.narrowed(a.min(b), a.max(b), now));
    }

    /// Back to the stretch that ends now.
    pub(crate) fn go_live(self) {
        self.release();
        self.change(|window, _| window.live());
    }

    pub(crate) fn shift(self, shift: Shift) {
        self.change(|window, now| window.shifted(shift, now));
    }

    pub(crate) fn zoom(self, closer: bool) {
        self.change(|window, now| window.zoomed(closer, now));
    }

    pub(crate) fn show(self, window: Window) {
        self.change(|_, _| window);
    }

    fn change(self, next: impl FnOnce(Window, UnixMicros) -> Window) {
        let Some(window) = self.window.try_get_untracked() else {
            return;
        };
        let next = next(window, self.live.engine_now());
        if next == window {
            return;
        }
        let [range, from, to] = next.to_query();
        self.router.set_all(
            &[
                ("range", range.as_deref()),
                ("from", from.as_deref()),
                ("to", to.as_deref()),
            ],
            Step::SamePage,
        );
    }

    /// Nobody reads any more.
    pub(crate) fn release(self) {
        self.held.try_set(false);
        self.cursor.try_set(None);
        self.brush.try_set(None);
    }
}

use fiber_contract::UnixMicros;
use fiber_contract::time::MICROS_PER_S;
use leptos::html::{Canvas, Div};
use leptos::prelude::*;
use web_sys::{KeyboardEvent, PointerEvent};

use super::canvas::paint;
use super::measure::measure;
use crate::chart::fan::seconds;
use crate::chart::frame::Frame;
use crate::chart::picture::Picture;
use crate::chart::reading::{Reading, read, spoken};
use crate::format::{self, px};
use crate::slim::{dynamic, effect, memo};
use crate::state::prefs::Prefs;
use crate::state::view::TimeView;

/// A shorter drag is a click with an unsteady hand.
const DRAG_MIN_PX: f64 = 6.0;
/// Steps that an arrow key with Shift goes.
const STRIDE: i64 = 10;

/// One picture over the page's stretch of time: axes, on them the data on a canvas, above it the crosshair.
/// Whoever points at one chart reads all of the page at the same instant.
#[component]
pub(crate) fn Chart(
    #[prop(into)] title: Signal<String>,
    height_px: f64,
    picture: Signal<Option<Picture>>,
) -> impl IntoView {
    let (view, prefs) = (TimeView::expect(), Prefs::expect());
    let height_px = height_px * stretch();
    let (holder, canvas) = (NodeRef::<Div>::new(), NodeRef::<Canvas>::new());
    let size = measure(holder);
    let frame = memo(move || Frame {
        width: size.get().0,
        height: height_px,
        domain: view.domain.get(),
    });
    repaint(canvas, picture, frame);
    let axes = memo(move || {
        let (frame, zone) = (frame.get(), prefs.zone.get());
        let offset = zone.offset_minutes(frame.domain.to);
        picture.with(|picture| match picture {
            Some(picture) => frame.axes(picture.axis(), &picture.gaps(), offset),
            None => frame.axes(None, &[], offset),
        })
    });
    let reading = memo(move || {
        let at = view.cursor.get();
        picture.with(|picture| picture.as_ref().map(|picture| read(picture, at)))
    });
    let overlay = move || overlay(frame.get(), view.cursor.get(), view.brush.get());
    let hand = Hand {
        view,
        frame,
        holder,
        start: StoredValue::new(None),
    };
    let by_key = move |event: KeyboardEvent| {
        let Some(at) = picture.with_untracked(|picture| aim(picture.as_ref()?, &event, view))
        else {
            if event.key() == "Escape" {
                view.release();
            }
            return;
        };
        event.prevent_default();
        view.held.set(true);
        view.cursor.set(Some(at));
        let when = format::date_clock(prefs.zone.get_untracked().zoned(at));
        if let Some(found) = reading.get_untracked() {
            view.said.set(spoken(&title.get_untracked(), &when, &found));
        }
    };
    view! {
        <section class="chart">
            <div class="chart-head">
                <h3>{dynamic(move || title.get())}</h3>
                <Readings reading/>
            </div>
            <div class="chart-plot" node_ref=holder tabindex="0" role="application"
                aria-roledescription="chart" aria-label=move || title.get()
                style:height=format!("{}px", px(height_px))
                on:pointerdown=move |event| hand.press(&event)
                on:pointermove=move |event| hand.move_to(&event)
                on:pointerup=move |event| hand.lift(&event)
                on:pointercancel=move |_| {
                    hand.cancel();
                    view.release();
                }
                on:pointerleave=move |event| hand.leave(&event)
                on:dblclick=move |_| view.go_live()
                on:keydown=by_key on:blur=move |_| view.release()>
                <svg class="axes" aria-hidden="true" inner_html=move || axes.get()></svg>
                <canvas node_ref=canvas aria-hidden="true"></canvas>
                <svg class="overlay" aria-hidden="true" inner_html=overlay></svg>
            </div>
        </section>
    }
}

/// A tall window has taller charts: how much, against a laptop's.
fn stretch() -> f64 {
    const LAPTOP_PX: f64 = 900.0;
    let height = window().inner_height().ok().and_then(|px| px.as_f64());
    (height.unwrap_or(LAPTOP_PX) / LAPTOP_PX).clamp(1.0, 1.6)
}

/// Draws once per frame at most, however much changed since the last one.
fn repaint(canvas: NodeRef<Canvas>, picture: Signal<Option<Picture>>, frame: Memo<Frame>) {
    let prefs = Prefs::expect();
    let due = StoredValue::new(false);
    effect(move || {
        picture.track();
        prefs.theme.track();
        prefs.dark.track();
        if frame.get().width <= 0.0 || canvas.get().is_none() || due.get_value() {
            return;
        }
        due.set_value(true);
        request_animation_frame(move || {
            if due.try_set_value(false).is_some() {
                return;
            }
            if let (Some(Some(canvas)), Some(frame)) =
                (canvas.try_get_untracked(), frame.try_get_untracked())
            {
                picture.try_with_untracked(|picture| paint(&canvas, picture.as_ref(), frame));
            }
        });
    });
}

/// The crosshair and what is being dragged over.
fn overlay(
    frame: Frame,
    cursor: Option<UnixMicros>,
    brush: Option<(UnixMicros, UnixMicros)>,
) -> String {
    let x = |at: UnixMicros| frame.x().map(seconds(at));
    let (top, bottom) = (px(frame.top()), px(frame.bottom()));
    let mut svg = String::new();
    if let Some((a, b)) = brush {
        let (from, to) = (x(a.min(b)), x(a.max(b)));
        svg += &format!(
            "<path class=\"brush\" d=\"M{from} {top}H{to}V{bottom}H{from}Z\"/>",
            from = px(from),
            to = px(to),
        );
    }
    if let Some(at) = cursor {
        svg += &format!(
            "<path class=\"cursor\" d=\"M{} {top}V{bottom}\"/>",
            px(x(at))
        );
    }
    svg
}

/// Where a key moves the cursor; `None` for keys that move nothing.
fn aim(picture: &Picture, event: &KeyboardEvent, view: TimeView) -> Option<UnixMicros> {
    let domain = view.domain.get_untracked();
    let (step_s, newest) = picture.step()?;
    let newest = newest.map_or(domain.to, |at| UnixMicros(at.0 + step_s * MICROS_PER_S / 2));
    let stride = if event.shift_key() { STRIDE } else { 1 };
    let by = match event.key().as_str() {
        "ArrowLeft" => -stride,
        "ArrowRight" => stride,
        "Home" => return Some(domain.from),
        "End" => return Some(newest.clamp(domain.from, domain.to)),
        _ => return None,
    };
    let next = match view.cursor.get_untracked() {
        Some(at) => at.0 + by * step_s * MICROS_PER_S,
        None => newest.0,
    };
    Some(UnixMicros(next.clamp(domain.from.0, domain.to.0)))
}

/// Mouse, pen or finger over one chart.
#[derive(Clone, Copy)]
struct Hand {
    view: TimeView,
    frame: Memo<Frame>,
    holder: NodeRef<Div>,
    /// Pixel at which the button went down.
    start: StoredValue<Option<f64>>,
}

impl Hand {
    fn x(self, event: &PointerEvent) -> f64 {
        let left = self
            .holder
            .get_untracked()
            .map_or(0.0, |it| it.get_bounding_client_rect().left());
        f64::from(event.client_x()) - left
    }

    fn instant(self, x: f64) -> UnixMicros {
        self.frame.with_untracked(|frame| frame.instant(x))
    }

    fn press(self, event: &PointerEvent) {
        if event.button() != 0 {
            return;
        }
        self.start.set_value(Some(self.x(event)));
        if let Some(holder) = self.holder.get_untracked() {
            // A pointer that is gone cannot be captured; nothing is lost then.
            drop(holder.set_pointer_capture(event.pointer_id()));
        }
        self.move_to(event);
    }

    fn move_to(self, event: &PointerEvent) {
        let x = self.x(event);
        let at = self.instant(x);
        self.view.held.set(true);
        self.view.cursor.set(Some(at));
        if let Some(start) = self.start.get_value()
            && (x - start).abs() >= DRAG_MIN_PX
        {
            self.view.brush.set(Some((self.instant(start), at)));
        }
    }

    fn lift(self, event: &PointerEvent) {
        let (start, x) = (self.start.get_value(), self.x(event));
        self.cancel();
        if let Some(start) = start.filter(|start| (x - start).abs() >= DRAG_MIN_PX) {
            self.view.zoom_to(self.instant(start), self.instant(x));
        }
    }

    fn cancel(self) {
        self.start.set_value(None);
        self.view.brush.set(None);
    }

    /// A lifted finger leaves the values it asked for; the next tap elsewhere takes them away.
    fn leave(self, event: &PointerEvent) {
        if event.pointer_type() != "touch" && self.start.get_value().is_none() {
            self.view.release();
        }
    }
}

#[component]
fn Readings(reading: Memo<Option<Result<Vec<Reading>, String>>>) -> impl IntoView {
    move || match reading.get() {
        None => Vec::new(),
        Some(Ok(values)) => values
            .into_iter()
            .map(|Reading { key, name, value }| {
                let sample =
                    (!key.is_empty()).then(|| view! { <i class=format!("key {key}")></i> });
                view! { <span class="read">{sample}{name}<b>{value}</b></span> }.into_any()
            })
            .collect(),
        Some(Err(reason)) => vec![view! { <span class="read-note">{reason}</span> }.into_any()],
    }
}

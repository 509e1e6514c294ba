use fiber_contract::UnixMicros;
use fiber_contract::time::MICROS_PER_S;
use leptos::html::{Details, Input};
use leptos::prelude::*;

use super::range_picker::RangePicker;
use crate::format;
use crate::slim::{derive, dynamic};
use crate::state::live::Live;
use crate::state::prefs::{Prefs, Zone};
use crate::state::view::TimeView;
use crate::state::window::{Shift, Window};

/// Which stretch of time the page shows: last so long, or between two instants.
#[component]
pub(crate) fn TimeBar() -> impl IntoView {
    let (view, prefs) = (TimeView::expect(), Prefs::expect());
    let range = derive(move || match view.window.get() {
        Window::Last(range) => Some(range),
        Window::Between { .. } => None,
    });
    let clock = move || {
        let at = view.cursor.get()?;
        Some(format::date_clock(prefs.zone.get().zoned(at)))
    };
    let button = move |label: &'static str, title: &'static str, act: fn(TimeView)| {
        view! {
            <button type="button" title=title aria-label=title on:click=move |_| act(view)>
                {label}
            </button>
        }
    };
    view! {
        <div class="time-bar">
            <span class="segments time-steps">
                {button("‹", "Earlier  [", |view| view.shift(Shift::Earlier))}
                {button("›", "Later  ]", |view| view.shift(Shift::Later))}
                {button("+", "Closer  +", |view| view.zoom(true))}
                {button("−", "Wider  -", |view| view.zoom(false))}
            </span>
            <RangePicker current=range/>
            <Absolute/>
            <LiveButton/>
            <span class="read-time">{clock}</span>
            <span class="hidden-text" aria-live="polite">{dynamic(move || view.said.get())}</span>
        </div>
    }
}

/// Whether the charts follow time, and if not, why not.
#[component]
fn LiveButton() -> impl IntoView {
    let view = TimeView::expect();
    let state = Memo::new(
        move |_| match (view.window.get().is_live(), view.held.get()) {
            (true, false) => ("live-button live", "live"),
            (true, true) => ("live-button held", "paused while you read"),
            (false, _) => ("live-button", "go live"),
        },
    );
    view! {
        <button type="button" class=move || format!("button {}", state.get().0)
            title="Follow the present  l" on:click=move |_| view.go_live()>
            <i></i>
            {dynamic(move || state.get().1)}
        </button>
    }
}

/// Two instants, in the zone the page shows times in.
#[component]
fn Absolute() -> impl IntoView {
    let (view, prefs) = (TimeView::expect(), Prefs::expect());
    let (fold, from, to) = (
        NodeRef::<Details>::new(),
        NodeRef::<Input>::new(),
        NodeRef::<Input>::new(),
    );
    let now = Live::expect();
    let label = move || match view.window.get() {
        Window::Last(_) => "From … to".to_owned(),
        Window::Between { from, to, .. } => {
            let zone = prefs.zone.get();
            let (from, to) = (zone.zoned(from), zone.zoned(to));
            let until = if from.utc_date() == to.utc_date() {
                format::clock(to)
            } else {
                format::date_clock(to)
            };
            format!("{} – {until}", format::date_clock(from))
        }
    };
    let value = move |pick: fn(crate::chart::frame::Domain) -> UnixMicros| {
        let zone = prefs.zone.get();
        to_field(zone.zoned(pick(view.window.get().domain(now.engine_now()))))
    };
    let wrong = RwSignal::new(false);
    let show = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let zone = prefs.zone.get_untracked();
        let read = |field: NodeRef<Input>| from_field(&field.get_untracked()?.value(), zone);
        let window = view.window.get_untracked();
        let next = read(from)
            .zip(read(to))
            .and_then(|(from, to)| window.with_bounds(from, to));
        wrong.set(next.is_none());
        if let Some(next) = next {
            view.show(next);
            if let Some(fold) = fold.get_untracked() {
                fold.set_open(false);
            }
        }
    };
    view! {
        <details class="absolute" node_ref=fold>
            <summary class="button">{label}</summary>
            <form on:submit=show>
                <label>
                    "From "
                    <input type="datetime-local" step="1" node_ref=from
                        prop:value=move || value(|domain| domain.from)/>
                </label>
                <label>
                    "To "
                    <input type="datetime-local" step="1" node_ref=to
                        prop:value=move || value(|domain| domain.to)/>
                </label>
                <button type="button" class="button" title="Times in local time or UTC"
                    on:click=move |_| prefs.other_zone()>
                    {dynamic(move || if prefs.zone.get() == Zone::Utc { "In UTC" } else { "In local time" })}
                </button>
                <button type="submit" class="button">"Show"</button>
                {dynamic(move || wrong.get().then(|| view! {
                    <p class="absolute-wrong" role="alert">
                        "The first must be before the second, by ten seconds at least and a year at most."
                    </p>
                }))}
            </form>
        </details>
    }
}

/// `2026-11-23T04:05:06`, as the browser's field has it.
fn to_field(zoned: UnixMicros) -> String {
    let text = zoned.floor_to(1).to_string();
    text.trim_end_matches('Z').to_owned()
}

/// Browsers leave the seconds away when they are zero.
fn from_field(text: &str, zone: Zone) -> Option<UnixMicros> {
    let full = if text.len() == "2026-11-23T04:05".len() {
        format!("{text}:00")
    } else {
        text.to_owned()
    };
    let zoned = UnixMicros::parse(&full).ok()?;
    // The offset is that of the instant itself, which is at most an hour of summer time away.
    let near = UnixMicros(zoned.0 - zone.offset_minutes(zoned) * 60 * MICROS_PER_S);
    Some(UnixMicros(
        zoned.0 - zone.offset_minutes(near) * 60 * MICROS_PER_S,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_field_holds_is_read_back() {
        let at = UnixMicros::parse("2026-11-23T04:05:06.5Z").unwrap();
        assert_eq!(to_field(at), "2026-11-23T04:05:06");
        assert_eq!(from_field(&to_field(at), Zone::Utc), Some(at.floor_to(1)));
        let short = from_field("2026-11-23T04:05", Zone::Utc);
        assert_eq!(short, UnixMicros::parse("2026-11-23T04:05:00Z").ok());
        assert_eq!(from_field("", Zone::Utc), None);
    }
}

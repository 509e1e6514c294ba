use fiber_contract::UnixMicros;
use fiber_contract::query::{SeriesAnswer, SeriesPoint};
use fiber_contract::time::MICROS_PER_S;
use leptos::html::Div;
use leptos::prelude::*;

use super::measure::measure;
use crate::chart::fan;
use crate::chart::layout::{LEFT, Layout, Proportions};
use crate::format;
use crate::state::history::Series;
use crate::state::prefs::Prefs;

/// Latency percentiles, loss and uptime over one time axis, with one cursor through all three.
/// `paused` tells the page that somebody is reading, so that nothing moves under the pointer.
#[component]
pub(crate) fn SeriesChart(
    #[prop(into)] series: Signal<Option<Series>>,
    paused: RwSignal<bool>,
    proportions: Proportions,
) -> impl IntoView {
    let prefs = Prefs::expect();
    let frame = NodeRef::<Div>::new();
    let size = measure(frame);
    let cursor = RwSignal::new(None::<UnixMicros>);
    let layout = Memo::new(move |_| {
        let Series(answer) = series.get()?;
        let width = size.get().0;
        let offset = prefs.zone.get().offset_minutes(answer.to);
        (width > 0.0).then(|| Layout::of(&answer, proportions, width, offset))
    });
    let move_to = move |event: web_sys::PointerEvent| {
        paused.set(true);
        let instant = layout.with_untracked(|layout| {
            layout
                .as_ref()
                .map(|layout| layout.instant(f64::from(event.offset_x())))
        });
        cursor.set(instant);
    };
    let leave = move || {
        paused.set(false);
        cursor.set(None);
    };
    let by_key = move |event: web_sys::KeyboardEvent| {
        let step = match event.key().as_str() {
            "ArrowLeft" => -1,
            "ArrowRight" => 1,
            "Escape" => return leave(),
            _ => return,
        };
        event.prevent_default();
        paused.set(true);
        if let Some(Series(answer)) = series.get_untracked() {
            cursor.update(|at| *at = Some(stepped(&answer, *at, step)));
        }
    };
    view! {
        <Readout series cursor paused/>
        <div class="chart" node_ref=frame tabindex="0" role="img"
            aria-label="Latency percentiles, packet loss and uptime over time; arrow keys move the cursor"
            on:pointermove=move_to on:pointerleave=move |_| leave()
            on:keydown=by_key on:blur=move |_| leave()>
            <svg width="100%" height=proportions.height().to_string()>
                <defs>
                    <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse"
                        patternTransform="rotate(45)">
                        <rect class="hatch-ground" width="6" height="6"/>
                        <path class="hatch-line" d="M0 0V6"/>
                    </pattern>
                </defs>
                {move || layout.get().map(|layout| view! { <Drawing layout/> })}
                <Cursor layout cursor/>
            </svg>
        </div>
    }
}

/// The step beside an instant; from nowhere, the newest.
fn stepped(answer: &SeriesAnswer, at: Option<UnixMicros>, step: i64) -> UnixMicros {
    let step_micros = i64::from(answer.step_s.max(1)) * MICROS_PER_S;
    let newest = answer.points.last().map_or(answer.to, |point| point.t);
    let next = at.map_or(newest.0 + step_micros / 2, |at| at.0 + step * step_micros);
    UnixMicros(next.clamp(answer.from.0, answer.to.0))
}

/// The three panels, drawn anew when data or width change; the cursor moves without touching them.
#[component]
fn Drawing(layout: Layout) -> impl IntoView {
    let Proportions {
        latency,
        loss,
        uptime,
    } = layout.proportions;
    let right = layout.width - LEFT;
    let holes = layout
        .holes
        .iter()
        .flat_map(|hole| {
            [latency, loss, uptime].map(|panel| {
                view! {
                    <rect class="hole" x=hole.x.to_string() width=hole.width.to_string()
                        y=panel.top.to_string() height=panel.height.to_string()>
                        <title>{hole.reason.clone()}</title>
                    </rect>
                }
            })
        })
        .collect_view();
    let panels = [
        (latency, "Latency, ms", &layout.latency_ticks),
        (loss, "Packet loss, %", &layout.loss_ticks),
        (uptime, "Uptime, %", &layout.uptime_ticks),
    ]
    .map(|(panel, title, ticks)| {
        let rules = ticks
            .iter()
            .map(|(y, label)| {
                view! {
                    <path class="rule" d=format!("M{LEFT} {y:.1}h{right:.1}")/>
                    <text class="tick" x=(LEFT - 8.0).to_string() y=format!("{:.1}", y + 3.5)
                        text-anchor="end">
                        {label.clone()}
                    </text>
                }
            })
            .collect_view();
        view! {
            {rules}
            <text class="panel-title" x=LEFT.to_string() y=(panel.top - 9.0).to_string()>{title}</text>
        }
    });
    let times = layout
        .time_ticks
        .iter()
        .map(|(x, label)| {
            view! {
                <path class="rule time" d=format!("M{x:.1} {:.1}V{:.1}", latency.top, uptime.bottom())/>
                <text class="tick" x=format!("{x:.1}") y=(uptime.bottom() + 18.0).to_string()
                    text-anchor="middle">
                    {label.clone()}
                </text>
            }
        })
        .collect_view();
    view! {
        {times}
        {panels}
        // The newest step may end after the range does.
        <clipPath id="plot">
            <rect x=LEFT.to_string() y="0" width=right.to_string() height=uptime.bottom().to_string()/>
        </clipPath>
        <g clip-path="url(#plot)">
            {holes}
            <path class="band outer" d=layout.band_p90_p99/>
            <path class="band inner" d=layout.band_p50_p90/>
            <path class="line" d=layout.line_p50/>
            <path class="bars loss" d=layout.loss_bars/>
            <path class="bars uptime" d=layout.uptime_bars/>
            <path class="bars outage" d=layout.outage_bars/>
        </g>
    }
}

#[component]
fn Cursor(layout: Memo<Option<Layout>>, cursor: RwSignal<Option<UnixMicros>>) -> impl IntoView {
    move || {
        let at = cursor.get()?;
        let (x, parts) = layout.with(|layout| {
            layout
                .as_ref()
                .map(|layout| (layout.x(at), layout.proportions))
        })?;
        Some(view! {
            <path class="cursor" d=format!("M{x:.1} {:.1}V{:.1}", parts.latency.top, parts.uptime.bottom())/>
        })
    }
}

/// The values under the cursor, or the newest ones.
#[component]
fn Readout(
    series: Signal<Option<Series>>,
    cursor: RwSignal<Option<UnixMicros>>,
    paused: RwSignal<bool>,
) -> impl IntoView {
    let prefs = Prefs::expect();
    let read = Memo::new(move |_| {
        let Series(answer) = series.get()?;
        let zone = prefs.zone.get();
        Some(match cursor.get() {
            Some(at) => {
                let when = format::date_clock(zone.zoned(at));
                match fan::at(&answer, at) {
                    Some(point) => (when, Some(*point), String::new()),
                    None => (when, None, gap_reason(&answer, at)),
                }
            }
            None => match answer.points.last() {
                Some(point) => (
                    format!("newest, {}", format::clock(zone.zoned(point.t))),
                    Some(*point),
                    String::new(),
                ),
                None => (String::new(), None, "no samples in this range".to_owned()),
            },
        })
    });
    let value = move |name: &'static str, class: &'static str, pick: fn(&SeriesPoint) -> String| {
        view! {
            <span class="read">
                <i class=class></i>
                {name}
                <b>
                    {move || {
                        let point = read.get().and_then(|(_, point, _)| point);
                        point.map_or(format::UNKNOWN.to_owned(), |point| pick(&point))
                    }}
                </b>
            </span>
        }
    };
    view! {
        <div class="readout" aria-live="polite">
            <span class="read-time">{move || read.get().map(|(when, _, _)| when)}</span>
            {value("p50", "key line", |p| format::ms(p.p50))}
            {value("p90", "key inner", |p| format::ms(p.p90))}
            {value("p99", "key outer", |p| format::ms(p.p99))}
            {value("loss", "key loss", |p| format!("{} %", format::pct(Some(p.loss))))}
            {value("uptime", "key uptime", |p| format!("{} %", format::pct(Some(p.uptime))))}
            {value("samples", "", |p| format::count(p.count))}
            <span class="read-note">
                {move || {
                    let note = read.get().map(|(_, _, note)| note).unwrap_or_default();
                    if note.is_empty() && paused.get() { "live paused".to_owned() } else { note }
                }}
            </span>
        </div>
    }
}

fn gap_reason(answer: &SeriesAnswer, at: UnixMicros) -> String {
    fan::holes(answer)
        .into_iter()
        .find(|gap| gap.from <= at && at < gap.to)
        .map_or("no samples yet".to_owned(), |gap| gap.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_walk_step_by_step_and_stop_at_the_edges() {
        let answer = SeriesAnswer {
            from: UnixMicros::from_secs(0),
            to: UnixMicros::from_secs(600),
            step_s: 60,
            points: Vec::new(),
            gaps: Vec::new(),
            sketches: Vec::new(),
        };
        let at = |s| UnixMicros::from_secs(s);
        assert_eq!(stepped(&answer, Some(at(120)), 1), at(180));
        assert_eq!(stepped(&answer, Some(at(590)), 1), at(600));
        assert_eq!(stepped(&answer, Some(at(30)), -1), at(0));
    }
}

//! Where everything of a node's chart lies: three panels above each other over one time axis.

use fiber_contract::UnixMicros;
use fiber_contract::query::{SeriesAnswer, SeriesPoint};
use fiber_contract::time::MICROS_PER_S;

use super::fan::{self, seconds};
use super::scale::{Scale, nice_ceiling};
use super::ticks;

/// Room for the labels of the value axes.
pub(crate) const LEFT: f64 = 46.0;
const RIGHT: f64 = 10.0;
/// Room that one label of the time axis needs.
const TIME_LABEL_PX: f64 = 76.0;
const TIME_TICKS_MAX: usize = 14;

/// A horizontal band of the chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Panel {
    pub(crate) top: f64,
    pub(crate) height: f64,
}

impl Panel {
    pub(crate) const fn bottom(self) -> f64 {
        self.top + self.height
    }

    const fn scale(self, low: f64, high: f64) -> Scale {
        Scale::new((low, high), (self.bottom(), self.top))
    }
}

/// How tall the panels are, top to bottom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Proportions {
    pub(crate) latency: Panel,
    pub(crate) loss: Panel,
    pub(crate) uptime: Panel,
}

impl Proportions {
    /// Each panel has its title above it.
    const fn of(latency_px: f64, others_px: f64) -> Self {
        const TITLE: f64 = 26.0;
        const GAP: f64 = 38.0;
        let latency = Panel {
            top: TITLE,
            height: latency_px,
        };
        let loss = Panel {
            top: latency.bottom() + GAP,
            height: others_px,
        };
        let uptime = Panel {
            top: loss.bottom() + GAP,
            height: others_px,
        };
        Self {
            latency,
            loss,
            uptime,
        }
    }

    /// With the labels of the time axis.
    pub(crate) const fn height(self) -> f64 {
        self.uptime.bottom() + 28.0
    }
}

/// A page of its own.
pub(crate) const FULL: Proportions = Proportions::of(270.0, 64.0);
/// Beside other panels.
pub(crate) const COMPACT: Proportions = Proportions::of(172.0, 38.0);

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hole {
    pub(crate) x: f64,
    pub(crate) width: f64,
    pub(crate) reason: String,
}

/// Coordinates and path data of a drawing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    pub(crate) proportions: Proportions,
    pub(crate) width: f64,
    time: Scale,
    pub(crate) time_ticks: Vec<(f64, String)>,
    pub(crate) latency_ticks: Vec<(f64, String)>,
    pub(crate) loss_ticks: Vec<(f64, String)>,
    pub(crate) uptime_ticks: Vec<(f64, String)>,
    pub(crate) band_p90_p99: String,
    pub(crate) band_p50_p90: String,
    pub(crate) line_p50: String,
    pub(crate) loss_bars: String,
    pub(crate) uptime_bars: String,
    pub(crate) outage_bars: String,
    pub(crate) holes: Vec<Hole>,
}

impl Layout {
    /// `offset_minutes` is the zone of the time axis, east of UTC.
    pub(crate) fn of(
        answer: &SeriesAnswer,
        proportions: Proportions,
        width: f64,
        offset_minutes: i64,
    ) -> Self {
        let across = (LEFT, (width - RIGHT).max(LEFT + 1.0));
        let time = Scale::new((seconds(answer.from), seconds(answer.to)), across);
        let latency_top = nice_ceiling(highest(answer, |point| point.p99.or(point.p50)));
        let loss_top = nice_ceiling(highest(answer, |point| Some(point.loss)).max(5.0)).min(100.0);
        let uptime_low = uptime_floor(answer);
        let latency = proportions.latency.scale(0.0, latency_top);
        let loss = proportions.loss.scale(0.0, loss_top);
        let uptime = proportions.uptime.scale(uptime_low, 100.0);
        Self {
            proportions,
            width: across.1,
            time,
            time_ticks: time_ticks(answer, time, offset_minutes),
            latency_ticks: labels(
                &ticks::values(0.0, latency_top, latency_ticks(proportions)),
                latency,
            ),
            loss_ticks: labels(&[0.0, loss_top], loss),
            uptime_ticks: labels(&[uptime_low, 100.0], uptime),
            band_p90_p99: fan::band(answer, |p| p.p90, |p| p.p99, time, latency),
            band_p50_p90: fan::band(answer, |p| p.p50, |p| p.p90, time, latency),
            line_p50: fan::line(answer, |p| p.p50, time, latency),
            loss_bars: fan::bars(answer, |p| Some(p.loss), 0.0, time, loss),
            uptime_bars: fan::bars(answer, |p| Some(p.uptime), uptime_low, time, uptime),
            outage_bars: fan::bars(answer, |p| Some(p.uptime), 100.0, time, uptime),
            holes: fan::holes(answer)
                .into_iter()
                .map(|gap| {
                    let from = time.map(seconds(gap.from.max(answer.from)));
                    let to = time.map(seconds(gap.to.min(answer.to)));
                    Hole {
                        x: from,
                        width: (to - from).max(0.0),
                        reason: gap.reason,
                    }
                })
                .collect(),
        }
    }

    /// The instant at a pixel, kept inside the axis.
    pub(crate) fn instant(&self, x: f64) -> UnixMicros {
        let (from, to) = self.time.domain;
        #[expect(clippy::cast_possible_truncation, reason = "between two instants")]
        let micros = (self.time.invert(x).clamp(from, to) * MICROS_PER_S as f64) as i64;
        UnixMicros(micros)
    }

    pub(crate) fn x(&self, at: UnixMicros) -> f64 {
        self.time.map(seconds(at))
    }
}

fn highest(answer: &SeriesAnswer, pick: fn(&SeriesPoint) -> Option<f32>) -> f64 {
    answer
        .points
        .iter()
        .filter_map(pick)
        .filter(|value| value.is_finite())
        .fold(0.0, |high, value| high.max(f64::from(value)))
}

/// The foot of the uptime axis: near the worst step, so that half a percent can be seen.
fn uptime_floor(answer: &SeriesAnswer) -> f64 {
    let lowest = 100.0 - highest(answer, |point| Some(100.0 - point.uptime));
    [99.0, 95.0, 90.0, 50.0]
        .into_iter()
        .find(|floor| *floor < lowest)
        .unwrap_or(0.0)
}

/// One per 45 pixels, so that labels never touch.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few"
)]
fn latency_ticks(proportions: Proportions) -> u32 {
    (proportions.latency.height / 45.0) as u32
}

fn labels(values: &[f64], scale: Scale) -> Vec<(f64, String)> {
    values
        .iter()
        .map(|value| (scale.map(*value), short(*value)))
        .collect()
}

/// Without digits that say nothing.
fn short(value: f64) -> String {
    // Adding zero turns −0 into 0.
    let text = format!("{:.2}", value + 0.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped"
)]
fn time_ticks(answer: &SeriesAnswer, time: Scale, offset_minutes: i64) -> Vec<(f64, String)> {
    let room = ((time.range.1 - time.range.0) / TIME_LABEL_PX).clamp(2.0, TIME_TICKS_MAX as f64);
    ticks::times(answer.from, answer.to, room as usize, offset_minutes)
        .into_iter()
        .map(|tick| (time.map(seconds(tick.at)), tick.label))
        // A label half outside of the drawing is cut off.
        .filter(|(x, _)| *x >= LEFT + 8.0 && *x <= time.range.1 - 14.0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(uptime: f32) -> SeriesAnswer {
        let point = |t| SeriesPoint {
            t: UnixMicros::from_secs(t),
            count: 1,
            min: Some(1.0),
            avg: Some(1.0),
            p50: Some(20.0),
            p90: Some(30.0),
            p95: Some(35.0),
            p99: Some(41.0),
            max: Some(50.0),
            loss: 0.0,
            uptime,
        };
        SeriesAnswer {
            from: UnixMicros::from_secs(0),
            to: UnixMicros::from_secs(900),
            step_s: 60,
            points: (0..15).map(|n| point(n * 60)).collect(),
            gaps: Vec::new(),
            sketches: Vec::new(),
        }
    }

    #[test]
    fn the_cursor_reads_back_where_it_was_put() {
        let layout = Layout::of(&answer(100.0), FULL, 800.0, 0);
        let at = UnixMicros::from_secs(450);
        let back = layout.instant(layout.x(at));
        assert!((back.0 - at.0).abs() < 1_000);
        assert_eq!(layout.instant(-50.0), UnixMicros::from_secs(0));
        assert_eq!(layout.instant(5_000.0), UnixMicros::from_secs(900));
    }

    #[test]
    fn the_top_of_the_axis_holds_the_highest_percentile() {
        let layout = Layout::of(&answer(100.0), FULL, 800.0, 0);
        assert_eq!(
            layout.latency_ticks.last().map(|(_, label)| label.as_str()),
            Some("50")
        );
    }

    #[test]
    fn uptime_zooms_to_what_matters() {
        for (uptime, floor) in [
            (100.0, "99"),
            (99.0, "95"),
            (93.0, "90"),
            (60.0, "50"),
            (0.0, "0"),
        ] {
            let layout = Layout::of(&answer(uptime), FULL, 800.0, 0);
            assert_eq!(layout.uptime_ticks[0].1, floor, "{uptime}");
        }
    }

    #[test]
    fn a_window_too_narrow_still_lays_out() {
        for width in [0.0, 20.0, 390.0] {
            let layout = Layout::of(&answer(100.0), COMPACT, width, 330);
            assert!(layout.x(UnixMicros::from_secs(450)).is_finite());
        }
    }
}

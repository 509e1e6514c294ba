//! Where the parts of one chart lie, and its axes as SVG text: rules, labels, hatched gaps.
//!
//! The text is put into the page as it is, so everything in it that is not ours is escaped.

use fiber_contract::UnixMicros;
use fiber_contract::query::Gap;
use fiber_contract::time::MICROS_PER_S;

use super::fan::seconds;
use super::push;
use super::scale::Scale;
use super::ticks;
use crate::format::px;

/// Room for the labels of the value axis.
pub(crate) const LEFT: f64 = 46.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 8.0;
/// With the labels of the time axis.
const BOTTOM: f64 = 22.0;
/// Room that one label of the time axis needs.
const TIME_LABEL_PX: f64 = 76.0;
const TIME_TICKS_MAX: f64 = 14.0;
/// One value label for so many pixels, so that they never touch.
const VALUE_LABEL_PX: f64 = 38.0;
/// A gap at least this wide has its reason written into it.
const REASON_PX: f64 = 78.0;

/// The stretch of time that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Domain {
    pub(crate) from: UnixMicros,
    pub(crate) to: UnixMicros,
}

/// The axis of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Axis {
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Equal factors are equally far apart.
    pub(crate) logarithmic: bool,
}

impl Axis {
    pub(crate) const fn linear(low: f64, high: f64) -> Self {
        Self {
            low,
            high,
            logarithmic: false,
        }
    }
}

/// One chart of a size, over a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) domain: Domain,
}

impl Frame {
    pub(crate) fn right(&self) -> f64 {
        (self.width - RIGHT).max(LEFT + 1.0)
    }

    pub(crate) const fn top(&self) -> f64 {
        TOP
    }

    pub(crate) fn bottom(&self) -> f64 {
        (self.height - BOTTOM).max(TOP + 1.0)
    }

    pub(crate) fn x(&self) -> Scale {
        let Domain { from, to } = self.domain;
        Scale::new((seconds(from), seconds(to)), (LEFT, self.right()))
    }

    pub(crate) fn y(&self, axis: Axis) -> Scale {
        let domain = if axis.logarithmic {
            (axis.low.ln(), axis.high.ln())
        } else {
            (axis.low, axis.high)
        };
        Scale::new(domain, (self.bottom(), self.top()))
    }

    /// The instant at a pixel, kept inside the axis.
    pub(crate) fn instant(&self, x: f64) -> UnixMicros {
        let scale = self.x();
        let (from, to) = scale.domain;
        #[expect(clippy::cast_possible_truncation, reason = "between two instants")]
        let micros = (scale.invert(x).clamp(from, to) * MICROS_PER_S as f64) as i64;
        UnixMicros(micros)
    }

    /// Rules, labels and gaps. `offset_minutes` is the zone of the time axis, east of UTC.
    pub(crate) fn axes(&self, axis: Option<Axis>, gaps: &[Gap], offset_minutes: i64) -> String {
        let mut svg = String::new();
        let (x, bottom) = (self.x(), self.bottom());
        for (at, label) in self.time_ticks(offset_minutes) {
            push(
                &mut svg,
                format_args!(
                    "<path class=\"rule time\" d=\"M{x} {}V{}\"/><text class=\"tick\" x=\"{x}\" \
                     y=\"{}\" text-anchor=\"middle\">{label}</text>",
                    px(TOP),
                    px(bottom),
                    px(bottom + 16.0),
                    x = px(at),
                ),
            );
        }
        if let Some(axis) = axis {
            self.rules(&mut svg, axis);
        }
        for gap in gaps {
            self.hatch(&mut svg, x, gap);
        }
        svg
    }

    fn rules(&self, svg: &mut String, axis: Axis) {
        let y = self.y(axis);
        for value in self.value_ticks(axis) {
            let at = y.map(if axis.logarithmic { value.ln() } else { value });
            push(
                svg,
                format_args!(
                    "<path class=\"rule\" d=\"M{} {}H{}\"/><text class=\"tick\" x=\"{}\" y=\"{}\" \
                     text-anchor=\"end\">{}</text>",
                    px(LEFT),
                    px(at),
                    px(self.right()),
                    px(LEFT - 8.0),
                    px(at + 4.0),
                    ticks::short(value),
                ),
            );
        }
    }

    fn hatch(&self, svg: &mut String, x: Scale, gap: &Gap) {
        let inside = |at: UnixMicros| {
            x.map(seconds(at))
                .clamp(LEFT.min(self.right()), self.right())
        };
        let (from, to) = (inside(gap.from), inside(gap.to));
        if to - from < 0.5 {
            return;
        }
        let reason = escape(&gap.reason);
        let height = self.bottom() - TOP;
        push(
            svg,
            format_args!(
                "<rect class=\"hole\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\">\
                 <title>{reason}</title></rect>",
                px(from),
                px(TOP),
                px(to - from),
                px(height),
            ),
        );
        if to - from >= REASON_PX && height >= 30.0 {
            push(
                svg,
                format_args!(
                    "<text class=\"hole-reason\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">\
                     {reason}</text>",
                    px(f64::midpoint(from, to)),
                    px(TOP + height / 2.0 + 4.0),
                ),
            );
        }
    }

    fn value_ticks(&self, axis: Axis) -> Vec<f64> {
        let room = (self.bottom() - TOP) / VALUE_LABEL_PX;
        if axis.logarithmic {
            return ticks::decades(axis.low, axis.high, room);
        }
        if room < 2.0 {
            return vec![axis.low, axis.high];
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few"
        )]
        let wanted = room.min(20.0) as u32;
        ticks::values(axis.low, axis.high, wanted)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped"
    )]
    fn time_ticks(&self, offset_minutes: i64) -> Vec<(f64, String)> {
        let (x, right) = (self.x(), self.right());
        let room = ((right - LEFT) / TIME_LABEL_PX).clamp(2.0, TIME_TICKS_MAX);
        ticks::times(
            self.domain.from,
            self.domain.to,
            room as usize,
            offset_minutes,
        )
        .into_iter()
        .map(|tick| (x.map(seconds(tick.at)), tick.label))
        // A label half outside of the drawing is cut off.
        .filter(|(at, _)| *at >= LEFT + 8.0 && *at <= right - 14.0)
        .collect()
    }
}

/// For text between tags.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(width: f64, height: f64) -> Frame {
        Frame {
            width,
            height,
            domain: Domain {
                from: UnixMicros::from_secs(0),
                to: UnixMicros::from_secs(900),
            },
        }
    }

    #[test]
    fn the_cursor_reads_back_where_it_was_put() {
        let frame = frame(800.0, 200.0);
        let at = UnixMicros::from_secs(450);
        let back = frame.instant(frame.x().map(seconds(at)));
        assert!((back.0 - at.0).abs() < 1_000);
        assert_eq!(frame.instant(-50.0), UnixMicros::from_secs(0));
        assert_eq!(frame.instant(5_000.0), UnixMicros::from_secs(900));
    }

    #[test]
    fn the_axis_has_round_values_and_times() {
        let svg = frame(800.0, 200.0).axes(Some(Axis::linear(0.0, 100.0)), &[], 0);
        for label in [">0<", ">50<", ">100<", ">00:04<"] {
            assert!(svg.contains(label), "{label} in {svg}");
        }
        let logarithmic = Axis {
            low: 3.0,
            high: 900.0,
            logarithmic: true,
        };
        let svg = frame(800.0, 200.0).axes(Some(logarithmic), &[], 0);
        assert!(svg.contains(">10<") && svg.contains(">100<"), "{svg}");
    }

    #[test]
    fn a_gap_is_hatched_inside_the_plot_and_says_why() {
        let gap = |from, to, reason: &str| Gap {
            from: UnixMicros::from_secs(from),
            to: UnixMicros::from_secs(to),
            reason: reason.to_owned(),
        };
        let svg = frame(800.0, 200.0).axes(None, &[gap(-500, 400, "<i>&")], 0);
        assert!(svg.contains("x=\"46.0\"") && svg.contains("&lt;i&gt;&amp;"));
        assert_eq!(svg.matches("hole-reason").count(), 1);
        let svg = frame(800.0, 200.0).axes(None, &[gap(0, 20, "short")], 0);
        assert!(svg.contains("<title>short</title>") && !svg.contains("hole-reason"));
        let svg = frame(800.0, 200.0).axes(None, &[gap(2_000, 3_000, "later")], 0);
        assert!(!svg.contains("hole"));
    }

    #[test]
    fn a_window_too_narrow_still_lays_out() {
        for (width, height) in [(0.0, 0.0), (20.0, 10.0), (390.0, 60.0)] {
            let frame = frame(width, height);
            assert!(frame.x().map(450.0).is_finite());
            assert!(
                !frame
                    .axes(Some(Axis::linear(0.0, 1.0)), &[], 330)
                    .contains('–')
            );
        }
    }
}

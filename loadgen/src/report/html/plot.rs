//! Line plots as SVG: no script, colours from the page's style, a tooltip for each step.

use std::fmt::Write;

pub(super) const WIDTH: f64 = 1_040.0;
pub(super) const HALF_WIDTH: f64 = 500.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 26.0;

/// One line. A hole in it is a hole in the plot: nothing is drawn that was not measured.
pub(super) struct Series<'a> {
    pub(super) class: &'a str,
    pub(super) points: Vec<(f64, Option<f64>)>,
    /// Filled down to zero.
    pub(super) area: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Scale {
    Linear,
    /// Decades.
    Log,
}

pub(super) struct Plot<'a> {
    pub(super) label: &'a str,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) x_max: f64,
    /// Place and text.
    pub(super) x_ticks: Vec<(f64, String)>,
    pub(super) y_scale: Scale,
    pub(super) y_unit: &'a str,
    pub(super) series: Vec<Series<'a>>,
    /// From, to and name of stretches to be seen behind the lines.
    pub(super) bands: Vec<(f64, f64, &'a str)>,
    /// Place, width and text of what is told when pointed at.
    pub(super) tips: Vec<(f64, f64, String)>,
}

impl Plot<'_> {
    /// For a wide screen, and again in the shape that a narrow one can show.
    pub(super) fn both(mut self, out: &mut String) {
        put(out, format_args!("<div class=broad>{}</div>", self.svg()));
        self.width = HALF_WIDTH;
        self.tips.clear();
        let every = self.x_ticks.len().div_ceil(6).max(1);
        self.x_ticks = self.x_ticks.into_iter().step_by(every).collect();
        put(out, format_args!("<div class=narrow>{}</div>", self.svg()));
    }

    pub(super) fn svg(&self) -> String {
        let values = || {
            let points = self.series.iter().flat_map(|series| &series.points);
            points.filter_map(|(_, y)| *y)
        };
        let most = values().fold(0.0, f64::max);
        let least = values().filter(|y| *y > 0.0).fold(f64::INFINITY, f64::min);
        let frame = Frame {
            plot: self,
            axis: Axis::new(self.y_scale, least, most),
            right: self.width - RIGHT,
            base: self.height - BOTTOM,
        };
        let mut out = format!(
            "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">",
            self.width,
            self.height,
            super::escape(self.label)
        );
        frame.bands(&mut out);
        frame.axes(&mut out);
        frame.lines(&mut out);
        frame.tips(&mut out);
        out.push_str("</svg>");
        out
    }
}

/// A plot with its measures.
struct Frame<'a> {
    plot: &'a Plot<'a>,
    axis: Axis,
    right: f64,
    base: f64,
}

impl Frame<'_> {
    fn x(&self, value: f64) -> f64 {
        LEFT + value / self.plot.x_max.max(1e-9) * (self.right - LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        self.base - self.axis.share(value) * (self.base - TOP)
    }

    fn bands(&self, out: &mut String) {
        for (from, to, name) in &self.plot.bands {
            let (from, to) = (self.x(*from), self.x(to.min(self.plot.x_max)));
            put(
                out,
                format_args!(
                    "<rect class=band x={from:.1} y={TOP} width={:.1} height={:.1} />\
                     <text x={:.1} y={:.1} text-anchor=middle>{name}</text>",
                    to - from,
                    self.base - TOP,
                    f64::midpoint(from, to),
                    TOP + 16.0
                ),
            );
        }
    }

    fn axes(&self, out: &mut String) {
        let (right, base) = (self.right, self.base);
        for (tick, text) in self.axis.ticks() {
            let at = self.y(tick);
            put(
                out,
                format_args!(
                    "<line class=gridline x1={LEFT} x2={right} y1={at:.1} y2={at:.1} />\
                     <text x={} y={:.1} text-anchor=end>{text}</text>",
                    LEFT - 8.0,
                    at + 4.0
                ),
            );
        }
        put(
            out,
            format_args!(
                "<line class=axis x1={LEFT} x2={right} y1={base} y2={base} />\
                 <text x=0 y=11 text-anchor=start>{}</text>",
                self.plot.y_unit
            ),
        );
        for (tick, text) in &self.plot.x_ticks {
            let at = self.x(*tick);
            put(
                out,
                format_args!(
                    "<line class=axis x1={at:.1} x2={at:.1} y1={base} y2={} />\
                     <text x={at:.1} y={:.1} text-anchor=middle>{text}</text>",
                    base + 4.0,
                    base + 18.0
                ),
            );
        }
    }

    fn lines(&self, out: &mut String) {
        for series in &self.plot.series {
            for part in series.points.split(|(_, value)| value.is_none()) {
                let points: Vec<_> = part
                    .iter()
                    .filter_map(|(at, value)| Some((self.x(*at), self.y((*value)?))))
                    .collect();
                line(out, series, &points, self.base);
            }
        }
    }

    fn tips(&self, out: &mut String) {
        for (at, width, text) in &self.plot.tips {
            let (from, to) = (self.x(*at), self.x(at + width));
            put(
                out,
                format_args!(
                    "<rect class=hit x={from:.1} y={TOP} width={:.1} height={:.1}><title>{}</title></rect>",
                    to - from,
                    self.base - TOP,
                    super::escape(text)
                ),
            );
        }
    }
}

fn line(out: &mut String, series: &Series<'_>, points: &[(f64, f64)], base: f64) {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return;
    };
    let mut path = String::new();
    for (number, (x, y)) in points.iter().enumerate() {
        let step = if number == 0 { 'M' } else { 'L' };
        put(&mut path, format_args!("{step}{x:.1} {y:.1}"));
    }
    if series.area {
        put(
            out,
            format_args!(
                "<path class=area d=\"{path}L{:.1} {base}L{:.1} {base}Z\" />",
                last.0, first.0
            ),
        );
    }
    // A point alone has no length: its round end is the dot.
    if points.len() == 1 {
        put(&mut path, format_args!("h.01"));
    }
    put(
        out,
        format_args!("<path class=\"series {}\" d=\"{path}\" />", series.class),
    );
}

/// The vertical axis, from nothing (or the lowest decade) to a round number above all values.
struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
    step: f64,
}

impl Axis {
    fn new(scale: Scale, least: f64, most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        match scale {
            Scale::Linear => {
                let step = round_step(most / 4.0);
                Self {
                    scale,
                    from: 0.0,
                    to: (most / step).ceil() * step,
                    step,
                }
            }
            Scale::Log => {
                let from = least.min(most).log10().floor();
                Self {
                    scale,
                    from,
                    // A hair above a decade needs no further one.
                    to: (most * 0.97).log10().ceil().max(from + 1.0),
                    step: 1.0,
                }
            }
        }
    }

    fn share(&self, value: f64) -> f64 {
        let value = match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(1e-12).log10(),
        };
        ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        let mut ticks = Vec::new();
        let mut at = self.from;
        while at <= self.to + self.step / 2.0 {
            let value = match self.scale {
                Scale::Linear => at,
                Scale::Log => 10.0_f64.powf(at),
            };
            ticks.push((value, short(value)));
            at += self.step;
        }
        ticks
    }
}

/// 1, 2 or 5 times a power of ten, not less than `value`.
pub(super) fn round_step(value: f64) -> f64 {
    let decade = 10.0_f64.powf(value.max(1e-12).log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0];
    let times = times
        .into_iter()
        .find(|times| times * decade >= value * 0.999);
    times.unwrap_or(10.0) * decade
}

/// `1.5k`, `20M`, `0.05`.
pub(super) fn short(value: f64) -> String {
    for (unit, size) in [("M", 1e6), ("k", 1e3)] {
        if value >= size {
            return format!("{}{unit}", trimmed(value / size));
        }
    }
    trimmed(value)
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Seconds with a fitting unit.
pub(super) fn time_ticks(end_s: f64) -> Vec<(f64, String)> {
    let wanted = end_s / 8.0;
    let steps = [
        0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0,
        21_600.0, 43_200.0, 86_400.0,
    ];
    let step = steps
        .into_iter()
        .find(|step| *step >= wanted)
        .unwrap_or(86_400.0);
    let (unit_s, unit) = match step {
        60.0..3_600.0 => (60.0, " min"),
        3_600.0.. => (3_600.0, " h"),
        _ => (1.0, " s"),
    };
    let mut ticks = Vec::new();
    let mut at = 0.0;
    while at <= end_s + 1e-9 {
        ticks.push((at, format!("{}{unit}", trimmed(at / unit_s))));
        at += step;
    }
    ticks
}

pub(super) fn put(out: &mut String, more: std::fmt::Arguments<'_>) {
    out.write_fmt(more)
        .expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers_above_all_values() {
        for (most, to, count) in [
            (7.0, 8.0, 5),
            (950.0, 1_000.0, 3),
            (1.0, 1.0, 3),
            (0.0, 1.0, 3),
        ] {
            let axis = Axis::new(Scale::Linear, 0.0, most);
            assert_eq!(axis.to, to, "{most}");
            assert_eq!(axis.ticks().len(), count, "{most}");
        }
        let log = Axis::new(Scale::Log, 0.4, 950.0);
        let ticks: Vec<_> = log.ticks().into_iter().map(|(_, text)| text).collect();
        assert_eq!(ticks, ["0.1", "1", "10", "100", "1k"]);
        assert!(log.share(0.1) == 0.0 && log.share(1_000.0) == 1.0);
    }

    #[test]
    fn a_hole_in_the_values_is_a_hole_in_the_line() {
        let plot = Plot {
            label: "a < b",
            width: HALF_WIDTH,
            height: 200.0,
            x_max: 4.0,
            x_ticks: time_ticks(4.0),
            y_scale: Scale::Linear,
            y_unit: "ms",
            series: vec![Series {
                class: "a",
                points: vec![
                    (0.0, Some(1.0)),
                    (1.0, Some(2.0)),
                    (2.0, None),
                    (3.0, Some(1.0)),
                ],
                area: false,
            }],
            bands: Vec::new(),
            tips: Vec::new(),
        };
        let svg = plot.svg();
        assert_eq!(svg.matches("class=\"series a\"").count(), 2);
        assert!(svg.contains("a &lt; b") && !svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn times_have_few_ticks_with_a_unit() {
        let texts = |end| {
            time_ticks(end)
                .into_iter()
                .map(|(_, text)| text)
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(10.0), ["0 s", "2 s", "4 s", "6 s", "8 s", "10 s"]);
        assert_eq!(texts(600.0)[1], "2 min");
        assert!(texts(86_400.0).len() <= 9);
    }
}

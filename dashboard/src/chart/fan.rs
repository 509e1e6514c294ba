//! A series over time: percentile bands, lines and bars. A step without samples interrupts
//! everything; nothing is ever drawn across it.
//!
//! Where steps are narrower than a pixel, what falls into one column of pixels is drawn as one: a
//! band as wide as the widest, a line from the lowest to the highest. So no peak is lost, and a
//! redraw costs what the screen is wide, not what the series is long.

use fiber_contract::UnixMicros;
use fiber_contract::query::{Gap, SeriesAnswer, SeriesPoint};
use fiber_contract::time::MICROS_PER_S;

use super::pen::{Ink, Pen};
use super::scale::Scale;

pub(crate) type Pick = fn(&SeriesPoint) -> Option<f32>;

/// Narrower steps than this share a column.
const COLUMN_PX: f64 = 1.0;

/// Time in seconds since 1970, the x value of every scale here.
pub(crate) fn seconds(at: UnixMicros) -> f64 {
    at.as_secs_f64()
}

/// Low and high of one column, or of one step where those are wider.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Column {
    x: f64,
    low: f64,
    high: f64,
}

/// Chains of columns, each with no step missing in it.
fn runs(
    answer: &SeriesAnswer,
    low: impl Fn(&SeriesPoint) -> Option<f32>,
    high: impl Fn(&SeriesPoint) -> Option<f32>,
    x: Scale,
    mut each: impl FnMut(&[Column], f64),
) {
    let step_s = f64::from(answer.step_s);
    let width = x.map(step_s) - x.map(0.0);
    let reach = i64::from(answer.step_s) * MICROS_PER_S * 3 / 2;
    let mut run: Vec<Column> = Vec::new();
    let mut last: Option<i64> = None;
    for point in &answer.points {
        let known = low(point).zip(high(point));
        let known = known.filter(|(low, high)| low.is_finite() && high.is_finite());
        let joined = last.is_some_and(|before| point.t.0 - before <= reach);
        if !run.is_empty() && (known.is_none() || !joined) {
            each(&run, width);
            run.clear();
        }
        last = known.map(|_| point.t.0);
        let Some((low, high)) = known else { continue };
        let (low, high) = (f64::from(low), f64::from(high));
        let middle = x.map(seconds(point.t) + step_s / 2.0);
        match run.last_mut() {
            Some(column) if middle - column.x < COLUMN_PX => {
                column.low = column.low.min(low);
                column.high = column.high.max(high);
            }
            _ => run.push(Column {
                x: middle,
                low,
                high,
            }),
        }
    }
    if !run.is_empty() {
        each(&run, width);
    }
}

/// The columns of a crowded run with where each starts and how wide it is: up to the next one.
fn tiles(run: &[Column]) -> impl Iterator<Item = (Column, f64, f64)> + '_ {
    let ends = run[1..].iter().map(|next| next.x);
    let last = run.last().map(|column| column.x + COLUMN_PX);
    run.iter()
        .zip(ends.chain(last))
        .map(|(column, end)| (*column, column.x - COLUMN_PX / 2.0, end - column.x))
}

/// A line through the values. A crowded one is drawn as its columns: a stroke that turns twice in
/// every pixel is twenty times the work, up to 65 ms for the percentiles of an hour of seconds.
pub(crate) fn trace(
    answer: &SeriesAnswer,
    pick: Pick,
    x: Scale,
    y: Scale,
    ink: Ink,
    pen: &mut dyn Pen,
) {
    const LINE_PX: f64 = 1.8;
    if x.map(f64::from(answer.step_s)) - x.map(0.0) >= COLUMN_PX {
        line(answer, pick, x, y, pen);
        pen.stroke(ink, LINE_PX);
        return;
    }
    runs(answer, pick, pick, x, |run, _| {
        let mut before: Option<Column> = None;
        for (column, left, wide) in tiles(run) {
            // A column reaches to the one before it, as a line would.
            let (mut low, mut high) = (column.low, column.high);
            if let Some(before) = before.replace(column) {
                low = low.min(before.high);
                high = high.max(before.low);
            }
            let (top, bottom) = (y.map(high), y.map(low));
            let tall = (bottom - top).max(LINE_PX);
            pen.rect(left, f64::midpoint(top, bottom) - tall / 2.0, wide, tall);
        }
    });
    pen.fill(ink);
}

/// A lone step is as wide as it lasts.
fn lone_half(width: f64) -> f64 {
    width.max(2.0) / 2.0
}

fn line(answer: &SeriesAnswer, pick: Pick, x: Scale, y: Scale, pen: &mut dyn Pen) {
    runs(answer, pick, pick, x, |run, width| {
        if let [only] = run {
            let half = lone_half(width);
            pen.move_to(only.x - half, y.map(only.high));
            pen.line_to(only.x + half, y.map(only.high));
            return;
        }
        for (at, column) in run.iter().enumerate() {
            if at == 0 {
                pen.move_to(column.x, y.map(column.low));
            } else {
                pen.line_to(column.x, y.map(column.low));
            }
        }
    });
}

/// The area between two picks.
pub(crate) fn band(
    answer: &SeriesAnswer,
    low: Pick,
    high: Pick,
    x: Scale,
    y: Scale,
    pen: &mut dyn Pen,
) {
    runs(answer, low, high, x, |run, width| {
        if let [only] = run {
            let (top, half) = (y.map(only.high), lone_half(width));
            let height = (y.map(only.low) - top).max(0.0);
            pen.rect(only.x - half, top, 2.0 * half, height);
            return;
        }
        if width < COLUMN_PX {
            for (column, left, wide) in tiles(run) {
                let (top, bottom) = (y.map(column.high), y.map(column.low));
                pen.rect(left, top, wide, (bottom - top).max(0.0));
            }
            return;
        }
        for (at, column) in run.iter().enumerate() {
            if at == 0 {
                pen.move_to(column.x, y.map(column.high));
            } else {
                pen.line_to(column.x, y.map(column.high));
            }
        }
        for column in run.iter().rev() {
            pen.line_to(column.x, y.map(column.low));
        }
    });
}

/// One bar per step, or per column where steps are narrower, from `base` to the value farthest
/// from it.
pub(crate) fn bars(
    answer: &SeriesAnswer,
    pick: Pick,
    base: f64,
    x: Scale,
    y: Scale,
    pen: &mut dyn Pen,
) {
    let floor = y.map(base);
    runs(answer, pick, pick, x, |run, width| {
        let wide = (width > COLUMN_PX).then_some(width - if width > 4.0 { 1.0 } else { 0.0 });
        for (column, left, to_next) in tiles(run) {
            let value = if (column.low - base).abs() > (column.high - base).abs() {
                column.low
            } else {
                column.high
            };
            let top = y.map(value);
            if (top - floor).abs() >= 0.05 {
                let (left, wide) = match wide {
                    Some(wide) => (column.x - wide / 2.0, wide),
                    None => (left, to_next),
                };
                pen.rect(left, top.min(floor), wide, (top - floor).abs());
            }
        }
    });
}

/// The stretches to hatch: those the engine explains, and steps that are missing without a word.
pub(crate) fn holes(answer: &SeriesAnswer) -> Vec<Gap> {
    let step = i64::from(answer.step_s.max(1)) * MICROS_PER_S;
    let mut out = answer.gaps.clone();
    let explained = |from: i64, to: i64| {
        answer
            .gaps
            .iter()
            .any(|gap| gap.from.0 < to && gap.to.0 > from)
    };
    let mut end = answer.from.0;
    let starts = answer
        .points
        .iter()
        .map(|point| point.t.0)
        .chain([answer.to.0]);
    for start in starts {
        // The newest steps may still be on their way, so the right edge needs more than two.
        let slack = if start == answer.to.0 {
            2 * step
        } else {
            step / 2
        };
        if start - end > slack && !explained(end, start) {
            out.push(Gap {
                from: UnixMicros(end),
                to: UnixMicros(start),
                reason: "not observed".to_owned(),
            });
        }
        end = end.max(start + step);
    }
    out
}

/// The point whose step holds an instant; none if that is in a hole.
pub(crate) fn at(answer: &SeriesAnswer, instant: UnixMicros) -> Option<&SeriesPoint> {
    let step = i64::from(answer.step_s.max(1)) * MICROS_PER_S;
    let next = answer.points.partition_point(|point| point.t <= instant);
    let point = answer.points.get(next.checked_sub(1)?)?;
    (instant.0 < point.t.0 + step).then_some(point)
}

/// Why there is nothing at an instant.
pub(crate) fn gap_reason(answer: &SeriesAnswer, instant: UnixMicros) -> String {
    let gaps = holes(answer);
    let found = gaps
        .into_iter()
        .find(|gap| gap.from <= instant && instant < gap.to);
    found.map_or_else(|| "no samples yet".to_owned(), |gap| gap.reason)
}

/// The largest value; 0 when none is known.
pub(crate) fn highest(answer: &SeriesAnswer, pick: Pick) -> f64 {
    answer
        .points
        .iter()
        .filter_map(pick)
        .filter(|value| value.is_finite())
        .fold(0.0, |high, value| high.max(f64::from(value)))
}

#[cfg(test)]
#[path = "fan_tests.rs"]
pub(crate) mod tests;

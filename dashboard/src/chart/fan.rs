//! A series over time as SVG path data: percentile bands, lines and bars. A step without samples
//! interrupts everything; nothing is ever drawn across it.

use fiber_contract::UnixMicros;
use fiber_contract::query::{Gap, SeriesAnswer, SeriesPoint};
use fiber_contract::time::MICROS_PER_S;

use super::push;
use super::scale::Scale;

pub(crate) type Pick = fn(&SeriesPoint) -> Option<f32>;

/// Time in seconds since 1970, the x value of every scale here.
pub(crate) fn seconds(at: UnixMicros) -> f64 {
    at.as_secs_f64()
}

/// Neighbouring points for which `pick` knows a value.
fn runs<'a>(
    answer: &'a SeriesAnswer,
    pick: impl Fn(&SeriesPoint) -> Option<f32> + 'a,
) -> impl Iterator<Item = Vec<&'a SeriesPoint>> + 'a {
    let reach = i64::from(answer.step_s) * MICROS_PER_S * 3 / 2;
    let mut out: Vec<Vec<&SeriesPoint>> = Vec::new();
    let mut last: Option<i64> = None;
    for point in &answer.points {
        if !pick(point).is_some_and(f32::is_finite) {
            last = None;
            continue;
        }
        match out.last_mut() {
            Some(run) if last.is_some_and(|before| point.t.0 - before <= reach) => run.push(point),
            _ => out.push(vec![point]),
        }
        last = Some(point.t.0);
    }
    out.into_iter()
}

/// Middle of a step in pixels, its width in pixels.
fn place(answer: &SeriesAnswer, point: &SeriesPoint, x: Scale) -> (f64, f64) {
    let step = f64::from(answer.step_s);
    let start = seconds(point.t);
    (
        x.map(start + step / 2.0),
        x.map(start + step) - x.map(start),
    )
}

pub(crate) fn line(answer: &SeriesAnswer, pick: Pick, x: Scale, y: Scale) -> String {
    let mut path = String::new();
    for run in runs(answer, pick) {
        let lone = run.len() == 1;
        for (at, point) in run.into_iter().enumerate() {
            let (middle, width) = place(answer, point, x);
            let height = y.map(f64::from(pick(point).unwrap_or_default()));
            if lone {
                let half = width.max(2.0) / 2.0;
                let (from, across) = (middle - half, half * 2.0);
                push(
                    &mut path,
                    format_args!("M{from:.1} {height:.1}h{across:.1}"),
                );
            } else {
                let command = if at == 0 { 'M' } else { 'L' };
                push(&mut path, format_args!("{command}{middle:.1} {height:.1}"));
            }
        }
    }
    path
}

/// The area between two picks.
pub(crate) fn band(answer: &SeriesAnswer, low: Pick, high: Pick, x: Scale, y: Scale) -> String {
    let both = move |point: &SeriesPoint| low(point).and(high(point));
    let mut path = String::new();
    for run in runs(answer, both) {
        // A lone step is as wide as it lasts; a run goes through the middles of its steps.
        let corners: Vec<(f64, &SeriesPoint)> = match run.as_slice() {
            [only] => {
                let (middle, width) = place(answer, only, x);
                let half = width.max(2.0) / 2.0;
                vec![(middle - half, *only), (middle + half, *only)]
            }
            many => many
                .iter()
                .map(|point| (place(answer, point, x).0, *point))
                .collect(),
        };
        let at =
            |point: &SeriesPoint, pick: Pick| y.map(f64::from(pick(point).unwrap_or_default()));
        for (index, (across, point)) in corners.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            push(
                &mut path,
                format_args!("{command}{across:.1} {:.1}", at(point, high)),
            );
        }
        for (across, point) in corners.iter().rev() {
            push(
                &mut path,
                format_args!("L{across:.1} {:.1}", at(point, low)),
            );
        }
        path.push('Z');
    }
    path
}

/// One bar per step from `base` to the value.
pub(crate) fn bars(answer: &SeriesAnswer, pick: Pick, base: f64, x: Scale, y: Scale) -> String {
    let floor = y.map(base);
    let mut path = String::new();
    for point in &answer.points {
        let Some(value) = pick(point).filter(|value| value.is_finite()) else {
            continue;
        };
        let top = y.map(f64::from(value));
        if (top - floor).abs() < 0.05 {
            continue;
        }
        let (middle, width) = place(answer, point, x);
        let wide = (width - if width > 4.0 { 1.0 } else { 0.0 }).max(1.0);
        push(
            &mut path,
            format_args!(
                "M{:.1} {floor:.1}V{top:.1}h{wide:.1}V{floor:.1}Z",
                middle - wide / 2.0
            ),
        );
    }
    path
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

/// The point whose step holds, or lies nearest to, an instant; none if that is in a hole.
pub(crate) fn at(answer: &SeriesAnswer, instant: UnixMicros) -> Option<&SeriesPoint> {
    let step = i64::from(answer.step_s.max(1)) * MICROS_PER_S;
    let next = answer.points.partition_point(|point| point.t <= instant);
    let point = answer.points.get(next.checked_sub(1)?)?;
    (instant.0 < point.t.0 + step).then_some(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(t: i64, p50: Option<f32>) -> SeriesPoint {
        SeriesPoint {
            t: UnixMicros::from_secs(t),
            count: 6,
            min: p50,
            avg: p50,
            p50,
            p90: p50.map(|ms| ms * 2.0),
            p95: p50,
            p99: p50,
            max: p50,
            loss: 1.0,
            uptime: 100.0,
        }
    }

    fn answer(points: Vec<SeriesPoint>) -> SeriesAnswer {
        SeriesAnswer {
            from: UnixMicros::from_secs(0),
            to: UnixMicros::from_secs(600),
            step_s: 60,
            points,
            gaps: Vec::new(),
            sketches: Vec::new(),
        }
    }

    const X: Scale = Scale::new((0.0, 600.0), (0.0, 600.0));
    const Y: Scale = Scale::new((0.0, 100.0), (100.0, 0.0));

    #[test]
    fn a_missing_step_is_never_drawn_across() {
        let series = answer(vec![
            point(0, Some(10.0)),
            point(60, Some(12.0)),
            point(240, Some(9.0)),
            point(300, Some(9.0)),
        ]);
        assert_eq!(
            line(&series, |p| p.p50, X, Y),
            "M30.0 90.0L90.0 88.0M270.0 91.0L330.0 91.0"
        );
        assert_eq!(
            band(&series, |p| p.p50, |p| p.p90, X, Y)
                .matches('Z')
                .count(),
            2
        );
    }

    #[test]
    fn a_step_without_a_value_breaks_the_line_too() {
        let series = answer(vec![
            point(0, Some(1.0)),
            point(60, None),
            point(120, Some(1.0)),
        ]);
        assert_eq!(line(&series, |p| p.p50, X, Y).matches('M').count(), 2);
    }

    #[test]
    fn holes_are_what_neither_points_nor_engine_explain() {
        let mut series = answer(vec![point(0, None), point(60, None), point(300, None)]);
        let found = holes(&series);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].from, UnixMicros::from_secs(120));
        assert_eq!(found[0].to, UnixMicros::from_secs(300));
        assert_eq!(found[1].from, UnixMicros::from_secs(360));
        series.gaps.push(Gap {
            from: UnixMicros::from_secs(120),
            to: UnixMicros::from_secs(300),
            reason: "probe silent".to_owned(),
        });
        let found = holes(&series);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].reason, "probe silent");
    }

    #[test]
    fn steps_still_on_their_way_are_no_hole() {
        let points = (0..8).map(|n| point(n * 60, Some(1.0))).collect();
        assert_eq!(holes(&answer(points)), []);
    }

    #[test]
    fn the_cursor_reads_the_step_it_stands_in() {
        let series = answer(vec![
            point(0, Some(1.0)),
            point(60, Some(2.0)),
            point(300, None),
        ]);
        let read = |s| at(&series, UnixMicros::from_secs(s)).map(|point| point.t.0 / MICROS_PER_S);
        assert_eq!(read(-1), None);
        assert_eq!(read(59), Some(0));
        assert_eq!(read(60), Some(60));
        assert_eq!(read(130), None);
        assert_eq!(read(310), Some(300));
    }

    #[test]
    fn no_loss_draws_no_bar() {
        let mut series = answer(vec![point(0, None), point(60, None)]);
        series.points[0].loss = 0.0;
        assert_eq!(
            bars(&series, |p| Some(p.loss), 0.0, X, Y)
                .matches('Z')
                .count(),
            1
        );
    }
}

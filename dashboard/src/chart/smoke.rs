//! The spread of latencies step by step, after SmokePing: the median as a tick whose colour says
//! how much was lost, and around it smoke, denser where more of the samples are.

use fiber_contract::query::{SeriesAnswer, StepSketch};

use super::fan::{self, seconds};
use super::pen::{Ink, Pen};
use super::scale::Scale;

/// Layers of smoke as quantiles below and above the median, widest first.
const LAYERS: [(f64, f64); 5] = [
    (0.0, 1.0),
    (0.05, 0.95),
    (0.15, 0.85),
    (0.25, 0.75),
    (0.375, 0.625),
];
/// From this loss on a step's median is drawn as worse, in percent. One packet in a thousand is lost
/// in nearly every long step, and would colour all of them.
const LOSS_WORSE_PCT: f32 = 1.0;
/// From this loss on it is drawn as bad.
const LOSS_BAD_PCT: f32 = 20.0;

/// The value that a share of the samples does not exceed (nearest rank).
pub(crate) fn quantile(bins: &[(f32, u64)], share: f64) -> Option<f32> {
    let total: u64 = bins.iter().map(|(_, count)| count).sum();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count"
    )]
    let rank = ((total as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
    let mut seen = 0;
    bins.iter()
        .find(|(_, count)| {
            seen += count;
            seen >= rank
        })
        .map(|(ms, _)| *ms)
}

pub(crate) fn draw(answer: &SeriesAnswer, x: Scale, y: Scale, pen: &mut dyn Pen) {
    let step_s = f64::from(answer.step_s);
    let width = x.map(step_s) - x.map(0.0);
    let (crowded, width) = (width < 1.0, width.max(1.0));
    let left = |sketch: &StepSketch| x.map(seconds(sketch.t));
    for (low, high) in LAYERS {
        for sketch in &answer.sketches {
            let spread = quantile(&sketch.bins, low).zip(quantile(&sketch.bins, high));
            let Some((low, high)) = spread else { continue };
            let (top, bottom) = (y.map(f64::from(high)), y.map(f64::from(low)));
            // One value is still a hair of smoke.
            pen.rect(left(sketch), top, width, (bottom - top).max(1.0));
        }
        pen.fill(Ink::Smoke);
    }
    for (ink, from, to) in [
        (Ink::Good, f32::NEG_INFINITY, LOSS_WORSE_PCT),
        (Ink::Worse, LOSS_WORSE_PCT, LOSS_BAD_PCT),
        (Ink::Bad, LOSS_BAD_PCT, f32::INFINITY),
    ] {
        let mine = |loss: f32| loss >= from && loss < to;
        // Left, and the highest and lowest median; steps narrower than a pixel share one.
        let mut column: Option<(f64, f64, f64)> = None;
        let mut done = |column: Option<(f64, f64, f64)>| {
            if let Some((left, top, bottom)) = column {
                pen.rect(left, top - 1.0, width, bottom - top + 2.0);
            }
        };
        for point in answer.points.iter().filter(|point| mine(point.loss)) {
            let Some(p50) = point.p50.filter(|ms| ms.is_finite()) else {
                continue;
            };
            let (left, middle) = (x.map(seconds(point.t)), y.map(f64::from(p50)));
            match &mut column {
                Some((at, top, bottom)) if crowded && left - *at < 1.0 => {
                    (*top, *bottom) = (top.min(middle), bottom.max(middle));
                }
                _ => done(column.replace((left, middle, middle))),
            }
        }
        done(column);
        pen.fill(ink);
    }
}

/// The top of the axis: the 99th percentile decides, so that one stray sample does not press
/// everything else to the floor. What is above it is cut off, and the readout names it.
pub(crate) fn top(answer: &SeriesAnswer) -> f64 {
    fan::highest(answer, |point| point.p99.or(point.p50))
}

#[cfg(test)]
mod tests {
    use super::super::fan::tests::{answer, point};
    use super::super::pen::tests::Recorder;
    use super::*;

    const X: Scale = Scale::new((0.0, 600.0), (0.0, 600.0));
    const Y: Scale = Scale::new((0.0, 100.0), (100.0, 0.0));

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let bins = [(10.0, 1), (20.0, 8), (90.0, 1)];
        for (share, expect) in [
            (0.0, 10.0),
            (0.1, 10.0),
            (0.5, 20.0),
            (0.9, 20.0),
            (1.0, 90.0),
        ] {
            assert_eq!(quantile(&bins, share), Some(expect), "{share}");
        }
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[(1.0, 0)], 0.5), None);
    }

    #[test]
    fn the_median_says_how_much_was_lost() {
        let mut points: Vec<_> = (0..4).map(|n| point(n * 60, Some(20.0))).collect();
        for (point, loss) in points.iter_mut().zip([0.0, 3.0, 60.0, 100.0]) {
            point.loss = loss;
        }
        points[3].p50 = None;
        let mut pen = Recorder::default();
        draw(&answer(points), X, Y, &mut pen);
        assert_eq!(pen.of(Ink::Good), "R0.0 79.0 60.0 2.0");
        assert_eq!(pen.of(Ink::Worse), "R60.0 79.0 60.0 2.0");
        assert_eq!(pen.of(Ink::Bad), "R120.0 79.0 60.0 2.0");
    }

    #[test]
    fn smoke_is_densest_around_the_median() {
        let mut series = answer(Vec::new());
        series.sketches.push(StepSketch {
            t: fiber_contract::UnixMicros::from_secs(60),
            bins: (1..=100_u8).map(|ms| (f32::from(ms), 1)).collect(),
        });
        let mut pen = Recorder::default();
        draw(&series, X, Y, &mut pen);
        let smoke = pen.of(Ink::Smoke);
        assert_eq!(smoke.matches('R').count(), LAYERS.len());
        assert!(smoke.starts_with("R60.0 0.0 60.0 99.0"), "{smoke}");
        assert!(smoke.ends_with("R60.0 37.0 60.0 25.0"), "{smoke}");
    }
}

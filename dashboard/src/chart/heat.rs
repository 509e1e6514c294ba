//! Time across, latency upwards, colour for the share of the step's samples: two modes of a path
//! show as two bands where a percentile would draw a line between them.

use fiber_contract::query::SeriesAnswer;

use super::fan::seconds;
use super::pen::{HEAT_LEVELS, Ink, Pen};
use super::scale::Scale;

/// The lowest axis still spans this factor, so that a constant latency is a row, not the whole.
const SPAN_MIN: f64 = 1.5;

/// Lowest and highest latency of the axis, in milliseconds; it is logarithmic.
pub(crate) fn bounds(answer: &SeriesAnswer) -> Option<(f64, f64)> {
    let known = answer
        .sketches
        .iter()
        .flat_map(|sketch| &sketch.bins)
        .filter(|(ms, count)| *ms > 0.0 && ms.is_finite() && *count > 0);
    let (low, high) = known.fold((f64::INFINITY, 0.0_f64), |(low, high), (ms, _)| {
        (low.min(f64::from(*ms)), high.max(f64::from(*ms)))
    });
    if low > high {
        return None;
    }
    let widen = (SPAN_MIN / (high / low)).max(1.0).sqrt();
    Some((low / widen * 0.97, high * widen * 1.03))
}

/// `y` takes the logarithm of milliseconds. Rows are `row_px` high.
pub(crate) fn draw(answer: &SeriesAnswer, x: Scale, y: Scale, row_px: f64, pen: &mut dyn Pen) {
    let step_s = f64::from(answer.step_s);
    let width = (x.map(step_s) - x.map(0.0)).max(1.0);
    let rows = ((y.range.0 - y.range.1) / row_px).floor().max(1.0);
    let height = (y.range.0 - y.range.1) / rows;
    // (level, x, row)
    let mut cells: Vec<(u8, f64, f64)> = Vec::new();
    for sketch in &answer.sketches {
        let total: u64 = sketch.bins.iter().map(|(_, count)| count).sum();
        let left = x.map(seconds(sketch.t));
        // Bins ascend, so the rows do as well: neighbours of one row are next to each other.
        let mut row: Option<(f64, u64)> = None;
        let mut done = |row: Option<(f64, u64)>| {
            if let Some((at, count)) = row {
                cells.push((level(count, total), left, at));
            }
        };
        for (ms, count) in &sketch.bins {
            if !(*ms > 0.0 && ms.is_finite()) {
                continue;
            }
            let up = (y.range.0 - y.map(f64::from(*ms).ln())) / height;
            let at = up.floor().clamp(0.0, rows - 1.0);
            match &mut row {
                Some((same, sum)) if (*same - at).abs() < 0.5 => *sum += count,
                _ => done(row.replace((at, *count))),
            }
        }
        done(row);
    }
    for wanted in 0..HEAT_LEVELS {
        for (_, left, row) in cells.iter().filter(|(level, ..)| *level == wanted) {
            let top = y.range.0 - (row + 1.0) * height;
            pen.rect(*left, top, width, height);
        }
        pen.fill(Ink::Heat(wanted));
    }
}

/// The square root of the share: a tenth of the samples is a third of the scale.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and HEAT_LEVELS"
)]
fn level(count: u64, total: u64) -> u8 {
    let share = count as f64 / total.max(1) as f64;
    let level = (share.sqrt() * f64::from(HEAT_LEVELS)).ceil() as u8;
    level.clamp(1, HEAT_LEVELS) - 1
}

#[cfg(test)]
mod tests {
    use fiber_contract::UnixMicros;
    use fiber_contract::query::StepSketch;

    use super::super::fan::tests::answer;
    use super::super::pen::tests::Recorder;
    use super::*;

    fn with(bins: Vec<(f32, u64)>) -> SeriesAnswer {
        let mut series = answer(Vec::new());
        let t = UnixMicros::from_secs(60);
        series.sketches.push(StepSketch { t, bins });
        series
    }

    #[test]
    fn the_axis_holds_every_sample() {
        let (low, high) = bounds(&with(vec![(10.0, 1), (1_000.0, 2)])).unwrap();
        assert!(low < 10.0 && high > 1_000.0);
        let (low, high) = bounds(&with(vec![(40.0, 5)])).unwrap();
        assert!(high / low > SPAN_MIN && low < 40.0 && high > 40.0);
        assert_eq!(bounds(&with(Vec::new())), None);
        assert_eq!(bounds(&with(vec![(0.0, 3), (f32::NAN, 1), (5.0, 0)])), None);
    }

    #[test]
    fn two_modes_are_two_cells_with_their_shares() {
        let series = with(vec![(10.0, 3), (10.1, 3), (1_000.0, 2)]);
        let x = Scale::new((0.0, 600.0), (0.0, 600.0));
        let y = Scale::new((1.0_f64.ln(), 10_000.0_f64.ln()), (100.0, 0.0));
        let mut pen = Recorder::default();
        draw(&series, x, y, 10.0, &mut pen);
        // Three quarters and one quarter of the samples.
        assert_eq!(pen.of(Ink::Heat(7)), "R60.0 70.0 60.0 10.0");
        assert_eq!(pen.of(Ink::Heat(4)), "R60.0 20.0 60.0 10.0");
        let all: String = pen.done.iter().map(|(_, shapes)| shapes.as_str()).collect();
        assert_eq!(all.matches('R').count(), 2);
    }

    #[test]
    fn levels_use_the_whole_scale() {
        assert_eq!((level(1, 1_000_000), level(1, 1), level(0, 0)), (0, 8, 0));
    }
}

use super::super::pen::Ink;
use super::super::pen::tests::Recorder;
use super::*;

pub(crate) fn point(t: i64, p50: Option<f32>) -> SeriesPoint {
    SeriesPoint {
        t: UnixMicros::from_secs(t),
        count: 6,
        min: p50,
        avg: p50,
        p50,
        p90: p50.map(|ms| ms * 2.0),
        p95: p50,
        p99: p50.map(|ms| ms * 3.0),
        max: p50,
        loss: 1.0,
        uptime: 100.0,
    }
}

pub(crate) fn answer(points: Vec<SeriesPoint>) -> SeriesAnswer {
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

fn drawn(draw: impl FnOnce(&mut Recorder)) -> String {
    let mut pen = Recorder::default();
    draw(&mut pen);
    pen.fill(Ink::Line);
    pen.of(Ink::Line)
}

#[test]
fn a_missing_step_is_never_drawn_across() {
    let series = answer(vec![
        point(0, Some(10.0)),
        point(60, Some(12.0)),
        point(240, Some(9.0)),
        point(300, Some(9.0)),
    ]);
    assert_eq!(
        drawn(|pen| line(&series, |p| p.p50, X, Y, pen)),
        "M30.0 90.0L90.0 88.0M270.0 91.0L330.0 91.0"
    );
    let bands = drawn(|pen| band(&series, |p| p.p50, |p| p.p90, X, Y, pen));
    assert_eq!(bands.matches('M').count(), 2);
}

#[test]
fn a_step_without_a_value_breaks_the_line_too() {
    let series = answer(vec![
        point(0, Some(1.0)),
        point(60, None),
        point(120, Some(1.0)),
    ]);
    let path = drawn(|pen| line(&series, |p| p.p50, X, Y, pen));
    assert_eq!(path.matches('M').count(), 2);
}

#[test]
fn a_crowded_series_keeps_its_peaks_and_is_as_long_as_the_screen_is_wide() {
    let mut points: Vec<_> = (0..3_600).map(|t| point(t, Some(10.0))).collect();
    points[1_803].p50 = Some(90.0);
    let mut series = answer(points);
    series.step_s = 1;
    series.to = UnixMicros::from_secs(3_600);
    let narrow = Scale::new((0.0, 3_600.0), (0.0, 900.0));
    let path = drawn(|pen| trace(&series, |p| p.p50, narrow, Y, Ink::Line, pen));
    assert!(path.contains(" 10.0 1.0 80.0"), "the peak of 90 is lost");
    let columns = path.matches('R').count();
    assert!((880..910).contains(&columns), "{columns}");
    // A hole in the middle of it is still a hole.
    series.points.drain(1_000..1_010);
    let path = drawn(|pen| trace(&series, |p| p.p50, narrow, Y, Ink::Line, pen));
    let band = drawn(|pen| band(&series, |p| p.p50, |p| p.p50, narrow, Y, pen));
    for shapes in [path, band] {
        let lefts = shapes
            .split('R')
            .filter_map(|shape| shape.split(' ').next()?.parse().ok());
        let inside = lefts.filter(|left: &f64| (249.5..252.0).contains(left));
        assert_eq!(inside.count(), 0);
    }
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
    assert_eq!(
        gap_reason(&series, UnixMicros::from_secs(200)),
        "probe silent"
    );
    assert_eq!(
        gap_reason(&series, UnixMicros::from_secs(400)),
        "not observed"
    );
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
    let path = drawn(|pen| bars(&series, |p| Some(p.loss), 0.0, X, Y, pen));
    assert_eq!(path.matches('R').count(), 1);
}

#[test]
fn the_worst_of_a_column_is_the_bar() {
    let mut points: Vec<_> = (0..100).map(|t| point(t, Some(1.0))).collect();
    points[50].uptime = 20.0;
    let mut series = answer(points);
    series.step_s = 1;
    let narrow = Scale::new((0.0, 100.0), (0.0, 10.0));
    let path = drawn(|pen| bars(&series, |p| Some(p.uptime), 100.0, narrow, Y, pen));
    assert_eq!(path.matches('R').count(), 1);
    assert!(path.ends_with(" 0.0 1.0 80.0"), "{path}");
}

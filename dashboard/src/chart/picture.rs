//! What a chart shows: an axis fitted to the data, and how it is drawn.

use std::fmt::Debug;
use std::sync::Arc;

use fiber_contract::UnixMicros;
use fiber_contract::query::{Gap, SeriesAnswer};

use super::fan::{self, Pick};
use super::frame::{Axis, Frame};
use super::heat;
use super::pen::{Ink, Pen};
use super::scale::nice_ceiling;
use super::smoke;

/// Height of a cell of the heatmap.
const HEAT_ROW_PX: f64 = 7.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Fan,
    Smoke,
    Heat,
    Loss,
    Uptime,
}

/// One way to look at one series, or at several of them.
#[derive(Clone, Debug)]
pub(crate) enum Picture {
    One(Kind, Arc<SeriesAnswer>),
    /// One line for each subject; the colour is its place in the list.
    Many(Measure, Vec<(u8, Arc<SeriesAnswer>)>),
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    P50,
    P99,
    Loss,
    Uptime,
}

impl Measure {
    pub(crate) const ALL: [Self; 4] = [Self::P50, Self::P99, Self::Loss, Self::Uptime];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::P50 => "Median latency, ms",
            Self::P99 => "99th percentile of latency, ms",
            Self::Loss => "Packet loss, %",
            Self::Uptime => "Uptime, %",
        }
    }

    pub(crate) fn pick(self) -> Pick {
        match self {
            Self::P50 => |point| point.p50,
            Self::P99 => |point| point.p99,
            Self::Loss => |point| Some(point.loss),
            Self::Uptime => |point| Some(point.uptime),
        }
    }
}

impl PartialEq for Picture {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One(a, x), Self::One(b, y)) => a == b && Arc::ptr_eq(x, y),
            (Self::Many(a, x), Self::Many(b, y)) => {
                let same = |(left, right): (&(u8, Arc<_>), &(u8, Arc<_>))| {
                    left.0 == right.0 && Arc::ptr_eq(&left.1, &right.1)
                };
                a == b && x.len() == y.len() && x.iter().zip(y).all(same)
            }
            _ => false,
        }
    }
}

impl Picture {
    fn series(&self) -> Vec<&SeriesAnswer> {
        match self {
            Self::One(_, answer) => vec![answer],
            Self::Many(_, many) => many.iter().map(|(_, answer)| answer.as_ref()).collect(),
        }
    }

    /// `None` while there is nothing to fit an axis to.
    pub(crate) fn axis(&self) -> Option<Axis> {
        let series = self.series();
        let top = |pick: Pick| {
            series
                .iter()
                .fold(0.0_f64, |high, answer| high.max(fan::highest(answer, pick)))
        };
        let loss = || Axis::linear(0.0, nice_ceiling(top(|p| Some(p.loss)).max(5.0)).min(100.0));
        let uptime = || Axis::linear(uptime_floor(100.0 - top(|p| Some(100.0 - p.uptime))), 100.0);
        match self {
            Self::One(Kind::Fan | Kind::Smoke, answer) => {
                Some(Axis::linear(0.0, nice_ceiling(smoke::top(answer))))
            }
            Self::One(Kind::Heat, answer) => {
                let (low, high) = heat::bounds(answer)?;
                Some(Axis {
                    low,
                    high,
                    logarithmic: true,
                })
            }
            Self::One(Kind::Loss, _) | Self::Many(Measure::Loss, _) => Some(loss()),
            Self::One(Kind::Uptime, _) | Self::Many(Measure::Uptime, _) => Some(uptime()),
            Self::Many(measure, _) => Some(Axis::linear(0.0, nice_ceiling(top(measure.pick())))),
        }
    }

    /// Several subjects have gaps of their own: there a line just ends.
    pub(crate) fn gaps(&self) -> Vec<Gap> {
        match self {
            Self::One(_, answer) => fan::holes(answer),
            Self::Many(..) => Vec::new(),
        }
    }

    /// The instants of the steps, for a cursor that walks along them.
    pub(crate) fn step(&self) -> Option<(i64, Option<UnixMicros>)> {
        let series = self.series();
        let finest = series.iter().min_by_key(|answer| answer.step_s)?;
        let newest = series
            .iter()
            .filter_map(|answer| answer.points.last())
            .map(|point| point.t)
            .max();
        Some((i64::from(finest.step_s.max(1)), newest))
    }

    pub(crate) fn draw(&self, frame: Frame, pen: &mut dyn Pen) {
        let Some(axis) = self.axis() else { return };
        let (x, y) = (frame.x(), frame.y(axis));
        match self {
            Self::One(Kind::Fan, answer) => {
                fan::band(answer, |p| p.p90, |p| p.p99, x, y, pen);
                pen.fill(Ink::Outer);
                fan::band(answer, |p| p.p50, |p| p.p90, x, y, pen);
                pen.fill(Ink::Inner);
                fan::trace(answer, |p| p.p50, x, y, Ink::Line, pen);
            }
            Self::One(Kind::Smoke, answer) => smoke::draw(answer, x, y, pen),
            Self::One(Kind::Heat, answer) => heat::draw(answer, x, y, HEAT_ROW_PX, pen),
            Self::One(Kind::Loss, answer) => {
                fan::bars(answer, |p| Some(p.loss), 0.0, x, y, pen);
                pen.fill(Ink::Bad);
            }
            Self::One(Kind::Uptime, answer) => {
                fan::bars(answer, |p| Some(p.uptime), axis.low, x, y, pen);
                pen.fill(Ink::Calm);
                fan::bars(answer, |p| Some(p.uptime), 100.0, x, y, pen);
                pen.fill(Ink::Bad);
            }
            Self::Many(measure, many) => {
                for (subject, answer) in many {
                    fan::trace(answer, measure.pick(), x, y, Ink::Subject(*subject), pen);
                }
            }
        }
    }
}

/// The foot of the uptime axis: near the worst step, so that half a percent can be seen.
fn uptime_floor(lowest: f64) -> f64 {
    [99.0, 95.0, 90.0, 50.0]
        .into_iter()
        .find(|floor| *floor < lowest)
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::super::fan::tests::{answer, point};
    use super::super::frame::Domain;
    use super::super::pen::tests::Recorder;
    use super::*;

    fn one(kind: Kind, p50: Option<f32>, uptime: f32) -> Picture {
        let mut points: Vec<_> = (0..10).map(|n| point(n * 60, p50)).collect();
        for point in &mut points {
            point.uptime = uptime;
        }
        Picture::One(kind, Arc::new(answer(points)))
    }

    const FRAME: Frame = Frame {
        width: 658.0,
        height: 130.0,
        domain: Domain {
            from: UnixMicros(0),
            to: UnixMicros(600_000_000),
        },
    };

    #[test]
    fn the_top_of_the_axis_holds_the_highest_percentile() {
        let axis = one(Kind::Fan, Some(15.0), 100.0).axis().unwrap();
        assert!((axis.high - 50.0).abs() < 1e-9 && axis.low.abs() < 1e-9);
    }

    #[test]
    fn uptime_zooms_to_what_matters() {
        for (uptime, floor) in [
            (100.0, 99.0),
            (99.0, 95.0),
            (93.0, 90.0),
            (60.0, 50.0),
            (0.0, 0.0),
        ] {
            let axis = one(Kind::Uptime, None, uptime).axis().unwrap();
            assert!((axis.low - floor).abs() < 1e-9, "{uptime}");
        }
    }

    #[test]
    fn every_picture_of_nothing_draws_nothing() {
        let empty = Arc::new(answer(Vec::new()));
        for kind in [Kind::Fan, Kind::Smoke, Kind::Heat, Kind::Loss, Kind::Uptime] {
            let mut pen = Recorder::default();
            Picture::One(kind, Arc::clone(&empty)).draw(FRAME, &mut pen);
            assert!(
                pen.done.iter().all(|(_, shapes)| shapes.is_empty()),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn a_fan_is_two_bands_and_a_line() {
        let mut pen = Recorder::default();
        one(Kind::Fan, Some(15.0), 100.0).draw(FRAME, &mut pen);
        let inks: Vec<_> = pen.done.iter().map(|(ink, _)| *ink).collect();
        assert_eq!(inks, [Ink::Outer, Ink::Inner, Ink::Line]);
    }

    #[test]
    fn subjects_share_one_axis_and_keep_their_colours() {
        let low = Arc::new(answer(vec![point(0, Some(1.0)), point(60, Some(1.0))]));
        let high = Arc::new(answer(vec![point(0, Some(90.0)), point(60, Some(90.0))]));
        let both = Picture::Many(Measure::P50, vec![(0, low), (3, high)]);
        assert!((both.axis().unwrap().high - 100.0).abs() < 1e-9);
        let mut pen = Recorder::default();
        both.draw(FRAME, &mut pen);
        assert!(pen.of(Ink::Subject(0)).starts_with('M'));
        assert_ne!(pen.of(Ink::Subject(0)), pen.of(Ink::Subject(3)));
        assert_eq!(both.clone(), both);
        assert_eq!(both.step(), Some((60, Some(UnixMicros::from_secs(60)))));
    }
}

//! How the rate of a run changes over its time.
//!
//! Every curve becomes a few pieces in which the rate is linear, so that one integral and one
//! inverse serve all of them: request `k` is due where the area under the rate reaches `k`.

use std::time::Duration;

/// The shape of the load. Rates are samples per second over the whole fleet.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Curve {
    /// The rate of the run, all the time.
    #[default]
    Constant,
    /// From `from` to the rate of the run within `over` (default: the whole run), then level.
    Ramp { from: f64, over: Option<Duration> },
    /// `times` the rate from `at` on, for `lasting`.
    Spike {
        times: f64,
        at: Option<Duration>,
        lasting: Option<Duration>,
    },
    /// A day: the rate of the run is the mean, `swing` of it the amplitude; the trough is at the
    /// start, the peak half a period later. Default period: the run.
    Diurnal {
        swing: f64,
        period: Option<Duration>,
    },
    /// At `at` every probe loses its link, for `lasting`. It goes on measuring, and all come back
    /// in the same moment with what piled up.
    Storm {
        at: Option<Duration>,
        lasting: Option<Duration>,
    },
    /// The rate at some moments, a straight line between them.
    Points(Vec<(Duration, f64)>),
}

/// A stretch of time in which the rate changes linearly. Seconds, requests per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) from_s: f64,
    pub(super) length_s: f64,
    pub(super) rate_from: f64,
    pub(super) rate_to: f64,
}

impl Piece {
    pub(super) fn area(&self) -> f64 {
        f64::midpoint(self.rate_from, self.rate_to) * self.length_s
    }

    /// How far into the piece the area from its start is `area`.
    pub(super) fn at_area(&self, area: f64) -> f64 {
        if area <= 0.0 {
            return 0.0;
        }
        let slope = (self.rate_to - self.rate_from) / self.length_s;
        let root = (2.0f64.mul_add(slope * area, self.rate_from * self.rate_from)).max(0.0);
        // The form of the quadratic's solution that also holds for a slope of zero.
        2.0 * area / (self.rate_from + root.sqrt())
    }
}

/// Straight lines that stand for one period of a cosine: off by 0.05 % of its swing at most.
const LINES_PER_PERIOD: u32 = 96;
const LINES_MAX: f64 = 100_000.0;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCurve {
    #[error("no curve is called {0}: constant, ramp, spike, diurnal, storm or points")]
    Name(String),
    #[error("the curve {curve} has no setting {key}")]
    Key { curve: &'static str, key: String },
    #[error("{key}={value} is not a number that the curve can have")]
    Value { key: String, value: String },
    #[error("the {0} ends after the run")]
    BeyondEnd(&'static str),
    #[error("points need two moments at least, in the order of time, the first at 0")]
    Points,
    #[error("the rate is nowhere above zero")]
    Nothing,
}

impl Curve {
    /// When the fleet has no link, as seconds from the start.
    pub fn outage(&self, duration: Duration) -> Option<(f64, f64)> {
        let Self::Storm { at, lasting } = self else {
            return None;
        };
        let from = at.unwrap_or(duration / 4).as_secs_f64();
        Some((from, from + lasting.unwrap_or(duration / 4).as_secs_f64()))
    }

    /// The rate of requests over the run.
    pub(super) fn pieces(
        &self,
        rate_samples_s: f64,
        batch: u32,
        duration: Duration,
    ) -> Result<Vec<Piece>, BadCurve> {
        let end_s = duration.as_secs_f64();
        let corners = self.corners(rate_samples_s, duration)?;
        let mut pieces = Vec::new();
        for pair in corners.windows(2) {
            let ((from_s, rate_from), (to_s, rate_to)) = (pair[0], pair[1]);
            let to_cut_s = to_s.min(end_s);
            let length_s = to_cut_s - from_s;
            if length_s <= 0.0 {
                continue;
            }
            // A piece that is cut keeps its slope.
            let cut = rate_from + (rate_to - rate_from) * length_s / (to_s - from_s);
            pieces.push(Piece {
                from_s,
                length_s,
                rate_from: rate_from / f64::from(batch),
                rate_to: cut / f64::from(batch),
            });
        }
        if pieces.iter().map(Piece::area).sum::<f64>() <= 0.0 {
            return Err(BadCurve::Nothing);
        }
        Ok(pieces)
    }

    /// Moments and rates; two at one moment are a step.
    fn corners(&self, rate: f64, duration: Duration) -> Result<Vec<(f64, f64)>, BadCurve> {
        let end_s = duration.as_secs_f64();
        Ok(match self {
            Self::Constant => vec![(0.0, rate), (end_s, rate)],
            Self::Ramp { from, over } => {
                let over_s = over.unwrap_or(duration).as_secs_f64();
                vec![(0.0, *from), (over_s, rate), (end_s.max(over_s), rate)]
            }
            Self::Spike { times, at, lasting } => {
                let from_s = at.unwrap_or(duration / 3).as_secs_f64();
                let to_s = from_s + lasting.unwrap_or(duration / 6).as_secs_f64();
                if to_s > end_s {
                    return Err(BadCurve::BeyondEnd("spike"));
                }
                let high = rate * times;
                vec![
                    (0.0, rate),
                    (from_s, rate),
                    (from_s, high),
                    (to_s, high),
                    (to_s, rate),
                    (end_s, rate),
                ]
            }
            Self::Diurnal { swing, period } => {
                let period_s = period.unwrap_or(duration).as_secs_f64();
                let step_s = (period_s / f64::from(LINES_PER_PERIOD)).max(end_s / LINES_MAX);
                let mut corners = Vec::new();
                let mut at_s = 0.0;
                while at_s < end_s + step_s {
                    let turn = (at_s / period_s * std::f64::consts::TAU).cos();
                    corners.push((at_s, rate * (1.0 - swing * turn)));
                    at_s += step_s;
                }
                corners
            }
            Self::Storm { .. } => {
                if self.outage(duration).is_some_and(|(_, to_s)| to_s >= end_s) {
                    return Err(BadCurve::BeyondEnd("outage"));
                }
                vec![(0.0, rate), (end_s, rate)]
            }
            Self::Points(points) => {
                let mut corners: Vec<_> = points
                    .iter()
                    .map(|(at, rate)| (at.as_secs_f64(), *rate))
                    .collect();
                if let Some((at_s, rate)) = corners.last().copied()
                    && at_s < end_s
                {
                    corners.push((end_s, rate));
                }
                corners
            }
        })
    }
}

impl std::str::FromStr for Curve {
    type Err = BadCurve;

    fn from_str(text: &str) -> Result<Self, BadCurve> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        let mut settings = Settings::parse(settings);
        let curve = match name {
            "constant" => Self::Constant,
            "ramp" => Self::Ramp {
                from: settings.number("from")?.unwrap_or(0.0),
                over: settings.seconds("over")?,
            },
            "spike" => Self::Spike {
                times: settings.number("times")?.unwrap_or(10.0),
                at: settings.seconds("at")?,
                lasting: settings.seconds("for")?,
            },
            "diurnal" => Self::Diurnal {
                swing: settings.number_up_to("swing", 1.0)?.unwrap_or(0.8),
                period: settings.period("period")?,
            },
            "storm" => Self::Storm {
                at: settings.seconds("at")?,
                lasting: settings.seconds("for")?,
            },
            "points" => return settings.points(),
            _ => return Err(BadCurve::Name(name.to_owned())),
        };
        settings.all_used(curve)
    }
}

/// `key=value,key=value`
struct Settings<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Settings<'a> {
    fn parse(text: &'a str) -> Self {
        let parts = text.split(',').filter(|part| !part.is_empty());
        Self(
            parts
                .map(|part| part.split_once('=').unwrap_or((part, "")))
                .collect(),
        )
    }

    fn number(&mut self, key: &str) -> Result<Option<f64>, BadCurve> {
        self.number_up_to(key, 1e12)
    }

    fn number_up_to(&mut self, key: &str, most: f64) -> Result<Option<f64>, BadCurve> {
        let Some(at) = self.0.iter().position(|(name, _)| *name == key) else {
            return Ok(None);
        };
        let (_, text) = self.0.remove(at);
        let value = number(text).filter(|value| *value <= most);
        value.map(Some).ok_or_else(|| BadCurve::Value {
            key: key.to_owned(),
            value: text.to_owned(),
        })
    }

    fn seconds(&mut self, key: &str) -> Result<Option<Duration>, BadCurve> {
        Ok(self.number_up_to(key, 1e9)?.map(Duration::from_secs_f64))
    }

    fn period(&mut self, key: &str) -> Result<Option<Duration>, BadCurve> {
        match self.seconds(key)? {
            Some(period) if period.is_zero() => Err(BadCurve::Value {
                key: key.to_owned(),
                value: "0".to_owned(),
            }),
            period => Ok(period),
        }
    }

    fn points(self) -> Result<Curve, BadCurve> {
        let mut points: Vec<(Duration, f64)> = Vec::new();
        for (key, value) in self.0 {
            let bad = || BadCurve::Value {
                key: key.to_owned(),
                value: value.to_owned(),
            };
            let at = number(key).filter(|at| *at <= 1e9).ok_or_else(bad)?;
            let rate = number(value).ok_or_else(bad)?;
            points.push((Duration::from_secs_f64(at), rate));
        }
        let in_order = points.is_sorted_by(|a, b| a.0 <= b.0);
        if points.len() < 2 || !in_order || !points[0].0.is_zero() {
            return Err(BadCurve::Points);
        }
        Ok(Curve::Points(points))
    }

    fn all_used(self, curve: Curve) -> Result<Curve, BadCurve> {
        match self.0.first() {
            None => Ok(curve),
            Some((key, _)) => Err(BadCurve::Key {
                curve: curve.name(),
                key: (*key).to_owned(),
            }),
        }
    }
}

/// Not negative, finite; seconds may end in `s`.
fn number(text: &str) -> Option<f64> {
    let value: f64 = text.strip_suffix('s').unwrap_or(text).parse().ok()?;
    (value.is_finite() && (0.0..=1e12).contains(&value)).then_some(value)
}

impl Curve {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Ramp { .. } => "ramp",
            Self::Spike { .. } => "spike",
            Self::Diurnal { .. } => "diurnal",
            Self::Storm { .. } => "storm",
            Self::Points(_) => "points",
        }
    }
}

/// As the command line has it.
impl std::fmt::Display for Curve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = |value: &Option<Duration>| value.map(|v| v.as_secs_f64().to_string());
        let settings: Vec<(&str, Option<String>)> = match self {
            Self::Constant => Vec::new(),
            Self::Ramp { from, over } => {
                vec![("from", Some(from.to_string())), ("over", seconds(over))]
            }
            Self::Spike { times, at, lasting } => vec![
                ("times", Some(times.to_string())),
                ("at", seconds(at)),
                ("for", seconds(lasting)),
            ],
            Self::Diurnal { swing, period } => vec![
                ("swing", Some(swing.to_string())),
                ("period", seconds(period)),
            ],
            Self::Storm { at, lasting } => vec![("at", seconds(at)), ("for", seconds(lasting))],
            Self::Points(points) => {
                let points: Vec<_> = points
                    .iter()
                    .map(|(at, rate)| format!("{}={rate}", at.as_secs_f64()))
                    .collect();
                return write!(f, "points:{}", points.join(","));
            }
        };
        f.write_str(self.name())?;
        let mut before = ':';
        for (key, value) in settings {
            if let Some(value) = value {
                write!(f, "{before}{key}={value}")?;
                before = ',';
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_read_back_as_they_are_written() {
        for text in [
            "constant",
            "ramp:from=10,over=5",
            "spike:times=4,at=2,for=1.5",
            "diurnal:swing=0.5,period=60",
            "storm:at=5,for=2",
            "points:0=1,2.5=300,9=0",
        ] {
            let curve: Curve = text.parse().unwrap();
            assert_eq!(curve.to_string(), text);
        }
        assert_eq!(
            "ramp:over=5s".parse::<Curve>().unwrap().to_string(),
            "ramp:from=0,over=5"
        );
    }

    #[test]
    fn what_no_curve_has_is_refused_with_its_name() {
        for (text, part) in [
            ("steps", "no curve is called steps"),
            ("ramp:slope=2", "the curve ramp has no setting slope"),
            ("spike:times=many", "times=many"),
            ("spike:times=-1", "times=-1"),
            ("diurnal:swing=1.5", "swing=1.5"),
            ("diurnal:period=0", "period=0"),
            ("points:5=1,9=2", "the first at 0"),
            ("points:0=1,9=2,3=1", "in the order of time"),
            ("constant:1", "no setting 1"),
        ] {
            let error = text.parse::<Curve>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_spike_or_an_outage_past_the_end_is_refused() {
        let run = Duration::from_secs(10);
        for text in ["spike:at=8,for=5", "storm:at=5,for=5"] {
            let curve: Curve = text.parse().unwrap();
            assert!(
                matches!(curve.pieces(1.0, 1, run), Err(BadCurve::BeyondEnd(_))),
                "{text}"
            );
        }
        let nothing: Curve = "points:0=0,10=0".parse().unwrap();
        assert_eq!(nothing.pieces(1.0, 1, run), Err(BadCurve::Nothing));
    }
}

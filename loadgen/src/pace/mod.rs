//! When each request is meant to be sent: an open loop.
//!
//! The schedule is fixed before the first byte leaves and nothing that happens later moves it: no
//! slow answer, no retry, no reconnection. A latency is counted from the scheduled moment, so the
//! requests that a stalled server keeps waiting are in the histogram with the wait they had.
//! (A closed loop would send fewer of them and report a stall as one slow request.)
//!
//! The moments come from the integral of a rate (see [`curve`]), so that a ramp or a spike is as
//! open as a constant load.

pub mod alarm;
pub mod curve;
mod plan;

pub use alarm::Alarm;
pub use curve::{BadCurve, Curve};
pub use plan::{LanePlan, LaneSchedule, Planned};

use curve::Piece;
use std::sync::Arc;
use std::time::Duration;

/// The moments of a run's requests, over the whole fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// With the requests that are due before each.
    pieces: Arc<[(f64, Piece)]>,
    requests: u64,
    batch: u32,
    outage_s: Option<(f64, f64)>,
}

/// The samples of one request: the last one's moment, and the time between two of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleTimes {
    last_ns: f64,
    step_ns: f64,
    batch: u32,
}

impl SampleTimes {
    /// Offset of the request's sample `member` from the start of the run. Negative for what was
    /// measured before the first request.
    pub fn offset_us(self, member: u32) -> i64 {
        let back = f64::from(self.batch - 1 - member);
        floor_us(self.last_ns - back * self.step_ns)
    }
}

impl Schedule {
    /// `rate_samples_s` over the fleet, `batch` samples in each request, all the time.
    pub fn constant(rate_samples_s: f64, batch: u32, duration: Duration) -> Self {
        Self::new(&Curve::Constant, rate_samples_s, batch, duration)
            .unwrap_or_else(|_| Self::of(Vec::new(), batch, None))
    }

    pub fn new(
        curve: &Curve,
        rate_samples_s: f64,
        batch: u32,
        duration: Duration,
    ) -> Result<Self, BadCurve> {
        let pieces = curve.pieces(rate_samples_s, batch, duration)?;
        Ok(Self::of(pieces, batch, curve.outage(duration)))
    }

    fn of(pieces: Vec<Piece>, batch: u32, outage_s: Option<(f64, f64)>) -> Self {
        let mut before = 0.0;
        let pieces: Arc<[(f64, Piece)]> = pieces
            .into_iter()
            .map(|piece| {
                let start = before;
                before += piece.area();
                (start, piece)
            })
            .collect();
        Self {
            pieces,
            // The sum of many areas may miss a whole number by a hair.
            requests: whole(before + 1e-6),
            batch,
            outage_s,
        }
    }

    pub const fn requests(&self) -> u64 {
        self.requests
    }

    /// Samples of one request.
    pub const fn batch(&self) -> u32 {
        self.batch
    }

    /// Offset of request `k` of the fleet from the start of the run.
    pub fn offset(&self, k: u64) -> Duration {
        Duration::from_nanos(whole(self.at_ns(k as f64)))
    }

    /// The same as nanoseconds. Beyond the end the last rate goes on.
    fn at_ns(&self, k: f64) -> f64 {
        let behind = self.pieces.partition_point(|(before, _)| *before <= k);
        let Some((before, piece)) = self.pieces.get(behind.saturating_sub(1)) else {
            return 0.0;
        };
        let (area, rest) = (piece.area(), k - before);
        let into_s = if rest <= area {
            piece.at_area(rest)
        } else {
            piece.length_s + (rest - area) / piece.rate_to.max(1e-9)
        };
        (piece.from_s + into_s) * 1e9
    }

    /// When the samples of request `k` are measured: they fill the time since the request that the
    /// probe (of `probes`) was due to send before.
    pub fn sample_times(&self, probes: u32, k: u64) -> SampleTimes {
        let last_ns = self.at_ns(k as f64);
        let step_ns = if self.batch == 1 {
            0.0
        } else {
            // Before the first one lies as much time as behind it.
            let since_ns = match k.checked_sub(u64::from(probes)) {
                Some(before) => last_ns - self.at_ns(before as f64),
                None => self.at_ns(k as f64 + f64::from(probes)) - last_ns,
            };
            since_ns / f64::from(self.batch)
        };
        SampleTimes {
            last_ns,
            step_ns,
            batch: self.batch,
        }
    }

    /// The least time between two samples of one probe; under 1 µs they would share a timestamp.
    pub fn sample_spacing_us(&self, probes: u32) -> f64 {
        f64::from(probes) / (self.peak_requests_s() * f64::from(self.batch)) * 1e6
    }

    /// Of the whole fleet, at the busiest moment.
    pub fn peak_requests_s(&self) -> f64 {
        let rates = self.pieces.iter();
        rates.fold(1e-9, |most, (_, piece)| {
            most.max(piece.rate_from).max(piece.rate_to)
        })
    }

    /// Requests that are meant to be sent between two moments, in seconds from the start. What an
    /// outage keeps back is meant to be sent when it ends.
    pub fn due_between(&self, from_s: f64, to_s: f64) -> f64 {
        let mut due = self.measured_until(to_s) - self.measured_until(from_s);
        if let Some((lost_s, back_s)) = self.outage_s {
            let overlap = (from_s.clamp(lost_s, back_s), to_s.clamp(lost_s, back_s));
            due -= self.measured_until(overlap.1) - self.measured_until(overlap.0);
            if (from_s..to_s).contains(&back_s) {
                due += self.measured_until(back_s) - self.measured_until(lost_s);
            }
        }
        due
    }

    fn measured_until(&self, at_s: f64) -> f64 {
        self.pieces
            .iter()
            .map(|(_, piece)| {
                let into_s = (at_s - piece.from_s).clamp(0.0, piece.length_s);
                let slope = (piece.rate_to - piece.rate_from) / piece.length_s;
                into_s * (piece.rate_from + slope * into_s / 2.0)
            })
            .sum()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and is never negative"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

#[expect(clippy::cast_possible_truncation, reason = "saturates")]
fn floor_us(ns: f64) -> i64 {
    (ns / 1e3).floor() as i64
}

#[cfg(test)]
mod tests;

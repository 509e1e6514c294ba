//! When each request is meant to be sent: an open loop.
//!
//! The schedule is fixed before the first byte leaves and nothing that happens later moves it: no
//! slow answer, no retry, no reconnection. A latency is counted from the scheduled moment, so the
//! requests that a stalled server keeps waiting are in the histogram with the wait they had.
//! (A closed loop would send fewer of them and report a stall as one slow request.)

use std::time::Duration;

/// The moments of `requests` sends, evenly spaced over the whole fleet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    period_ns: f64,
    requests: u64,
}

impl Schedule {
    /// `rate_samples_s` over the fleet, `batch` samples in each request.
    pub fn new(rate_samples_s: f64, batch: u32, duration: Duration) -> Self {
        let rate_requests = rate_samples_s / f64::from(batch);
        Self {
            period_ns: 1e9 / rate_requests,
            requests: whole(duration.as_secs_f64() * rate_requests),
        }
    }

    pub const fn requests(self) -> u64 {
        self.requests
    }

    /// Offset of request `k` of the fleet from the start of the run.
    pub fn offset(self, k: u64) -> Duration {
        Duration::from_nanos(whole(k as f64 * self.period_ns))
    }

    /// Offset of sample `number` of probe `probe` (of `probes`) when each request carries `batch`:
    /// the samples of a request fill the interval that ends when it is sent.
    pub fn sample_offset_us(self, probes: u32, probe: u32, batch: u32, number: u64) -> i64 {
        let (request, member) = (number / u64::from(batch), number % u64::from(batch));
        let k = request * u64::from(probes) + u64::from(probe);
        let probe_period_ns = self.period_ns * f64::from(probes);
        let back = (u64::from(batch) - 1 - member) as f64 / f64::from(batch);
        floor_us(k as f64 * self.period_ns - back * probe_period_ns)
    }

    /// The time between two samples of one probe; under 1 µs they would share a timestamp.
    pub fn sample_spacing_us(self, probes: u32, batch: u32) -> f64 {
        self.period_ns * f64::from(probes) / f64::from(batch) / 1e3
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

/// The part of the schedule that one connection serves: probes `lane`, `lane + lanes`, …
#[derive(Clone, Copy, Debug)]
pub struct LaneSchedule {
    pub schedule: Schedule,
    pub probes: u32,
    pub lanes: u32,
    pub lane: u32,
}

/// One send of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Number of the request in the fleet.
    pub k: u64,
    pub probe: u32,
    /// Which of the probe's own requests this is.
    pub round: u64,
    /// Place of the probe among those of its lane.
    pub member: u32,
}

impl LaneSchedule {
    /// Probes of this lane.
    pub const fn width(self) -> u32 {
        (self.probes - self.lane).div_ceil(self.lanes)
    }

    /// The lane's send `index`, in the order of time; `None` past the end of the run.
    pub fn slot(self, index: u64) -> Option<Slot> {
        let slot = self.endless(index);
        (slot.k < self.schedule.requests).then_some(slot)
    }

    /// The same without an end, for closed-loop runs.
    pub fn endless(self, index: u64) -> Slot {
        let width = u64::from(self.width());
        let round = index / width;
        let member = index % width;
        let probe = u64::from(self.lane) + member * u64::from(self.lanes);
        let k = round * u64::from(self.probes) + probe;
        let narrow = |value| u32::try_from(value).unwrap_or(u32::MAX);
        Slot {
            k,
            probe: narrow(probe),
            round,
            member: narrow(member),
        }
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "small numbers of a test")]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;

    #[test]
    fn lanes_share_the_schedule_without_gap_or_overlap_and_in_order() {
        for (probes, lanes) in [(1, 1), (10, 10), (10, 3), (1_000, 7)] {
            let schedule = Schedule::new(5_000.0, 2, Duration::from_secs(3));
            let mut seen = vec![false; usize::try_from(schedule.requests()).unwrap()];
            for lane in 0..lanes {
                let part = LaneSchedule {
                    schedule,
                    probes,
                    lanes,
                    lane,
                };
                let mut last = Duration::ZERO;
                for index in 0.. {
                    let Some(slot) = part.slot(index) else { break };
                    assert!(!std::mem::replace(&mut seen[slot.k as usize], true));
                    assert_eq!(slot.k % u64::from(probes), u64::from(slot.probe));
                    assert!(schedule.offset(slot.k) >= last);
                    last = schedule.offset(slot.k);
                }
            }
            assert!(seen.into_iter().all(|sent| sent));
        }
    }

    #[test]
    fn samples_of_a_probe_never_share_a_timestamp() {
        for (rate, probes, batch) in [(1e6, 10, 500), (30.0, 60, 1), (333_333.3, 7, 13)] {
            let schedule = Schedule::new(rate, batch, Duration::from_secs(10));
            assert!(schedule.sample_spacing_us(probes, batch) >= 1.0);
            let mut last = i64::MIN;
            for number in 0..20_000 {
                let at = schedule.sample_offset_us(probes, probes - 1, batch, number);
                assert!(at > last, "{rate} {probes} {batch}: {at} after {last}");
                last = at;
            }
        }
    }

    /// One connection at 1000/s to a server that answers at once, but stops for 1.0 s.
    #[test]
    fn a_stall_of_one_second_is_in_the_corrected_latencies_with_its_whole_length() {
        let schedule = Schedule::new(1_000.0, 1, Duration::from_secs(10));
        let (stall_from, stall_to) = (Duration::from_secs(4), Duration::from_secs(5));
        let mut corrected = Histogram::<u64>::new(3).unwrap();
        let mut raw = Histogram::<u64>::new(3).unwrap();
        let mut free_at = Duration::ZERO;
        for k in 0..schedule.requests() {
            let intended = schedule.offset(k);
            let start = intended.max(free_at);
            let mut end = start + Duration::from_micros(100);
            if (stall_from..stall_to).contains(&start) {
                end = stall_to + Duration::from_micros(100);
            }
            free_at = end;
            corrected
                .record((end - intended).as_micros() as u64)
                .unwrap();
            raw.record((end - start).as_micros() as u64).unwrap();
        }
        // A thousand sends fell into the stall, and waited 1.0 s … 0 s: of ten thousand, that
        // puts the 99th percentile at about 0.9 s. (The queue behind it drains at 10 k/s, which
        // adds a little.) The closed-loop view sees one slow request.
        let p99 = corrected.value_at_quantile(0.99) as f64 / 1e6;
        assert!((p99 - 0.9).abs() < 0.05, "{p99}");
        assert!(raw.value_at_quantile(0.99) < 200);
        assert!(raw.max() > 990_000);
    }
}

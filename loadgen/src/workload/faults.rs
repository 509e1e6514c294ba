//! What real probes do wrong, on purpose and at a rate.
//!
//! Every fault has one right outcome, and the ledger is told which:
//!
//! | fault | what is sent | what must become of it |
//! |---|---|---|
//! | `late` | a sample of an hour ago | stored |
//! | `duplicate` | the probe's sample before, again, in another request | stored once, counted as duplicate |
//! | `reorder` | two neighbours with their times exchanged | both stored |
//! | `skew` | a share of the probes has a clock that is off by up to four minutes | stored as it says |
//! | `bad` | a sample that breaks one rule of the contract | refused, and the answer names the field |
//!
//! The choice is a function of (seed, probe, number), like the sample itself.

use super::sample::mix;
use fiber_contract::limits::{CLOCK_AHEAD_MAX_S, RAW_RETENTION_S};
use fiber_contract::time::MICROS_PER_S;
use std::time::Duration;

/// Shares from 0 to 1: of the samples, `skew` of the probes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    pub late: f64,
    pub duplicate: f64,
    pub reorder: f64,
    pub skew: f64,
    pub bad: f64,
}

/// Which rule a bad sample breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    NegativeLatency,
    LatencyTooHigh,
    LatencyAsText,
    NullWithoutLoss,
    LossTooHigh,
    UptimeTooHigh,
    Timestamp,
    Future,
    TooOld,
}

impl Bad {
    pub const ALL: [Self; 9] = [
        Self::NegativeLatency,
        Self::LatencyTooHigh,
        Self::LatencyAsText,
        Self::NullWithoutLoss,
        Self::LossTooHigh,
        Self::UptimeTooHigh,
        Self::Timestamp,
        Self::Future,
        Self::TooOld,
    ];

    /// The field that the refusal must name.
    pub const fn field(self) -> &'static str {
        match self {
            Self::NegativeLatency
            | Self::LatencyTooHigh
            | Self::LatencyAsText
            | Self::NullWithoutLoss => "latency_ms",
            Self::LossTooHigh => "packet_loss",
            Self::UptimeTooHigh => "uptime_pct",
            Self::Timestamp | Self::Future | Self::TooOld => "timestamp",
        }
    }

    /// The time that it carries instead of its own.
    pub const fn moved_us(self) -> i64 {
        match self {
            Self::Future => 2 * CLOCK_AHEAD_MAX_S * MICROS_PER_S,
            Self::TooOld => -(RAW_RETENTION_S + 86_400) * MICROS_PER_S,
            _ => 0,
        }
    }
}

/// What becomes of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    Late,
    Duplicate,
    Bad(Bad),
}

/// How late a late sample is, where the run is not longer than that.
const LATE: Duration = Duration::from_secs(3_600);
/// Within the five minutes that a clock may be ahead.
const SKEW_S_MAX: i64 = 240;

impl Faults {
    pub fn any(&self) -> bool {
        [self.late, self.duplicate, self.reorder, self.skew, self.bad]
            .iter()
            .any(|share| *share > 0.0)
    }

    /// More than the run lasts, so that a late sample never meets one that is on time.
    pub fn late_by(&self, duration: Duration) -> Duration {
        LATE.max(duration * 2)
    }

    pub(crate) fn check(&self, duration: Duration) -> Result<(), &'static str> {
        let by_us = i64::try_from(self.late_by(duration).as_micros()).unwrap_or(i64::MAX);
        if self.late > 0.0 && by_us > (RAW_RETENTION_S - 86_400) * MICROS_PER_S {
            return Err("late samples of so long a run would be older than what is kept");
        }
        if self.late + self.duplicate + self.bad > 1.0 {
            return Err("late, duplicate and bad samples together are more than all");
        }
        Ok(())
    }
}

/// The faults of one probe.
#[derive(Clone, Copy, Debug)]
pub struct ProbeFaults {
    faults: Faults,
    key: u64,
    skew_us: i64,
}

impl ProbeFaults {
    pub fn new(faults: Faults, seed: u64, probe: u32) -> Self {
        let key = mix(mix(seed ^ 0x0FA1_7500) ^ u64::from(probe));
        let span = 2 * SKEW_S_MAX.unsigned_abs() + 1;
        let off_s = (mix(key) % span).cast_signed() - SKEW_S_MAX;
        let is_off = unit(mix(key ^ 1)) < faults.skew;
        Self {
            faults,
            key,
            skew_us: if is_off { off_s * MICROS_PER_S } else { 0 },
        }
    }

    /// How far the probe's clock is ahead.
    pub const fn skew_us(&self) -> i64 {
        self.skew_us
    }

    pub fn of(&self, number: u64) -> Fault {
        let Faults {
            late,
            duplicate,
            bad,
            ..
        } = self.faults;
        if late + duplicate + bad <= 0.0 {
            return Fault::None;
        }
        let draw = mix(self.key ^ number.rotate_left(20));
        let at = unit(draw);
        if at < bad {
            let kind = mix(draw) % Bad::ALL.len() as u64;
            return Fault::Bad(Bad::ALL[usize::try_from(kind).unwrap_or(0)]);
        }
        if at < bad + late {
            return Fault::Late;
        }
        if at < bad + late + duplicate {
            return Fault::Duplicate;
        }
        Fault::None
    }

    /// The sample whose time this one takes: itself, or its neighbour's.
    pub fn time_of(&self, number: u64) -> u64 {
        // Drawn for the pair, so both sides know.
        let draw = mix(self.key ^ (number / 2).rotate_left(40) ^ 0x5EED);
        number ^ u64::from(self.faults.reorder > 0.0 && unit(draw) < self.faults.reorder)
    }
}

fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1_u64 << 53) as f64
}

impl std::str::FromStr for Faults {
    type Err = String;

    /// `late=0.01,bad=2%`
    fn from_str(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (name, value) = part.split_once('=').ok_or("as in late=0.01,bad=2%")?;
            let (digits, unit) = match value.strip_suffix('%') {
                Some(digits) => (digits, 100.0),
                None => (value, 1.0),
            };
            let share = digits.parse::<f64>().map(|number| number / unit);
            let share = share.ok().filter(|share| (0.0..=1.0).contains(share));
            let share =
                share.ok_or_else(|| format!("{name} is a share from 0 to 1, not {value}"))?;
            *match name {
                "late" => &mut faults.late,
                "duplicate" => &mut faults.duplicate,
                "reorder" => &mut faults.reorder,
                "skew" => &mut faults.skew,
                "bad" => &mut faults.bad,
                _ => {
                    return Err(format!(
                        "no fault is called {name}: late, duplicate, reorder, skew, bad"
                    ));
                }
            } = share;
        }
        Ok(faults)
    }
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut before = "";
        for (name, share) in [
            ("late", self.late),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
            ("skew", self.skew),
            ("bad", self.bad),
        ] {
            if share > 0.0 {
                write!(f, "{before}{name}={share}")?;
                before = ",";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_at_their_rate_and_read_back() {
        let faults: Faults = "late=0.1,duplicate=5%,reorder=0.2,skew=0.5,bad=0.7"
            .parse()
            .unwrap();
        assert_eq!(faults.to_string().parse::<Faults>().unwrap(), faults);
        let probe = ProbeFaults::new(faults, 3, 9);
        let mut counts = [0_u32; 4];
        let mut kinds = [0_u32; 9];
        for number in 0..100_000 {
            match probe.of(number) {
                Fault::None => counts[0] += 1,
                Fault::Late => counts[1] += 1,
                Fault::Duplicate => counts[2] += 1,
                Fault::Bad(bad) => {
                    counts[3] += 1;
                    kinds[Bad::ALL.iter().position(|kind| *kind == bad).unwrap()] += 1;
                }
            }
        }
        for (count, share) in counts.iter().zip([0.15, 0.1, 0.05, 0.7]) {
            assert!((f64::from(*count) / 1e5 - share).abs() < 0.01, "{counts:?}");
        }
        assert!(kinds.iter().all(|count| *count > 6_000), "{kinds:?}");
        let moved = (0..100_000).filter(|n| probe.time_of(*n) != *n).count();
        assert!((18_000..22_000).contains(&moved), "{moved}");
        let skewed = (0..1_000)
            .filter(|p| ProbeFaults::new(faults, 3, *p).skew_us() != 0)
            .count();
        assert!((440..560).contains(&skewed), "{skewed}");
    }

    #[test]
    fn exchanged_times_stay_unique() {
        let faults = Faults {
            reorder: 0.5,
            ..Faults::default()
        };
        let probe = ProbeFaults::new(faults, 1, 1);
        let mut times: Vec<_> = (0..1_000).map(|n| probe.time_of(n)).collect();
        assert!(times.iter().zip(0..).any(|(time, n)| *time != n));
        times.sort_unstable();
        assert!(times.iter().zip(0..).all(|(time, n)| *time == n));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "late", "late=2", "late=-1", "late=x", "loss=0.1", "bad=101%",
        ] {
            assert!(text.parse::<Faults>().is_err(), "{text}");
        }
        let all = Faults {
            late: 0.6,
            bad: 0.6,
            ..Faults::default()
        };
        assert!(all.check(Duration::from_secs(1)).is_err());
    }
}

//! How a long African path behaves: the model behind the simulated fleet.
//!
//! Latency is distance in fibre times the detour of the local network, plus the last mile, swollen
//! by the evening's traffic and by log-normal jitter. Loss follows a Gilbert model: a path is good
//! or bad, stays so for a while, and loses packets only while bad. Now and then a path is cut for
//! some seconds, or the probe itself falls silent, which the engine must tell apart.

use super::cities::{City, nearest_hub};
use super::sample::{Values, mix};
use std::f64::consts::TAU;

/// Light in glass covers 200 km in a millisecond; a round trip is twice the way.
const FIBRE_KM_PER_MS: f64 = 200.0;
/// Cables follow coasts and borders, not great circles.
const ROUTE_FACTOR: f64 = 1.35;
const PACKETS: u32 = 10;

/// Chances per packet and per round.
#[derive(Clone, Copy, Debug)]
struct Habits {
    good_to_bad: f64,
    bad_to_good: f64,
    loss_while_bad: f64,
    outage: f64,
    silence: f64,
}

/// A burst about every five minutes, lasting a round or two; with sixty probes a cut somewhere
/// every two or three minutes, and a silent probe about every five.
const USUAL: Habits = Habits {
    good_to_bad: 0.0007,
    bad_to_good: 0.08,
    loss_while_bad: 0.3,
    outage: 1.0 / 5_000.0,
    silence: 1.0 / 9_000.0,
};
/// A path that an operator would want to see on top of the list.
const POOR: Habits = Habits {
    good_to_bad: 0.02,
    bad_to_good: 0.05,
    loss_while_bad: 0.35,
    ..USUAL
};

/// Cities whose path is poor all the time.
const POOR_CITIES: [&str; 2] = ["bangui", "juba"];
const OUTAGE_ROUNDS: (f64, f64) = (3.0, 20.0);
const SILENT_ROUNDS: (f64, f64) = (25.0, 90.0);

/// The path from one probe to its target.
#[derive(Clone, Debug)]
pub struct Path {
    random: Random,
    habits: Habits,
    base_ms: f64,
    lng: f64,
    bad: bool,
    outage_rounds: u32,
    silent_rounds: u32,
}

impl Path {
    pub fn new(city: &City, seed: u64, probe: u32) -> Self {
        let mut random = Random(mix(seed ^ mix(u64::from(probe))));
        let (_, km) = nearest_hub(city);
        let fibre_ms = 2.0 * km * ROUTE_FACTOR * city.detour / FIBRE_KM_PER_MS;
        let last_mile_ms = 2.0 + 8.0 * random.unit() * city.detour;
        let poor = POOR_CITIES.contains(&city.slug);
        Self {
            habits: if poor { POOR } else { USUAL },
            base_ms: fibre_ms + last_mile_ms + if poor { 90.0 } else { 0.0 },
            lng: city.lng,
            bad: false,
            outage_rounds: 0,
            silent_rounds: 0,
            random,
        }
    }

    /// The next round at this UTC hour of the day; `None` when the probe is silent.
    pub fn round(&mut self, utc_hour: f64) -> Option<Values> {
        if self.silent_rounds > 0 {
            self.silent_rounds -= 1;
            return None;
        }
        if self.random.unit() < self.habits.silence {
            self.silent_rounds = self.random.whole(SILENT_ROUNDS);
        }
        if self.outage_rounds == 0 && self.random.unit() < self.habits.outage {
            self.outage_rounds = self.random.whole(OUTAGE_ROUNDS);
        }
        let lost = self.lost_packets();
        if self.outage_rounds > 0 {
            self.outage_rounds -= 1;
            return Some(Values {
                latency_us: None,
                uptime_bp: 0,
                loss_bp: 10_000,
            });
        }
        if lost == PACKETS {
            return Some(Values {
                latency_us: None,
                uptime_bp: 0,
                loss_bp: 10_000,
            });
        }
        let latency_ms = self.latency_ms(utc_hour).clamp(0.2, 10_000.0);
        Some(Values {
            latency_us: Some(whole(latency_ms * 1_000.0)),
            uptime_bp: 10_000,
            loss_bp: u16::try_from(lost * 10_000 / PACKETS).unwrap_or(10_000),
        })
    }

    fn lost_packets(&mut self) -> u32 {
        let mut lost = 0;
        for _ in 0..PACKETS {
            let leave = if self.bad {
                self.habits.bad_to_good
            } else {
                self.habits.good_to_bad
            };
            self.bad ^= self.random.unit() < leave;
            lost += u32::from(self.bad && self.random.unit() < self.habits.loss_while_bad);
        }
        lost
    }

    fn latency_ms(&mut self, utc_hour: f64) -> f64 {
        // Links are fullest at nine in the evening, local (solar) time.
        let local_hour = utc_hour + self.lng / 15.0;
        let evening = 1.0 + 0.06 * ((local_hour - 21.0) / 24.0 * TAU).cos();
        let jitter_ms = (1.0 + self.base_ms * 0.03) * (0.7 * self.random.normal()).exp();
        let queue_ms = if self.bad {
            20.0 + 60.0 * self.random.unit()
        } else {
            0.0
        };
        self.base_ms * evening + jitter_ms + queue_ms
    }
}

/// Random numbers from one 64-bit state.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        (mix(self.0) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal (Box and Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }

    fn whole(&mut self, (from, to): (f64, f64)) -> u32 {
        whole(from + (to - from) * self.unit())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates"
)]
fn whole(value: f64) -> u32 {
    value.round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::cities::CITIES;

    fn rounds(slug: &str, count: usize) -> Vec<Option<Values>> {
        let city = CITIES.iter().find(|city| city.slug == slug).unwrap();
        let mut path = Path::new(city, 5, 1);
        (0..count).map(|n| path.round(n as f64 / 1_800.0)).collect()
    }

    fn median_ms(rounds: &[Option<Values>]) -> f64 {
        let mut all: Vec<_> = rounds
            .iter()
            .flatten()
            .filter_map(|v| v.latency_us)
            .collect();
        all.sort_unstable();
        f64::from(all[all.len() / 2]) / 1e3
    }

    #[test]
    fn every_round_is_within_the_contract() {
        for city in &CITIES {
            let mut path = Path::new(city, 3, 9);
            for n in 0..3_000 {
                let Some(v) = path.round(f64::from(n) / 1_800.0) else {
                    continue;
                };
                assert_eq!(v.latency_us.is_none(), v.loss_bp == 10_000, "{}", city.name);
                assert_eq!(v.uptime_bp == 0, v.loss_bp == 10_000);
                assert!(
                    v.latency_us
                        .is_none_or(|us| (200..=10_000_000).contains(&us))
                );
            }
        }
    }

    #[test]
    fn near_cities_are_faster_than_far_ones_and_poor_paths_lose_more() {
        let (near, far, poor) = (
            rounds("lagos", 5_000),
            rounds("antananarivo", 5_000),
            rounds("bangui", 5_000),
        );
        assert!(median_ms(&near) < 20.0, "{}", median_ms(&near));
        assert!(
            (25.0..90.0).contains(&median_ms(&far)),
            "{}",
            median_ms(&far)
        );
        let loss = |rounds: &[Option<Values>]| {
            let all: Vec<_> = rounds
                .iter()
                .flatten()
                .map(|v| f64::from(v.loss_bp) / 100.0)
                .collect();
            all.iter().sum::<f64>() / all.len() as f64
        };
        assert!(loss(&near) < 2.0, "{}", loss(&near));
        assert!((5.0..20.0).contains(&loss(&poor)), "{}", loss(&poor));
    }

    #[test]
    fn over_a_day_a_path_is_cut_and_its_probe_silent_at_times() {
        let day = rounds("accra", 43_200);
        let cut = day.iter().flatten().filter(|v| v.loss_bp == 10_000).count();
        let silent = day.iter().filter(|round| round.is_none()).count();
        assert!((10..2_000).contains(&cut), "{cut}");
        assert!((25..2_000).contains(&silent), "{silent}");
    }
}

//! How a long path behaves: the model behind every simulated probe.
//!
//! Latency is distance in fibre times the detour of the local network, plus the last mile, swollen
//! by the evening's traffic and by log-normal jitter. Loss follows a Gilbert-Elliott model: a path
//! is good or bad, stays so for a while, and loses packets only while bad; its two states are chosen
//! so that the mean loss is the one asked for, at any loss from 0 to 100 %. Now and then a path is
//! cut for some seconds, or the probe itself falls silent, which the engine must tell apart.

use super::cities::{City, nearest_hub};
use super::sample::{JITTER_STEPS, Values, mix, normal_quantile};
use std::f64::consts::TAU;
use std::sync::LazyLock;

/// Light in glass covers 200 km in a millisecond; a round trip is twice the way.
const FIBRE_KM_PER_MS: f64 = 200.0;
/// Cables follow coasts and borders, not great circles.
const ROUTE_FACTOR: f64 = 1.35;
const PACKETS: u32 = 10;

/// What a path is like.
#[derive(Clone, Debug, PartialEq)]
pub struct PathModel {
    /// Great circle to the target, for people to read; 0 when the path was given by its numbers.
    pub km: f64,
    /// Round trip without jitter, at a quiet hour.
    pub rtt_ms: f64,
    /// Median of the log-normal jitter that comes on top.
    pub jitter_ms: f64,
    /// Mean loss while the path is not cut.
    pub loss_pct: f64,
    /// Chance of a cut, each round.
    pub outage: f64,
    /// Chance that the probe falls silent, each round.
    pub silence: f64,
    /// Where the evening is.
    pub lng: f64,
}

/// With sixty probes and a round each 2 s: a cut somewhere every two or three minutes, and a silent
/// probe about every five.
const USUAL_OUTAGE: f64 = 1.0 / 5_000.0;
const USUAL_SILENCE: f64 = 1.0 / 9_000.0;
/// A burst about every five minutes, lasting a round or two.
const USUAL_LOSS_PCT: f64 = 0.26;
/// A path that an operator would want to see on top of the list.
const POOR_LOSS_PCT: f64 = 10.0;
/// Cities whose path is poor all the time.
const POOR_CITIES: [&str; 2] = ["bangui", "juba"];
const OUTAGE_ROUNDS: (f64, f64) = (3.0, 20.0);
const SILENT_ROUNDS: (f64, f64) = (25.0, 90.0);

impl PathModel {
    /// From a city to its nearest hub, for the city's probe `number`.
    pub fn of_city(city: &City, number: u32) -> Self {
        let (_, km) = nearest_hub((city.lat, city.lng));
        let poor = POOR_CITIES.contains(&city.slug);
        let mut random = Random(mix(u64::from(number) ^ mix(city.lat.to_bits())));
        let last_mile_ms = 2.0 + 8.0 * random.unit() * city.detour;
        let queue_ms = if poor { 90.0 } else { 0.0 };
        Self {
            loss_pct: if poor { POOR_LOSS_PCT } else { USUAL_LOSS_PCT },
            ..Self::of_distance(km, city.detour, last_mile_ms + queue_ms, city.lng)
        }
    }

    pub fn of_distance(km: f64, detour: f64, last_mile_ms: f64, lng: f64) -> Self {
        let fibre_ms = 2.0 * km * ROUTE_FACTOR * detour / FIBRE_KM_PER_MS;
        let rtt_ms = fibre_ms + last_mile_ms;
        Self {
            km,
            rtt_ms,
            jitter_ms: 1.0 + rtt_ms * 0.03,
            loss_pct: USUAL_LOSS_PCT,
            outage: USUAL_OUTAGE,
            silence: USUAL_SILENCE,
            lng,
        }
    }
}

/// The two states of the loss model. Chances per packet.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bursts {
    good_to_bad: f64,
    bad_to_good: f64,
    loss_while_bad: f64,
}

/// How fast a path forgets its state: a burst lasts a dozen packets where losses are rare.
const FORGETTING: f64 = 0.08;

impl Bursts {
    /// The more is lost, the worse is the bad state and the more of the time it lasts:
    /// mean loss = share of bad packets × loss while bad, exactly.
    fn of_loss(loss: f64) -> Self {
        let loss_while_bad = 0.3 + 0.7 * loss;
        let bad_share = loss / loss_while_bad;
        Self {
            good_to_bad: FORGETTING * bad_share,
            bad_to_good: FORGETTING * (1.0 - bad_share),
            loss_while_bad,
        }
    }

    fn bad_share(self) -> f64 {
        self.good_to_bad / FORGETTING
    }
}

/// One probe's path, round after round.
#[derive(Clone, Debug)]
pub struct Path {
    model: PathModel,
    random: Random,
    bursts: Bursts,
    bad: bool,
    /// Packets until the state flips; rounds until the next cut and silence.
    flip_in: u32,
    outage_in: u32,
    silence_in: u32,
    outage_rounds: u32,
    silent_rounds: u32,
    /// Of this hour.
    evening: (f64, f64),
}

const ALL_LOST: Values = Values {
    latency_us: None,
    uptime_bp: 0,
    loss_bp: 10_000,
};

impl Path {
    pub fn new(model: &PathModel, seed: u64, probe: u32) -> Self {
        let mut random = Random(mix(seed ^ mix(u64::from(probe))));
        let bursts = Bursts::of_loss((model.loss_pct / 100.0).clamp(0.0, 1.0));
        let bad = random.unit() < bursts.bad_share();
        let mut path = Self {
            outage_in: random.rounds_until(model.outage),
            silence_in: random.rounds_until(model.silence),
            model: model.clone(),
            random,
            bursts,
            bad,
            flip_in: 0,
            outage_rounds: 0,
            silent_rounds: 0,
            evening: (f64::NAN, 1.0),
        };
        path.flip_in = path.stay();
        path
    }

    /// The next round at this UTC hour of the day; `None` when the probe is silent.
    pub fn round(&mut self, utc_hour: f64) -> Option<Values> {
        if self.silent_rounds > 0 {
            self.silent_rounds -= 1;
            return None;
        }
        self.silence_in -= 1;
        if self.silence_in == 0 {
            self.silence_in = self.random.rounds_until(self.model.silence);
            self.silent_rounds = self.random.whole(SILENT_ROUNDS);
        }
        Some(self.measured(utc_hour))
    }

    /// The same for a probe that is never silent.
    pub fn measured(&mut self, utc_hour: f64) -> Values {
        let lost = self.lost_packets();
        if self.outage_rounds > 0 {
            self.outage_rounds -= 1;
            return ALL_LOST;
        }
        self.outage_in -= 1;
        if self.outage_in == 0 {
            self.outage_in = self.random.rounds_until(self.model.outage);
            self.outage_rounds = self.random.whole(OUTAGE_ROUNDS) - 1;
            return ALL_LOST;
        }
        if lost == PACKETS {
            return ALL_LOST;
        }
        let latency_ms = self.latency_ms(utc_hour).clamp(0.2, 10_000.0);
        Values {
            latency_us: Some(whole(latency_ms * 1_000.0)),
            uptime_bp: 10_000,
            loss_bp: u16::try_from(lost * 10_000 / PACKETS).unwrap_or(10_000),
        }
    }

    /// Packets until the state flips.
    fn stay(&mut self) -> u32 {
        self.random.rounds_until(if self.bad {
            self.bursts.bad_to_good
        } else {
            self.bursts.good_to_bad
        })
    }

    fn lost_packets(&mut self) -> u32 {
        let (mut left, mut lost) = (PACKETS, 0);
        loop {
            let alike = left.min(self.flip_in);
            if self.bad {
                for _ in 0..alike {
                    lost += u32::from(self.random.unit() < self.bursts.loss_while_bad);
                }
            }
            left -= alike;
            self.flip_in -= alike;
            if self.flip_in == 0 {
                self.bad = !self.bad;
                self.flip_in = self.stay();
            }
            if left == 0 {
                return lost;
            }
        }
    }

    fn latency_ms(&mut self, utc_hour: f64) -> f64 {
        let jitter_ms = self.model.jitter_ms * JITTER[self.random.index(JITTER_STEPS)];
        let queue_ms = if self.bad {
            20.0 + 60.0 * self.random.unit()
        } else {
            0.0
        };
        self.model.rtt_ms * self.evening(utc_hour) + jitter_ms + queue_ms
    }

    /// Links are fullest at nine in the evening, local (solar) time.
    fn evening(&mut self, utc_hour: f64) -> f64 {
        const MINUTE_H: f64 = 1.0 / 60.0;
        let is_near = (self.evening.0 - utc_hour).abs() < MINUTE_H;
        if !is_near {
            let local_hour = utc_hour + self.model.lng / 15.0;
            let factor = 1.0 + 0.06 * ((local_hour - 21.0) / 24.0 * TAU).cos();
            self.evening = (utc_hour, factor);
        }
        self.evening.1
    }
}

/// Log-normal with median 1 and sigma 0.7, by quantile. A table, because a logarithm and an
/// exponential for each sample would cost more than the rest.
static JITTER: LazyLock<[f64; JITTER_STEPS]> = LazyLock::new(|| {
    std::array::from_fn(|step| {
        let quantile = (step as f64 + 0.5) / JITTER_STEPS as f64;
        (0.7 * normal_quantile(quantile)).exp()
    })
});

/// Random numbers from one 64-bit state.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn index(&mut self, of: usize) -> usize {
        (self.next() >> 32) as usize % of
    }

    fn whole(&mut self, (from, to): (f64, f64)) -> u32 {
        whole(from + (to - from) * self.unit())
    }

    /// How many rounds until something comes that has this chance in each: at least 1.
    fn rounds_until(&mut self, chance: f64) -> u32 {
        if chance <= 0.0 {
            return u32::MAX;
        }
        let rounds = (1.0 - self.unit()).ln() / (1.0 - chance.min(1.0 - 1e-12)).ln();
        whole(rounds.ceil()).max(1)
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
        let mut path = Path::new(&PathModel::of_city(city, 1), 5, 1);
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

    fn mean_loss(rounds: impl Iterator<Item = Values>) -> f64 {
        let all: Vec<_> = rounds.map(|v| f64::from(v.loss_bp) / 100.0).collect();
        all.iter().sum::<f64>() / all.len() as f64
    }

    #[test]
    fn every_round_is_within_the_contract() {
        for city in &CITIES {
            let mut path = Path::new(&PathModel::of_city(city, 9), 3, 9);
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
        let loss = |rounds: &[Option<Values>]| mean_loss(rounds.iter().flatten().copied());
        assert!(loss(&near) < 2.0, "{}", loss(&near));
        assert!((5.0..20.0).contains(&loss(&poor)), "{}", loss(&poor));
    }

    /// Also where nearly everything is lost: a bad state that cannot be bad enough, or cannot last
    /// long enough, would understate it.
    #[test]
    fn the_mean_loss_is_the_one_asked_for_from_nothing_to_everything() {
        for percent in [0.0, 0.1, 1.0, 10.0, 35.0, 60.0, 75.0, 90.0, 99.0, 100.0] {
            let model = PathModel {
                loss_pct: percent,
                outage: 0.0,
                silence: 0.0,
                ..PathModel::of_city(&CITIES[0], 0)
            };
            let mut total = 0.0;
            for probe in 0..40 {
                let mut path = Path::new(&model, 11, probe);
                total += mean_loss((0..5_000).map(|_| path.measured(12.0)));
            }
            let mean = total / 40.0;
            let tolerance = 0.02 + percent.min(100.0 - percent) * 0.05;
            assert!((mean - percent).abs() <= tolerance, "{mean}, not {percent}");
        }
    }

    #[test]
    fn losses_come_in_bursts() {
        let rounds = rounds("accra", 200_000);
        let lossy = |v: &Option<Values>| v.is_some_and(|v| v.loss_bp > 0);
        let alone = rounds.iter().filter(|v| lossy(v)).count() as f64 / rounds.len() as f64;
        let after: Vec<_> = rounds.windows(2).filter(|pair| lossy(&pair[0])).collect();
        let again = after.iter().filter(|pair| lossy(&pair[1])).count() as f64 / after.len() as f64;
        assert!(again > 5.0 * alone, "{again} after a loss, {alone} at all");
    }

    #[test]
    fn jitter_is_skewed_to_the_slow_side() {
        let mut model = PathModel::of_city(&CITIES[0], 0);
        model.loss_pct = 0.0;
        let mut path = Path::new(&model, 3, 0);
        let mut all: Vec<_> = (0..50_000)
            .filter_map(|_| path.measured(12.0).latency_us)
            .map(f64::from)
            .collect();
        all.sort_by(f64::total_cmp);
        let at = |q: usize| all[all.len() * q / 1_000];
        assert!(at(990) - at(500) > 3.0 * (at(500) - at(10)));
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

//! The values of a sample, from (seed, probe, number) alone.

use std::f64::consts::TAU;

/// Latency, uptime and loss in the fixed-point units that they are printed in.
///
/// Integers, so that the text on the wire and the `real` in the database have exactly one
/// possible value each: no rounding of ours can look like a sample that somebody changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values {
    /// Median round trip in microseconds; `None` when every packet was lost.
    pub latency_us: Option<u32>,
    /// Hundredths of a percent.
    pub uptime_bp: u16,
    pub loss_bp: u16,
}

impl Values {
    /// What PostgreSQL stores for the text we send: decimal, to double, to `real`.
    pub fn latency_ms(self) -> Option<f32> {
        self.latency_us.map(|us| to_f32(f64::from(us) / 1_000.0))
    }

    pub fn uptime_pct(self) -> f32 {
        to_f32(f64::from(self.uptime_bp) / 100.0)
    }

    pub fn packet_loss(self) -> f32 {
        to_f32(f64::from(self.loss_bp) / 100.0)
    }

    /// Identifies the stored values; compares a sent sample with a row.
    pub fn hash(self) -> u32 {
        hash_row(
            self.latency_ms(),
            Some(self.uptime_pct()),
            Some(self.packet_loss()),
        )
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the column is `real`: this is its rounding"
)]
fn to_f32(value: f64) -> f32 {
    value as f32
}

/// The hash of a row's values, nulls included.
pub fn hash_row(latency_ms: Option<f32>, uptime_pct: Option<f32>, loss: Option<f32>) -> u32 {
    let mut hash = 0x9E37_79B9_7F4A_7C15_u64;
    for value in [latency_ms, uptime_pct, loss] {
        let bits = value.map_or(u64::MAX, |v| u64::from((v + 0.0).to_bits()));
        hash = mix(hash ^ bits);
    }
    low_half(hash)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half of a hash is a hash"
)]
const fn low_half(hash: u64) -> u32 {
    hash as u32
}

/// SplitMix64's finaliser: every bit of the input moves every bit of the output.
pub const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// One probe's stream of values.
#[derive(Clone, Debug)]
pub struct ProbeWorkload {
    key: u64,
    base_us: u32,
}

/// Samples of one loss burst: losses come together, as on a congested link.
const BURST_SAMPLES: u64 = 16;
pub(super) const JITTER_STEPS: usize = 1_024;

impl ProbeWorkload {
    pub fn new(seed: u64, probe: u32) -> Self {
        let key = mix(mix(seed) ^ u64::from(probe).wrapping_mul(0xA24B_AED4_963E_E407));
        // 5–205 ms: a city beside its hub up to one across the continent.
        let base_us = 5_000 + low_half(mix(key) % 200_000);
        Self { key, base_us }
    }

    /// The values of this probe's sample `number`.
    pub fn values(&self, number: u64) -> Values {
        let burst = mix(self.key ^ (number / BURST_SAMPLES).wrapping_mul(0xD6E8_FEB8_6659_FD93));
        let own = mix(self.key.rotate_left(17) ^ number);
        // Ten packets a round. One burst in 64 loses some of each round, one in 4096 all of it.
        let lost = match burst % 4_096 {
            0 => 10,
            1..64 => 1 + (own >> 40) % 3,
            _ => 0,
        };
        if lost == 10 {
            return Values {
                latency_us: None,
                uptime_bp: 0,
                loss_bp: 10_000,
            };
        }
        let step = (own >> 20) as usize % JITTER_STEPS;
        let jitter_us = u64::from(self.base_us) * u64::from(JITTER[step]) / 1_024;
        let latency_us = u64::from(self.base_us) + jitter_us + own % 997;
        Values {
            latency_us: Some(u32::try_from(latency_us.min(10_000_000)).unwrap_or(10_000_000)),
            uptime_bp: 10_000,
            loss_bp: u16::try_from(lost * 1_000).unwrap_or(0),
        }
    }
}

/// Jitter as a share of the base, in 1024ths, by quantile: the upper tail of a log-normal
/// (sigma 0.8, scale 5 %). A table, because a logarithm per sample would cost more than the rest.
static JITTER: std::sync::LazyLock<[u32; JITTER_STEPS]> = std::sync::LazyLock::new(|| {
    std::array::from_fn(|step| {
        let quantile = (step as f64 + 0.5) / JITTER_STEPS as f64;
        let share = 0.05 * (0.8 * normal_quantile(quantile)).exp();
        round_share(share * 1_024.0)
    })
});

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped"
)]
fn round_share(share: f64) -> u32 {
    share.round().clamp(0.0, 10_240.0) as u32
}

/// Inverse of the normal distribution by bisection: run once per table, so plain beats quick.
pub(super) fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-8.0_f64, 8.0_f64);
    for _ in 0..60 {
        let mid = f64::midpoint(low, high);
        if normal_cdf(mid) < p {
            low = mid;
        } else {
            high = mid;
        }
    }
    low
}

/// Simpson's rule over the density from 0.
fn normal_cdf(x: f64) -> f64 {
    let steps = 200;
    let width = x / f64::from(steps);
    let density = |t: f64| (-t * t / 2.0).exp() / TAU.sqrt();
    let mut sum = density(0.0) + density(x);
    for i in 1..steps {
        sum += density(f64::from(i) * width) * if i % 2 == 1 { 4.0 } else { 2.0 };
    }
    0.5 + sum * width / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use fiber_contract::limits::LATENCY_MS_MAX;

    #[test]
    fn values_stay_within_the_contract_and_losses_happen() {
        let (mut lossy, mut dead) = (0, 0);
        for probe in 0..200 {
            let workload = ProbeWorkload::new(7, probe);
            for number in 0..5_000 {
                let v = workload.values(number);
                assert_eq!(v.latency_us.is_none(), v.loss_bp == 10_000);
                assert!(v.loss_bp <= 10_000 && v.uptime_bp <= 10_000);
                assert!(
                    v.latency_us
                        .is_none_or(|us| f64::from(us) / 1e3 <= LATENCY_MS_MAX)
                );
                lossy += u32::from(v.loss_bp > 0);
                dead += u32::from(v.loss_bp == 10_000);
            }
        }
        assert!((5_000..50_000).contains(&lossy), "{lossy}");
        assert!((16..2_000).contains(&dead), "{dead}");
    }

    #[test]
    fn one_seed_gives_one_stream_and_another_seed_another() {
        let stream = |seed, probe| -> Vec<_> {
            let workload = ProbeWorkload::new(seed, probe);
            (0..200).map(|n| workload.values(n)).collect()
        };
        assert_eq!(stream(1, 3), stream(1, 3));
        assert_ne!(stream(1, 3), stream(2, 3));
        assert_ne!(stream(1, 3), stream(1, 4));
    }

    #[test]
    fn a_row_hash_tells_null_from_zero_and_each_field_from_the_others() {
        let rows = [
            hash_row(None, Some(0.0), Some(100.0)),
            hash_row(Some(0.0), Some(0.0), Some(100.0)),
            hash_row(Some(0.0), Some(100.0), Some(0.0)),
            hash_row(Some(100.0), Some(0.0), Some(0.0)),
        ];
        for (i, a) in rows.iter().enumerate() {
            assert!(rows[i + 1..].iter().all(|b| a != b));
        }
        assert_eq!(
            hash_row(Some(-0.0), None, None),
            hash_row(Some(0.0), None, None)
        );
    }
}

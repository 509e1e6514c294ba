//! What a run found, as data (JSON, versioned) and as text.

pub mod host;
pub mod html;
pub mod progress;
pub mod series;
mod text;

pub(crate) use text::grouped;

use crate::ceiling::Ceiling;
use crate::fleet::Planted;
use crate::fleet::stats::{Stats, WorkerResult};
use crate::fleet::{Rate, Shared};
use crate::ledger::Ledger;
use crate::verify::Comparison;
use fiber_contract::UnixMicros;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use series::{PercentilePoint, SecondRow};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// Raised when a field changes its meaning.
pub const FORMAT_VERSION: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub format_version: u32,
    pub began: UnixMicros,
    pub config: ConfigEcho,
    pub hardware: host::Hardware,
    pub samples: Samples,
    pub requests: Requests,
    pub throughput: Throughput,
    /// From the scheduled moment to the ack: what a probe would have seen.
    pub latency_ms: Quantiles,
    /// From the first byte sent to the ack. Hides what a stall keeps waiting.
    pub service_ms: Quantiles,
    pub generator: GeneratorHealth,
    /// Answers by status.
    pub answers: BTreeMap<u16, u64>,
    /// Tries without an answer, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Samples with a fault, when there were to be some.
    #[serde(default)]
    pub planted: Option<Planted>,
    /// What the database says, when it was asked.
    pub verification: Option<Comparison>,
    /// The generator's own limit with requests like these, where it was measured.
    #[serde(default)]
    pub ceiling: Option<Ceiling>,
    /// Why the run ended early, if by itself.
    #[serde(default)]
    pub failure: Option<String>,
    /// Latencies by percentile, for a plot.
    #[serde(default)]
    pub percentiles: Vec<PercentilePoint>,
    /// The run second by second.
    #[serde(default)]
    pub seconds: Vec<SecondRow>,
    #[serde(skip)]
    pub ledger: Option<Ledger>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConfigEcho {
    pub url: String,
    pub tag: String,
    pub seed: u64,
    pub probes: u32,
    pub connections: u32,
    pub threads: u32,
    /// Samples per second; `null` is as fast as answers come.
    pub rate_samples_s: Option<f64>,
    pub batch: u32,
    pub duration_s: f64,
    pub ack: String,
    pub no_send: bool,
    #[serde(default)]
    pub curve: String,
    #[serde(default)]
    pub faults: String,
    /// How requests are made: `secret`, `keys`, `jwt`; `signed`, `gzip`, `tls`.
    #[serde(default)]
    pub with: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Samples {
    /// On the schedule; `null` without one.
    pub intended: Option<u64>,
    pub acked: u64,
    pub refused: u64,
    /// Sent, and the answer lost for good.
    pub unknown: u64,
    /// Still waiting for their connection when the time was over.
    pub unsent: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Requests {
    pub begun: u64,
    pub acked: u64,
    pub retries: u64,
    pub reconnects: u64,
    /// Began more than 100 ms after their moment, for whatever reason.
    pub behind_schedule: u64,
    pub bytes_sent: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Throughput {
    /// Acked within the scheduled duration, per second of it.
    pub samples_s: f64,
    pub requests_s: f64,
    pub elapsed_s: f64,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Quantiles {
    pub count: u64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// Whether the generator itself kept up. If not, the latencies are partly its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GeneratorHealth {
    pub kept_schedule: bool,
    /// From the moment a send could begin to its begin.
    pub begin_lag_ms: Quantiles,
    /// Sends that began over 100 ms late with their connection idle, and their share.
    #[serde(default)]
    pub late_starts: u64,
    pub late_share: f64,
    pub loop_lag_ms: Quantiles,
    pub loop_late_share: f64,
    /// CPU of the sending threads alone.
    pub cpu_s: f64,
    pub cpu_us_per_request: f64,
    /// Of its time, the busiest sending thread was on a core.
    #[serde(default)]
    pub cpu_share: f64,
    pub rss_bytes: u64,
    pub rss_peak_bytes: u64,
}

/// More late sends than this and the run proves nothing about the server.
pub const LATE_SHARE_MAX: f64 = 0.01;

impl Quantiles {
    fn of_micros(histogram: &Histogram<u64>) -> Self {
        let at = |q| histogram.value_at_quantile(q) as f64 / 1e3;
        Self {
            count: histogram.len(),
            mean: (histogram.mean()).round() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / 1e3,
        }
    }
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 {
        0.0
    } else {
        part as f64 / of as f64
    }
}

impl GeneratorHealth {
    fn of(stats: &Stats, cpu_s: f64, cpu_share: f64) -> Self {
        let late_share = share(stats.begun_late, stats.begun);
        let loop_late_share = share(stats.loop_late, stats.loop_ticks);
        let memory = host::Memory::now();
        Self {
            kept_schedule: late_share <= LATE_SHARE_MAX && loop_late_share <= LATE_SHARE_MAX,
            begin_lag_ms: Quantiles::of_micros(&stats.begin_lag_us),
            late_starts: stats.begun_late,
            late_share,
            loop_lag_ms: Quantiles::of_micros(&stats.loop_lag_us),
            loop_late_share,
            cpu_s,
            cpu_us_per_request: if stats.begun == 0 {
                0.0
            } else {
                cpu_s * 1e6 / stats.begun as f64
            },
            cpu_share,
            rss_bytes: memory.rss_bytes,
            rss_peak_bytes: memory.rss_peak_bytes,
        }
    }
}

impl ConfigEcho {
    fn of(shared: &Shared) -> Self {
        let config = &shared.config;
        let token = match (&config.keys_file, &config.jwt_file) {
            (Some(_), _) => "keys",
            (_, Some(_)) => "jwt",
            _ => "secret",
        };
        let with = [
            (token, true),
            ("signed", config.sign),
            ("gzip", config.gzip),
            ("tls", shared.url.tls),
        ];
        let with = with.iter().filter(|(_, is_used)| *is_used);
        Self {
            url: shared.url.to_string(),
            tag: shared.tag.clone(),
            seed: config.seed,
            probes: config.probes,
            connections: shared.lanes,
            threads: config.threads.min(shared.lanes),
            rate_samples_s: match config.rate {
                Rate::PerSecond(rate) => Some(rate),
                Rate::Max => None,
            },
            batch: config.batch,
            duration_s: config.duration.as_secs_f64(),
            ack: if config.ack_committed {
                "committed"
            } else {
                "durable"
            }
            .to_owned(),
            no_send: config.no_send,
            curve: config.curve.to_string(),
            faults: config.faults.to_string(),
            with: with.map(|(name, _)| (*name).to_owned()).collect(),
        }
    }
}

impl Report {
    pub(crate) fn of_run(
        shared: &Shared,
        began: UnixMicros,
        result: &WorkerResult,
        ledger: Option<Ledger>,
        failure: Option<String>,
    ) -> Self {
        let (config, stats) = (&shared.config, &result.stats);
        let rate = match config.rate {
            Rate::PerSecond(rate) => Some(rate),
            Rate::Max => None,
        };
        let batch = u64::from(config.batch);
        let duration_s = config.duration.as_secs_f64();
        // A run cut short by hand is judged over the time it had.
        let stopped = shared.stop.load(Ordering::Relaxed);
        let elapsed_s = result.elapsed.as_secs_f64();
        let window_s = if stopped {
            duration_s.min(elapsed_s).max(1e-9)
        } else {
            duration_s
        };
        Self {
            format_version: FORMAT_VERSION,
            began,
            config: ConfigEcho::of(shared),
            hardware: host::Hardware::detect(),
            samples: Samples {
                intended: rate.map(|_| shared.schedule.requests() * batch),
                acked: stats.acked_samples,
                refused: stats.refused_samples,
                unknown: stats.unknown_samples,
                unsent: stats.unsent_requests * batch,
            },
            requests: Requests {
                begun: stats.begun,
                acked: stats.acked_requests,
                retries: stats.retries,
                reconnects: stats.reconnects,
                behind_schedule: stats.behind_schedule,
                bytes_sent: stats.bytes_sent,
            },
            throughput: Throughput {
                samples_s: stats.acked_in_window as f64 / window_s,
                requests_s: stats.acked_requests_in_window as f64 / window_s,
                elapsed_s: result.elapsed.as_secs_f64(),
            },
            latency_ms: Quantiles::of_micros(&stats.corrected_us),
            service_ms: Quantiles::of_micros(&stats.service_us),
            generator: GeneratorHealth::of(stats, result.cpu.as_secs_f64(), result.cpu_share),
            answers: stats.answers.clone(),
            errors: stats
                .errors
                .iter()
                .map(|(k, n)| ((*k).to_owned(), *n))
                .collect(),
            planted: config.faults.any().then_some(stats.planted),
            verification: None,
            ceiling: None,
            failure,
            percentiles: series::percentiles(&stats.corrected_us, &stats.service_us),
            seconds: series::seconds(shared, &result.timeline),
            ledger,
        }
    }
}

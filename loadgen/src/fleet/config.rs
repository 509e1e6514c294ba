//! What a run is asked to do.

use crate::pace::{Curve, Schedule};
use crate::stack_env::StackEnv;
use crate::workload::faults::Faults;
use crate::workload::sample::mix;
use anyhow::{Context, bail};
use fiber_contract::{UnixMicros, limits};
use std::path::PathBuf;
use std::time::Duration;

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// Samples per second over the whole fleet, on a fixed schedule.
    PerSecond(f64),
    /// Every connection sends as soon as it has its answer. For capacity, not for latency: a
    /// closed loop hides the wait that a real fleet would have had.
    Max,
}

/// How samples travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The engine's own contract.
    #[default]
    Json,
    /// InfluxDB's line protocol, posted to the URL as it stands; for comparisons.
    Line,
}

/// A run. `Config { probes: 50, ..Config::from_stack(&env) }` and the rest has defaults.
#[derive(Clone, Debug)]
pub struct Config {
    pub url: String,
    /// The bearer token; empty sends none.
    pub secret: String,
    pub probes: u32,
    pub rate: Rate,
    /// How the rate changes over the run.
    pub curve: Curve,
    /// Samples per request. 1 goes to `/api/push`, more to `/api/ingest` with a batch id.
    pub batch: u32,
    pub duration: Duration,
    /// Same seed, same values.
    pub seed: u64,
    /// Default: one per probe.
    pub connections: Option<u32>,
    pub threads: u32,
    /// Prefix of the node ids. Default: from seed and start time, so that runs never mix.
    pub tag: Option<String>,
    /// How long one request is tried again after a lost connection, 429 or 503.
    pub retry_for: Duration,
    /// One try, from its first byte sent to the last byte of its answer.
    pub request_timeout: Duration,
    /// After the last scheduled moment, how long late sends may still go out.
    pub drain: Duration,
    /// Ask for `?ack=committed`: the answer waits for the database.
    pub ack_committed: bool,
    /// Keep an entry per sample for `verify`.
    pub keep_ledger: bool,
    pub ledger_file: Option<PathBuf>,
    /// Render everything, send nothing: the generator's own ceiling.
    pub no_send: bool,
    /// Certificates to trust for `https://`, beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// The probes; default: made up, in real cities. `probes` takes at most so many of them.
    pub fleet_file: Option<PathBuf>,
    pub faults: Faults,
    /// Each probe's own key, as `fiber-engine key issue` prints them.
    pub keys_file: Option<PathBuf>,
    /// A token of an issuer instead of the secret.
    pub jwt_file: Option<PathBuf>,
    /// Sign every push with the secret.
    pub sign: bool,
    /// Compress bodies.
    pub gzip: bool,
    pub format: Format,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8000".to_owned(),
            secret: String::new(),
            probes: 100,
            rate: Rate::PerSecond(1_000.0),
            curve: Curve::Constant,
            batch: 1,
            duration: Duration::from_secs(10),
            seed: 1,
            connections: None,
            threads: 1,
            tag: None,
            retry_for: Duration::from_secs(30),
            request_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(10),
            ack_committed: false,
            keep_ledger: false,
            ledger_file: None,
            no_send: false,
            ca_file: None,
            fleet_file: None,
            faults: Faults::default(),
            keys_file: None,
            jwt_file: None,
            sign: false,
            gzip: false,
            format: Format::Json,
        }
    }
}

impl Config {
    /// Defaults, with the URL and the secret of the running stack.
    pub fn from_stack(env: &StackEnv) -> Self {
        let default = Self::default();
        Self {
            url: env.get("FIBER_URL").unwrap_or_else(|| default.url.clone()),
            secret: env.get("FEDERATION_SECRET").unwrap_or_default(),
            ..default
        }
    }

    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.probes == 0 || self.threads == 0 || self.connections == Some(0) {
            bail!("probes, connections and threads must be at least 1");
        }
        if self.probes >= crate::ledger::SERIES_MAX {
            bail!("{} probes are more than a ledger can name", self.probes);
        }
        if self.batch == 0 || self.batch as usize > limits::INGEST_SAMPLES_MAX {
            bail!("a batch holds 1 to {} samples", limits::INGEST_SAMPLES_MAX);
        }
        if self.no_send && (self.keep_ledger || self.ledger_file.is_some()) {
            bail!("nothing is sent, so there is nothing to keep a ledger of");
        }
        if self.format == Format::Line && (self.faults.any() || self.keep_ledger) {
            bail!("faults and ledgers are for the engine's own format");
        }
        self.faults
            .check(self.duration)
            .map_err(anyhow::Error::msg)?;
        match self.rate {
            Rate::PerSecond(rate) => self.check_schedule(rate),
            Rate::Max if self.curve != Curve::Constant || self.faults.reorder > 0.0 => {
                bail!("curves and exchanged times need a schedule: give a --rate")
            }
            Rate::Max => Ok(()),
        }
    }

    fn check_schedule(&self, rate: f64) -> anyhow::Result<()> {
        /// Exchanged times are ahead of the clock by this much, and clocks may be off as well.
        const REORDER_INTERVAL_S_MAX: f64 = 30.0;
        if !rate.is_finite() || rate <= 0.0 {
            bail!("the rate must be positive");
        }
        let schedule = self.schedule()?;
        if schedule.requests() == 0 {
            bail!("at this rate, batch size and duration not one request would be sent");
        }
        if schedule.sample_spacing_us(self.probes) < 1.0 {
            bail!(
                "{rate} samples/s over {} probes is more than one sample per microsecond and \
                 probe: samples of a series would share a timestamp. Use more probes",
                self.probes
            );
        }
        if self.faults.reorder > 0.0 && self.interval_s() > REORDER_INTERVAL_S_MAX {
            bail!(
                "samples are exchanged with their neighbours only where these are near: send more often"
            );
        }
        Ok(())
    }

    pub(crate) fn schedule(&self) -> anyhow::Result<Schedule> {
        match self.rate {
            Rate::PerSecond(rate) => Schedule::new(&self.curve, rate, self.batch, self.duration)
                .with_context(|| format!("the curve {}", self.curve)),
            // Only the interval that probes announce is taken from it.
            Rate::Max => {
                let rate = f64::from(self.probes) * f64::from(self.batch);
                Ok(Schedule::constant(rate, self.batch, self.duration))
            }
        }
    }

    /// Seconds between two requests of one probe, as it announces them.
    pub(crate) fn interval_s(&self) -> f64 {
        let samples_s = match self.rate {
            Rate::PerSecond(rate) => rate / f64::from(self.probes),
            Rate::Max => f64::from(self.batch),
        };
        (f64::from(self.batch) / samples_s * 1e3).round() / 1e3
    }
}

/// `lg` and 32 bits of seed and start time.
pub(crate) fn default_tag(seed: u64, began: UnixMicros) -> String {
    format!("lg{:08x}", mix(seed ^ mix(began.0.cast_unsigned())) >> 32)
}

//! A whole stack for looking at the dashboard: servers, the engine serving the built files, and a
//! simulated fleet with a past, so that charts are full and something is always wrong somewhere.

use anyhow::{Context as _, Result, bail, ensure};
use fiber_contract::UnixMicros;
use fiber_contract::time::MICROS_PER_S;
use fiber_loadgen::workload::path::Path;
use fiber_loadgen::workload::{ProbeIdentity, Values, roster};
use fiber_local::process::{Launch, Lifetime, Running};
use fiber_local::servers::{Database, Engine, Postgres, Redis};
use fiber_local::{build, http, loadgen_binary};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub const PROBES: u32 = 60;
const SEED: u64 = 7;
/// One sample a minute makes the past.
const STEP_S: i64 = 60;
/// Samples of one body: well below the route's bound.
const BATCH: usize = 5_000;
const HOPE: Duration = Duration::from_secs(60);
/// The batch whose receipt the ledger page can show.
pub const RECEIPT: &str = "0190a7a0-0000-7000-9000-00000000a0d1";

#[derive(Debug)]
pub struct Stage {
    // In this order: the fleet ends first, the servers last.
    fleet: Option<Running>,
    pub engine: Engine,
    pub database: Database,
    _redis: Redis,
    _postgres: Postgres,
}

impl Stage {
    /// Servers and engine, no sample yet; `env` comes on top of what the engine needs.
    pub fn empty(env: &[(&str, &str)]) -> Result<Self> {
        let dashboard = build::dashboard_dir();
        ensure!(
            dashboard.join("index.html").is_file(),
            "the dashboard is not built: `make build`"
        );
        let (postgres, redis) = (Postgres::start_private()?, Redis::start_private()?);
        let database = postgres.database("stage")?;
        let mut all = database.env();
        all.push(("REDIS_URL".to_owned(), redis.url()));
        let dashboard = dashboard.display().to_string();
        all.push(("FIBER_DASHBOARD_DIR".to_owned(), dashboard));
        let given = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        all.extend(given);
        let engine = Engine::start_with(all)?;
        let stage = Self {
            fleet: None,
            engine,
            database,
            _redis: redis,
            _postgres: postgres,
        };
        await_that("the tables", || {
            Ok(stage
                .database
                .psql("SELECT to_regclass('node_1d') IS NOT NULL")?
                .trim()
                == "t")
        })?;
        Ok(stage)
    }

    /// The same with a past of some hours, some refusals, and probes that report now.
    pub fn full(env: &[(&str, &str)], past: Duration) -> Result<Self> {
        let mut stage = Self::empty(env)?;
        stage.fill(past)?;
        Ok(stage)
    }

    pub fn fill(&mut self, past: Duration) -> Result<()> {
        self.write_past(past)?;
        self.provoke_refusals()?;
        self.start_fleet()
    }

    pub fn add_user(&self, name: &str, role: &str, password: &str) -> Result<()> {
        add_user(&self.engine, name, role, password)
    }

    pub fn url(&self) -> String {
        self.engine.url()
    }

    /// Probes that report each 2 s, until they are stopped.
    pub fn start_fleet(&mut self) -> Result<()> {
        let launch = Launch {
            program: loadgen_binary()?,
            args: ["fleet", "--demo"].map(Into::into).to_vec(),
            env: vec![
                ("FIBER_URL".to_owned(), self.url()),
                (
                    "FEDERATION_SECRET".to_owned(),
                    self.engine.federation_secret().to_owned(),
                ),
            ],
            working_dir: self.engine.home().to_path_buf(),
            log: self.engine.home().join("fleet.log"),
            account: None,
        };
        let tied = Lifetime::WithParent {
            death_signal: "KILL",
        };
        self.fleet = Some(launch.start(&tied)?);
        await_that("all probes", || {
            let rows = self
                .database
                .psql("SELECT count(*) FROM nodes WHERE last_seen > now() - interval '15 s'")?;
            Ok(rows.trim().parse::<u32>().unwrap_or(0) >= PROBES - 5)
        })
    }

    /// All probes fall silent at once.
    pub fn stop_fleet(&mut self) -> Result<()> {
        match self.fleet.take() {
            Some(mut fleet) => fleet.kill(),
            None => Ok(()),
        }
    }

    fn write_past(&self, past: Duration) -> Result<()> {
        let now_s = UnixMicros::now().as_millis() / 1_000;
        let past_s = i64::try_from(past.as_secs())?;
        let steps = past_s / STEP_S;
        let mut samples = Vec::new();
        for (number, probe) in (0_u32..).zip(roster::demo(PROBES).iter()) {
            let mut path = Path::new(&probe.path, SEED, number);
            for step in 0..steps {
                let time = UnixMicros::from_secs(now_s - past_s + step * STEP_S);
                let (hour, minute, ..) = time.utc_time();
                if let Some(values) = path.round(f64::from(hour) + f64::from(minute) / 60.0) {
                    samples.push(sample(probe, time, values));
                }
            }
        }
        for (number, batch) in samples.chunks(BATCH).enumerate() {
            let id = format!("0190a7a0-0000-7000-9000-{number:012}");
            ensure_status(&self.ingest(&id, batch)?, 202)?;
        }
        let expect = samples.len();
        await_that("the past in the table", || {
            let rows = self.database.psql("SELECT count(*) FROM metrics")?;
            Ok(rows.trim().parse::<usize>()? >= expect)
        })
    }

    /// What the ledger page lists beside what was stored.
    fn provoke_refusals(&self) -> Result<()> {
        let probes = roster::demo(PROBES);
        let at = |age_s: i64| UnixMicros(UnixMicros::now().0 - age_s * MICROS_PER_S);
        let good = Values {
            latency_us: Some(41_000),
            uptime_bp: 10_000,
            loss_bp: 0,
        };
        let mut batch: Vec<Value> = (1..=9)
            .map(|age_s| sample(&probes[0], at(age_s), good))
            .collect();
        batch[4]["latency_ms"] = json!(20_000);
        batch[7]["packet_loss"] = json!(-1);
        ensure_status(&self.ingest(RECEIPT, &batch)?, 202)?;
        let push = format!("{}/api/push", self.url());
        let wrong = ["Authorization: Bearer not-the-secret"];
        let body = sample(&probes[0], at(0), good).to_string();
        ensure_status(&http::post(&push, &wrong, body.as_bytes())?, 401)?;
        let right = self.authorization();
        ensure_status(&http::post(&push, &[&right], b"{\"node_id\":")?, 400)
    }

    fn authorization(&self) -> String {
        format!("Authorization: Bearer {}", self.engine.federation_secret())
    }

    fn ingest(&self, batch_id: &str, samples: &[Value]) -> Result<http::Answer> {
        let fields = [self.authorization(), format!("X-Batch-ID: {batch_id}")];
        let body = json!({ "node_id": "stage-hub", "metrics": samples }).to_string();
        http::post(
            &format!("{}/api/ingest", self.url()),
            &fields.each_ref().map(String::as_str),
            body.as_bytes(),
        )
    }
}

fn sample(probe: &ProbeIdentity, time: UnixMicros, values: Values) -> Value {
    json!({
        "node_id": probe.node_id, "country": probe.country, "region": probe.region,
        "target_host": probe.target_host, "probe_type": probe.probe_type,
        "latency_ms": values.latency_us.map(|us| f64::from(us) / 1_000.0),
        "uptime_pct": f64::from(values.uptime_bp) / 100.0,
        "packet_loss": f64::from(values.loss_bp) / 100.0,
        "timestamp": time.to_string(),
        "metadata": {"city": probe.city, "lat": probe.lat, "lng": probe.lng, "tags": probe.tags},
    })
}

fn ensure_status(answer: &http::Answer, expect: u16) -> Result<()> {
    if answer.status != expect {
        bail!(
            "{} instead of {expect}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    }
    Ok(())
}

/// A user, by the engine's command, as an operator adds one.
pub fn add_user(engine: &Engine, name: &str, role: &str, password: &str) -> Result<()> {
    let file = engine.home().join("password");
    std::fs::write(&file, password)?;
    let file = file.display().to_string();
    let arguments = [
        "user",
        "add",
        name,
        "--role",
        role,
        "--password-file",
        &file,
    ];
    let output = engine.command(&arguments)?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

pub(crate) fn await_that(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + HOPE;
    while !holds().with_context(|| format!("while waiting for {what}"))? {
        if Instant::now() > deadline {
            bail!("waited {HOPE:?} in vain for {what}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

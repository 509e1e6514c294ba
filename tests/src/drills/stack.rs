//! The servers of one drill, with a proxy on each link.

use super::Breaks;
use crate::proxy::Proxy;
use anyhow::{Context as _, Result, bail};
use fiber_contract::UnixMicros;
use fiber_loadgen::fleet::{Config, Rate, raise_open_files_limit};
use fiber_loadgen::stack_env::DbConfig;
use fiber_local::http;
use fiber_local::scratch::Scratch;
use fiber_local::servers::{Database, Engine, Postgres, PostgresOptions, Redis};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const HOPE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// A new cluster, its log segments and some minutes of samples.
const DATABASE_DISK_BYTES: u64 = 512 * 1024 * 1024;
/// Three segments of the journal and what else the engine writes.
const JOURNAL_DISK_BYTES: u64 = 200 * 1024 * 1024;

/// The policy of an engine that counts alone.
pub(super) const LOCAL: &str = "local";

#[derive(Debug)]
pub(super) struct Stack {
    // The engine goes first: it would log the end of the others.
    pub(super) engine: Engine,
    /// As the judge sees it: straight, not through the proxy.
    pub(super) database: Database,
    pub(super) to_engine: Proxy,
    pub(super) to_database: Proxy,
    pub(super) to_redis: Proxy,
    pub(super) postgres: Postgres,
    pub(super) redis: Redis,
    /// Last: it is removed after the engine is gone.
    _journal_disk: Option<Scratch>,
}

impl Stack {
    pub(super) fn start(breaks: Breaks) -> Result<Self> {
        Self::with(breaks, &[])
    }

    /// With more variables for the engine.
    pub(super) fn with(breaks: Breaks, more: &[(&str, &str)]) -> Result<Self> {
        // The engine inherits it.
        if let Err(error) = raise_open_files_limit() {
            eprintln!("the limit of open files stays as it is: {error}");
        }
        let redis = Redis::start_private()?;
        let postgres = Postgres::with_options(PostgresOptions {
            disk_bytes: (breaks == Breaks::DatabaseDisk).then_some(DATABASE_DISK_BYTES),
            ..PostgresOptions::default()
        })?;
        let database = postgres.database("drill")?;
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let to_redis = Proxy::start(local(redis.port()))?;
        let to_database = Proxy::start(local(postgres.port()))?;
        // The later of two values of a variable is taken.
        let mut env = database.env();
        let database_port = to_database.address().port().to_string();
        env.push(("DB_PORT".to_owned(), database_port));
        let through = to_redis.address().port().to_string();
        let url = redis.url().replace(&redis.port().to_string(), &through);
        env.push(("REDIS_URL".to_owned(), url));
        let journal_disk = match breaks {
            Breaks::JournalDisk => Some(Scratch::of_size("journal-disk", JOURNAL_DISK_BYTES)?),
            _ => None,
        };
        if let Some(disk) = &journal_disk {
            let data_dir = disk.path().join("data").display().to_string();
            env.push(("FIBER_DATA_DIR".to_owned(), data_dir));
        }
        env.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let mut engine = Engine::prepared(env)?;
        // Its port is chosen there, so that a drill can only name the address.
        if let Some((_, host)) = more.iter().find(|(name, _)| *name == "FIBER_LISTEN") {
            engine.set_env("FIBER_LISTEN", &format!("{host}:{}", engine.port()));
        }
        engine.restart()?;
        let to_engine = Proxy::start(local(engine.port()))?;
        let stack = Self {
            engine,
            database,
            to_engine,
            to_database,
            to_redis,
            postgres,
            redis,
            _journal_disk: journal_disk,
        };
        await_that("the tables", || {
            Ok(stack
                .database
                .psql("SELECT to_regclass('node_1d') IS NOT NULL")?
                == "t")
        })?;
        await_that("Redis", || Ok(stack.redis_is_up()))?;
        Ok(stack)
    }

    /// Probes behind the proxy, which try a request again until it is answered.
    pub(super) fn fleet(&self, breaks: Breaks, duration: Duration) -> Config {
        // A journal's disk is to be full within a minute.
        let (per_s, batch) = match breaks {
            Breaks::JournalDisk => (50_000.0, 500),
            _ => (500.0, 1),
        };
        Config {
            url: format!("http://{}", self.to_engine.address()),
            secret: self.engine.federation_secret().to_owned(),
            probes: 50,
            rate: Rate::PerSecond(per_s),
            batch,
            duration,
            keep_ledger: true,
            request_timeout: Duration::from_secs(2),
            retry_for: Duration::from_secs(120),
            drain: Duration::from_secs(60),
            ..Config::default()
        }
    }

    pub(super) fn judge_db(&self) -> DbConfig {
        crate::db_config(&self.database)
    }

    fn status(&self) -> Result<Value> {
        let answer = http::get(&format!("{}/api/status", self.engine.url()))?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    pub(super) fn redis_is(&self, state: &str) -> bool {
        self.status()
            .is_ok_and(|status| status["redis"]["state"] == state)
    }

    /// Redis is away, and the limits are counted without it.
    pub(super) fn await_redis_missed(&self) -> Result<()> {
        self.await_noticed("the outage to be seen", |stack| {
            stack.redis_is("down") && stack.policy().is_ok_and(|policy| policy == LOCAL)
        })
    }

    /// What the answer to a push says about who counts the limits.
    pub(super) fn policy(&self) -> Result<String> {
        let answer = self.push("drill-policy")?;
        answer
            .lines()
            .find_map(|line| line.strip_prefix("X-RateLimit-Policy: "))
            .map(str::to_owned)
            .with_context(|| format!("no policy in {answer:?}"))
    }

    /// Redis answers, and the limits are counted as before the fault. An engine that never shared
    /// them says `local` with and without Redis.
    pub(super) fn limits_are(&self, before: &str) -> bool {
        if before == LOCAL {
            return self.redis_is_up();
        }
        self.policy().is_ok_and(|policy| policy == before)
    }

    /// One push, straight to the engine; the head of its answer.
    pub(super) fn push(&self, node_id: &str) -> Result<String> {
        let body = serde_json::json!({
            "node_id": node_id, "country": "GH", "region": "Greater Accra", "latency_ms": 1,
            "uptime_pct": 100, "packet_loss": 0, "timestamp": UnixMicros::now().to_string(),
        })
        .to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.engine.port()))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(
            stream,
            "POST /api/push HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{body}",
            self.engine.federation_secret(),
            body.len()
        )?;
        let mut head = Vec::new();
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            let mut part = [0; 2_048];
            let count = stream.read(&mut part)?;
            if count == 0 {
                bail!("closed by the engine");
            }
            head.extend_from_slice(&part[..count]);
        }
        Ok(String::from_utf8_lossy(&head).into_owned())
    }

    pub(super) fn journal_is(&self, state: &str) -> bool {
        self.status()
            .is_ok_and(|status| status["journal"]["state"] == state)
    }

    pub(super) fn redis_is_up(&self) -> bool {
        self.redis_is("up")
    }

    /// The database answers, and the oldest sample that is not in it is at most a second old.
    pub(super) fn is_caught_up(&self) -> bool {
        self.status().is_ok_and(|status| {
            status["database"]["state"] == "up"
                && status["etl"]["lag_s"]
                    .as_f64()
                    .is_some_and(|lag| lag <= 1.0)
        })
    }

    /// What the engine holds in memory now.
    pub(super) fn rss_bytes(&self) -> Result<u64> {
        let pid = self.engine.pid().context("the engine is not running")?;
        let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kib.context("VmRSS")?.trim().parse::<u64>()? * 1_024)
    }

    /// For the message of a failure.
    pub(super) fn tell(&self) -> String {
        self.status()
            .map_or_else(|error| format!("{error:#}"), |status| status.to_string())
    }

    /// A fault that the engine did not notice proves nothing about its way back.
    pub(super) fn await_noticed(&self, what: &str, noticed: impl Fn(&Self) -> bool) -> Result<()> {
        await_that(what, || Ok(noticed(self)))
    }
}

fn await_that(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + HOPE;
    while !holds().with_context(|| format!("while waiting for {what}"))? {
        if Instant::now() > deadline {
            bail!("waited {HOPE:?} in vain for {what}");
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

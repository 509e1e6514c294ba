//! The servers under measurement.

use crate::usage;
use anyhow::{Context as _, Result, bail, ensure};
use fiber_loadgen::fleet::{self, Config, Rate};
use fiber_loadgen::report::Report;
use fiber_local::http;
use fiber_local::process::{Launch, Lifetime, Running};
use fiber_local::scratch::Scratch;
use fiber_local::servers::{Database, Engine, Postgres, PostgresOptions, Redis, free_port};
use std::ffi::OsString;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

const HOPE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);

/// One database server and one Redis for all figures.
#[derive(Debug)]
pub struct Rig {
    pub postgres: Postgres,
    redis: Redis,
}

impl Rig {
    pub fn start() -> Result<Self> {
        if let Err(error) = fiber_loadgen::fleet::raise_open_files_limit() {
            eprintln!("the limit of open files stays as it is: {error}");
        }
        Ok(Self {
            postgres: Postgres::with_options(PostgresOptions {
                shared_buffers_mb: 512,
                ..PostgresOptions::default()
            })?,
            redis: Redis::start_private()?,
        })
    }

    /// An engine over a new database, with its tables made and nothing left to flush.
    pub fn stack(&self, env: &[(&str, &str)]) -> Result<Stack> {
        let database = self.postgres.database("bench")?;
        let mut all = database.env();
        all.push(("REDIS_URL".to_owned(), self.redis.url()));
        for (name, value) in env {
            all.push(((*name).to_owned(), (*value).to_owned()));
        }
        // Telling the log of every request is not what is measured.
        all.push(("RUST_LOG".to_owned(), "warn".to_owned()));
        let engine = Engine::start_with(all)?;
        let deadline = Instant::now() + HOPE;
        let made =
            "SELECT to_regprocedure('fiber_ensure_chunks(timestamptz, timestamptz)') IS NOT NULL";
        while database.psql(made)? != "t" {
            ensure!(Instant::now() < deadline, "the tables were not made");
            std::thread::sleep(POLL);
        }
        // Two connections that find no chunk write one after the other: the first makes it in its
        // transaction, and the second waits for the end of that.
        database.psql("SELECT fiber_ensure_chunks(now(), now() + interval '1 minute')")?;
        database.psql("CHECKPOINT")?;
        Ok(Stack { engine, database })
    }

    /// A database with the engine's tables, and no engine.
    pub fn tables(&self) -> Result<Database> {
        let Stack {
            mut engine,
            database,
        } = self.stack(&[])?;
        engine.terminate(HOPE)?;
        Ok(database)
    }

    pub fn drop_database(&self, database: &Database) -> Result<()> {
        let drop = format!("DROP DATABASE \"{}\" WITH (FORCE)", database.name);
        self.postgres.admin().psql(&drop)?;
        self.postgres.admin().psql("CHECKPOINT").map(|_| ())
    }

    pub fn cpu_s(&self) -> f64 {
        usage::postgres_cpu_s(&self.postgres.data_dir())
    }
}

#[derive(Debug)]
pub struct Stack {
    pub engine: Engine,
    pub database: Database,
}

impl Stack {
    pub fn fleet(&self) -> Config {
        Config {
            url: self.engine.url(),
            secret: self.engine.federation_secret().to_owned(),
            retry_for: HOPE,
            drain: HOPE,
            ..Config::default()
        }
    }

    pub fn engine_cpu_s(&self) -> f64 {
        self.engine.pid().map_or(0.0, usage::cpu_s)
    }

    pub fn memory(&self) -> usage::Memory {
        self.engine.pid().map(usage::memory).unwrap_or_default()
    }

    /// Everything that was answered is in the tables, by the engine's own account.
    pub fn is_drained(&self) -> Result<bool> {
        let answer = http::get(&format!("{}/api/status", self.engine.url()))?;
        let status: serde_json::Value = serde_json::from_slice(&answer.body)?;
        let journal = &status["journal"];
        let (durable, committed) = (
            journal["durable_seq"].as_u64().context("durable_seq")?,
            journal["committed_seq"].as_u64().context("committed_seq")?,
        );
        Ok(committed >= durable)
    }

    pub fn await_drained(&self) -> Result<()> {
        let deadline = Instant::now() + HOPE;
        while !self.is_drained()? {
            if Instant::now() > deadline {
                bail!("the journal is not drained after {HOPE:?}");
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// The table itself is asked, after the clock was stopped.
    pub fn expect_rows(&self, expect: u64) -> Result<()> {
        let rows: u64 = self
            .database
            .psql("SELECT count(*) FROM metrics")?
            .parse()?;
        ensure!(rows == expect, "{rows} rows are stored of {expect}");
        Ok(())
    }
}

/// Bodies of this many samples where rows are counted.
pub const BATCH: u32 = 500;
/// Probes that send them.
pub const HUBS: u32 = 64;

/// Sends so many rows as fast as they are taken: a schedule of a quarter of a second that nothing keeps.
pub fn send_rows(config: Config, rows: u64) -> Result<Report> {
    let report = fleet::run(Config {
        probes: HUBS,
        batch: BATCH,
        rate: Rate::PerSecond(4.0 * rows as f64),
        duration: Duration::from_millis(250),
        ..config
    })?;
    ensure!(
        report.samples.acked == rows,
        "{} of {rows} samples were acknowledged: {:?} {:?}",
        report.samples.acked,
        report.answers,
        report.errors
    );
    Ok(report)
}

/// The other server: this program again.
#[derive(Debug)]
pub struct Hello {
    server: Server,
    port: u16,
    _home: Scratch,
}

impl Hello {
    pub fn start() -> Result<Self> {
        let home = Scratch::new("hello")?;
        let port = free_port()?;
        let program = std::env::current_exe()?;
        let args = vec!["hello".into(), port.to_string().into()];
        Ok(Self {
            server: launched(&program, args, Vec::new(), &home, port)?,
            port,
            _home: home,
        })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn pid(&self) -> i32 {
        self.server.running.identity().pid()
    }
}

/// Any server under measurement; killed when dropped.
#[derive(Debug)]
pub struct Server {
    running: Running,
}

/// Starts a program in its folder, and waits until its port answers.
pub fn launched(
    program: &Path,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    home: &Scratch,
    port: u16,
) -> Result<Server> {
    const TIED: Lifetime = Lifetime::WithParent {
        death_signal: "KILL",
    };
    let launch = Launch {
        program: program.to_path_buf(),
        args,
        env,
        working_dir: home.path().to_path_buf(),
        log: home.path().join("server.log"),
        account: None,
    };
    let running = launch.start(&TIED)?;
    let server = Server { running };
    let deadline = Instant::now() + HOPE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(
            Instant::now() < deadline,
            "{} does not listen: {}",
            program.display(),
            std::fs::read_to_string(home.path().join("server.log")).unwrap_or_default()
        );
        std::thread::sleep(POLL);
    }
    Ok(server)
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.running.kill());
    }
}

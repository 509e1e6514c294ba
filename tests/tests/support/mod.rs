//! Servers, requests and waiting, for all tests.

pub(crate) mod client;
pub(crate) mod dashboard;
pub(crate) mod failpoint;
pub(crate) mod fleet;

use anyhow::{Context as _, Result, bail};
use fiber_local::servers::{Database, Engine, Postgres, Redis};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Both ways in which the ingest cores may wait; the whole contract holds on each.
pub(crate) const DRIVERS: [&str; 2] = ["epoll", "uring"];

/// One cluster and one Redis for the tests that leave them running. They end with this process.
pub(crate) struct Shared {
    pub(crate) postgres: Postgres,
    pub(crate) redis: Redis,
}

pub(crate) fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| Shared {
        postgres: Postgres::start_private().expect("a PostgreSQL for the tests"),
        redis: Redis::start_private().expect("a Redis for the tests"),
    })
}

/// An engine on a database of its own.
pub(crate) struct Stack {
    pub(crate) engine: Engine,
    pub(crate) database: Database,
}

impl Stack {
    pub(crate) fn start() -> Result<Self> {
        Self::with(&[])
    }

    /// With more variables for the engine.
    pub(crate) fn with(env: &[(&str, &str)]) -> Result<Self> {
        let database = shared().postgres.database("t")?;
        Self::over(database, env)?.with_tables()
    }

    /// The engine serves before its migrations ran; a test that asks for rows should not.
    pub(crate) fn with_tables(self) -> Result<Self> {
        let all = format!(
            "SELECT max(version) >= {} FROM schema_migrations",
            newest_migration()?
        );
        await_that("the tables", || {
            Ok(self.sql(&all).is_ok_and(|found| found == "t"))
        })?;
        Ok(self)
    }

    pub(crate) fn over(database: Database, env: &[(&str, &str)]) -> Result<Self> {
        let mut all = database.env();
        all.push(("REDIS_URL".to_owned(), shared().redis.url()));
        all.extend(
            env.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let engine = Engine::start_with(all)?;
        Ok(Self { engine, database })
    }

    /// What psql prints for one value.
    pub(crate) fn sql(&self, query: &str) -> Result<String> {
        Ok(self.database.psql(query)?.trim().to_owned())
    }

    pub(crate) fn rows(&self) -> Result<u64> {
        Ok(self.sql("SELECT count(*) FROM metrics")?.parse()?)
    }

    /// Waits until the table holds so many rows; more is an error at once.
    pub(crate) fn await_rows(&self, expect: u64) -> Result<()> {
        await_that(&format!("{expect} rows in the table"), || {
            let rows = self.rows().unwrap_or(0);
            if rows > expect {
                bail!("{rows} rows are stored, {expect} were sent");
            }
            Ok(rows == expect)
        })
    }
}

/// The number of the last file in `migrations/`.
fn newest_migration() -> Result<u32> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
    let mut newest = 0;
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix('V').and_then(|rest| rest.get(..4));
        newest = newest.max(number.and_then(|number| number.parse().ok()).unwrap_or(0));
    }
    Ok(newest)
}

const HOPE: Duration = Duration::from_secs(60);

/// Polls until the condition holds.
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

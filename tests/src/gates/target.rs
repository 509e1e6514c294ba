//! What is under test: servers made for it, or those of an operator.

use crate::deployment::Deployment;
use anyhow::{Result, bail};
use fiber_loadgen::fleet;
use fiber_local::servers::{Database, Engine, Postgres, PostgresOptions, Redis};
use std::ops::Deref;
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub enum Target {
    /// New servers for every gate.
    Fresh,
    Theirs(Box<Deployment>),
}

/// Where a fleet sends, and who judges it.
#[derive(Debug)]
pub struct Endpoint {
    deployment: Deployment,
    /// Those that were made for it.
    pub servers: Option<Servers>,
}

impl Deref for Endpoint {
    type Target = Deployment;

    fn deref(&self) -> &Deployment {
        &self.deployment
    }
}

/// Stopped and removed on drop, the engine first.
#[derive(Debug)]
pub struct Servers {
    pub engine: Engine,
    pub database: Database,
    pub postgres: Postgres,
    pub redis: Redis,
}

const HOPE: Duration = Duration::from_secs(60);

impl Target {
    pub fn endpoint(&self) -> Result<Endpoint> {
        match self {
            Self::Fresh => fresh(),
            Self::Theirs(deployment) => Ok(Endpoint {
                deployment: Deployment::clone(deployment),
                servers: None,
            }),
        }
    }
}

fn fresh() -> Result<Endpoint> {
    if let Err(error) = fleet::raise_open_files_limit() {
        eprintln!("the limit of open files stays as it is: {error}");
    }
    let redis = Redis::start_private()?;
    let postgres = Postgres::with_options(PostgresOptions {
        shared_buffers_mb: 512,
        ..PostgresOptions::default()
    })?;
    let database = postgres.database("gate")?;
    let mut env = database.env();
    env.push(("REDIS_URL".to_owned(), redis.url()));
    let engine = Engine::start_with(env)?;
    let began = Instant::now();
    while database.psql("SELECT to_regclass('node_1d') IS NOT NULL")? != "t" {
        if began.elapsed() > HOPE {
            bail!("the tables were not made");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(Endpoint {
        deployment: Deployment {
            url: engine.url(),
            secret: engine.federation_secret().to_owned(),
            db: Some(crate::db_config(&database)),
            ca_file: None,
            faults: None,
        },
        servers: Some(Servers {
            engine,
            database,
            postgres,
            redis,
        }),
    })
}

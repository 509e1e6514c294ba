//! The checked configuration. Nothing is bound before all of it is good, and all mistakes are
//! reported together.

mod env;
mod proxies;
mod secret;

pub use env::{Environment, Mistakes, Source, load, process_environment};
pub use proxies::TrustedProxies;
pub use secret::Secret;

use crate::auth::JwtKeys;
use crate::failpoint::Failpoint;
use crate::journal::OnDamage;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Config {
    pub environment: Environment,
    pub role: Role,
    pub listen: SocketAddr,
    pub ingest_cores: NonZeroUsize,
    pub driver: Driver,
    /// Sessions with the database that write, at the least and at the most.
    pub writers: RangeInclusive<usize>,
    pub data_dir: PathBuf,
    /// The built dashboard; without it `/` says how to build it.
    pub dashboard_dir: Option<PathBuf>,
    pub journal_bytes_max: u64,
    pub journal_age_max: Duration,
    pub journal_on_damage: OnDamage,
    pub database: Database,
    pub redis_url: Option<Secret>,
    pub federation_secret: Secret,
    /// Accepted too while probes change over to the new one.
    pub federation_secret_previous: Option<Secret>,
    /// Signs the keys of single probes; without it there are none.
    pub api_key_secret: Option<Secret>,
    pub api_key_secret_previous: Option<Secret>,
    /// Of the issuer whose tokens count; without them none does.
    pub jwt_keys: Option<JwtKeys>,
    pub rate_limit: RateLimit,
    /// Whose X-Forwarded-For is believed.
    pub trusted_proxies: TrustedProxies,
    /// Sites whose pages may read from the API.
    pub cors_origins: Vec<String>,
    /// Names this process in `/api/status` and the logs.
    pub instance: String,
    /// For tests of crashes.
    pub failpoint: Option<Failpoint>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Ingest, write, query and dashboard in one process.
    All,
}

impl Role {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
        }
    }
}

/// What the ingest cores wait with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// io_uring where the kernel allows it, else epoll; what was chosen is logged and exported.
    Auto,
    Epoll,
    /// Refuses to start where io_uring is not allowed.
    Uring,
}

#[derive(Clone, Debug)]
pub struct Database {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Secret,
    pub name: String,
    /// Where queries go; the writer's host when not set.
    pub read_host: Option<String>,
}

impl Database {
    /// Connection parameters of the writer.
    pub fn connection(&self) -> tokio_postgres::Config {
        self.connection_to(&self.host)
    }

    /// Connection parameters for queries.
    pub fn read_connection(&self) -> tokio_postgres::Config {
        self.connection_to(self.read_host.as_deref().unwrap_or(&self.host))
    }

    fn connection_to(&self, host: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config
            .host(host)
            .port(self.port)
            .user(&self.user)
            .password(self.password.expose())
            .dbname(&self.name)
            .application_name("fiber-engine")
            .connect_timeout(Duration::from_secs(5))
            .tcp_user_timeout(Duration::from_secs(10));
        config
    }
}

/// Tokens are requests. Rates are per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// Of this instance.
    pub global_rate: f64,
    /// Of one probe.
    pub ingest_rate: f64,
    pub ingest_burst: f64,
    /// Of one client address without a valid token.
    pub stranger_rate: f64,
}

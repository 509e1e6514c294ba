//! What the handlers know: built once by `app`, shared by all connections.

use super::assets::Assets;
use super::buckets::Buckets;
use super::cors::Cors;
use super::error::Error;
use super::federation::Federation;
use super::ingest::IngestService;
use super::kept::Kept;
use super::live::Hub;
use super::openapi::Description;
use super::sql::ReadHost;
use crate::admin::health::Health;
use crate::admit::{ForwardedFor, Origin, RateLimiter};
use crate::auth::keys::KeyStore;
use crate::auth::people::People;
use crate::auth::{Authorizer, Denied, Principal};
use crate::config::Config;
use crate::coordination::Coordination;
use crate::limits::{EXPORTS_MAX, LIVE_SUBSCRIBERS_MAX};
use crate::registry::Registry;
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::{Accounts, Metrics};
use deadpool_postgres::Pool;
use fiber_contract::UnixMicros;
use fiber_contract::status::{EtlStatus, JournalStatus};
use hyper::header::HeaderMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

/// A value of another stage, read when somebody asks. It must not block.
#[derive(Clone)]
pub struct Reading<T>(Arc<dyn Fn() -> T + Send + Sync>);

impl<T> Reading<T> {
    pub fn new(read: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    pub fn get(&self) -> T {
        (self.0)()
    }
}

impl<T> fmt::Debug for Reading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reading(…)")
    }
}

/// The parts that `app` brings.
pub struct Parts {
    pub config: Arc<Config>,
    pub authorizer: Arc<Authorizer>,
    pub limiter: Arc<RateLimiter>,
    pub metrics: Arc<Metrics>,
    pub journal: Reading<JournalStatus>,
    pub etl: Reading<EtlStatus>,
    pub accounts: Reading<Accounts>,
    /// `epoll` or `io_uring`: what the cores wait with.
    pub driver: &'static str,
    /// Of `sql::pool`.
    pub pool: Pool,
    /// To the writer's host, where the other is to a read host.
    pub fallback: Option<Pool>,
    pub health: Arc<Health>,
    pub coordination: Coordination,
    pub live: Hub,
    pub federation: Arc<Federation>,
    pub ingest: Arc<dyn IngestService>,
    pub assets: Assets,
    pub shutdown: Shutdown,
}

pub struct Context {
    pub(crate) parts: Parts,
    pub(crate) people: People,
    pub(crate) keys: KeyStore,
    pub(crate) registry: Registry,
    pub(crate) cors: Cors,
    pub(crate) description: Description,
    pub(crate) started_at: UnixMicros,
    pub(crate) started: Instant,
    pub(crate) watchers: Arc<Semaphore>,
    pub(crate) exports: Arc<Semaphore>,
    pub(crate) kept: Kept,
    pub(crate) buckets: Buckets,
    pub(crate) read_host: ReadHost,
}

impl Context {
    pub fn new(parts: Parts) -> Arc<Self> {
        let (access_keys, known) = parts.authorizer.users();
        let people = People::new(&parts.config, access_keys.clone(), Arc::clone(known));
        Arc::new(Self {
            keys: KeyStore::with(&parts.config, people.leases().clone()),
            registry: Registry::new(people.leases().clone()),
            people,
            cors: Cors::new(&parts.config.cors_origins),
            description: Description::default(),
            started_at: UnixMicros::now(),
            started: Instant::now(),
            watchers: Arc::new(Semaphore::new(LIVE_SUBSCRIBERS_MAX)),
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
            kept: Kept::default(),
            buckets: Buckets::default(),
            read_host: ReadHost::default(),
            parts,
        })
    }
}

impl Context {
    /// Who asks. A client that has no valid token too often is told to wait.
    pub(crate) fn asker(&self, headers: &HeaderMap, peer: SocketAddr) -> Result<Principal, Error> {
        let denied = match self.authorizer.asker(headers) {
            Ok(principal) => return Ok(principal),
            Err(denied) => denied,
        };
        if denied == Denied::Unknown {
            let (_, _, taken) = self.limiter.take_stranger(origin(headers, peer));
            taken.map_err(|wait| Error::TooManyUnknown { wait })?;
        }
        Err(denied.into())
    }

    /// The address behind our own proxies, for limits and logs.
    pub(crate) fn client(&self, headers: &HeaderMap, peer: SocketAddr) -> IpAddr {
        self.limiter.client(origin(headers, peer))
    }
}

fn origin(headers: &HeaderMap, peer: SocketAddr) -> Origin<'_> {
    let mut forwarded_for = ForwardedFor::default();
    for line in headers.get_all("x-forwarded-for") {
        forwarded_for.push(line.as_bytes());
    }
    Origin {
        peer: peer.ip(),
        forwarded_for,
    }
}

impl std::ops::Deref for Context {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

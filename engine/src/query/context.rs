//! What the handlers know: built once by `app`, shared by all connections.

use super::assets::Assets;
use super::cors::Cors;
use super::federation::Federation;
use super::ingest::IngestService;
use super::live::Hub;
use super::openapi::Description;
use crate::admin::health::Health;
use crate::auth::Authorizer;
use crate::config::Config;
use crate::coordination::Coordination;
use crate::limits::LIVE_SUBSCRIBERS_MAX;
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::{Accounts, Metrics};
use deadpool_postgres::Pool;
use fiber_contract::UnixMicros;
use fiber_contract::status::{EtlStatus, JournalStatus};
use std::fmt;
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
    pub metrics: Arc<Metrics>,
    pub journal: Reading<JournalStatus>,
    pub etl: Reading<EtlStatus>,
    pub accounts: Reading<Accounts>,
    /// `epoll` or `io_uring`: what the cores wait with.
    pub driver: &'static str,
    /// Of `sql::pool`.
    pub pool: Pool,
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
    pub(crate) cors: Cors,
    pub(crate) description: Description,
    pub(crate) started_at: UnixMicros,
    pub(crate) started: Instant,
    pub(crate) watchers: Arc<Semaphore>,
}

impl Context {
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            cors: Cors::new(&parts.config.cors_origins),
            description: Description::default(),
            started_at: UnixMicros::now(),
            started: Instant::now(),
            watchers: Arc::new(Semaphore::new(LIVE_SUBSCRIBERS_MAX)),
            parts,
        })
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

//! The state behind `/api/status`. Checks run beside the requests; a request only reads what they
//! last found, so the answer comes at once whatever is broken.

use crate::config::Config;
use crate::query::Context;
use crate::shutdown::Shutdown;
use fiber_contract::status::{Component, Status};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

const CHECK_EVERY: Duration = Duration::from_secs(1);
const CHECK_DEADLINE: Duration = Duration::from_secs(2);

const NOT_CHECKED: &str = "not checked yet";

#[derive(Debug)]
pub struct Health {
    database: Mutex<Component>,
}

impl Health {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            database: Mutex::new(component("down", Some(NOT_CHECKED))),
        })
    }

    pub(crate) fn database(&self) -> Component {
        self.database
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn database_is_known_down(&self) -> bool {
        let known = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        known.state == "down" && known.detail.as_deref() != Some(NOT_CHECKED)
    }

    fn found(&self, now: Component) {
        let mut known = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        if known.state != now.state {
            tracing::info!(
                state = now.state,
                detail = now.detail,
                "the database's state"
            );
        }
        *known = now;
    }
}

pub(crate) fn component(state: &str, detail: Option<&str>) -> Component {
    Component {
        state: state.to_owned(),
        detail: detail.map(str::to_owned),
    }
}

/// Asks the database once a second, on a connection of its own: a busy pool is not an outage.
pub async fn run(health: Arc<Health>, config: Arc<Config>, shutdown: Shutdown) {
    let _registered = shutdown.register("health");
    let mut client = None;
    loop {
        let found = timeout(CHECK_DEADLINE, check(&config, client.take())).await;
        health.found(match found {
            Ok(Ok(still_open)) => {
                client = Some(still_open);
                component("up", None)
            }
            Ok(Err(error)) => component("down", Some(&reason(&error))),
            Err(_) => component("down", Some("no answer within the deadline")),
        });
        tokio::select! {
            () = tokio::time::sleep(CHECK_EVERY) => {}
            () = shutdown.asked() => return,
        }
    }
}

async fn check(config: &Config, client: Option<Client>) -> Result<Client, tokio_postgres::Error> {
    let client = match client {
        Some(client) => client,
        None => {
            let (client, connection) = config.database.connection().connect(NoTls).await?;
            // Ends when the client is dropped; its errors reach the client as well.
            tokio::spawn(async move { connection.await.map_err(drop).unwrap_or_default() });
            client
        }
    };
    client.simple_query("SELECT 1").await?;
    Ok(client)
}

/// The server's own words if it said any, else the cause that an operator can act on.
fn reason(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    cause.unwrap_or_else(|| error.to_string())
}

pub(crate) fn status(context: &Context) -> Status {
    let (database, redis) = (context.health.database(), context.coordination.component());
    let journal = context.journal.get();
    let etl = context.etl.get();
    let bad = database.state == "down" || redis.state == "down" || journal.state != "ok";
    Status {
        status: if bad { "degraded" } else { "ok" }.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        environment: context.config.environment.as_str().to_owned(),
        role: context.config.role.as_str().to_owned(),
        instance: context.config.instance.clone(),
        uptime_s: context.started.elapsed().as_secs_f64(),
        api: component("up", None),
        database,
        rate_limit_policy: context.coordination.policy().to_owned(),
        redis,
        search: component("off", None),
        journal,
        etl,
        driver: context.driver.to_owned(),
        ingest_cores: u32::try_from(context.config.ingest_cores.get()).unwrap_or(u32::MAX),
    }
}

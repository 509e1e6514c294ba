//! The connection and its state.

use super::{budgets, heartbeat};
use crate::admit::{RateLimiter, Sharing};
use crate::config::Secret;
use crate::query::Reading;
use crate::query::federation::{self, Federation};
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::Metrics;
use fiber_contract::UnixMicros;
use fiber_contract::status::{Component, EtlStatus};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{Client, IntoConnectionInfo, RedisError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Of every call: later than this Redis is as good as away, and we have a local answer.
pub(super) const CALL_DEADLINE: Duration = Duration::from_millis(50);
const PING_EVERY: Duration = Duration::from_secs(1);
const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);
const CONNECT_DEADLINE: Duration = Duration::from_millis(500);
pub(super) const BACKOFF_MIN: Duration = Duration::from_millis(25);
pub(super) const BACKOFF_MAX: Duration = Duration::from_millis(250);

/// What is known about Redis; cheap to clone.
#[derive(Clone, Debug)]
pub struct Coordination {
    state: Arc<Mutex<State>>,
    sharing: Sharing,
}

#[derive(Debug)]
struct State {
    link: Link,
    since: UnixMicros,
    /// Times that it went down.
    outages: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Link {
    Off,
    Up,
    Down { reason: String },
}

/// What the engine tells Redis.
#[derive(Debug)]
pub struct Sources {
    pub instance: String,
    pub metrics: Arc<Metrics>,
    pub etl: Reading<EtlStatus>,
    /// What probes said about where they push, for the other engines.
    pub federation: Arc<Federation>,
    /// Whose budgets are shared.
    pub limiter: Arc<RateLimiter>,
}

impl Coordination {
    /// `is_configured`: there is a `REDIS_URL`, so its absence is a fault and not a choice.
    #[must_use]
    pub fn new(is_configured: bool) -> Self {
        let reason = "not connected yet".to_owned();
        let link = if is_configured {
            Link::Down { reason }
        } else {
            Link::Off
        };
        let sharing = if is_configured {
            Sharing::through_redis()
        } else {
            Sharing::OFF
        };
        let state = State {
            link,
            since: UnixMicros::now(),
            outages: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            sharing,
        }
    }

    pub(crate) fn component(&self) -> Component {
        let state = self.lock();
        let (word, reason) = match &state.link {
            Link::Off => {
                return Component {
                    state: "off".to_owned(),
                    detail: None,
                };
            }
            Link::Up => ("up", String::new()),
            Link::Down { reason } => ("down", format!(": {reason}")),
        };
        let detail = Some(format!("since {}{reason}", state.since));
        Component {
            state: word.to_owned(),
            detail,
        }
    }

    /// Who counts requests against the probes' limits, at this moment.
    pub fn policy(&self) -> &'static str {
        self.sharing.policy().as_str()
    }

    /// Tells the limiter whether its budgets are shared.
    pub fn sharing(&self) -> Sharing {
        self.sharing.clone()
    }

    pub(crate) fn outages(&self) -> u64 {
        self.lock().outages
    }

    fn found(&self, link: Link) {
        let mut state = self.lock();
        if std::mem::discriminant(&state.link) != std::mem::discriminant(&link) {
            state.since = UnixMicros::now();
            match &link {
                Link::Down { reason } => {
                    state.outages += 1;
                    tracing::warn!(reason, "Redis is away; the engine goes on without it");
                }
                _ => tracing::info!("Redis answers"),
            }
        }
        state.link = link;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the connection until the end is asked for. Returns at once without a URL.
pub async fn run(
    coordination: Coordination,
    url: Option<Secret>,
    sources: Sources,
    shutdown: Shutdown,
) {
    let Some(url) = url else { return };
    let _registered = shutdown.register("redis");
    tokio::select! {
        () = keep(&coordination, &url, &sources) => {}
        () = budgets::keep(&url, &sources.instance, &sources.limiter, &coordination.sharing) => {}
        () = shutdown.asked() => {}
    }
}

async fn keep(coordination: &Coordination, url: &Secret, sources: &Sources) {
    let mut backoff = BACKOFF_MIN;
    loop {
        match connect(url).await {
            Ok(mut connection) => {
                backoff = BACKOFF_MIN;
                let reason = watch(coordination, &mut connection, sources).await;
                coordination.found(Link::Down { reason });
            }
            Err(error) => coordination.found(Link::Down {
                reason: error.to_string(),
            }),
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

pub(super) async fn connect(url: &Secret) -> Result<ConnectionManager, RedisError> {
    let info = url.expose().into_connection_info()?;
    let client = Client::open(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))?;
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(0)
        .set_connection_timeout(Some(CONNECT_DEADLINE))
        .set_response_timeout(Some(CALL_DEADLINE));
    ConnectionManager::new_with_config(client, config).await
}

/// Asks and tells on a live connection until it fails; says why it did.
async fn watch(
    coordination: &Coordination,
    connection: &mut ConnectionManager,
    sources: &Sources,
) -> String {
    let mut heartbeat_due = Instant::now();
    loop {
        if let Err(reason) = call(connection, &redis::cmd("PING")).await {
            return reason;
        }
        coordination.found(Link::Up);
        if Instant::now() >= heartbeat_due {
            heartbeat_due = Instant::now() + HEARTBEAT_EVERY;
            let committed_seq = sources.metrics.copy.committed_seq.get();
            let etl = sources.etl.get();
            let heartbeat =
                heartbeat::command(&sources.instance, UnixMicros::now(), committed_seq, &etl);
            if let Err(reason) = call(connection, &heartbeat).await {
                return reason;
            }
        }
        // What is lost with the connection comes again with each probe's next heartbeat.
        if let Some(told) = targets(&sources.federation)
            && let Err(reason) = within(told.query_async::<()>(connection)).await
        {
            return reason;
        }
        sleep(PING_EVERY).await;
    }
}

/// Where probes push, as far as Redis was not told; each key ends with the report's freshness.
fn targets(federation: &Federation) -> Option<redis::Pipeline> {
    let untold = federation.take_untold();
    let mut pipeline = redis::pipe();
    for report in &untold {
        pipeline
            .cmd("SET")
            .arg(format!(
                "{}{}",
                federation::STATE_KEY_PREFIX,
                report.node_id
            ))
            .arg(report.to_json())
            .arg("EX")
            .arg(federation::FRESH_S)
            .ignore();
    }
    (!untold.is_empty()).then_some(pipeline)
}

async fn call(connection: &mut ConnectionManager, command: &redis::Cmd) -> Result<(), String> {
    within(command.query_async::<redis::Value>(connection)).await
}

async fn within<T>(call: impl Future<Output = redis::RedisResult<T>>) -> Result<(), String> {
    match timeout(CALL_DEADLINE, call).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer within 50 ms".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_is_a_choice_and_down_a_fault() {
        assert_eq!(Coordination::new(false).component().state, "off");
        assert_eq!(Coordination::new(true).component().state, "down");
    }

    #[test]
    fn an_outage_is_counted_once_however_often_it_is_found() {
        let coordination = Coordination::new(true);
        coordination.found(Link::Up);
        for _ in 0..3 {
            coordination.found(Link::Down {
                reason: "refused".to_owned(),
            });
        }
        coordination.found(Link::Up);
        assert_eq!(coordination.outages(), 1);
        assert_eq!(coordination.component().state, "up");
    }
}

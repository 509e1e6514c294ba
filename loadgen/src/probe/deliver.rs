//! Hands the spool over, oldest first, in batches, until it is empty; then waits for more.
//!
//! | answer | what happens |
//! |---|---|
//! | 200, 202 | the batch is settled; refused members are gone with it, each with a log line |
//! | 409 | another body was sent under this id (damage on disk): a new id |
//! | 400, 413, 415, 422 naming samples | these are dropped with a log line, the rest goes again |
//! | 400, 413, 415, 422 naming none | the batch is halved; a single sample is dropped |
//! | 429 | wait as told; the URL is fine |
//! | 401, 403, 404, 5xx, 503, no answer | back off; after three in a row the next URL |

use super::Store;
use super::config::Config;
use super::measure::describe;
use super::route::Route;
use crate::client::{Backoff, Connection, Error, Limits, TlsRoots, Url};
use crate::spool::Batch;
use anyhow::Context;
use fiber_contract::ErrorBody;
use fiber_contract::ingest::{IngestAnswer, SampleError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use uuid::Uuid;

/// Samples of one request.
const BATCH_MAX: usize = 1_000;
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_MOST: Duration = Duration::from_secs(60);
/// Log lines about refused samples of one batch.
const NAMED_MAX: usize = 10;

/// Takes batches from the spool to the engine.
#[derive(Debug)]
pub struct Courier {
    node_id: String,
    secret: String,
    route: Route,
    tls: TlsRoots,
    store: Arc<Store>,
    stop: watch::Receiver<bool>,
    connection: Option<(usize, Connection)>,
    backoff: Backoff,
}

/// What to do next.
enum Next {
    Continue,
    Wait(Duration),
}

impl Courier {
    pub fn new(
        config: &Config,
        tls: TlsRoots,
        store: Arc<Store>,
        stop: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let seed = u64::from(crc32c::crc32c(config.node_id.as_bytes())) << 32;
        Ok(Self {
            node_id: config.node_id.clone(),
            secret: config.secret.clone(),
            route: Route::new(config.urls.clone(), Instant::now()).context("no URL to send to")?,
            tls,
            store,
            stop,
            connection: None,
            backoff: Backoff::new(BACKOFF_FIRST, BACKOFF_MOST, seed),
        })
    }

    /// Ends when stopped and everything is handed over; after a stop it does not wait for anyone.
    pub async fn run(mut self) {
        loop {
            let taken = self
                .store
                .with(|spool| spool.next_batch(BATCH_MAX, &self.node_id));
            let wait = match taken {
                Ok(Some(batch)) => match self.deliver(&batch).await {
                    Ok(Next::Continue) => continue,
                    Ok(Next::Wait(wait)) => wait,
                    Err(error) => {
                        tracing::error!(error = %anyhow::Error::from(error), "the spool fails");
                        BACKOFF_MOST
                    }
                },
                Ok(None) if *self.stop.borrow() => return,
                Ok(None) => {
                    let stopped = self.stop.changed();
                    tokio::select! {
                        () = self.store.filled.notified() => {}
                        changed = stopped => if changed.is_err() { return },
                    }
                    continue;
                }
                Err(error) => {
                    tracing::error!(error = %anyhow::Error::from(error), "the spool fails");
                    BACKOFF_MOST
                }
            };
            if *self.stop.borrow() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = self.stop.changed() => {}
            }
        }
    }

    async fn deliver(&mut self, batch: &Batch) -> Result<Next, crate::spool::Error> {
        match self.attempt(batch).await {
            Ok((200 | 202, _, body)) => {
                self.route.succeeded();
                self.backoff.reset();
                if let Ok(answer) = serde_json::from_slice::<IngestAnswer>(&body) {
                    name_refused(&answer.data.errors);
                }
                tracing::debug!(batch = %batch.id, samples = batch.seqs.len(), "delivered");
                self.store.with(|spool| spool.settle(batch))?;
                Ok(Next::Continue)
            }
            Ok((409, ..)) => {
                tracing::warn!(batch = %batch.id, "the engine knows this batch with other contents");
                self.route.succeeded();
                self.store
                    .with(|spool| spool.renew(batch, batch.seqs.len()))?;
                // A server that calls every id known must not be asked without end.
                Ok(Next::Wait(self.backoff.next_wait()))
            }
            Ok((status @ (400 | 413 | 415 | 422), _, body)) => {
                self.route.succeeded();
                self.give_up_bad(batch, status, &body)?;
                Ok(Next::Continue)
            }
            Ok((429, hint, _)) => {
                self.route.succeeded();
                Ok(Next::Wait(self.wait(hint)))
            }
            Ok((status, hint, _)) => {
                tracing::warn!(status, "the engine does not take samples now");
                Ok(self.failed(hint))
            }
            Err(error) => {
                tracing::warn!(error = describe(&error), "cannot deliver");
                Ok(self.failed(None))
            }
        }
    }

    fn failed(&mut self, hint: Option<Duration>) -> Next {
        self.connection = None;
        if self.route.failed() {
            Next::Continue
        } else {
            Next::Wait(self.wait(hint))
        }
    }

    fn wait(&mut self, hint: Option<Duration>) -> Duration {
        match hint {
            Some(hint) => self.backoff.after_hint(hint),
            None => self.backoff.next_wait(),
        }
    }

    /// The engine will never take this batch as it is.
    fn give_up_bad(
        &self,
        batch: &Batch,
        status: u16,
        body: &[u8],
    ) -> Result<(), crate::spool::Error> {
        let told = serde_json::from_slice::<ErrorBody>(body).ok();
        let errors = told.as_ref().map_or(&[][..], |told| &told.errors);
        let mut bad: Vec<_> = errors
            .iter()
            .filter_map(|e| batch.seqs.get(e.index as usize).copied())
            .collect();
        bad.sort_unstable();
        bad.dedup();
        if !bad.is_empty() {
            name_refused(errors);
            return self.store.with(|spool| spool.drop_samples(batch, &bad));
        }
        if batch.seqs.len() > 1 {
            return self
                .store
                .with(|spool| spool.renew(batch, batch.seqs.len() / 2));
        }
        let message = told.map(|told| told.message).unwrap_or_default();
        tracing::error!(
            status,
            message,
            "a sample is dropped: the engine refuses it"
        );
        self.store.with(|spool| spool.settle(batch))
    }

    async fn attempt(&mut self, batch: &Batch) -> Result<(u16, Option<Duration>, Vec<u8>), Error> {
        let (at, url) = self.route.pick(Instant::now());
        let request = request(url, &self.secret, batch.id, &batch.body);
        let kept = self
            .connection
            .take()
            .filter(|(of, kept)| *of == at && !kept.is_stale());
        let mut connection = match kept {
            Some((_, connection)) => connection,
            None => Connection::open(url, &self.tls, limits()).await?,
        };
        let answer = connection.exchange(&request).await?;
        let told = (answer.status, answer.retry_after, answer.body.to_vec());
        if connection.reusable() {
            self.connection = Some((at, connection));
        }
        Ok(told)
    }
}

fn name_refused(errors: &[SampleError]) {
    for error in errors.iter().take(NAMED_MAX) {
        let (index, field, reason) = (error.index, &error.field, &error.reason);
        tracing::error!(index, %field, %reason, "a sample is dropped: the engine refuses it");
    }
    if errors.len() > NAMED_MAX {
        tracing::error!(more = errors.len() - NAMED_MAX, "more samples are dropped");
    }
}

fn limits() -> Limits {
    // Up to 300 KB over a mobile link.
    Limits {
        connect: Duration::from_secs(10),
        exchange: Duration::from_secs(30),
        ..Limits::default()
    }
}

fn request(url: &Url, secret: &str, id: Uuid, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: fiber-probe/{}\r\nAuthorization: Bearer {secret}\r\n\
         X-Batch-ID: {id}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        url.join("/api/ingest"),
        url.authority(),
        env!("CARGO_PKG_VERSION"),
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// One try at one URL: status and message of the answer.
pub(super) async fn send_once(
    url: &Url,
    tls: &TlsRoots,
    config: &Config,
    id: Uuid,
    body: &[u8],
) -> Result<(u16, String), Error> {
    let mut connection = Connection::open(url, tls, limits()).await?;
    let answer = connection
        .exchange(&request(url, &config.secret, id, body))
        .await?;
    let message = serde_json::from_slice::<serde_json::Value>(answer.body)
        .ok()
        .and_then(|body| Some(body.get("message")?.as_str()?.to_owned()));
    Ok((answer.status, message.unwrap_or_default()))
}

//! One simulated probe: a task that measures on time, and one that delivers when it can.

use super::Fleet;
use crate::client::{Backoff, Connection, Limits};
use crate::fleet::request::{METADATA_EVERY_US, batch_id};
use crate::fleet::sleep_until_or_stop;
use crate::ledger::{Entry, Outcome};
use crate::workload::body::{SampleTemplate, TimestampCache};
use crate::workload::path::{Path, PathModel};
use crate::workload::sample::mix;
use crate::workload::{ProbeIdentity, Values};
use fiber_contract::UnixMicros;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

#[derive(Clone, Copy, Debug)]
struct Measured {
    time: UnixMicros,
    values: Values,
}

/// Between measuring and sending.
#[derive(Debug, Default)]
pub(super) struct Queue {
    samples: RefCell<VecDeque<Measured>>,
    filled: Notify,
}

/// Samples of one late delivery.
const BATCH_MAX: usize = 500;
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Measures every interval; probes are spread over it, so that the fleet sends evenly.
pub(super) async fn measure(fleet: Rc<Fleet>, queue: Rc<Queue>, number: u32, model: PathModel) {
    let interval = fleet.config.interval;
    let mut path = Path::new(
        &model,
        fleet.config.seed ^ UnixMicros::now().0.cast_unsigned(),
        number,
    );
    let phase = interval.mul_f64(f64::from(number) / f64::from(fleet.config.probes));
    let mut ticks = tokio::time::interval_at((Instant::now() + phase).into(), interval);
    // A suspended machine must not answer with a burst of rounds for the time it slept.
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let time = UnixMicros::now();
        let (hour, minute, ..) = time.utc_time();
        let Some(values) = path.round(f64::from(hour) + f64::from(minute) / 60.0) else {
            continue;
        };
        let mut samples = queue.samples.borrow_mut();
        if samples.len() >= fleet.config.backlog_max {
            samples.pop_front();
            fleet.count(|t| t.dropped += 1);
        }
        samples.push_back(Measured { time, values });
        drop(samples);
        fleet.count(|t| {
            t.measured += 1;
            t.backlog = (t.measured).saturating_sub(t.acked + t.refused + t.dropped);
        });
        queue.filled.notify_one();
    }
}

/// Delivers until the fleet is stopped and the queue empty.
pub(super) async fn send(fleet: Rc<Fleet>, queue: Rc<Queue>, number: u32, identity: ProbeIdentity) {
    let mut sender = Sender::new(&fleet, number, &identity);
    loop {
        let waiting = queue.samples.borrow().len();
        if waiting == 0 {
            if fleet.stop.load(Ordering::Relaxed) {
                return;
            }
            // A stop is seen at the next look.
            let filled = tokio::time::timeout(LOOK_EVERY, queue.filled.notified()).await;
            drop(filled);
            continue;
        }
        // Taken now, so that a full queue drops nothing that may already have been delivered.
        let samples: Vec<_> = queue
            .samples
            .borrow_mut()
            .drain(..waiting.min(BATCH_MAX))
            .collect();
        sender.deliver(&samples).await;
    }
}

struct Sender<'a> {
    fleet: &'a Fleet,
    number: u32,
    template: SampleTemplate,
    clock: TimestampCache,
    metadata_due_us: i64,
    connection: Option<Connection>,
    backoff: Backoff,
    batch_key: u64,
    batches: u64,
    /// In the ledger: the probe and its count.
    request: u64,
}

impl<'a> Sender<'a> {
    fn new(fleet: &'a Fleet, number: u32, identity: &ProbeIdentity) -> Self {
        let key = mix(u64::from(number) ^ mix(UnixMicros::now().0.cast_unsigned()));
        Self {
            template: SampleTemplate::new(identity, fleet.config.interval.as_secs_f64()),
            fleet,
            number,
            clock: TimestampCache::default(),
            metadata_due_us: i64::MIN,
            connection: None,
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(5), key),
            batch_key: key,
            batches: 0,
            request: u64::from(number) << 32,
        }
    }

    async fn deliver(&mut self, samples: &[Measured]) {
        let request = self.render(samples);
        self.intend(samples);
        self.backoff.reset();
        let outcome = loop {
            let wait = match self.attempt(&request).await {
                Ok((200 | 202, _)) => break Outcome::Acked,
                // A wrong secret or a starting hub heals; a body the contract refuses does not.
                Ok((status @ (400 | 409 | 413 | 415 | 422), _)) => {
                    tracing::warn!(
                        status,
                        samples = samples.len(),
                        "the engine refused a batch"
                    );
                    break Outcome::Refused;
                }
                Ok((_, Some(hint))) => self.backoff.after_hint(hint),
                Ok((_, None)) => self.backoff.next_wait(),
                Err(error) => {
                    tracing::debug!(%error, "cannot deliver");
                    self.backoff.next_wait()
                }
            };
            self.fleet.count(|t| t.failed_tries += 1);
            if self.fleet.stop.load(Ordering::Relaxed) {
                break Outcome::Unknown;
            }
            sleep_until_or_stop(Instant::now() + wait, &self.fleet.stop).await;
        };
        self.settle(samples, outcome);
    }

    /// The ledger knows of it before the server does.
    fn intend(&mut self, samples: &[Measured]) {
        self.request += 1;
        if let Some(ledger) = &self.fleet.ledger {
            let entries = self.entries(samples, Outcome::Unknown);
            if let Err(error) = ledger.borrow_mut().intend(self.request, &entries) {
                tracing::error!(%error, "write the ledger");
            }
        }
    }

    fn entries(&self, samples: &[Measured], outcome: Outcome) -> Vec<Entry> {
        samples
            .iter()
            .map(|s| Entry::new(self.number, s.time.0, s.values.hash(), outcome))
            .collect()
    }

    fn render(&mut self, samples: &[Measured]) -> Vec<u8> {
        let mut body = Vec::with_capacity(samples.len() * 256);
        let single = samples.len() == 1;
        if !single {
            self.template.batch_open(&mut body);
        }
        for (n, sample) in samples.iter().enumerate() {
            if n > 0 {
                body.push(b',');
            }
            let due = sample.time.0 >= self.metadata_due_us;
            if due {
                self.metadata_due_us = sample.time.0 + METADATA_EVERY_US;
            }
            self.template
                .sample(&mut body, &mut self.clock, sample.time, sample.values, due);
        }
        let route = if single { "/api/push" } else { "/api/ingest" };
        let mut head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {}\r\nContent-Length: {}\r\n",
            self.fleet.url.join(route),
            self.fleet.url.authority(),
            self.fleet.config.secret,
            body.len() + if single { 0 } else { 2 },
        );
        if !single {
            SampleTemplate::batch_close(&mut body);
            let id = batch_id(self.batch_key, self.batches);
            self.batches += 1;
            head.push_str(&format!("X-Batch-ID: {id}\r\n"));
        }
        head.push_str("\r\n");
        let mut request = head.into_bytes();
        request.append(&mut body);
        request
    }

    async fn attempt(
        &mut self,
        request: &[u8],
    ) -> Result<(u16, Option<Duration>), crate::client::Error> {
        let mut connection = match self.connection.take().filter(|kept| !kept.is_stale()) {
            Some(connection) => connection,
            None => Connection::open(&self.fleet.url, &self.fleet.tls, Limits::default()).await?,
        };
        let answer = connection.exchange(request).await?;
        let told = (answer.status, answer.retry_after);
        if connection.reusable() {
            self.connection = Some(connection);
        }
        Ok(told)
    }

    fn settle(&self, samples: &[Measured], outcome: Outcome) {
        let count = samples.len() as u64;
        self.fleet.count(|t| {
            match outcome {
                Outcome::Acked => t.acked += count,
                Outcome::Refused => t.refused += count,
                Outcome::Unknown => {}
            }
            t.backlog = t.measured.saturating_sub(t.acked + t.refused + t.dropped);
        });
        if let Some(ledger) = &self.fleet.ledger {
            let entries = self.entries(samples, outcome);
            if let Err(error) = ledger.borrow_mut().settle(self.request, &entries) {
                tracing::error!(%error, "write the ledger");
            }
        }
    }
}

//! The real probe: measures targets in rounds, stores every sample, hands them over when it can.
//!
//! ```text
//! target ▶ measure (N packets a round) ▶ sample ▶ spool (on disk) ▶ deliver ─▶ region or central
//! ```
//!
//! * A round sends N packets (TCP connects, HTTP requests or ICMP echoes), spread over the interval.
//!   `latency_ms` is the median of the answered, `packet_loss` the share that failed, `uptime_pct`
//!   100 when any was answered and 0 when none was: a round is one observation, and availability
//!   is the mean over rounds. When all failed, latency is null.
//! * A failure to measure is a measurement (loss); only a probe that is off sends nothing.
//! * Nothing is sent that is not in the spool; nothing leaves the spool unanswered.
//! * The probe only connects outwards.

pub mod config;
pub mod deliver;
mod icmp;
pub mod measure;
pub mod route;
pub mod sample;
pub mod target;

pub use config::Config;

use crate::client::{TlsRoots, Url};
use crate::spool::{self, Spool};
use anyhow::Context;
use deliver::Courier;
use fiber_contract::UnixMicros;
use measure::Round;
use sample::SampleWriter;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use target::Target;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// The spool as measuring and delivering share it. Held for a file write at most, never across a wait.
#[derive(Debug)]
pub struct Store {
    spool: Mutex<Spool>,
    pub filled: Notify,
}

impl Store {
    pub fn new(spool: Spool) -> Self {
        Self {
            spool: Mutex::new(spool),
            filled: Notify::new(),
        }
    }

    pub fn with<T>(&self, act: impl FnOnce(&mut Spool) -> T) -> T {
        act(&mut self
            .spool
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// A sample that cannot be stored is lost: the only way to lose one, so it is an error line.
    fn keep(&self, time: UnixMicros, json: &[u8]) {
        if let Err(error) = self.with(|spool| spool.append(time, json)) {
            tracing::error!(error = %anyhow::Error::from(error), "a sample is lost: it cannot be stored");
        }
        self.filled.notify_one();
    }
}

/// How often the spool is forced to the medium.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// Measures and delivers until `stop` turns true; then hands over what it can within a few seconds.
pub async fn run(config: Config, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let tls = TlsRoots::new(config.ca_file.as_deref())?;
    let store = Arc::new(Store::new(open_spool(&config)?));
    let config = Arc::new(config);
    let mut rounds = JoinSet::new();
    for (number, target) in config.targets.iter().enumerate() {
        let writer = SampleWriter::new(&config, target);
        let phase = config
            .interval
            .mul_f64(number as f64 / config.targets.len() as f64);
        rounds.spawn(measure_for_ever(
            Arc::clone(&config),
            Arc::clone(&store),
            target.clone(),
            tls.clone(),
            writer,
            Instant::now() + phase,
        ));
    }
    let courier = Courier::new(&config, tls, Arc::clone(&store), stop.clone())?;
    let mut delivery = tokio::spawn(courier.run());
    let mut ticks = tokio::time::interval(SYNC_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => sync(&store),
            changed = stop.changed() => {
                if changed.is_err() || *stop.borrow() {
                    break;
                }
            }
            ended = &mut delivery => {
                sync(&store);
                return ended.context("the delivery panicked");
            }
        }
    }
    rounds.shutdown().await;
    let drained = tokio::time::timeout(config.drain, &mut delivery).await;
    if drained.is_err() {
        delivery.abort();
    }
    sync(&store);
    tracing::info!(
        waiting = store.with(|spool| spool.waiting()),
        "stopped; the rest is in the spool"
    );
    Ok(())
}

fn sync(store: &Store) {
    if let Err(error) = store.with(Spool::sync) {
        tracing::error!(error = %anyhow::Error::from(error), "the spool may not survive a power loss");
    }
}

fn open_spool(config: &Config) -> anyhow::Result<Spool> {
    let limits = spool::Limits {
        bytes_max: config.spool_bytes_max,
        age_max: config.spool_age_max,
    };
    let (spool, found) = Spool::open(&config.spool, limits)?;
    if found.torn_bytes + found.damaged_bytes > 0 {
        tracing::warn!(
            found.torn_bytes,
            found.damaged_bytes,
            "the spool was cut short or damaged"
        );
    }
    tracing::info!(waiting = found.waiting, spool = %config.spool.display(), "spool open");
    Ok(spool)
}

async fn measure_for_ever(
    config: Arc<Config>,
    store: Arc<Store>,
    target: Target,
    tls: TlsRoots,
    mut writer: SampleWriter,
    first: Instant,
) {
    let mut ticks = tokio::time::interval_at(first.into(), config.interval);
    // After a sleep of the machine: one round, not one for each interval that was slept through.
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let spacing = config.packet_spacing();
    loop {
        ticks.tick().await;
        let time = UnixMicros::now();
        let round = measure::round(
            &target,
            &tls,
            config.packets,
            spacing,
            config.packet_timeout,
        )
        .await;
        tracing::debug!(%target, ?round, "measured");
        store.keep(time, &writer.json(time, &round));
    }
}

/// What `--once` found and what became of it.
#[derive(Debug)]
pub struct Once {
    pub rounds: Vec<(Target, Round)>,
    pub sent_to: Url,
    /// Status of the engine's answer and its text, or why there was none.
    pub answer: Result<(u16, String), crate::client::Error>,
}

/// One round of every target, sent straight to the first URL that answers, without the spool.
pub async fn once(config: &Config) -> anyhow::Result<Once> {
    let tls = TlsRoots::new(config.ca_file.as_deref())?;
    let time = UnixMicros::now();
    let spacing = config.packet_spacing().min(Duration::from_millis(200));
    let work = config
        .targets
        .iter()
        .map(|target| measure::round(target, &tls, config.packets, spacing, config.packet_timeout));
    let rounds = futures_util::future::join_all(work).await;
    let rounds: Vec<_> = config.targets.iter().cloned().zip(rounds).collect();
    let members: Vec<_> = rounds
        .iter()
        .map(|(target, round)| SampleWriter::new(config, target).json(time, round))
        .collect();
    let body = sample::batch_body(&config.node_id, &members);
    let id = uuid::Uuid::now_v7();
    let mut last = None;
    for url in &config.urls {
        let answer = deliver::send_once(url, &tls, config, id, &body).await;
        let is_answer = answer.is_ok();
        last = Some((url.clone(), answer));
        if is_answer {
            break;
        }
    }
    let (sent_to, answer) = last.context("no URL to send to")?;
    Ok(Once {
        rounds,
        sent_to,
        answer,
    })
}

impl Once {
    pub fn accepted(&self) -> bool {
        matches!(self.answer, Ok((200 | 202, _)))
    }
}

impl std::fmt::Display for Once {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = self
            .rounds
            .iter()
            .map(|(t, _)| t.to_string().len())
            .max()
            .unwrap_or(0)
            .max(6);
        writeln!(
            f,
            "{:<width$}{:>10}{:>8}{:>10}{:>10}{:>10}{:>10}",
            "target", "answered", "loss", "min ms", "median", "max", "jitter"
        )?;
        for (target, round) in &self.rounds {
            let ms = |value: Option<f64>| value.map_or("-".to_owned(), |ms| format!("{ms:.2}"));
            writeln!(
                f,
                "{:<width$}{:>10}{:>8}{:>10}{:>10}{:>10}{:>10}",
                target.to_string(),
                format!("{}/{}", round.answered(), round.packets()),
                format!("{:.0} %", round.packet_loss()),
                ms(round.min_ms()),
                ms(round.latency_ms()),
                ms(round.max_ms()),
                ms(round.jitter_ms())
            )?;
            if let Some(failure) = round.failure() {
                writeln!(f, "{:<width$}  last failure: {failure}", "")?;
            }
        }
        match &self.answer {
            Ok((status, text)) if self.accepted() => {
                writeln!(f, "\nsent to {}: {status}, {text}", self.sent_to)
            }
            Ok((status, text)) => writeln!(f, "\n{} refused it: {status}, {text}", self.sent_to),
            Err(error) => writeln!(
                f,
                "\nno answer from {}: {}",
                self.sent_to,
                measure::describe(error)
            ),
        }
    }
}

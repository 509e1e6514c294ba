//! The simulated fleet: what a visitor sees before the first real probe reports.
//!
//! Sixty probes in real cities, each measuring a hub every two seconds along a modelled path (see
//! [`crate::workload::path`]). It runs until it is stopped and outlives the engine: samples that
//! cannot be sent wait in a bounded queue per probe and are delivered late, in batches, oldest
//! first. When the queue is full the oldest sample is dropped and counted.

mod probe;

use crate::client::{TlsRoots, Url};
use crate::ledger::{LedgerFile, SeriesName};
use crate::report::grouped;
use crate::stack_env::StackEnv;
use crate::workload::{ProbeIdentity, roster};
use anyhow::Context;
use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::{JoinSet, LocalSet};

/// The simulated fleet's settings.
#[derive(Clone, Debug)]
pub struct Config {
    pub url: String,
    pub secret: String,
    pub probes: u32,
    pub interval: Duration,
    pub seed: u64,
    /// `None` runs until stopped.
    pub duration: Option<Duration>,
    /// Samples one probe keeps while it cannot send.
    pub backlog_max: usize,
    pub ca_file: Option<PathBuf>,
    pub ledger_file: Option<PathBuf>,
    /// Print a line each 30 s.
    pub progress: bool,
}

impl Config {
    pub fn from_stack(env: &StackEnv) -> Self {
        let base = crate::fleet::Config::from_stack(env);
        Self {
            url: base.url,
            secret: base.secret,
            probes: 60,
            interval: Duration::from_secs(2),
            seed: 1,
            duration: None,
            // Twelve hours at a sample each 2 s.
            backlog_max: 21_600,
            ca_file: None,
            ledger_file: None,
            progress: true,
        }
    }
}

/// What the fleet did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub measured: u64,
    pub acked: u64,
    pub refused: u64,
    /// Fell out of a full backlog.
    pub dropped: u64,
    pub failed_tries: u64,
    /// Waiting now.
    pub backlog: u64,
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n = |value: u64| grouped(value as f64);
        write!(
            f,
            "{} samples acked of {} measured",
            n(self.acked),
            n(self.measured)
        )?;
        for (name, value) in [
            ("waiting", self.backlog),
            ("refused", self.refused),
            ("dropped", self.dropped),
            ("failed tries", self.failed_tries),
        ] {
            if value > 0 {
                write!(f, " · {} {name}", n(value))?;
            }
        }
        Ok(())
    }
}

/// What the fleet's probes share. All on one thread.
struct Fleet {
    config: Config,
    url: Url,
    tls: TlsRoots,
    stop: Arc<AtomicBool>,
    totals: Cell<Totals>,
    ledger: Option<RefCell<LedgerFile>>,
}

impl Fleet {
    fn count(&self, change: impl FnOnce(&mut Totals)) {
        let mut totals = self.totals.get();
        change(&mut totals);
        self.totals.set(totals);
    }
}

/// A simulated fleet, ready to run.
#[derive(Debug)]
pub struct Demo {
    config: Config,
    stop: Arc<AtomicBool>,
}

/// After a stop, how long queued samples may still be sent.
const DRAIN: Duration = Duration::from_secs(3);

impl Demo {
    pub fn new(config: Config) -> anyhow::Result<Self> {
        anyhow::ensure!(config.probes > 0, "a fleet needs a probe");
        anyhow::ensure!(!config.interval.is_zero(), "the interval must not be zero");
        Ok(Self {
            config,
            stop: Arc::new(AtomicBool::new(false)),
        })
    }

    pub fn stopper(&self) -> impl Fn() + Send + 'static + use<> {
        let stop = Arc::clone(&self.stop);
        move || stop.store(true, Ordering::Relaxed)
    }

    /// Runs until stopped or the duration is over. Blocks.
    pub fn run(self) -> anyhow::Result<Totals> {
        let roster = roster::demo(self.config.probes);
        let ledger = match &self.config.ledger_file {
            Some(path) => {
                let series: Vec<_> = roster.iter().map(SeriesName::of_probe).collect();
                Some(RefCell::new(
                    LedgerFile::append(path, &series).context("open the ledger")?,
                ))
            }
            None => None,
        };
        let fleet = Rc::new(Fleet {
            url: Url::parse(&self.config.url)?,
            tls: TlsRoots::new(self.config.ca_file.as_deref())?,
            config: self.config,
            stop: self.stop,
            totals: Cell::new(Totals::default()),
            ledger,
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("build the runtime")?;
        LocalSet::new().block_on(&runtime, run_all(&fleet, &roster));
        if let Some(ledger) = &fleet.ledger {
            ledger.borrow_mut().flush().context("write the ledger")?;
        }
        Ok(fleet.totals.get())
    }
}

async fn run_all(fleet: &Rc<Fleet>, roster: &Arc<[ProbeIdentity]>) {
    if fleet.config.progress {
        eprintln!(
            "{} probes, a sample each {:?} to {}",
            roster.len(),
            fleet.config.interval,
            fleet.url
        );
    }
    let mut senders = JoinSet::new();
    let mut measurers = JoinSet::new();
    for number in 0..fleet.config.probes {
        let queue = Rc::new(probe::Queue::default());
        let identity = roster[number as usize].clone();
        let model = identity.path.clone();
        senders.spawn_local(probe::send(
            Rc::clone(fleet),
            Rc::clone(&queue),
            number,
            identity,
        ));
        measurers.spawn_local(probe::measure(Rc::clone(fleet), queue, number, model));
    }
    let began = Instant::now();
    let mut line_due = began + Duration::from_secs(30);
    while !fleet.stop.load(Ordering::Relaxed) {
        if fleet
            .config
            .duration
            .is_some_and(|limit| began.elapsed() >= limit)
        {
            fleet.stop.store(true, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        if fleet.config.progress && Instant::now() >= line_due {
            eprintln!("{}", fleet.totals.get());
            line_due += Duration::from_secs(30);
        }
        if let Some(ledger) = &fleet.ledger
            && let Err(error) = ledger.borrow_mut().flush()
        {
            tracing::error!(%error, "write the ledger");
        }
    }
    measurers.shutdown().await;
    // Senders end by themselves once their queue is empty.
    let drained = async { while senders.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        senders.shutdown().await;
    }
}

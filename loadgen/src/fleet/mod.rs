//! A run of many probes against one server, on a schedule that nothing delays.
//!
//! Each lane is one connection with one request in flight, serving one probe or a few. A lane that
//! is behind sends at once and counts from the moment it was meant to send. Lanes are spread over
//! threads, each with a single-threaded runtime of its own, so nothing is shared while sending.
//!
//! A generator that cannot keep its own schedule would blame the server for its own delay. Two
//! figures tell: sends that began late although their connection was idle, and the lag of each
//! thread's event loop. When more than 1 % of either is above 100 ms the report says so and is not
//! to be believed; see [`crate::report::GeneratorHealth`].

mod answer;
pub mod config;
pub(crate) mod credentials;
mod lane;
mod live;
pub(crate) mod request;
pub(crate) mod stats;
pub(crate) mod timeline;
mod worker;

pub use config::{Config, Format, Rate};
pub use live::LiveView;
pub use stats::Planted;

use crate::client::{TlsRoots, Url};
use crate::ledger::{Ledger, LedgerFile, SeriesName};
use crate::pace::Schedule;
use crate::report::Report;
use crate::workload::{ProbeIdentity, fleet_file, roster};
use anyhow::{Context, bail};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What all lanes of a run read.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) url: Url,
    pub(crate) tls: TlsRoots,
    pub(crate) tag: String,
    pub(crate) roster: Arc<[ProbeIdentity]>,
    pub(crate) schedule: Schedule,
    pub(crate) lanes: u32,
    pub(crate) stop: AtomicBool,
    pub(crate) live: live::Live,
    pub(crate) ledger_file: Option<Mutex<LedgerFile>>,
    pub(crate) credentials: credentials::Credentials,
    /// Why the run had to end, if it had to.
    failure: Mutex<Option<String>>,
    pub(crate) start: worker::StartLine,
}

impl Shared {
    /// A run that cannot keep its own witness ends: what it would send, nobody could judge.
    pub(crate) fn fail(&self, error: &anyhow::Error) {
        tracing::error!(%error, "the run ends");
        live::lock(&self.failure).get_or_insert_with(|| format!("{error:#}"));
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A run under way.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    workers: Vec<std::thread::JoinHandle<anyhow::Result<stats::WorkerResult>>>,
    began: fiber_contract::UnixMicros,
}

/// Runs to the end and reports. Blocks; from async code use `spawn_blocking`, or [`start`].
pub fn run(config: Config) -> anyhow::Result<Report> {
    start(config)?.wait()
}

/// Begins a run in the background: the server can be killed meanwhile, progress read, the run cut short.
pub fn start(mut config: Config) -> anyhow::Result<Running> {
    let own = match &config.fleet_file {
        Some(path) => Some(fleet_file::read(path)?),
        None => None,
    };
    if let Some(own) = &own {
        let count = u32::try_from(own.len()).unwrap_or(u32::MAX);
        config.probes = config.probes.min(count);
    }
    config.check()?;
    if let Err(error) = raise_open_files_limit() {
        tracing::debug!(%error, "the open-files limit stays as it is");
    }
    let began = fiber_contract::UnixMicros::now();
    let tag = config
        .tag
        .clone()
        .unwrap_or_else(|| config::default_tag(config.seed, began));
    let roster = own.unwrap_or_else(|| roster::tagged(&tag, config.probes));
    let roster = &roster[..config.probes as usize];
    let lanes = config
        .connections
        .unwrap_or(config.probes)
        .min(config.probes);
    let ledger_file = match &config.ledger_file {
        Some(path) => Some(Mutex::new(open_ledger(path, roster)?)),
        None => None,
    };
    let threads = config.threads.min(lanes);
    let shared = Arc::new(Shared {
        url: Url::parse(&config.url)?,
        tls: TlsRoots::new(config.ca_file.as_deref())?,
        schedule: config.schedule()?,
        credentials: credentials::Credentials::load(&config)?,
        failure: Mutex::new(None),
        stop: AtomicBool::new(false),
        live: live::Live::default(),
        start: worker::StartLine::new(threads),
        roster: roster.into(),
        config,
        tag,
        lanes,
        ledger_file,
    });
    let workers = (0..threads)
        .map(|thread| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("fleet-{thread}"))
                .spawn(move || worker::run(&shared, thread, threads))
        })
        .collect::<Result<Vec<_>, _>>()
        .context("start the worker threads")?;
    Ok(Running {
        shared,
        workers,
        began,
    })
}

impl Running {
    /// Totals so far, and the latencies since the call before.
    pub fn progress(&self) -> LiveView {
        self.shared.live.take(self.shared.start.elapsed())
    }

    /// No further sends; requests in flight still finish.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// A handle for a signal handler.
    pub fn stopper(&self) -> impl Fn() + Send + 'static + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.stop.store(true, Ordering::Relaxed)
    }

    pub fn is_finished(&self) -> bool {
        self.workers
            .iter()
            .all(std::thread::JoinHandle::is_finished)
    }

    pub fn tag(&self) -> &str {
        &self.shared.tag
    }

    /// Waits for the end of the run.
    pub fn wait(self) -> anyhow::Result<Report> {
        let mut total = stats::WorkerResult::new(self.shared.config.duration);
        for worker in self.workers {
            match worker.join() {
                Ok(result) => total.merge(result?)?,
                Err(_) => bail!("a worker thread panicked"),
            }
        }
        if let Some(file) = &self.shared.ledger_file
            && let Err(error) = live::lock(file).flush()
        {
            self.shared.fail(&error.into());
        }
        let ledger = self.shared.config.keep_ledger.then(|| Ledger {
            series: self
                .shared
                .roster
                .iter()
                .map(SeriesName::of_probe)
                .collect(),
            entries: std::mem::take(&mut total.entries),
        });
        let failure = live::lock(&self.shared.failure).clone();
        Ok(Report::of_run(
            &self.shared,
            self.began,
            &total,
            ledger,
            failure,
        ))
    }
}

fn open_ledger(path: &Path, roster: &[ProbeIdentity]) -> anyhow::Result<LedgerFile> {
    let series: Vec<_> = roster.iter().map(SeriesName::of_probe).collect();
    LedgerFile::append(path, &series).with_context(|| format!("open ledger {}", path.display()))
}

/// A thousand connections do not fit into the usual soft limit of 1024 files. Processes started
/// later inherit what this one may.
pub fn raise_open_files_limit() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

/// How long a stop may go unseen. Not a channel: a thousand lanes would each register with it on
/// every send.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Sleeps until `when`, or less when the run is being stopped.
pub(crate) async fn sleep_until_or_stop(when: Instant, stop: &AtomicBool) {
    loop {
        let now = Instant::now();
        if now >= when || stop.load(Ordering::Relaxed) {
            return;
        }
        tokio::time::sleep_until(when.min(now + LOOK_EVERY).into()).await;
    }
}

//! Builds every stage and joins them; the only file that knows all of them.
//!
//! The end comes in two steps. First the intake: the cores stop accepting, finish the requests
//! under way and go, the query side lets its connections finish, and the journal commits what is
//! queued. Then the drain: the writer copies what is durable, as far as the database lets it within
//! its limit. What is left stays in the journal for the next start.

use crate::admin::health::{self, Health};
use crate::admit::{Admit, BatchIds, RateLimiter};
use crate::auth::{Authorizer, keys, people};
use crate::config::Config;
use crate::coordination::{self, Coordination};
use crate::copy::{self, CommitWatch, CopyStatus};
use crate::cores::{self, Chosen};
use crate::failpoint::{self, Point};
use crate::heap;
use crate::journal::{self, Stats};
use crate::limits::{COMMITTED_DRAIN_WAIT, TOKIO_THREADS_MIN};
use crate::publish::notify::COMMITTED_QUEUE;
use crate::query::assets::Assets;
use crate::query::federation::Federation;
use crate::query::live::{self, Hub};
use crate::query::{self, Parts, Reading, handoff, sql};
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::{Accounts, Metrics};
use anyhow::Context as _;
use deadpool_postgres::Pool;
use fiber_contract::UnixMicros;
use fiber_contract::status::{EtlStatus, JournalStatus};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Runs until SIGTERM or SIGINT, or until the journal fails.
pub fn run(config: Config) -> anyhow::Result<()> {
    let config = Arc::new(config);
    if let Some(failpoint) = config.failpoint {
        failpoint::arm(failpoint);
    }
    let driver = cores::choose(config.driver)?;
    heap::give_back_soon();
    let opened = journal::open_dir(&journal::Options {
        on_damage: config.journal_on_damage,
        age_max: config.journal_age_max,
        ..journal::Options::new(config.data_dir.join("journal"), config.journal_bytes_max)
    })
    .context("open the journal")?;
    let journal = opened.start().context("start the journal")?;
    let threads = config.ingest_cores.get().max(TOKIO_THREADS_MIN);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("tokio")
        .enable_all()
        .build()?;
    let _entered = runtime.enter();
    let poisoned = journal.threads.poisoned();
    let mut feed = journal.feed;
    let batch_ids = restore_batch_ids(&runtime, &mut feed, &journal.stats);
    failpoint::pass(Point::Recovered);

    let stages = Stages::start(
        &config,
        driver,
        journal.appender,
        feed,
        batch_ids,
        &journal.stats,
    )?;
    tracing::info!(
        address = %stages.cores.address,
        driver = driver.as_str(),
        ingest_cores = config.ingest_cores.get(),
        environment = config.environment.as_str(),
        data_dir = %config.data_dir.display(),
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );

    let failed = runtime.block_on(wait_for_the_end(poisoned, stages.intake.clone()))?;
    stages.intake.ask();
    stages.cores.join();
    journal.threads.stop();
    stages.drain.ask();
    runtime.block_on(stages.tasks.join(&stages.intake, &stages.drain));
    runtime.shutdown_timeout(Duration::from_secs(1));
    tracing::info!("stopped");
    if failed {
        anyhow::bail!("the journal failed; see the log for its first error");
    }
    Ok(())
}

/// True when it was the journal that ended it.
async fn wait_for_the_end(
    poisoned: impl Future<Output = ()>,
    asked: Shutdown,
) -> anyhow::Result<bool> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
        _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "stopping"),
        () = asked.asked() => tracing::error!("stopping, because a part of the engine failed"),
        () = poisoned => return Ok(true),
    }
    Ok(false)
}

/// The tasks on tokio.
struct Tasks(JoinSet<()>);

impl Tasks {
    async fn join(mut self, intake: &Shutdown, drain: &Shutdown) {
        let all = async { while self.0.join_next().await.is_some() {} };
        if tokio::time::timeout(COMMITTED_DRAIN_WAIT, all)
            .await
            .is_err()
        {
            let pending = [intake.pending(), drain.pending()].concat();
            tracing::warn!(?pending, "parts were still at work at the end");
        }
    }
}

struct Stages {
    cores: cores::Cores,
    tasks: Tasks,
    intake: Shutdown,
    drain: Shutdown,
}

impl Stages {
    fn start(
        config: &Arc<Config>,
        driver: Chosen,
        appender: journal::Appender,
        feed: journal::Feed,
        batch_ids: Arc<BatchIds>,
        journal: &Arc<Stats>,
    ) -> anyhow::Result<Self> {
        let (intake, drain) = (Shutdown::new(), Shutdown::new());
        let metrics = Metrics::new(config.ingest_cores.get());
        let (watch, status) = (CommitWatch::new(), Arc::new(CopyStatus::new()));
        let mut tasks = JoinSet::new();
        restore_receipts(&mut tasks, config, &batch_ids, &drain);
        let authorizer = authorizer(&mut tasks, config, &drain);
        let (coordination, limiter) = shared_limits(config);
        let admit = Arc::new(Admit::new(
            Arc::clone(&authorizer),
            Arc::clone(&limiter),
            batch_ids,
            appender,
            watch.clone(),
            Arc::clone(&metrics),
            intake.clone(),
        ));
        let (committed, publish) = mpsc::channel(COMMITTED_QUEUE);
        let (to_query, from_cores) = handoff::channel();

        let accounts = accounts_reading(&metrics, journal);
        let etl = etl_reading(&status, &accounts);
        let (pool, fallback) = pools(config)?;
        let (health, federation) = (Health::new(), Arc::<Federation>::default());
        let hub = Hub::new(UnixMicros::now().0.unsigned_abs());

        let writer = writer(config, status, &watch, journal);
        let copied = copy::run(writer, feed, committed, Arc::clone(&metrics), drain.clone());
        tasks.spawn(copied);
        let sources = live::Sources {
            committed: publish,
            etl: etl.clone(),
            accounts: accounts.clone(),
            // The live state must not lag behind the writer.
            pool: fallback.as_ref().unwrap_or(&pool).clone(),
        };
        tasks.spawn(live::run(hub.clone(), sources, drain.clone()));
        watch_servers(
            &mut tasks,
            config,
            &health,
            &coordination,
            &metrics,
            &drain,
            told_to_redis(config, &metrics, &etl, &federation, &limiter),
        );
        let context = query::Context::new(Parts {
            config: Arc::clone(config),
            authorizer,
            limiter,
            metrics,
            journal: journal_reading(journal, &watch),
            etl,
            accounts,
            driver: driver.as_str(),
            pool,
            fallback,
            health,
            coordination,
            live: hub,
            federation,
            ingest: Arc::clone(&admit) as Arc<dyn query::IngestService>,
            assets: assets(config)?,
            shutdown: intake.clone(),
        });
        tasks.spawn(handoff::run(from_cores, context));

        let count = config.ingest_cores.get();
        let cores = cores::start(config.listen, count, driver, &admit, &to_query, &intake)?;
        Ok(Self {
            cores,
            tasks: Tasks(tasks),
            intake,
            drain,
        })
    }
}

/// How long a start waits for the receipts in the database.
const RECEIPTS_PATIENCE: Duration = Duration::from_secs(2);

/// Before anything is accepted, so that no retry comes too early.
fn restore_batch_ids(
    runtime: &tokio::runtime::Runtime,
    feed: &mut journal::Feed,
    stats: &Stats,
) -> Arc<BatchIds> {
    let ids = Arc::new(BatchIds::default());
    let (released, through) = (stats.released_seq(), stats.durable_seq());
    match runtime.block_on(ids.restore(feed, released, through)) {
        Ok(restored) => tracing::info!(restored, "answers to batches restored from the journal"),
        Err(error) => tracing::warn!(%error, "answers to batches cannot be read from the journal"),
    }
    ids
}

fn restore_receipts(
    tasks: &mut JoinSet<()>,
    config: &Config,
    ids: &Arc<BatchIds>,
    shutdown: &Shutdown,
) {
    let (tried, first) = tokio::sync::oneshot::channel();
    let database = config.database.connection();
    let ids = Arc::clone(ids);
    tasks.spawn(copy::receipts::restore(
        database,
        ids,
        tried,
        shutdown.clone(),
    ));
    let waited = async { tokio::time::timeout(RECEIPTS_PATIENCE, first).await.is_ok() };
    if !tokio::runtime::Handle::current().block_on(waited) {
        tracing::info!("receipts are restored in the background");
    }
}

/// For queries, and for queries while the read host is away.
fn pools(config: &Config) -> anyhow::Result<(Pool, Option<Pool>)> {
    sql::pools(&config.database).context("make the pools for queries")
}

/// The limits, and what shares them.
fn shared_limits(config: &Config) -> (Coordination, Arc<RateLimiter>) {
    let coordination = Coordination::new(config.redis_url.is_some());
    let limiter = RateLimiter::new(
        config.rate_limit,
        config.trusted_proxies.clone(),
        coordination.sharing(),
    );
    (coordination, Arc::new(limiter))
}

/// Knows the revoked keys of the last run before anything is accepted.
fn authorizer(tasks: &mut JoinSet<()>, config: &Config, drain: &Shutdown) -> Arc<Authorizer> {
    let authorizer = Arc::new(Authorizer::new(config));
    let (_, known) = authorizer.users();
    tasks.spawn(people::watch(
        Arc::clone(known),
        config.database.connection(),
        drain.clone(),
    ));
    if config.api_key_secret.is_some() {
        authorizer.revoked().restore(&config.data_dir);
        tasks.spawn(keys::watch(
            Arc::clone(authorizer.revoked()),
            config.database.connection(),
            config.data_dir.clone(),
            drain.clone(),
        ));
    }
    authorizer
}

fn writer(
    config: &Config,
    status: Arc<CopyStatus>,
    watch: &CommitWatch,
    journal: &Stats,
) -> copy::Context {
    copy::Context {
        database: config.database.connection(),
        status,
        watch: watch.clone(),
        replay_through: journal.durable_seq(),
        writers: config.writers.clone(),
    }
}

fn assets(config: &Config) -> anyhow::Result<Assets> {
    match &config.dashboard_dir {
        Some(dir) => Assets::load(dir).context("load the dashboard"),
        None => Ok(Assets::missing()),
    }
}

/// The tasks that look after the database and Redis, and the one that tells the database of refusals.
fn watch_servers(
    tasks: &mut JoinSet<()>,
    config: &Arc<Config>,
    health: &Arc<Health>,
    coordination: &Coordination,
    metrics: &Arc<Metrics>,
    drain: &Shutdown,
    told: coordination::Sources,
) {
    tasks.spawn(health::run(
        Arc::clone(health),
        Arc::clone(config),
        drain.clone(),
    ));
    let run = UnixMicros::now().0;
    tasks.spawn(copy::refusals::run(
        config.database.connection(),
        format!("{}@{run}", config.instance),
        Arc::clone(metrics),
        drain.clone(),
    ));
    let url = config.redis_url.clone();
    tasks.spawn(coordination::run(
        coordination.clone(),
        url,
        told,
        drain.clone(),
    ));
}

fn told_to_redis(
    config: &Config,
    metrics: &Arc<Metrics>,
    etl: &Reading<EtlStatus>,
    federation: &Arc<Federation>,
    limiter: &Arc<RateLimiter>,
) -> coordination::Sources {
    coordination::Sources {
        instance: config.instance.clone(),
        metrics: Arc::clone(metrics),
        etl: etl.clone(),
        federation: Arc::clone(federation),
        limiter: Arc::clone(limiter),
    }
}

fn accounts_reading(metrics: &Arc<Metrics>, journal: &Arc<Stats>) -> Reading<Accounts> {
    let (metrics, journal) = (Arc::clone(metrics), Arc::clone(journal));
    metrics.journal.get_or_init(|| Arc::clone(&journal));
    Reading::new(move || metrics.copy.accounts(|| journal.samples_written()))
}

fn etl_reading(status: &Arc<CopyStatus>, accounts: &Reading<Accounts>) -> Reading<EtlStatus> {
    let (status, accounts) = (Arc::clone(status), accounts.clone());
    Reading::new(move || {
        let now = status.snapshot();
        EtlStatus {
            state: if now.connected { "running" } else { "waiting" }.to_owned(),
            lag_s: now.lag.as_secs_f64(),
            in_flight: accounts.get().in_flight,
            last_error: now.last_error,
        }
    })
}

fn journal_reading(stats: &Arc<Stats>, watch: &CommitWatch) -> Reading<JournalStatus> {
    let (stats, watch) = (Arc::clone(stats), watch.clone());
    Reading::new(move || {
        let oldest = stats.oldest_unreleased_at();
        JournalStatus {
            state: stats.state().as_str().to_owned(),
            bytes: stats.bytes(),
            bytes_max: stats.bytes_max(),
            segments: u32::try_from(stats.segments()).unwrap_or(u32::MAX),
            oldest_age_s: oldest.map_or(0.0, |at| UnixMicros::now().secs_since(at).max(0.0)),
            durable_seq: stats.durable_seq().0,
            committed_seq: watch.committed().0,
        }
    })
}

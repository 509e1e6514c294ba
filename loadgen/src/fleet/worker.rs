//! One thread of the generator: a single-threaded runtime and its share of the lanes.

use super::lane::{Books, Lane};
use super::live::{self, Published};
use super::stats::{Stats, WorkerResult};
use super::timeline::Timeline;
use super::{Rate, Shared};
use crate::client::{Backoff, Error};
use crate::pace::Alarm;
use anyhow::Context;
use fiber_contract::UnixMicros;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};
use tokio::task::{JoinSet, LocalSet};

/// Where all threads wait until every connection is open, so that one clock serves all.
#[derive(Debug)]
pub(crate) struct StartLine {
    barrier: Barrier,
    moment: OnceLock<(Instant, UnixMicros)>,
}

impl StartLine {
    pub(crate) fn new(threads: u32) -> Self {
        Self {
            barrier: Barrier::new(threads as usize),
            moment: OnceLock::new(),
        }
    }

    fn wait(&self) -> (Instant, UnixMicros) {
        self.barrier.wait();
        *self
            .moment
            .get_or_init(|| (Instant::now(), UnixMicros::now()))
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.moment
            .get()
            .map_or(Duration::ZERO, |(start, _)| start.elapsed())
    }
}

/// Connections opened at the same time: more would overflow a listener's queue of 128.
const CONNECTING_MAX: usize = 64;
/// How long the server may take to become reachable before the run.
const CONNECT_FOR: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(10);
const PUBLISH_EVERY_TICKS: u32 = 40;

pub(super) fn run(shared: &Arc<Shared>, thread: u32, threads: u32) -> anyhow::Result<WorkerResult> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("build the runtime")?;
    let books = Rc::new(RefCell::new(Books {
        stats: Stats::new(),
        timeline: Timeline::new(shared.config.duration),
        entries: Vec::new(),
    }));
    let local = LocalSet::new();
    let alarm = {
        let _within = runtime.enter();
        Rc::new(Alarm::new().context("make the timer")?)
    };
    let began = UnixMicros::now();
    let lanes: anyhow::Result<Vec<_>> = (thread..shared.lanes)
        .step_by(threads as usize)
        .map(|lane| Lane::new(shared, &books, &alarm, lane, began))
        .collect::<Result<_, _>>();
    let connected = match lanes {
        Ok(lanes) => local
            .block_on(&runtime, connect_all(lanes))
            .map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    // The others wait at the line: one that cannot run must reach it too.
    let (start, start_unix) = shared.start.wait();
    let lanes = connected?;
    let cpu_before = crate::report::host::thread_cpu();
    local.block_on(
        &runtime,
        run_all(shared, &books, &alarm, lanes, start, start_unix),
    );
    drop(local);
    let elapsed = start.elapsed();
    let books = Rc::into_inner(books)
        .context("a lane outlived its run")?
        .into_inner();
    let cpu = crate::report::host::thread_cpu().saturating_sub(cpu_before);
    Ok(WorkerResult {
        stats: books.stats,
        timeline: books.timeline,
        entries: books.entries,
        cpu,
        cpu_share: cpu.as_secs_f64() / elapsed.as_secs_f64().max(1e-9),
        elapsed,
    })
}

async fn connect_all(lanes: Vec<Lane>) -> Result<Vec<Lane>, Error> {
    let deadline = Instant::now() + CONNECT_FOR;
    let mut waiting = lanes.into_iter().enumerate();
    let mut connecting = JoinSet::new();
    let mut ready = Vec::new();
    loop {
        while connecting.len() < CONNECTING_MAX
            && let Some((n, mut lane)) = waiting.next()
        {
            connecting.spawn_local(async move {
                let mut backoff =
                    Backoff::new(Duration::from_millis(20), Duration::from_secs(1), n as u64);
                loop {
                    match lane.connect().await {
                        Ok(()) => return Ok(lane),
                        Err(error) if error.is_lasting() || Instant::now() > deadline => {
                            return Err(error);
                        }
                        Err(_) => tokio::time::sleep(backoff.next_wait()).await,
                    }
                }
            });
        }
        match connecting.join_next().await {
            None => return Ok(ready),
            Some(Ok(lane)) => ready.push(lane?),
            Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

async fn run_all(
    shared: &Arc<Shared>,
    books: &Rc<RefCell<Books>>,
    alarm: &Rc<Alarm>,
    lanes: Vec<Lane>,
    start: Instant,
    start_unix: UnixMicros,
) {
    let ringing = Rc::clone(alarm);
    let mut ringer = tokio::task::spawn_local(async move { ringing.ring().await });
    let mut running = JoinSet::new();
    for lane in lanes {
        running.spawn_local(lane.run(start, start_unix));
    }
    let mut published = Published::new();
    let mut tick = 0_u32;
    let mut due = Instant::now() + TICK;
    loop {
        tokio::select! {
            done = running.join_next() => match done {
                None => break,
                Some(Ok(())) => {}
                Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
            },
            // Without it nobody would wake any more.
            ended = &mut ringer => {
                let ended = ended.map_err(anyhow::Error::from).and_then(|io| Ok(io?));
                shared.fail(&ended.err().unwrap_or_else(|| anyhow::anyhow!("the timer ended")));
                break;
            }
            () = tokio::time::sleep_until(due.into()) => {
                let now = Instant::now();
                let mut books = books.borrow_mut();
                // A closed loop keeps its thread busy by design; its lag means nothing.
                if matches!(shared.config.rate, Rate::PerSecond(_)) {
                    books.stats.loop_tick(now.duration_since(due));
                }
                tick = tick.wrapping_add(1);
                if tick.is_multiple_of(PUBLISH_EVERY_TICKS) {
                    shared.live.publish(&mut published, &books.stats);
                    if let Some(file) = &shared.ledger_file
                        && let Err(error) = live::lock(file).flush()
                    {
                        shared.fail(&error.into());
                    }
                }
                due = now + TICK;
            }
        }
    }
    ringer.abort();
    shared.live.publish(&mut published, &books.borrow().stats);
}

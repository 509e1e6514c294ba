//! One connection of the fleet: waits for its moments, sends, tries again, keeps the books.

use super::Shared;
use super::answer::{self, Fate, Try};
use super::config::{Format, Rate};
use super::request::{ProbeWriter, RequestWriter};
use super::stats::{Stats, micros};
use super::timeline::Timeline;
use super::{LOOK_EVERY, live, sleep_until_or_stop};
use crate::client::{Backoff, Connection, Error, Limits};
use crate::ledger::Entry;
use crate::pace::{Alarm, LanePlan, LaneSchedule, Planned};
use fiber_contract::UnixMicros;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What the lanes of one thread share.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) stats: Stats,
    pub(super) timeline: Timeline,
    pub(super) entries: Vec<Entry>,
}

pub(super) struct Lane {
    shared: Arc<Shared>,
    books: Rc<RefCell<Books>>,
    alarm: Rc<Alarm>,
    plan: LanePlan,
    probes: Vec<ProbeWriter>,
    writer: RequestWriter,
    connection: Option<Connection>,
    start: Instant,
    last_used: Instant,
    backoff: Backoff,
}

/// The moments of one request.
#[derive(Clone, Copy)]
struct Moments {
    /// Meant to be sent.
    due: Instant,
    /// Began to be sent.
    begin: Instant,
    /// Over.
    now: Instant,
}

/// An idle connection is looked at before it is used again after this long.
const STALE_AFTER: Duration = Duration::from_millis(500);

impl Lane {
    pub(super) fn new(
        shared: &Arc<Shared>,
        books: &Rc<RefCell<Books>>,
        alarm: &Rc<Alarm>,
        lane: u32,
        began: UnixMicros,
    ) -> anyhow::Result<Self> {
        let plan = LanePlan::new(LaneSchedule {
            schedule: shared.schedule.clone(),
            probes: shared.config.probes,
            lanes: shared.lanes,
            lane,
        });
        let probes = (lane..shared.config.probes)
            .step_by(shared.lanes as usize)
            .map(|series| ProbeWriter::new(shared, series, &shared.roster[series as usize]))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            books: Rc::clone(books),
            alarm: Rc::clone(alarm),
            plan,
            probes,
            writer: RequestWriter::new(shared, began),
            connection: None,
            start: Instant::now(),
            last_used: Instant::now(),
            backoff: Backoff::new(
                Duration::from_millis(20),
                Duration::from_secs(2),
                shared.config.seed ^ u64::from(lane),
            ),
            shared: Arc::clone(shared),
        })
    }

    /// Opens the connection before the schedule begins.
    pub(super) async fn connect(&mut self) -> Result<(), Error> {
        if !self.shared.config.no_send {
            self.connection = Some(self.open().await?);
        }
        Ok(())
    }

    pub(super) async fn run(mut self, start: Instant, start_unix: UnixMicros) {
        let shared = Arc::clone(&self.shared);
        self.start = start;
        let end = start + shared.config.duration;
        let mut free_at = start;
        for turn in 1_u64.. {
            let Some((planned, due)) = self.next_send(end) else {
                break;
            };
            if let Some(lost) = planned.link_lost {
                self.sleep_until(start + lost).await;
                self.connection = None;
            }
            self.sleep_until(due).await;
            let begin = Instant::now();
            if shared.stop.load(Ordering::Relaxed) || begin > end + shared.config.drain {
                self.count_unsent(planned);
                break;
            }
            let lag = begin.duration_since(due.max(free_at));
            if !self.render(planned, start_unix) {
                self.count_unsent(planned);
                break;
            }
            self.count_begun(
                lag,
                Moments {
                    due,
                    begin,
                    now: begin,
                },
            );
            let fate = if shared.config.no_send {
                if turn.is_multiple_of(64) {
                    tokio::task::yield_now().await;
                }
                Fate::all_acked()
            } else {
                self.deliver().await
            };
            free_at = Instant::now();
            let moments = Moments {
                due,
                begin,
                now: free_at,
            };
            self.settle(planned.k, &fate, moments, end);
        }
    }

    /// Less when the run is being stopped.
    async fn sleep_until(&self, when: Instant) {
        loop {
            let now = Instant::now();
            if now >= when || self.shared.stop.load(Ordering::Relaxed) {
                return;
            }
            if let Err(error) = self.alarm.until(when.min(now + LOOK_EVERY)).await {
                return self.shared.fail(&error.into());
            }
        }
    }

    /// The next send and its moment. Without a schedule, the moment is now, until the end.
    fn next_send(&mut self, end: Instant) -> Option<(Planned, Instant)> {
        match self.shared.config.rate {
            Rate::PerSecond(_) => {
                let planned = self.plan.next()?;
                Some((planned, self.start + planned.due))
            }
            Rate::Max => {
                let now = Instant::now();
                (now < end).then(|| (self.plan.endless(), now.max(self.start)))
            }
        }
    }

    /// The request's bytes, and the ledger's line about it: false when one of them cannot be, and
    /// then nothing may be sent.
    fn render(&mut self, planned: Planned, start_unix: UnixMicros) -> bool {
        let probe = &mut self.probes[planned.member as usize];
        let rendered = self.writer.render(&self.shared, probe, planned, start_unix);
        let noted = rendered.and_then(|()| match &self.shared.ledger_file {
            Some(file) => Ok(live::lock(file).intend(planned.k, &self.writer.entries)?),
            None => Ok(()),
        });
        if let Err(error) = noted {
            self.shared.fail(&error);
            return false;
        }
        true
    }

    fn count_begun(&self, lag: Duration, moments: Moments) {
        let mut books = self.books.borrow_mut();
        let late = moments.begin.duration_since(moments.due);
        books.stats.begun(lag, late);
        books.stats.planted.add(&self.writer.planted);
        books
            .timeline
            .at(moments.begin.duration_since(self.start))
            .begun += 1;
    }

    fn count_unsent(&mut self, first: Planned) {
        if let Rate::PerSecond(_) = self.shared.config.rate {
            let rest = self.plan.by_ref().map(|planned| u64::from(planned.rounds));
            let unsent = u64::from(first.rounds) + rest.sum::<u64>();
            self.books.borrow_mut().stats.unsent_requests += unsent;
        }
    }

    /// Tries until there is an answer that settles it, or the time for retries is over.
    async fn deliver(&mut self) -> Fate {
        let give_up = Instant::now() + self.shared.config.retry_for;
        // A lost answer stays lost: if a later try is refused, the first may still be stored.
        let mut in_doubt = false;
        self.backoff.reset();
        loop {
            let (wait, doubtful) = match self.attempt().await {
                Try::Done(Fate::Refused { .. }) if in_doubt => return Fate::Unknown,
                Try::Done(fate) => return fate,
                Try::Again { wait, doubtful } => (wait, doubtful),
            };
            in_doubt |= doubtful;
            let wait = match wait {
                Some(hint) => self.backoff.after_hint(hint),
                None => self.backoff.next_wait(),
            };
            if Instant::now() + wait > give_up || self.shared.stop.load(Ordering::Relaxed) {
                return if in_doubt {
                    Fate::Unknown
                } else {
                    Fate::Refused { told: Vec::new() }
                };
            }
            self.books.borrow_mut().stats.retries += 1;
            sleep_until_or_stop(Instant::now() + wait, &self.shared.stop).await;
        }
    }

    async fn attempt(&mut self) -> Try {
        let idle = self.last_used.elapsed() > STALE_AFTER;
        let kept = self
            .connection
            .take()
            .filter(|kept| !(idle && kept.is_stale()));
        let mut connection = match kept {
            Some(connection) => connection,
            None => match self.open().await {
                Ok(connection) => {
                    self.books.borrow_mut().stats.reconnects += 1;
                    connection
                }
                Err(error) => return self.failed(&error),
            },
        };
        let verdict = match connection.exchange(&self.writer.bytes).await {
            Ok(answer) => {
                let mut books = self.books.borrow_mut();
                *books.stats.answers.entry(answer.status).or_default() += 1;
                books.stats.bytes_sent += self.writer.bytes.len() as u64;
                let is_line = self.shared.config.format == Format::Line;
                let verdict =
                    answer::judge(answer.status, answer.retry_after, answer.body, is_line);
                if answer.status >= 300 {
                    books.timeline.at(self.start.elapsed()).errors += 1;
                }
                verdict
            }
            Err(error) => return self.failed(&error),
        };
        if connection.reusable() {
            self.last_used = Instant::now();
            self.connection = Some(connection);
        }
        verdict
    }

    fn failed(&self, error: &Error) -> Try {
        tracing::debug!(%error, "a try failed");
        let mut books = self.books.borrow_mut();
        *books.stats.errors.entry(error.kind()).or_default() += 1;
        books.timeline.at(self.start.elapsed()).errors += 1;
        Try::Again {
            wait: None,
            doubtful: error.maybe_processed(),
        }
    }

    async fn open(&self) -> Result<Connection, Error> {
        let limits = Limits {
            exchange: self.shared.config.request_timeout,
            ..Limits::default()
        };
        Connection::open(&self.shared.url, &self.shared.tls, limits).await
    }

    fn settle(&mut self, k: u64, fate: &Fate, moments: Moments, end: Instant) {
        let mut books = self.books.borrow_mut();
        let Books {
            stats,
            timeline,
            entries,
        } = &mut *books;
        let writer = &mut self.writer;
        let settled = fate.settle(writer.samples, &writer.bad, &mut writer.entries);
        stats.planted.add(&settled.planted);
        stats.acked_samples += settled.acked;
        stats.refused_samples += settled.refused;
        stats.unknown_samples += settled.unknown;
        let step = timeline.at(moments.now.duration_since(self.start));
        step.acked_samples += settled.acked;
        step.refused_samples += settled.refused;
        if settled.answered {
            step.acked_requests += 1;
            stats.acked_requests += 1;
            if moments.now <= end {
                stats.acked_in_window += settled.acked;
                stats.acked_requests_in_window += 1;
            }
            let latency = moments.now.duration_since(moments.due);
            stats.corrected_us.saturating_record(micros(latency));
            let service = moments.now.duration_since(moments.begin);
            stats.service_us.saturating_record(micros(service));
            timeline.latency(moments.due.duration_since(self.start), latency);
        }
        if let Some(file) = &self.shared.ledger_file
            && let Err(error) = live::lock(file).settle(k, &writer.entries)
        {
            self.shared.fail(&error.into());
        }
        if self.shared.config.keep_ledger {
            entries.extend_from_slice(&writer.entries);
        }
    }
}

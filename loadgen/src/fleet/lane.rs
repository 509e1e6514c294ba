//! One connection of the fleet: waits for its moments, sends, tries again, keeps the books.

use super::Shared;
use super::config::Rate;
use super::request::{ProbeWriter, RequestWriter};
use super::stats::{Stats, micros};
use super::{live, sleep_until_or_stop};
use crate::client::{Backoff, Connection, Error, Limits};
use crate::ledger::{Entry, Outcome};
use crate::pace::{LaneSchedule, Slot};
use fiber_contract::UnixMicros;
use fiber_contract::ingest::IngestAnswer;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What the lanes of one thread share.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) stats: Stats,
    pub(super) entries: Vec<Entry>,
}

pub(super) struct Lane {
    shared: Arc<Shared>,
    books: Rc<RefCell<Books>>,
    schedule: LaneSchedule,
    probes: Vec<ProbeWriter>,
    writer: RequestWriter,
    connection: Option<Connection>,
    last_used: Instant,
    backoff: Backoff,
}

/// How a request ended.
enum Fate {
    /// With the positions of members that the server refused.
    Acked {
        refused: Vec<u32>,
    },
    Refused,
    Unknown,
}

/// What one try told.
enum Try {
    Done(Fate),
    Again {
        wait: Option<Duration>,
        doubtful: bool,
    },
}

/// An idle connection is looked at before it is used again after this long.
const STALE_AFTER: Duration = Duration::from_millis(500);

impl Lane {
    pub(super) fn new(
        shared: &Arc<Shared>,
        books: &Rc<RefCell<Books>>,
        lane: u32,
        began: UnixMicros,
    ) -> Self {
        let schedule = LaneSchedule {
            schedule: shared.schedule,
            probes: shared.config.probes,
            lanes: shared.lanes,
            lane,
        };
        let probes = (lane..shared.config.probes)
            .step_by(shared.lanes as usize)
            .map(|series| ProbeWriter::new(shared, series, &shared.roster[series as usize]))
            .collect();
        Self {
            books: Rc::clone(books),
            schedule,
            probes,
            writer: RequestWriter::new(shared, began),
            connection: None,
            last_used: Instant::now(),
            backoff: Backoff::new(
                Duration::from_millis(20),
                Duration::from_secs(2),
                shared.config.seed ^ u64::from(lane),
            ),
            shared: Arc::clone(shared),
        }
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
        let end = start + shared.config.duration;
        let mut free_at = start;
        for index in 0.. {
            let Some((slot, due)) = self.next_slot(index, start, end) else {
                break;
            };
            sleep_until_or_stop(due, &shared.stop).await;
            let begin = Instant::now();
            if shared.stop.load(Ordering::Relaxed) || begin > end + shared.config.drain {
                self.count_unsent(index);
                break;
            }
            let lag = begin.duration_since(due.max(free_at));
            self.books
                .borrow_mut()
                .stats
                .begun(lag, begin.duration_since(due));
            let probe = &mut self.probes[slot.member as usize];
            self.writer.render(&shared, probe, slot, start_unix);
            let fate = if shared.config.no_send {
                if index % 64 == 63 {
                    tokio::task::yield_now().await;
                }
                Fate::Acked {
                    refused: Vec::new(),
                }
            } else {
                self.deliver().await
            };
            free_at = Instant::now();
            self.settle(&fate, free_at, due, begin, end);
        }
    }

    /// The next send and its moment. Without a schedule, the moment is now, until the end.
    fn next_slot(&self, index: u64, start: Instant, end: Instant) -> Option<(Slot, Instant)> {
        match self.shared.config.rate {
            Rate::PerSecond(_) => {
                let slot = self.schedule.slot(index)?;
                Some((slot, start + self.shared.schedule.offset(slot.k)))
            }
            Rate::Max => {
                let now = Instant::now();
                (now < end).then(|| (self.schedule.endless(index), now.max(start)))
            }
        }
    }

    fn count_unsent(&self, from: u64) {
        if let Rate::PerSecond(_) = self.shared.config.rate {
            let unsent = (from..)
                .take_while(|index| self.schedule.slot(*index).is_some())
                .count();
            self.books.borrow_mut().stats.unsent_requests += unsent as u64;
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
                Try::Done(Fate::Refused) if in_doubt => return Fate::Unknown,
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
                    Fate::Refused
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
                judge(answer.status, answer.retry_after, answer.body)
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
        *self
            .books
            .borrow_mut()
            .stats
            .errors
            .entry(error.kind())
            .or_default() += 1;
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

    fn settle(&mut self, fate: &Fate, now: Instant, due: Instant, begin: Instant, end: Instant) {
        let mut books = self.books.borrow_mut();
        let books = &mut *books;
        let samples = self.writer.entries.len() as u64;
        match fate {
            Fate::Acked { refused } => {
                let accepted = samples - refused.len() as u64;
                books.stats.acked_requests += 1;
                books.stats.acked_samples += accepted;
                books.stats.refused_samples += refused.len() as u64;
                if now <= end {
                    books.stats.acked_in_window += accepted;
                }
                books
                    .stats
                    .corrected_us
                    .saturating_record(micros(now.duration_since(due)));
                books
                    .stats
                    .service_us
                    .saturating_record(micros(now.duration_since(begin)));
            }
            Fate::Refused => books.stats.refused_samples += samples,
            Fate::Unknown => books.stats.unknown_samples += samples,
        }
        if !self.shared.config.keep_ledger && self.shared.ledger_file.is_none() {
            return;
        }
        for (member, entry) in (0..).zip(&mut self.writer.entries) {
            let outcome = match fate {
                Fate::Acked { refused } if refused.contains(&member) => Outcome::Refused,
                Fate::Acked { .. } => Outcome::Acked,
                Fate::Refused => Outcome::Refused,
                Fate::Unknown => Outcome::Unknown,
            };
            *entry = Entry::new(entry.series(), entry.time_us, entry.hash, outcome);
        }
        if let Some(file) = &self.shared.ledger_file
            && let Err(error) = live::lock(file).write(&self.writer.entries)
        {
            *books.stats.errors.entry("ledger write").or_default() += 1;
            tracing::error!(%error, "write the ledger");
        }
        if self.shared.config.keep_ledger {
            books.entries.extend_from_slice(&self.writer.entries);
        }
    }
}

/// What an answer means for the samples of its request.
fn judge(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Try {
    match status {
        200 | 202 => match refused_members(body) {
            Some(refused) => Try::Done(Fate::Acked { refused }),
            // An ack that cannot be read is no ack to rely on, and no refusal either.
            None => Try::Done(Fate::Unknown),
        },
        // Ours to repeat, and by contract nothing of it is stored.
        408 | 429 | 503 => Try::Again {
            wait: retry_after,
            doubtful: false,
        },
        500..=599 => Try::Again {
            wait: retry_after,
            doubtful: true,
        },
        _ => Try::Done(Fate::Refused),
    }
}

/// Positions that an accepted batch lists as refused; `None` when the body is not an answer.
fn refused_members(body: &[u8]) -> Option<Vec<u32>> {
    const NONE: &[u8] = b"\"rejected\":0,";
    // A parse per answer would double the cost of a request.
    if body.windows(NONE.len()).any(|part| part == NONE) {
        return Some(Vec::new());
    }
    let answer: IngestAnswer = serde_json::from_slice(body).ok()?;
    let mut refused: Vec<u32> = answer.data.errors.iter().map(|error| error.index).collect();
    refused.sort_unstable();
    refused.dedup();
    (refused.len() as u64 == u64::from(answer.data.rejected)).then_some(refused)
}

//! Makes records durable before anybody is told that they are.
//!
//! **Promises.** A record whose `Pending` resolved to `Ok` is on disk, and comes out of the `Feed`
//! after any crash, in order, once per read, until it is released. Nothing that was not appended
//! ever comes out. Sequences are never given twice. Segments are deleted only when every group in
//! them is released.
//!
//! **On disk.** A folder with `lock`, `journal.id` and segments `0000000000000001.seg` and on,
//! numbered without reuse, each `SEGMENT_BYTES` and preallocated; see `segment` for the header and
//! `group` for the groups. A file gets its number by rename, when its length and header are
//! durable. A group never straddles two segments.
//!
//! **Writing.** One thread. Everything that arrives while one flush is under way joins the next:
//! one group, one write, one fdatasync, then the answers, then the hand-off to the reader (see
//! `batch`). A second thread keeps a spare segment ready and deletes released ones.
//!
//! **Failing.** A failed fsync, or a failed write that is not for want of space, poisons the
//! journal: nothing is answered with success any more, and the process must end; on the next start
//! the journal is read from disk. Want of space refuses records and ends by itself. The spare is
//! the reserve with which a journal on a full disk goes on to the end of one more segment.
//!
//! **Recovering.** Every group is verified at start. What a crash left half written at the very end
//! is cut and reported. Damage anywhere else is named, with the groups that it costs, and refused;
//! with `OnDamage::Quarantine` the damaged files are kept aside and the rest is used. The feed then
//! leaves out exactly the lost sequences.
//!
//! **Not here.** No replication, no compression, no encryption, no recycling of segments (old bytes
//! can never be taken for new ones), no O_DIRECT, and no fsync that is tried again.

mod answers;
mod appender;
mod cursor;
mod error;
mod group;
mod identity;
mod inspect;
mod quarantine;
pub mod record;
mod recover;
mod scan;
mod segment;
mod shared;
mod stats;
mod storage;
mod survey;
mod tidy;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

pub use answers::Answers;
pub use error::{CommitFailed, Damage, OpenError, Refused};
pub use inspect::inspect;
pub use stats::{Histogram, State, Stats};
pub use storage::{Disk, File, Storage};

use crate::limits::{JOURNAL_AGE_MAX_DEFAULT, SEGMENT_BYTES};
use crate::model::{GroupSeq, JournalId};
use bytes::Bytes;
use crossbeam::channel::{Receiver, Sender, bounded};
use shared::Shared;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tidy::Tidy;
use tokio::sync::watch;
use writer::{Message, Writer};

#[derive(Clone, Debug)]
pub struct Options {
    pub dir: PathBuf,
    pub segment_bytes: u64,
    /// Bytes on disk at which appends are refused.
    pub bytes_max: u64,
    /// Age of the oldest group that waits for the database at which appends are refused.
    pub age_max: Duration,
    pub on_damage: OnDamage,
}

impl Options {
    pub fn new(dir: PathBuf, bytes_max: u64) -> Self {
        Self {
            dir,
            segment_bytes: SEGMENT_BYTES,
            bytes_max,
            age_max: JOURNAL_AGE_MAX_DEFAULT,
            on_damage: OnDamage::Refuse,
        }
    }
}

/// `FIBER_JOURNAL_ON_DAMAGE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDamage {
    /// Do not start; the operator decides.
    #[default]
    Refuse,
    /// Keep damaged files as `….seg.damaged` and go on with what is whole.
    Quarantine,
}

/// Takes the folder and finds what is in it. Reads all of it: about a second per two gigabytes.
pub fn open(options: &Options, storage: impl Storage) -> Result<Opened, OpenError> {
    let recover::Recovered { shared, active } = recover::recover(options, Arc::new(storage))?;
    let (tidy, wake_tidy) = bounded(1);
    let writer = Writer::new(Arc::clone(&shared), active, tidy.clone());
    let (appender, queue) = appender::channel(&shared);
    let feed = Feed::new(Arc::clone(&shared), tidy.clone());
    Ok(Opened {
        shared,
        writer,
        appender,
        queue,
        feed,
        tidy,
        wake_tidy,
    })
}

/// `open` on a folder of this machine.
pub fn open_dir(options: &Options) -> Result<Opened, OpenError> {
    let disk = Disk::new(&options.dir).map_err(OpenError::io(options.dir.clone()))?;
    open(options, disk)
}

/// Recovered, and nothing runs yet.
#[derive(Debug)]
pub struct Opened {
    shared: Arc<Shared>,
    writer: Writer,
    appender: Appender,
    queue: Receiver<Message>,
    feed: Feed,
    tidy: Sender<()>,
    wake_tidy: Receiver<()>,
}

impl Opened {
    pub fn journal_id(&self) -> JournalId {
        self.shared.journal
    }

    pub fn start(self) -> Result<Running, OpenError> {
        let Self {
            shared,
            writer,
            appender,
            queue,
            feed,
            tidy,
            wake_tidy,
        } = self;
        let stats = Arc::clone(&shared.stats);
        let poison = shared.poison.subscribe();
        let path = shared.storage.path("");
        let tidier = Tidy::new(shared);
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread.spawn(run).map_err(OpenError::io(path.clone()))
        };
        let journal = spawn("journal", Box::new(move || writer.run(&queue)))?;
        let tidying = spawn("journal-tidy", Box::new(move || tidier.run(&wake_tidy)))?;
        let threads = Threads {
            stats: Arc::clone(&stats),
            queue: appender.clone(),
            poison,
            tidy,
            journal,
            tidying,
        };
        Ok(Running {
            appender,
            feed,
            stats,
            threads,
        })
    }
}

/// The parts of a running journal, each for its owner.
#[derive(Debug)]
pub struct Running {
    pub appender: Appender,
    pub feed: Feed,
    pub stats: Arc<Stats>,
    pub threads: Threads,
}

impl Running {
    /// See `Threads::stop`.
    pub fn stop(self) {
        let Self { feed, threads, .. } = self;
        drop(feed);
        threads.stop();
    }
}

/// The journal's threads. Dropping it lets them run on.
#[derive(Debug)]
pub struct Threads {
    stats: Arc<Stats>,
    queue: Appender,
    poison: watch::Receiver<bool>,
    tidy: Sender<()>,
    journal: JoinHandle<()>,
    tidying: JoinHandle<()>,
}

impl Threads {
    /// Resolves when the journal failed, on any runtime: the process has to exit with an error.
    pub fn poisoned(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut poison = self.poison.clone();
        async move {
            // An error means that the journal stopped without failing.
            if poison.wait_for(|poisoned| *poisoned).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Refuses new records, commits those that are queued, and returns when they are answered and
    /// both threads have ended. Blocks for as long as that takes. The folder stays locked until the
    /// feed is dropped too.
    pub fn stop(self) {
        let Self {
            stats,
            queue,
            tidy,
            journal,
            tidying,
            poison: _,
        } = self;
        stats.stopping.store(true, Ordering::Release);
        // An error means that the thread is gone already.
        queue.sender().send(Message::Stop).unwrap_or_default();
        join(journal);
        // Full means that it is awake already.
        tidy.try_send(()).unwrap_or_default();
        join(tidying);
    }
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread of the journal panicked");
    }
}

/// The way in: cheap to clone, used from every core and from tokio.
#[derive(Clone, Debug)]
pub struct Appender {
    sender: Sender<Message>,
    stats: Arc<Stats>,
}

/// Resolves to the group that holds the record once it is durable.
pub type Pending = futures_channel::oneshot::Receiver<answers::Answered>;

/// A durable group: what a transaction is made of.
#[derive(Clone, Debug)]
pub struct Group {
    pub seq: GroupSeq,
    /// When it became durable, or was found at start.
    pub durable_at: Instant,
    pub samples: u32,
    pub records: Vec<Bytes>,
}

/// The way out, for the one writer: groups in order from any position.
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
    tidy: Sender<()>,
    cursor: cursor::Cursor,
}

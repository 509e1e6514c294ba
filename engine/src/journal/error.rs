//! What can go wrong, and who may try again.

use crate::model::{GroupSeq, JournalId};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a record was not taken. Nothing of it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the journal holds all the bytes it may; it drains as the database catches up")]
    Full,
    #[error(
        "the journal holds samples that have waited for the database as long as they may; it takes new ones when the database has caught up"
    )]
    Aged,
    #[error("the journal's thread has as many records waiting as it may")]
    Busy,
    /// Never with the limits of `crate::limits`: a body that may be read fits.
    #[error("the record is larger than a group may be")]
    TooLarge,
    #[error("the journal failed and the process must restart")]
    Poisoned,
    #[error("the engine is stopping")]
    Stopping,
}

/// A record was taken and its group could not be made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitFailed {
    #[error("no space is left for the journal")]
    NoSpace,
    #[error("the journal failed and the process must restart")]
    Poisoned,
}

/// The journal cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{path} is locked: another engine uses this journal; stop it, or give this one its own FIBER_DATA_DIR"
    )]
    Locked { path: PathBuf },
    #[error(
        "{path} has journal format {found} and this engine reads format {known}; start the engine that wrote it and let it drain, or move the folder away"
    )]
    Version {
        path: PathBuf,
        found: u32,
        known: u32,
    },
    #[error(
        "{path} belongs to journal {} and the folder to journal {}; move the file to where it came from",
        found.0, expected.0
    )]
    Foreign {
        path: PathBuf,
        found: JournalId,
        expected: JournalId,
    },
    #[error(
        "the journal is damaged: {}; restore the named files from a copy, or set FIBER_JOURNAL_ON_DAMAGE=quarantine to keep the damaged files aside and go on without the groups that are lost",
        list(damages)
    )]
    Damaged { damages: Vec<Damage> },
    /// The feed was asked for a group that the journal freed or never had.
    #[error("group {asked} was asked for and the oldest that the journal holds is {oldest}")]
    Gone { asked: GroupSeq, oldest: GroupSeq },
    /// Sequences would be given a second time, and the database would take new groups for old ones.
    #[error(
        "the database holds group {asked} of this journal, which ends at {durable}: an older copy of the journal was put back; move the folder away to begin a new journal, or put back the newest copy"
    )]
    Behind { asked: GroupSeq, durable: GroupSeq },
}

impl OpenError {
    pub(super) fn io(path: PathBuf) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path, source }
    }
}

/// One damaged place and what it took with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub path: PathBuf,
    pub offset: u64,
    pub what: &'static str,
    /// First and last lost group; `None` when no group is missing.
    pub lost: Option<(GroupSeq, GroupSeq)>,
    /// The last lost group is an upper bound: the file does not say how many there were.
    pub at_most: bool,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at byte {}: {}",
            self.path.display(),
            self.offset,
            self.what
        )?;
        let at_most = if self.at_most { "at most " } else { "" };
        match self.lost {
            None => f.write_str(", no group lost"),
            Some((from, through)) if from == through => write!(f, ", group {from} lost"),
            Some((from, through)) => {
                let count = through.0 - from.0 + 1;
                write!(f, ", {at_most}{count} groups lost ({from} to {through})")
            }
        }
    }
}

/// The first few; the log has all of them.
fn list(damages: &[Damage]) -> String {
    const NAMED: usize = 8;
    let mut text: Vec<_> = damages
        .iter()
        .take(NAMED)
        .map(ToString::to_string)
        .collect();
    if damages.len() > NAMED {
        text.push(format!("and {} more", damages.len() - NAMED));
    }
    text.join("; ")
}

/// No space is a state that ends by itself; every other failed write is the end of this journal.
pub(super) fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

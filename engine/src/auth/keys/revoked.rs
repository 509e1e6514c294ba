//! The keys that are good no more.
//!
//! The database is asked every two seconds and must answer within three, so an engine that reaches it
//! refuses a revoked key at most five seconds after the revocation. While the database is away the
//! last list stands; it is also kept in a file, so a start without the database does not forget it.
//! An engine that never saw a list answers 503 to keys until it has one: probes keep their samples.

use crate::copy::instant::PgInstant;
use crate::copy::session::Session;
use crate::shutdown::Shutdown;
use std::collections::HashSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use uuid::Uuid;

const INTERVAL: Duration = Duration::from_secs(2);
/// No key is good before the first list, and at a first start the tables come a moment later.
const UNTIL_KNOWN: Duration = Duration::from_millis(250);
const DEADLINE: Duration = Duration::from_secs(3);
const FILE: &str = "revoked-keys";

const VERSION: &str =
    "SELECT count(*), max(revoked_at) FROM probe_keys WHERE revoked_at IS NOT NULL";
const ALL: &str = "SELECT key_id FROM probe_keys WHERE revoked_at IS NOT NULL";

#[derive(Debug, Default)]
pub struct Revoked {
    /// `None`: no list was ever seen.
    ids: RwLock<Option<HashSet<Uuid>>>,
    /// Grows with every change, so that who remembers an answer knows when to ask again.
    generation: AtomicU64,
}

impl Revoked {
    /// `None` while nothing is known.
    pub fn contains(&self, id: Uuid) -> Option<bool> {
        let ids = self.ids.read().unwrap_or_else(PoisonError::into_inner);
        ids.as_ref().map(|ids| ids.contains(&id))
    }

    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Ids are only added: a row that somebody deleted does not bring its key back before a restart.
    pub(in crate::auth) fn add(&self, more: HashSet<Uuid>) {
        let mut ids = self.ids.write().unwrap_or_else(PoisonError::into_inner);
        ids.get_or_insert_default().extend(more);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// One more, where a list is known; where none is, no key is good yet.
    pub(in crate::auth) fn note(&self, id: Uuid) {
        let mut ids = self.ids.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(ids) = ids.as_mut() {
            ids.insert(id);
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Takes what the last run knew; a file that is not there, or torn, is no list.
    pub fn restore(&self, data_dir: &Path) {
        let Ok(text) = std::fs::read_to_string(data_dir.join(FILE)) else {
            return;
        };
        match parse(&text) {
            Some(ids) => self.add(ids),
            None => tracing::warn!(file = FILE, "the list of revoked keys cannot be read"),
        }
    }
}

/// Ids, one a line, and their number at the end.
fn parse(text: &str) -> Option<HashSet<Uuid>> {
    let mut lines: Vec<&str> = text.lines().collect();
    let count: usize = lines.pop()?.strip_prefix("count ")?.parse().ok()?;
    let ids: Option<HashSet<Uuid>> = lines
        .iter()
        .map(|line| Uuid::try_parse(line).ok())
        .collect();
    ids.filter(|ids| ids.len() == count)
}

fn save(path: &Path, ids: &HashSet<Uuid>) -> std::io::Result<()> {
    let mut text = String::new();
    for id in ids {
        text.push_str(&id.simple().to_string());
        text.push('\n');
    }
    text.push_str(&format!("count {}\n", ids.len()));
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    std::fs::rename(&new, path)
}

/// Keeps the list fresh until the end.
pub async fn watch(
    revoked: Arc<Revoked>,
    database: tokio_postgres::Config,
    data_dir: PathBuf,
    shutdown: Shutdown,
) {
    let _registered = shutdown.register("revoked keys");
    let path = data_dir.join(FILE);
    let (mut session, mut seen) = (None, None);
    while !shutdown.is_asked() {
        let round = tokio::time::timeout(DEADLINE, refresh(&mut session, &database, &mut seen));
        match round.await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(ids))) => {
                tracing::info!(revoked = ids.len(), "the list of revoked keys changed");
                if let Err(error) = save(&path, &ids) {
                    tracing::warn!(%error, "the list of revoked keys cannot be saved");
                }
                revoked.add(ids);
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "revoked keys are not known anew");
                session = None;
            }
            Err(_) => session = None,
        }
        let pause = if seen.is_none() {
            UNTIL_KNOWN
        } else {
            INTERVAL
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.asked() => {}
        }
    }
}

/// Number and newest of the revocations: one more changes it, whatever the order of the commits.
type Version = (i64, Option<PgInstant>);

/// The whole list, when it is another than the one seen before.
async fn refresh(
    session: &mut Option<Session>,
    database: &tokio_postgres::Config,
    seen: &mut Option<Version>,
) -> Result<Option<HashSet<Uuid>>, crate::copy::Error> {
    let session = match session {
        Some(open) => open,
        none => none.insert(Session::open(database, "fiber-revoked").await?),
    };
    let rows = session.query("look for revoked keys", VERSION, &[]).await?;
    let version = rows.first().map(|row| (row.get(0), row.get(1)));
    if version == *seen {
        return Ok(None);
    }
    let rows = session.query("read revoked keys", ALL, &[]).await?;
    *seen = version;
    Ok(Some(rows.iter().map(|row| row.get(0)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_outlives_a_restart_and_a_torn_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let restored = || {
            let revoked = Revoked::default();
            revoked.restore(dir.path());
            revoked
        };
        assert_eq!(restored().contains(one), None, "no file");
        save(&path, &HashSet::from([one])).unwrap();
        assert_eq!(restored().contains(one), Some(true));
        assert_eq!(restored().contains(two), Some(false));
        save(&path, &HashSet::new()).unwrap();
        assert_eq!(restored().contains(one), Some(false));
        save(&path, &HashSet::from([one, two])).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() - 1 {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(restored().contains(one), None, "cut at {length}");
        }
    }

    #[test]
    fn every_change_is_a_new_generation() {
        let revoked = Revoked::default();
        let before = revoked.generation();
        revoked.add(HashSet::from([Uuid::from_u128(1)]));
        assert!(revoked.generation() > before);
        assert_eq!(revoked.contains(Uuid::from_u128(1)), Some(true));
        let before = revoked.generation();
        revoked.note(Uuid::from_u128(2));
        assert!(revoked.generation() > before);
        assert_eq!(revoked.contains(Uuid::from_u128(2)), Some(true));
        let unread = Revoked::default();
        unread.note(Uuid::from_u128(1));
        assert_eq!(unread.contains(Uuid::from_u128(3)), None, "one is no list");
    }
}

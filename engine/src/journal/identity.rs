//! Who this journal is, and that nobody else writes it.
//!
//! `journal.id` is written after the first segment has its name. So a folder with an id and without
//! segments has lost them, and is not taken for a new one: its sequences would begin again at 1,
//! and the database would take new groups for ones that it holds.

use super::OpenError;
use super::segment::FORMAT_VERSION;
use super::shared::new_file;
use super::storage::{Storage, read_full_at, write_all_at};
use crate::model::JournalId;
use std::io;
use uuid::Uuid;

pub(super) const ID_NAME: &str = "journal.id";
const ID_TEMPORARY_NAME: &str = "journal.id.tmp";
pub(super) const LOCK_NAME: &str = "lock";
const FIRST_LINE: &str = "fiber journal, format ";
const TEXT_BYTES_MAX: usize = 256;

pub(super) fn lock(storage: &dyn Storage) -> Result<(), OpenError> {
    let path = storage.path(LOCK_NAME);
    match storage.lock(LOCK_NAME) {
        Ok(true) => Ok(()),
        Ok(false) => Err(OpenError::Locked { path }),
        Err(source) => Err(OpenError::Io { path, source }),
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Identity {
    Known(JournalId),
    /// No file, or one that says nothing.
    Unknown,
}

pub(super) fn read(storage: &dyn Storage, names: &[String]) -> Result<Identity, OpenError> {
    if !names.iter().any(|name| name == ID_NAME) {
        return Ok(Identity::Unknown);
    }
    let text = read_text(storage).map_err(OpenError::io(storage.path(ID_NAME)))?;
    // A flipped bit must not make another journal of it.
    let Some((content, checksum)) = text.trim_end().rsplit_once('\n') else {
        return Ok(Identity::Unknown);
    };
    if checksum != checksum_line(content) {
        return Ok(Identity::Unknown);
    }
    let mut lines = content.lines();
    let format = lines
        .next()
        .and_then(|line| line.strip_prefix(FIRST_LINE)?.parse().ok());
    match format {
        Some(FORMAT_VERSION) => {}
        Some(found) => {
            let path = storage.path(ID_NAME);
            return Err(OpenError::Version {
                path,
                found,
                known: FORMAT_VERSION,
            });
        }
        None => return Ok(Identity::Unknown),
    }
    let id = lines.next().and_then(|line| Uuid::try_parse(line).ok());
    Ok(id.map_or(Identity::Unknown, |id| Identity::Known(JournalId(id))))
}

/// The last line, in this version and every later one.
fn checksum_line(content: &str) -> String {
    format!("crc32c {:08x}", crc32c::crc32c(content.as_bytes()))
}

fn read_text(storage: &dyn Storage) -> io::Result<String> {
    let file = storage.open(ID_NAME)?;
    let mut bytes = vec![0; TEXT_BYTES_MAX];
    let len = read_full_at(&*file, &mut bytes, 0)?;
    bytes.truncate(len);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whole or not at all, whenever the machine stops.
pub(super) fn write(storage: &dyn Storage, id: JournalId) -> Result<(), OpenError> {
    let content = format!("{FIRST_LINE}{FORMAT_VERSION}\n{}", id.0);
    let text = format!("{content}\n{}\n", checksum_line(&content));
    let write = || {
        let file = new_file(storage, ID_TEMPORARY_NAME, text.len() as u64)?;
        write_all_at(&*file, text.as_bytes(), 0)?;
        file.sync()?;
        storage.rename(ID_TEMPORARY_NAME, ID_NAME)?;
        storage.sync_dir()
    };
    write().map_err(OpenError::io(storage.path(ID_NAME)))
}

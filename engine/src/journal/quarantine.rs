//! Makes a damaged journal whole again without what is lost, and keeps the damaged files.
//!
//! Each damaged segment gets a second name, `….seg.damaged`, then a rebuilt file takes the first
//! one, whole groups copied and lost sequences marked by gaps. Every step leaves a folder that
//! opens to the same answer, so a crash in between costs nothing but doing it again.

use super::group::{self, Place};
use super::identity::ID_NAME;
use super::scan;
use super::segment::{self, FIRST_GROUP_AT, Header};
use super::shared::new_file;
use super::storage::{Storage, write_all_at};
use super::survey::{Found, Survey};
use crate::model::{GroupSeq, clock};
use std::io;

const REPAIR_NAME: &str = "repair.tmp";

#[derive(Debug)]
pub(super) struct Repair {
    pub(super) header: Header,
    pub(super) pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Whole groups of the damaged file.
    Bytes {
        from: usize,
        to: usize,
    },
    Gap {
        from: GroupSeq,
        through: GroupSeq,
    },
}

pub(super) fn apply(storage: &dyn Storage, survey: &Survey) -> io::Result<()> {
    if survey.journal.is_none() {
        return set_all_aside(storage);
    }
    // Oldest first, like everything that goes: what is left must begin where a file begins.
    for number in &survey.unreadable {
        let name = segment::file_name(*number);
        storage.rename(&name, &damaged(&name))?;
        storage.sync_dir()?;
    }
    for Found { number, repair, .. } in &survey.segments {
        if let Some(repair) = repair {
            rebuild(storage, *number, repair)?;
        }
    }
    Ok(())
}

fn rebuild(storage: &dyn Storage, number: u64, repair: &Repair) -> io::Result<()> {
    let name = segment::file_name(number);
    let mut old = Vec::new();
    scan::read(&*storage.open(&name)?, &mut old)?;
    let place = Place {
        journal: repair.header.journal,
        segment: number,
    };
    let mut groups = Vec::with_capacity(old.len());
    for piece in &repair.pieces {
        match *piece {
            Piece::Bytes { from, to } => groups.extend_from_slice(&old[from..to]),
            Piece::Gap { from, through } => {
                let gap = group::encode_gap(from, through, clock::now(), place);
                groups.extend_from_slice(&gap);
            }
        }
    }
    // A gap may be larger than what it stands for.
    let file_bytes = repair
        .header
        .file_bytes
        .max(FIRST_GROUP_AT + groups.len() as u64);
    let header = Header {
        file_bytes,
        ..repair.header
    };
    let file = new_file(storage, REPAIR_NAME, file_bytes)?;
    write_all_at(&*file, &header.encode(), 0)?;
    write_all_at(&*file, &groups, FIRST_GROUP_AT)?;
    file.sync()?;
    storage.link(&name, &damaged(&name))?;
    storage.sync_dir()?;
    storage.rename(REPAIR_NAME, &name)?;
    storage.sync_dir()
}

/// Nothing tells which journal this was or where its sequence stood, so it cannot go on: going on
/// would give sequences twice. The folder begins a new journal.
fn set_all_aside(storage: &dyn Storage) -> io::Result<()> {
    let names = storage.list()?;
    for name in names
        .iter()
        .filter(|name| segment::number_of(name).is_some())
    {
        storage.rename(name, &damaged(name))?;
    }
    storage.sync_dir()?;
    if names.iter().any(|name| name == ID_NAME) {
        storage.remove(ID_NAME)?;
        storage.sync_dir()?;
    }
    Ok(())
}

fn damaged(name: &str) -> String {
    format!("{name}.damaged")
}

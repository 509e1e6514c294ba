//! A disk in memory that forgets, tears and refuses, by seed.
//!
//! What it models: bytes that were not synced are lost sector by sector, each on its own, or torn
//! inside one; so are lengths and names. A failed sync leaves bytes that can be read and will never
//! be written, as Linux does: they go at the next power loss although later syncs succeed.

use super::random::Random;
use crate::journal::{File, Storage};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

const SECTOR_BYTES: usize = 512;

/// The hardware: survives every process that mounts it.
#[derive(Clone, Debug)]
pub struct FakeDisk {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    sync_held: Condvar,
}

#[derive(Clone, Debug)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Since the last sync of the folder.
    name_changes: Vec<NameChange>,
    inodes_made: u64,
    random: Random,
    /// Processes started; handles of earlier ones are dead.
    process: u64,
    locked_by: Option<u64>,
    mounts: u64,
    calls: u64,
    faults: BTreeMap<u64, Fault>,
    /// Name of the last call that went wrong by plan.
    failed: Option<&'static str>,
    full: bool,
    syncs: u64,
    hold_syncs: bool,
    syncs_waiting: u64,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors written and not synced.
    dirty: BTreeSet<usize>,
    /// Sectors whose sync failed: in `cached` only, and taken for clean.
    doomed: BTreeSet<usize>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(String, u64),
    Remove(String),
    Rename(String, String, u64),
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Any call fails.
    Io,
    /// Calls that need space fail; a write gets half way first. A sync fails like any other.
    NoSpace,
    /// A read or write does a part and says so; other calls succeed.
    Short,
}

impl FakeDisk {
    pub fn new(seed: u64) -> Self {
        let state = State {
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            inodes_made: 0,
            random: Random::new(seed),
            process: 0,
            locked_by: None,
            mounts: 0,
            calls: 0,
            faults: BTreeMap::new(),
            failed: None,
            full: false,
            syncs: 0,
            hold_syncs: false,
            syncs_waiting: 0,
        };
        Self::with(state)
    }

    fn with(state: State) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                sync_held: Condvar::new(),
            }),
        }
    }

    /// Another disk with the same content.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self::with(self.state().clone())
    }

    /// What a process sees.
    pub fn mount(&self) -> FakeStorage {
        let mut state = self.state();
        state.mounts += 1;
        FakeStorage {
            disk: self.clone(),
            process: state.process,
            mount: state.mounts,
        }
    }

    /// The process dies; what it wrote stays in the cache.
    pub fn kill(&self) {
        let mut state = self.state();
        state.process += 1;
        state.locked_by = None;
        state.faults.clear();
    }

    /// The machine dies: what was not synced is there, not there, or torn.
    pub fn lose_power(&self) {
        self.kill();
        let mut state = self.state();
        let State {
            random,
            inodes,
            durable_names,
            name_changes,
            ..
        } = &mut *state;
        for change in name_changes.drain(..) {
            if random.one_in(2) {
                apply(durable_names, change);
            }
        }
        for inode in inodes.values_mut() {
            inode.lose_power(random);
        }
        state.names = state.durable_names.clone();
        let named: BTreeSet<u64> = state.names.values().copied().collect();
        state.inodes.retain(|inode, _| named.contains(inode));
    }

    /// The `call`th call from now on, 0 being the next one, goes wrong.
    pub fn fail_call(&self, call: u64, fault: Fault) {
        let mut state = self.state();
        let at = state.calls + call;
        state.faults.insert(at, fault);
    }

    /// The call that a planned fault hit last: a method of `Storage` or `File`.
    pub fn failed(&self) -> Option<&'static str> {
        self.state().failed
    }

    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Until it is set back, everything that needs space fails.
    pub fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// Syncs of files that ended well.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// While set, syncs of files wait.
    pub fn hold_syncs(&self, hold: bool) {
        self.state().hold_syncs = hold;
        self.shared.sync_held.notify_all();
    }

    /// Returns when a sync waits.
    pub fn wait_for_held_sync(&self) {
        let mut state = self.state();
        while state.syncs_waiting == 0 {
            let woken = self.shared.sync_held.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// The content of a file, if there is one.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state
            .names
            .get(name)
            .map(|inode| state.inodes[inode].cached.clone())
    }

    /// Puts content in place, durably: what decay or an operator does.
    pub fn plant(&self, name: &str, content: &[u8]) {
        let mut state = self.state();
        let known = state.names.get(name).copied();
        let inode = known.unwrap_or_else(|| state.new_inode(name));
        let planted = Inode {
            cached: content.to_vec(),
            durable: content.to_vec(),
            ..Inode::default()
        };
        state.inodes.insert(inode, planted);
        state.sync_names();
    }

    /// Takes a file away, durably.
    pub fn take_away(&self, name: &str) {
        let mut state = self.state();
        state.names.remove(name);
        state.name_changes.push(NameChange::Remove(name.to_owned()));
        state.sync_names();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn apply(names: &mut BTreeMap<String, u64>, change: NameChange) {
    match change {
        NameChange::Set(name, inode) => {
            names.insert(name, inode);
        }
        NameChange::Remove(name) => {
            names.remove(&name);
        }
        NameChange::Rename(from, to, inode) => {
            names.remove(&from);
            names.insert(to, inode);
        }
    }
}

impl State {
    fn new_inode(&mut self, name: &str) -> u64 {
        self.inodes_made += 1;
        let inode = self.inodes_made;
        self.inodes.insert(inode, Inode::default());
        self.names.insert(name.to_owned(), inode);
        self.name_changes
            .push(NameChange::Set(name.to_owned(), inode));
        inode
    }

    fn sync_names(&mut self) {
        for change in std::mem::take(&mut self.name_changes) {
            apply(&mut self.durable_names, change);
        }
    }

    /// Counts the call and says what goes wrong with it.
    fn call(&mut self, process: u64, name: &'static str) -> io::Result<Option<Fault>> {
        if process != self.process {
            return Err(io::Error::other("the process is dead"));
        }
        let fault = self.faults.remove(&self.calls);
        self.calls += 1;
        if fault.is_some() {
            self.failed = Some(name);
        }
        match fault {
            Some(Fault::Io) => Err(eio()),
            other => Ok(other),
        }
    }

    /// The same for a call that needs space and does all or nothing.
    fn call_for_space(&mut self, process: u64, name: &'static str) -> io::Result<()> {
        match self.call(process, name)? {
            Some(Fault::NoSpace) => Err(io::ErrorKind::StorageFull.into()),
            _ if self.full => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

fn eio() -> io::Error {
    io::Error::other("input/output error")
}

impl Inode {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if end > self.cached.len() {
            self.cached.resize(end, 0);
        }
        self.cached[offset..end].copy_from_slice(bytes);
        for sector in offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            self.dirty.insert(sector);
            self.doomed.remove(&sector);
        }
    }

    fn sync(&mut self) {
        self.durable.resize(self.cached.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            let range = self.range(sector);
            self.durable[range.clone()].copy_from_slice(&self.cached[range]);
        }
    }

    fn fail_sync(&mut self, random: &mut Random) {
        for sector in std::mem::take(&mut self.dirty) {
            let range = self.range(sector);
            if random.one_in(2) && range.end <= self.durable.len() {
                self.durable[range.clone()].copy_from_slice(&self.cached[range]);
            } else {
                self.doomed.insert(sector);
            }
        }
    }

    fn lose_power(&mut self, random: &mut Random) {
        if self.cached.len() != self.durable.len() && random.one_in(2) {
            self.durable.resize(self.cached.len(), 0);
        }
        self.cached.resize(self.durable.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            let range = self.range(sector);
            let kept = match random.below(3) {
                0 => 0,
                1 => range.len(),
                _ => random.below(range.len() + 1),
            };
            let range = range.start..range.start + kept;
            self.durable[range.clone()].copy_from_slice(&self.cached[range]);
        }
        self.doomed.clear();
        self.cached.clone_from(&self.durable);
    }

    fn range(&self, sector: usize) -> std::ops::Range<usize> {
        let start = (sector * SECTOR_BYTES).min(self.cached.len());
        start..(start + SECTOR_BYTES).min(self.cached.len())
    }
}

/// The disk as one process sees it.
#[derive(Debug)]
pub struct FakeStorage {
    disk: FakeDisk,
    process: u64,
    mount: u64,
}

impl FakeStorage {
    fn file(&self, inode: u64) -> Arc<dyn File> {
        Arc::new(FakeFile {
            disk: self.disk.clone(),
            process: self.process,
            inode,
        })
    }
}

impl Drop for FakeStorage {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.locked_by == Some(self.mount) {
            state.locked_by = None;
        }
    }
}

impl Storage for FakeStorage {
    fn lock(&self, _name: &str) -> io::Result<bool> {
        let mut state = self.disk.state();
        state.call(self.process, "lock")?;
        Ok(*state.locked_by.get_or_insert(self.mount) == self.mount)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.state().call(self.process, "list")?;
        Ok(self.disk.names())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut state = self.disk.state();
        state.call(self.process, "open")?;
        let inode = state
            .names
            .get(name)
            .copied()
            .ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(inode))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut state = self.disk.state();
        state.call_for_space(self.process, "create")?;
        let inode = state.new_inode(name);
        Ok(self.file(inode))
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call_for_space(self.process, "link")?;
        let inode = state
            .names
            .get(from)
            .copied()
            .ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), inode);
        state
            .name_changes
            .push(NameChange::Set(to.to_owned(), inode));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call_for_space(self.process, "rename")?;
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), inode);
        state
            .name_changes
            .push(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call(self.process, "remove")?;
        state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.name_changes.push(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.call(self.process, "sync_dir")? == Some(Fault::NoSpace) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.sync_names();
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/fake").join(name)
    }
}

#[derive(Debug)]
struct FakeFile {
    disk: FakeDisk,
    process: u64,
    inode: u64,
}

impl FakeFile {
    fn inode<'a>(&self, state: &'a mut State) -> io::Result<&'a mut Inode> {
        state.inodes.get_mut(&self.inode).ok_or_else(eio)
    }
}

impl File for FakeFile {
    fn bytes(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.call(self.process, "bytes")?;
        Ok(self.inode(&mut state)?.cached.len() as u64)
    }

    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call_for_space(self.process, "preallocate")?;
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        self.inode(&mut state)?.cached.resize(bytes, 0);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        let fault = state.call(self.process, "write_at")?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let part = state.random.below(bytes.len() + 1);
        let full = state.full || fault == Some(Fault::NoSpace);
        let inode = self.inode(&mut state)?;
        if full {
            inode.write(&bytes[..part], offset);
            return Err(io::ErrorKind::StorageFull.into());
        }
        let len = if fault == Some(Fault::Short) {
            part.clamp(1, bytes.len())
        } else {
            bytes.len()
        };
        inode.write(&bytes[..len], offset);
        Ok(len)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        let fault = state.call(self.process, "read_at")?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let part = state.random.below(into.len() + 1).max(1);
        let inode = self.inode(&mut state)?;
        let there = inode.cached.get(offset..).unwrap_or_default();
        let most = if fault == Some(Fault::Short) {
            part
        } else {
            into.len()
        };
        let len = there.len().min(most).min(into.len());
        into[..len].copy_from_slice(&there[..len]);
        Ok(len)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        while state.hold_syncs {
            state.syncs_waiting += 1;
            self.disk.shared.sync_held.notify_all();
            let woken = self.disk.shared.sync_held.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
            state.syncs_waiting -= 1;
        }
        let State { random, .. } = &mut *state;
        let mut random = Random::new(random.bits());
        let process = state.process;
        let result = match state.call(self.process, "sync") {
            Ok(Some(Fault::NoSpace)) => Err(io::ErrorKind::StorageFull.into()),
            other => other.map(drop),
        };
        let inode = self.inode(&mut state)?;
        match result {
            Ok(()) => inode.sync(),
            // The machine lives on, and nobody asked it to sync.
            Err(_) if self.process != process => {}
            Err(_) => inode.fail_sync(&mut random),
        }
        state.syncs += u64::from(result.is_ok());
        result
    }
}

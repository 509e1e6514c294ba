//! What the journal needs from a disk, small enough that a fake can lose, tear and refuse each part.
//!
//! Promises the journal relies on, and nothing else: bytes written and synced stay; a name stays
//! after `sync_dir`; `rename` is atomic; sectors written and not synced may each be there or not.

use bytes::Bytes;
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use std::fmt::Debug;
use std::fs::{self, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// One folder.
pub trait Storage: Debug + Send + Sync + 'static {
    /// Takes the folder for this process until the storage is dropped; false when it is taken.
    fn lock(&self, name: &str) -> io::Result<bool>;
    fn list(&self) -> io::Result<Vec<String>>;
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// An empty file, in place of one that has this name.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// A second name for a file; an old file of that name goes.
    fn link(&self, from: &str, to: &str) -> io::Result<()>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes names durable.
    fn sync_dir(&self) -> io::Result<()>;
    /// For messages.
    fn path(&self, name: &str) -> PathBuf;
}

pub trait File: Debug + Send + Sync + 'static {
    fn bytes(&self) -> io::Result<u64>;
    /// Sets the length, with zeros and with space behind them, so that syncing later writes does
    /// not have to sync the length.
    fn preallocate(&self, bytes: u64) -> io::Result<()>;
    /// May write less than asked.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// The same for bytes that lie in parts, none of them empty; the least is to write of the first.
    fn write_parts_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        parts
            .first()
            .map_or(Ok(0), |first| self.write_at(first, offset))
    }
    /// May read less than asked; 0 at the end.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
    /// fdatasync.
    fn sync(&self) -> io::Result<()>;
}

pub(super) fn write_all_at(file: &dyn File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Parts one after the other.
pub(super) fn write_all_parts_at(
    file: &dyn File,
    parts: &[Bytes],
    mut offset: u64,
) -> io::Result<()> {
    let mut slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut left = &mut slices[..];
    while !left.is_empty() {
        let at_once = &left[..left.len().min(PARTS_MAX)];
        match file.write_parts_at(at_once, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                IoSlice::advance_slices(&mut left, written);
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Linux takes no more at once (`UIO_MAXIOV`).
const PARTS_MAX: usize = 1024;

/// Fills `into` or stops at the end of the file; the count says which.
pub(super) fn read_full_at(file: &dyn File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(&mut into[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A folder of this machine.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    handle: fs::File,
    lock: Mutex<Option<fs::File>>,
    writable: bool,
}

impl Disk {
    /// Makes the folder when it is missing.
    pub fn new(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::File::open(parent)?.sync_all()?;
        }
        Self::at(dir, true)
    }

    /// For looking only: nothing can be written through it.
    pub fn read_only(dir: &Path) -> io::Result<Self> {
        Self::at(dir, false)
    }

    fn at(dir: &Path, writable: bool) -> io::Result<Self> {
        let handle = fs::File::open(dir)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            handle,
            lock: Mutex::default(),
            writable,
        })
    }
}

impl Storage for Disk {
    fn lock(&self, name: &str) -> io::Result<bool> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.path(name))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
                Ok(true)
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.dir)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new()
            .read(true)
            .write(self.writable)
            .open(self.path(name))?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Arc::new(DiskFile(options.open(self.path(name))?)))
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        match fs::remove_file(self.path(to)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::hard_link(self.path(from), self.path(to))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

#[derive(Debug)]
struct DiskFile(fs::File);

impl File for DiskFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        match fallocate(&self.0, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => Ok(()),
            // Some network and user-space file systems cannot reserve: write the zeros instead.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                write_zeros(self, 0, bytes)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(&self.0, bytes, offset)
    }

    fn write_parts_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(&self.0, parts, offset)?)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(&self.0, into, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Writes zeros over `from..to`.
pub(super) fn write_zeros(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];
    let mut at = from;
    while at < to {
        let len = usize::try_from(to - at).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        write_all_at(file, &ZEROS[..len], at)?;
        at += len as u64;
    }
    Ok(())
}

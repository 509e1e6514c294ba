//! The second thread: frees released segments and keeps a spare ready, so that the first one never
//! waits for either.

use super::error::is_no_space;
use super::segment;
use super::shared::Shared;
use crossbeam::channel::{Receiver, RecvTimeoutError};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often a spare that could not be made is tried again.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Tidy {
    shared: Arc<Shared>,
}

impl Tidy {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// True when everything is done; false when it is to be tried again.
    pub(super) fn once(&self) -> bool {
        if self.shared.stats.is_poisoned() {
            return true;
        }
        self.free() && self.keep_spare()
    }

    /// Oldest first, each removal durable before the next: a crash must not bring an older segment
    /// back without its successor.
    fn free(&self) -> bool {
        loop {
            let released = self.shared.stats.released_seq();
            let number = {
                let segments = self.shared.segments();
                match (segments.front(), segments.get(1)) {
                    (Some(oldest), Some(next)) if next.first_seq <= released.next() => {
                        oldest.number
                    }
                    _ => return true,
                }
            };
            let name = segment::file_name(number);
            match self.shared.storage.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, name, "cannot remove a released segment; trying again");
                    return false;
                }
                _ => {}
            }
            if let Err(error) = self.shared.storage.sync_dir() {
                self.shared.poison("fsync the folder", &error);
                return true;
            }
            let mut segments = self.shared.segments();
            segments.pop_front();
            self.shared
                .stats
                .segments
                .store(segments.len() as u64, Ordering::Release);
        }
    }

    fn keep_spare(&self) -> bool {
        if !self.shared.stats.may_add_segment() {
            return true;
        }
        match self.shared.make_spare(&mut self.shared.spare()) {
            Ok(()) => true,
            Err(error) if is_no_space(&error) => false,
            Err(error) => {
                self.shared.poison("make a spare segment", &error);
                true
            }
        }
    }

    /// Until the other end of `wake` is gone.
    pub(super) fn run(self, wake: &Receiver<()>) {
        loop {
            let woken = if self.once() {
                wake.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                wake.recv_timeout(RETRY)
            };
            if woken == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }
}

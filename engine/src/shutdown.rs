//! One flag that every part watches, and a roll of the parts that have not ended yet.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// Cheap to clone; any holder may ask for the end, nobody can take it back.
#[derive(Clone, Debug)]
pub struct Shutdown {
    flag: Arc<AtomicBool>,
    asked: watch::Sender<bool>,
    pending: Arc<Mutex<Vec<&'static str>>>,
}

/// Held by a part while it runs; dropping it strikes the part off the roll.
#[derive(Debug)]
pub struct Registered {
    name: &'static str,
    pending: Arc<Mutex<Vec<&'static str>>>,
}

impl Shutdown {
    #[expect(
        clippy::new_without_default,
        reason = "a second flag by accident would never be asked"
    )]
    pub fn new() -> Self {
        let (asked, _) = watch::channel(false);
        Self {
            flag: Arc::default(),
            asked,
            pending: Arc::default(),
        }
    }

    pub fn ask(&self) {
        self.flag.store(true, Ordering::Release);
        self.asked.send_replace(true);
    }

    /// For the cores, which poll it between events.
    pub fn is_asked(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }

    /// Resolves when the end was asked for; on any runtime.
    pub async fn asked(&self) {
        let mut receiver = self.asked.subscribe();
        // An error means that the sender is gone, and `self` holds one.
        receiver
            .wait_for(|asked| *asked)
            .await
            .map(drop)
            .unwrap_or_default();
    }

    #[must_use]
    pub fn register(&self, name: &'static str) -> Registered {
        lock(&self.pending).push(name);
        Registered {
            name,
            pending: Arc::clone(&self.pending),
        }
    }

    /// The parts that have not ended yet.
    pub fn pending(&self) -> Vec<&'static str> {
        lock(&self.pending).clone()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut pending = lock(&self.pending);
        if let Some(at) = pending.iter().position(|name| *name == self.name) {
            pending.swap_remove(at);
        }
    }
}

type Roll = Mutex<Vec<&'static str>>;

fn lock(pending: &Roll) -> std::sync::MutexGuard<'_, Vec<&'static str>> {
    pending
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

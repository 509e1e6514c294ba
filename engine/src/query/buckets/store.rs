//! What is kept, within its bytes.

use super::{Group, Stamps, Step, Window};
use crate::limits::{KEPT_BUCKETS_AGE, KEPT_BUCKETS_BYTES_MAX};
use fiber_contract::UnixMicros;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(crate) struct Store(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    windows: HashMap<Key, BTreeMap<UnixMicros, Entry>>,
    bytes: usize,
    /// Questions so far: what was wanted longest ago goes first.
    turn: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    level: usize,
    whose: Whose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Whose {
    EachNode,
    Fleet,
    /// A hash of the keys: with another series it is another group.
    Series(u128),
}

#[derive(Debug)]
struct Entry {
    stamp: i64,
    step: Arc<Step>,
    read_at: Instant,
    wanted: u64,
}

impl Key {
    /// `None` for what is read each time.
    fn of(window: &Window<'_>) -> Option<Self> {
        window.marks()?;
        let whose = match window.group {
            Group::EachNode => Whose::EachNode,
            Group::Fleet => Whose::Fleet,
            Group::Series(keys) | Group::Node(keys) => {
                let mut keys = keys.to_vec();
                keys.sort_unstable();
                let bytes: Vec<u8> = keys.iter().flat_map(|key| key.to_le_bytes()).collect();
                Whose::Series(xxhash_rust::xxh3::xxh3_128(&bytes))
            }
        };
        Some(Self {
            level: window.level,
            whose,
        })
    }
}

/// Not all at once, so that no question has to read everything again.
fn age_max(start: UnixMicros) -> Duration {
    let spread = u32::try_from(start.0 / 60_000_000 % 60).unwrap_or(0);
    KEPT_BUCKETS_AGE + KEPT_BUCKETS_AGE * spread / 60
}

impl Store {
    /// Every step of the window, with what is kept of it and still true.
    pub(super) fn get(
        &self,
        window: &Window<'_>,
        stamps: &Stamps,
    ) -> Vec<(UnixMicros, Option<Arc<Step>>)> {
        let key = Key::of(window);
        let mut kept = self.lock();
        kept.turn += 1;
        let turn = kept.turn;
        let mut steps = key.and_then(|key| kept.windows.get_mut(&key));
        window
            .starts()
            .map(|start| {
                let stamp = stamps.get(&start).copied().unwrap_or(0);
                let entry = steps.as_mut().and_then(|steps| steps.get_mut(&start));
                let entry = entry.filter(|entry| {
                    entry.stamp == stamp && entry.read_at.elapsed() < age_max(start)
                });
                let step = entry.map(|entry| {
                    entry.wanted = turn;
                    Arc::clone(&entry.step)
                });
                (start, step)
            })
            .collect()
    }

    /// The stamps are those from before the steps were read.
    pub(super) fn keep(&self, window: &Window<'_>, stamps: &Stamps, steps: Vec<Step>) {
        let Some(key) = Key::of(window) else {
            return;
        };
        let read_at = Instant::now();
        let mut kept = self.lock();
        let kept = &mut *kept;
        let of_key = kept.windows.entry(key).or_default();
        for step in steps {
            kept.bytes += step.bytes();
            let entry = Entry {
                stamp: stamps.get(&step.start).copied().unwrap_or(0),
                read_at,
                wanted: kept.turn,
                step: Arc::new(step),
            };
            if let Some(before) = of_key.insert(entry.step.start, entry) {
                kept.bytes -= before.step.bytes();
            }
        }
        kept.make_room();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }
}

impl Kept {
    /// Down to three quarters of the room, so that it is not done for every question.
    fn make_room(&mut self) {
        if self.bytes <= KEPT_BUCKETS_BYTES_MAX {
            return;
        }
        let mut all: Vec<(u64, UnixMicros, Key)> = self
            .windows
            .iter()
            .flat_map(|(key, steps)| {
                steps
                    .iter()
                    .map(|(start, entry)| (entry.wanted, *start, *key))
            })
            .collect();
        all.sort_unstable_by_key(|(wanted, start, _)| (*wanted, *start));
        for (_, start, key) in all {
            if self.bytes <= KEPT_BUCKETS_BYTES_MAX / 4 * 3 {
                break;
            }
            let removed = self
                .windows
                .get_mut(&key)
                .and_then(|steps| steps.remove(&start));
            self.bytes -= removed.map_or(0, |entry| entry.step.bytes());
        }
        self.windows.retain(|_, steps| !steps.is_empty());
    }
}

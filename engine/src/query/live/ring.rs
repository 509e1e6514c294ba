//! The last ticks, for browsers that come back.

use std::collections::VecDeque;
use std::fmt;

/// Names a tick: which run of the engine, and its number in that run. Another run's ticks are
/// another stream, however alike the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventId {
    pub(super) run: u64,
    pub(super) tick: u64,
}

impl EventId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (run, tick) = text.split_once('-')?;
        Some(Self {
            run: u64::from_str_radix(run, 16).ok()?,
            tick: tick.parse().ok()?,
        })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.run, self.tick)
    }
}

/// Ticks without a hole, the newest last.
#[derive(Debug)]
pub(super) struct Ring<T> {
    run: u64,
    /// Of the newest event; 0 before the first.
    tick: u64,
    keep: usize,
    events: VecDeque<T>,
}

impl<T: Clone> Ring<T> {
    pub(super) fn new(run: u64, keep: usize) -> Self {
        Self {
            run,
            tick: 0,
            keep,
            events: VecDeque::with_capacity(keep),
        }
    }

    pub(super) fn newest(&self) -> EventId {
        EventId {
            run: self.run,
            tick: self.tick,
        }
    }

    /// Adds the event that `make` writes for the next id.
    pub(super) fn push(&mut self, make: impl FnOnce(EventId) -> T) -> T {
        self.tick += 1;
        let event = make(self.newest());
        if self.events.len() == self.keep {
            self.events.pop_front();
        }
        self.events.push_back(event.clone());
        event
    }

    /// Everything after `last`, or `None` when a part of it is gone or `last` is not ours.
    pub(super) fn after(&self, last: EventId) -> Option<Vec<T>> {
        if last.run != self.run || last.tick > self.tick {
            return None;
        }
        let missed = usize::try_from(self.tick - last.tick).ok()?;
        let from = self.events.len().checked_sub(missed)?;
        Some(self.events.range(from..).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(ticks: u64) -> Ring<String> {
        let mut ring = Ring::new(0xab, 3);
        for _ in 0..ticks {
            ring.push(|id| id.to_string());
        }
        ring
    }

    fn check(ticks: u64, last: &str, expect: Option<&[&str]>) {
        let found = EventId::parse(last).and_then(|last| ring(ticks).after(last));
        let expect = expect.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
        assert_eq!(found, expect, "after {last} of {ticks}");
    }

    #[test]
    fn exactly_what_was_missed_comes_again() {
        check(2, "ab-0", Some(&["ab-1", "ab-2"]));
        check(5, "ab-5", Some(&[]));
        check(5, "ab-4", Some(&["ab-5"]));
        check(5, "ab-2", Some(&["ab-3", "ab-4", "ab-5"]));
    }

    #[test]
    fn too_long_ago_another_run_or_nonsense_is_no_resume() {
        check(5, "ab-1", None);
        check(5, "ac-5", None);
        check(5, "ab-6", None);
        check(5, "", None);
        check(5, "5", None);
        check(5, "ab--1", None);
        check(5, "ab-99999999999999999999999", None);
    }
}

//! `make loom`: the hand-off under every order in which two threads can meet.
//!
//! loom cannot look into crossbeam and tokio. Their parts are replaced by what they promise, a queue
//! that does one thing at a time and a wake-up that is kept; the count of bytes is the real one, and
//! the reader and the writer do what `journal::cursor` and `journal::writer` do.

use super::HandOff;
use futures_util::FutureExt as _;
use loom::sync::atomic::AtomicU64;
use loom::sync::{Arc, Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

pub(super) use loom::sync::atomic::AtomicUsize;

#[derive(Debug)]
pub(super) struct ArrayQueue<T> {
    items: Mutex<VecDeque<T>>,
    items_max: usize,
}

impl<T> ArrayQueue<T> {
    pub(super) fn new(items_max: usize) -> Self {
        Self {
            items: Mutex::new(VecDeque::new()),
            items_max,
        }
    }

    pub(super) fn push(&self, item: T) -> Result<(), T> {
        let mut items = self.items.lock().unwrap();
        if items.len() == self.items_max {
            return Err(item);
        }
        items.push_back(item);
        Ok(())
    }

    pub(super) fn pop(&self) -> Option<T> {
        self.items.lock().unwrap().pop_front()
    }
}

/// One waiter, which blocks its thread; a wake-up without one is kept.
#[derive(Debug)]
pub(super) struct Notify {
    kept: Mutex<bool>,
    woken: Condvar,
}

impl Notify {
    pub(super) fn new() -> Self {
        Self {
            kept: Mutex::new(false),
            woken: Condvar::new(),
        }
    }

    pub(super) fn notify_one(&self) {
        *self.kept.lock().unwrap() = true;
        self.woken.notify_one();
    }

    pub(super) fn notified(&self) -> std::future::Ready<()> {
        let mut kept = self.kept.lock().unwrap();
        while !*kept {
            kept = self.woken.wait(kept).unwrap();
        }
        *kept = false;
        std::future::ready(())
    }
}

#[test]
fn bytes_are_bounded_and_come_back_in_every_order() {
    loom::model(|| {
        let queue = Arc::new(HandOff::new(2, 10));
        let writer = loom::thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                let taken = [(1, 6), (2, 6), (3, 4)].map(|(item, bytes)| queue.push(item, bytes));
                taken.iter().filter(|taken| taken.is_ok()).count()
            }
        });
        let mut read = Vec::new();
        for _ in 0..2 {
            read.extend(queue.pop());
        }
        let taken = writer.join().unwrap();
        read.extend(std::iter::from_fn(|| queue.pop()));
        assert_eq!(read.len(), taken);
        assert!(read.is_sorted());
        assert_eq!(queue.bytes(), 0);
    });
}

/// The second group may not fit, and must then be read from disk; whatever the order, the reader
/// sees each once and is not left asleep.
#[test]
fn the_reader_gets_every_group_once_and_is_woken_in_every_order() {
    const GROUPS: u64 = 2;
    loom::model(|| {
        let queue = Arc::new(HandOff::new(1, 100));
        let announced = Arc::new(AtomicU64::new(0));
        let writer = loom::thread::spawn({
            let (queue, announced) = (Arc::clone(&queue), Arc::clone(&announced));
            move || {
                for seq in 1..=GROUPS {
                    // What does not fit is on disk.
                    queue.push(seq, 1).unwrap_or_default();
                    announced.store(seq, Ordering::Release);
                    queue.wake();
                }
            }
        });
        let mut read = Vec::new();
        let (mut next, mut held) = (1, None);
        while next <= GROUPS {
            let mut from_memory = |next: u64| {
                loop {
                    let seq = held.take().or_else(|| queue.pop())?;
                    if seq > next {
                        held = Some(seq);
                        return None;
                    }
                    if seq == next {
                        return Some(seq);
                    }
                }
            };
            if let Some(seq) = from_memory(next) {
                read.push(seq);
                next += 1;
                continue;
            }
            let through = announced.load(Ordering::Acquire);
            if next > through {
                queue.woken().now_or_never().unwrap();
                continue;
            }
            if let Some(seq) = from_memory(next) {
                read.push(seq);
                next += 1;
                continue;
            }
            // From disk.
            read.extend(next..=through);
            next = through + 1;
        }
        assert_eq!(read, [1, 2]);
        writer.join().unwrap();
    });
}

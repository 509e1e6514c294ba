//! A bounded queue from one thread to a task: groups and bytes both have a bound, and what does not
//! fit is simply not handed over.

#[cfg(loom)]
use super::under_loom::{ArrayQueue, AtomicUsize, Notify};
use crate::planted::planted;
use crossbeam::utils::CachePadded;
use std::sync::atomic::Ordering;
#[cfg(not(loom))]
use {crossbeam::queue::ArrayQueue, std::sync::atomic::AtomicUsize, tokio::sync::Notify};

#[derive(Debug)]
pub struct HandOff<T> {
    queue: ArrayQueue<(T, usize)>,
    /// Of everything in the queue, or about to be.
    bytes: CachePadded<AtomicUsize>,
    bytes_max: usize,
    wake: Notify,
}

impl<T> HandOff<T> {
    pub fn new(items_max: usize, bytes_max: usize) -> Self {
        let queue = ArrayQueue::new(items_max);
        Self {
            queue,
            bytes: CachePadded::default(),
            bytes_max,
            wake: Notify::new(),
        }
    }

    /// Gives the item back when it does not fit. One item is taken whatever its size when the queue
    /// holds no bytes, so a large item cannot be refused for ever.
    pub fn push(&self, item: T, bytes: usize) -> Result<(), T> {
        let held = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        if held > 0 && held + bytes > self.bytes_max {
            if planted("refused-bytes-kept") {
                return Err(item);
            }
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
            return Err(item);
        }
        self.queue.push((item, bytes)).map_err(|(item, bytes)| {
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
            item
        })
    }

    pub fn pop(&self) -> Option<T> {
        let (item, bytes) = self.queue.pop()?;
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        Some(item)
    }

    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    /// Wakes the reader, also when nothing was pushed: there may be something elsewhere. A wake
    /// without a waiter is kept for the next one.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// One reader waits at a time.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn refuses_by_count_and_by_bytes_and_gives_room_back() {
        let queue = HandOff::new(2, 10);
        assert_eq!(queue.push('a', 4), Ok(()));
        assert_eq!(queue.push('b', 7), Err('b'));
        assert_eq!(queue.push('c', 6), Ok(()));
        assert_eq!(queue.push('d', 0), Err('d'));
        assert_eq!(queue.pop(), Some('a'));
        assert_eq!(queue.bytes(), 6);
        assert_eq!(queue.push('e', 4), Ok(()));
        assert_eq!(
            (queue.pop(), queue.pop(), queue.pop()),
            (Some('c'), Some('e'), None)
        );
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn an_item_larger_than_the_bound_passes_through_an_empty_queue() {
        let queue = HandOff::new(2, 10);
        assert_eq!(queue.push('a', 11), Ok(()));
        assert_eq!(queue.push('b', 1), Err('b'));
        assert_eq!(queue.pop(), Some('a'));
    }

    #[test]
    fn drops_what_is_left() {
        let item = Arc::new(());
        let queue = HandOff::new(2, 10);
        queue.push(Arc::clone(&item), 1).unwrap();
        drop(queue);
        assert_eq!(Arc::strong_count(&item), 1);
    }

    #[test]
    fn order_and_content_survive_a_race() {
        const ITEMS: usize = if cfg!(miri) { 100 } else { 20_000 };
        let queue = HandOff::new(4, 9);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for item in 0..ITEMS {
                    let mut next = item;
                    while let Err(back) = queue.push(next, item % 5) {
                        next = back;
                        std::thread::yield_now();
                    }
                }
            });
            for expect in 0..ITEMS {
                let item = loop {
                    match queue.pop() {
                        Some(item) => break item,
                        None => std::thread::yield_now(),
                    }
                };
                assert_eq!(item, expect);
            }
        });
        assert_eq!(queue.bytes(), 0);
    }
}

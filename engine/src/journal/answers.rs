//! How answers reach a thread whose tasks are costly to wake from outside.

use super::CommitFailed;
use crate::model::GroupSeq;
use futures_channel::oneshot;
use futures_util::task::AtomicWaker;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

pub(super) type Answered = Result<GroupSeq, CommitFailed>;
pub(super) type Sender = oneshot::Sender<Answered>;

/// Answers on their way to one thread. Waking a task of another thread's monoio is a system call
/// each; so the journal leaves a whole group's answers here and wakes one task, which gives them
/// out where the waiting tasks live.
#[derive(Debug, Default)]
pub struct Answers {
    left: Mutex<Vec<(Sender, Answered)>>,
    reader: AtomicWaker,
}

impl Answers {
    /// Gives answers out for as long as it is polled, on the thread whose requests wait for them.
    pub async fn give_out(&self) -> Infallible {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Infallible> {
        // Before looking, so that what is left after it wakes us.
        self.reader.register(cx.waker());
        let left = std::mem::take(&mut *self.lock());
        for (to, answered) in left {
            give(to, answered);
        }
        Poll::Pending
    }

    /// True when nothing else was there: whoever left the first has to wake the reader.
    fn leave(&self, to: Sender, answered: Answered) -> bool {
        let mut left = self.lock();
        left.push((to, answered));
        left.len() == 1
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Sender, Answered)>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answers of one group: given at once, or left for their threads, which wake when it is dropped.
#[derive(Default)]
pub(super) struct Answering {
    wake: Vec<Arc<Answers>>,
}

impl Answering {
    pub(super) fn answer(&mut self, to: Sender, by: Option<Arc<Answers>>, answered: Answered) {
        match by {
            None => give(to, answered),
            Some(answers) => {
                if answers.leave(to, answered) {
                    self.wake.push(answers);
                }
            }
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        for answers in &self.wake {
            answers.reader.wake();
        }
    }
}

fn give(to: Sender, answered: Answered) {
    // An error means that the client has gone; the group is durable all the same.
    to.send(answered).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::FutureExt as _;
    use futures_util::task::{ArcWake, waker};
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl ArcWake for Wakes {
        fn wake_by_ref(arc_self: &Arc<Self>) {
            arc_self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_group_wakes_its_reader_once_and_every_answer_comes() {
        let (answers, wakes) = (Arc::new(Answers::default()), Arc::new(Wakes::default()));
        let waker = waker(Arc::clone(&wakes));
        let mut cx = Context::from_waker(&waker);
        let mut reader = pin!(answers.give_out());
        assert!(reader.as_mut().poll(&mut cx).is_pending());
        for group in 1..=2 {
            let mut answering = Answering::default();
            let pending: Vec<_> = (0..100)
                .map(|_| {
                    let (to, pending) = oneshot::channel();
                    let by = Some(Arc::clone(&answers));
                    answering.answer(to, by, Ok(GroupSeq(group as u64)));
                    pending
                })
                .collect();
            assert_eq!(wakes.0.load(Ordering::SeqCst), group - 1);
            drop(answering);
            assert_eq!(wakes.0.load(Ordering::SeqCst), group);
            assert!(reader.as_mut().poll(&mut cx).is_pending());
            for pending in pending {
                let answered = pending.now_or_never().unwrap().unwrap();
                assert_eq!(answered, Ok(GroupSeq(group as u64)));
            }
        }
    }

    #[test]
    fn who_has_no_reader_is_answered_at_once() {
        let (to, pending) = oneshot::channel();
        Answering::default().answer(to, None, Err(CommitFailed::NoSpace));
        let answered = pending.now_or_never().unwrap().unwrap();
        assert_eq!(answered, Err(CommitFailed::NoSpace));
    }
}

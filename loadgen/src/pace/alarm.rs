//! Wakes lanes at their moments.
//!
//! The runtime's own timers tick every millisecond, and that millisecond would be in every latency.
//! Here one timer of the kernel serves all lanes of a thread: it is set to the nearest moment, and
//! wakes whoever is due.

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// One for each thread.
#[derive(Debug)]
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    sleepers: BinaryHeap<Reverse<Sleeper>>,
    /// What the timer is set to.
    set_to: Option<Instant>,
}

#[derive(Debug)]
struct Sleeper {
    when: Instant,
    waker: Waker,
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.when == other.when
    }
}

impl Eq for Sleeper {}

impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.when.cmp(&other.when)
    }
}

impl Alarm {
    /// Within a runtime.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "unsound only for a descriptor that somebody else may close: this one is owned"
        )]
        let timer = AsyncFd::new(timer)?;
        Ok(Self {
            timer,
            state: RefCell::new(State::default()),
        })
    }

    /// Wakes sleepers for ever.
    pub async fn ring(&self) -> io::Result<()> {
        loop {
            let mut ready = self.timer.readable().await?;
            let mut ticks = [0; 8];
            match rustix::io::read(self.timer.get_ref(), &mut ticks) {
                Ok(_) => {}
                // Set anew after it had rung.
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
            drop(ready);
            let now = Instant::now();
            let mut state = self.state.borrow_mut();
            state.set_to = None;
            while let Some(Reverse(first)) = state.sleepers.peek() {
                if first.when > now {
                    break;
                }
                if let Some(Reverse(due)) = state.sleepers.pop() {
                    due.waker.wake();
                }
            }
            let next = state.sleepers.peek().map(|Reverse(first)| first.when);
            if let Some(when) = next {
                self.set(&mut state, when, now)?;
            }
        }
    }

    /// Until the moment, or some microseconds more.
    pub async fn until(&self, when: Instant) -> io::Result<()> {
        Sleep { alarm: self, when }.await
    }

    fn set(&self, state: &mut State, when: Instant, now: Instant) -> io::Result<()> {
        // Zero would disarm it.
        let wait = when
            .saturating_duration_since(now)
            .max(Duration::from_nanos(1));
        let value = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        let once = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: value,
        };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        state.set_to = Some(when);
        Ok(())
    }
}

struct Sleep<'a> {
    alarm: &'a Alarm,
    when: Instant,
}

impl Future for Sleep<'_> {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let now = Instant::now();
        if now >= self.when {
            return Poll::Ready(Ok(()));
        }
        let mut state = self.alarm.state.borrow_mut();
        state.sleepers.push(Reverse(Sleeper {
            when: self.when,
            waker: cx.waker().clone(),
        }));
        let is_nearest = state.set_to.is_none_or(|set_to| self.when < set_to);
        if is_nearest && let Err(error) = self.alarm.set(&mut state, self.when, now) {
            return Poll::Ready(Err(error));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn sleepers_wake_in_the_order_of_their_moments_and_never_early() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let alarm = Rc::new(Alarm::new().unwrap());
            let ringing = Rc::clone(&alarm);
            tokio::task::spawn_local(async move { ringing.ring().await });
            let woken = Rc::new(RefCell::new(Vec::new()));
            let start = Instant::now();
            let mut sleeping = tokio::task::JoinSet::new();
            for micros in [9_000_u64, 300, 40_000, 300, 1_700, 0, 25_000] {
                let (alarm, woken) = (Rc::clone(&alarm), Rc::clone(&woken));
                sleeping.spawn_local(async move {
                    let when = start + Duration::from_micros(micros);
                    alarm.until(when).await.unwrap();
                    assert!(Instant::now() >= when);
                    woken.borrow_mut().push(micros);
                    // Again, from within: the nearest moment may be before what is set.
                    alarm
                        .until(when + Duration::from_micros(100))
                        .await
                        .unwrap();
                });
            }
            while let Some(ended) = sleeping.join_next().await {
                ended.unwrap();
            }
            let woken = woken.borrow();
            assert!(woken.len() == 7 && woken.is_sorted(), "{woken:?}");
        });
    }
}

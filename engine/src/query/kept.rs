//! Answers over many nodes, kept for a moment.
//!
//! A wall of dashboards asks the same question at the same time, and such an answer is made of tens
//! of thousands of rows. So the first one asks the database, those who come meanwhile wait for its
//! answer, and for `KEPT_FRESH` after that everybody gets the same bytes. Answers about one node are not
//! kept: they cost little, and a probe's owner wants to see what was just committed.
//!
//! When the one that asks fails, all that wait fail with it, at once: a crowd must not try one after
//! the other. When its client goes away, another one asks. Nothing is kept of failures.

use super::error::Error;
use super::respond::{Body, JSON, whole};
use crate::limits::{KEPT_ANSWERS_MAX, KEPT_BYTES_MAX, KEPT_FRESH};
use crate::telemetry::metrics::Counter;
use bytes::Bytes;
use hyper::{Response, StatusCode};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

type Outcome = Result<Bytes, Arc<Error>>;

#[derive(Debug, Default)]
pub(crate) struct Kept {
    answers: Mutex<HashMap<String, State>>,
    /// Answers that nobody had to ask the database for.
    pub(crate) hits: Counter,
}

#[derive(Debug)]
enum State {
    UnderWay(watch::Receiver<Option<Outcome>>),
    Made { at: Instant, body: Bytes },
}

/// What a request has to do.
enum Turn {
    Has(Bytes),
    Waits(watch::Receiver<Option<Outcome>>),
    Asks(watch::Sender<Option<Outcome>>),
}

/// Makes room for another one to ask when this one is dropped half way.
struct Asking<'k> {
    kept: &'k Kept,
    key: &'k str,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut answers = self.kept.lock();
        if matches!(answers.get(self.key), Some(State::UnderWay(_))) {
            answers.remove(self.key);
        }
    }
}

impl Kept {
    /// The answer under this key, which says everything that it depends on; `make` is asked when there
    /// is none.
    pub(crate) async fn answer(
        &self,
        key: &str,
        make: impl Future<Output = Result<Response<Body>, Error>>,
    ) -> Result<Response<Body>, Error> {
        let mut make = Some(make);
        loop {
            match self.turn(key, Instant::now()) {
                Turn::Has(body) => {
                    self.hits.add(1);
                    return Ok(whole(StatusCode::OK, JSON, body));
                }
                Turn::Waits(mut told) => {
                    // An error: the one that asked was dropped. Somebody else must.
                    if let Ok(outcome) = told.wait_for(Option::is_some).await {
                        self.hits.add(1);
                        let outcome = outcome.clone();
                        return match outcome {
                            Some(Ok(body)) => Ok(whole(StatusCode::OK, JSON, body)),
                            Some(Err(error)) => Err(Error::Shared(error)),
                            None => continue,
                        };
                    }
                }
                Turn::Asks(tell) => {
                    let Some(make) = make.take() else {
                        return Err(Error::Busy("the question was asked twice"));
                    };
                    return self.ask(key, tell, make).await;
                }
            }
        }
    }

    async fn ask(
        &self,
        key: &str,
        tell: watch::Sender<Option<Outcome>>,
        make: impl Future<Output = Result<Response<Body>, Error>>,
    ) -> Result<Response<Body>, Error> {
        let asking = Asking { kept: self, key };
        let made = make.await;
        let outcome = match &made {
            Ok(response) => match response.body() {
                Body::Whole(bytes) => Ok(bytes.clone()),
                _ => return made,
            },
            Err(_) => Err(()),
        };
        match outcome {
            Ok(body) => {
                let state = State::Made {
                    at: Instant::now(),
                    body: body.clone(),
                };
                self.lock().insert(key.to_owned(), state);
                tell.send_replace(Some(Ok(body)));
                made
            }
            Err(()) => {
                // Before it is told, so that the next one asks anew.
                drop(asking);
                let error = made.err().unwrap_or(Error::Busy("no answer was made"));
                if let Error::Database(cause) = &error {
                    tracing::warn!(%cause, "query the database");
                }
                let error = Arc::new(error);
                tell.send_replace(Some(Err(Arc::clone(&error))));
                Err(Error::Shared(error))
            }
        }
    }

    fn turn(&self, key: &str, now: Instant) -> Turn {
        let mut answers = self.lock();
        match answers.get(key) {
            Some(State::UnderWay(told)) => return Turn::Waits(told.clone()),
            Some(State::Made { at, body }) if now.duration_since(*at) < KEPT_FRESH => {
                return Turn::Has(body.clone());
            }
            _ => {}
        }
        make_room(&mut answers, now);
        let (tell, told) = watch::channel(None);
        answers.insert(key.to_owned(), State::UnderWay(told));
        Turn::Asks(tell)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stale ones go first; if that is not enough, all that is made.
fn make_room(answers: &mut HashMap<String, State>, now: Instant) {
    answers.retain(|_, state| match state {
        State::UnderWay(_) => true,
        State::Made { at, .. } => now.duration_since(*at) < KEPT_FRESH,
    });
    let bytes: usize = answers
        .values()
        .map(|state| match state {
            State::UnderWay(_) => 0,
            State::Made { body, .. } => body.len(),
        })
        .sum();
    if answers.len() >= KEPT_ANSWERS_MAX || bytes > KEPT_BYTES_MAX {
        answers.retain(|_, state| matches!(state, State::UnderWay(_)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    async fn slow(asked: &AtomicU32) -> Result<Response<Body>, Error> {
        let nth = asked.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(whole(StatusCode::OK, JSON, nth.to_string().into()))
    }

    fn text(answer: Result<Response<Body>, Error>) -> String {
        let Body::Whole(bytes) = answer.unwrap().into_body() else {
            panic!("whole")
        };
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_crowd_asks_once_and_what_is_stale_is_asked_again() {
        let (kept, asked) = (Kept::default(), AtomicU32::new(0));
        let crowd = (0..50).map(|_| kept.answer("k", slow(&asked)));
        for answer in futures_util::future::join_all(crowd).await {
            assert_eq!(text(answer), "0");
        }
        assert_eq!(text(kept.answer("k", slow(&asked)).await), "0");
        assert_eq!(text(kept.answer("other", slow(&asked)).await), "1");
        kept.lock().insert(
            "k".to_owned(),
            State::Made {
                at: Instant::now().checked_sub(KEPT_FRESH).unwrap(),
                body: "old".into(),
            },
        );
        assert_eq!(text(kept.answer("k", slow(&asked)).await), "2");
        assert_eq!(kept.hits.get(), 50);
    }

    #[tokio::test]
    async fn a_failure_is_told_to_all_that_wait_and_not_kept() {
        let (kept, asked) = (Kept::default(), AtomicU32::new(0));
        let fail = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Err(Error::Busy("no"))
        };
        let crowd = (0..20).map(|_| kept.answer("k", fail()));
        for answer in futures_util::future::join_all(crowd).await {
            assert_eq!(answer.unwrap_err().code().http_status(), 503);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert_eq!(text(kept.answer("k", slow(&asked)).await), "1");
    }

    #[tokio::test]
    async fn another_one_asks_when_the_first_goes_away() {
        let (kept, asked) = (Kept::default(), AtomicU32::new(0));
        let first = kept.answer("k", std::future::pending());
        let gone = tokio::time::timeout(Duration::from_millis(20), first);
        let second = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            kept.answer("k", slow(&asked)).await
        };
        let (gone, second) = tokio::join!(gone, second);
        assert!(gone.is_err());
        assert_eq!(text(second), "0");
    }

    #[tokio::test]
    async fn the_room_is_bounded() {
        let (kept, asked) = (Kept::default(), AtomicU32::new(0));
        for n in 0..3 * KEPT_ANSWERS_MAX {
            let body = whole(StatusCode::OK, JSON, "x".into());
            let _ignored = kept.answer(&n.to_string(), async { Ok(body) }).await;
        }
        assert!(kept.lock().len() <= KEPT_ANSWERS_MAX);
        assert_eq!(text(kept.answer("k", slow(&asked)).await), "0");
    }
}

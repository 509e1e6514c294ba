//! Sessions with the writer's database, a few at once. One is kept for the next who comes.

use crate::copy::Error;
use crate::copy::session::Session;
use crate::limits::{PEOPLE_DB_CONNECTIONS, PEOPLE_DEADLINE};
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Leases {
    database: tokio_postgres::Config,
    places: Arc<Semaphore>,
    kept: Arc<Mutex<Option<Session>>>,
}

/// A session that goes away, with whatever it was doing, unless it is `done`.
#[derive(Debug)]
pub(crate) struct Lease {
    session: Option<Session>,
    kept: Arc<Mutex<Option<Session>>>,
    _place: OwnedSemaphorePermit,
}

impl Leases {
    pub(crate) fn new(database: tokio_postgres::Config) -> Self {
        Self {
            database,
            places: Arc::new(Semaphore::new(PEOPLE_DB_CONNECTIONS)),
            kept: Arc::default(),
        }
    }

    pub(crate) async fn open(&self) -> Result<Lease, Error> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.expect("nobody closes the semaphore");
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let session = match kept.filter(|session| !session.is_closed()) {
            Some(session) => session,
            None => {
                let session = Session::open(&self.database, "fiber-people").await?;
                // What was promised to people must outlive a crash of the server.
                session
                    .batch("configure the session", "SET synchronous_commit = on")
                    .await?;
                session
            }
        };
        Ok(Lease {
            session: Some(session),
            kept: Arc::clone(&self.kept),
            _place: place,
        })
    }
}

impl Lease {
    /// Nothing is under way on it: it may serve the next.
    pub(crate) fn done(mut self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = self.session.take();
    }
}

impl Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session
            .as_ref()
            .expect("taken only by `done`, which ends the lease")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Session {
        self.session
            .as_mut()
            .expect("taken only by `done`, which ends the lease")
    }
}

/// The database did not answer in time.
#[derive(Debug)]
pub struct Late;

/// The end of waiting for all that one request asks of the database.
pub(crate) async fn in_time<T, E: From<Late>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::time::timeout(PEOPLE_DEADLINE, work)
        .await
        .unwrap_or_else(|_| Err(Late.into()))
}

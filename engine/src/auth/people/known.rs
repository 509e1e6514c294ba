//! What users are now, in memory, so that no request waits for the database.

use super::access::Access;
use crate::auth::Denied;
use crate::copy::session::Session;
use crate::limits::ACCESS_LIFETIME;
use crate::shutdown::Shutdown;
use fiber_contract::UnixMicros;
use fiber_contract::access::Role;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use uuid::Uuid;

const INTERVAL: Duration = Duration::from_secs(2);
/// Before the first list nobody can use a token, and a new database has its tables in a moment. Twice
/// as long each time, so that a database that is away is not asked all the time.
const SOON: Duration = Duration::from_millis(100);
const DEADLINE: Duration = Duration::from_secs(3);

const USERS: &str = "SELECT user_id, name, role, disabled, epoch FROM users";
/// Older ones have no access token left that could be good.
const ENDED: &str = "SELECT session_id FROM login_sessions
    WHERE ended_at > now() - make_interval(secs => $1)";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) disabled: bool,
    pub(crate) epoch: i64,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct State {
    users: HashMap<Uuid, Standing>,
    ended: HashSet<Uuid>,
}

#[derive(Debug, Default)]
pub(crate) struct Known {
    /// `None`: never read.
    state: RwLock<Option<State>>,
    /// Grows with every change.
    generation: AtomicU64,
}

impl Known {
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn is_read(&self) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.is_some()
    }

    /// Who a token stands for, by what is known now. Its expiry is not judged here.
    pub(crate) fn judge(&self, access: &Access) -> Result<(String, Role), Denied> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let state = state.as_ref().ok_or(Denied::Unchecked)?;
        let user = state.users.get(&access.user_id).ok_or(Denied::Unknown)?;
        let good = !user.disabled
            && user.epoch == access.epoch
            && !state.ended.contains(&access.session_id);
        if good {
            Ok((user.name.clone(), user.role))
        } else {
            Err(Denied::Unknown)
        }
    }

    /// A user as this engine just wrote it; `None` when it was removed. Before the first list nothing
    /// is noted, because all others are unknown.
    pub(super) fn note(&self, user_id: Uuid, standing: Option<Standing>) {
        self.change(|state| match standing {
            Some(standing) => drop(state.users.insert(user_id, standing)),
            None => drop(state.users.remove(&user_id)),
        });
    }

    pub(super) fn note_end(&self, session_id: Uuid) {
        self.change(|state| {
            state.ended.insert(session_id);
        });
    }

    /// As if a list with this user in it had been read.
    #[cfg(test)]
    pub(in crate::auth) fn pretend(&self, user_id: Uuid, name: &str, role: Role) {
        let standing = Standing {
            name: name.to_owned(),
            role,
            disabled: false,
            epoch: 1,
        };
        let mut state = State::default();
        state.users.insert(user_id, standing);
        assert!(self.replace(state, self.generation()));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = state.as_mut() {
            change(state);
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// False when something was noted since `generation`: then the list may be older than that.
    fn replace(&self, new: State, generation: u64) -> bool {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if self.generation() != generation {
            return false;
        }
        if state.as_ref() != Some(&new) {
            *state = Some(new);
            self.generation.fetch_add(1, Ordering::Release);
        }
        true
    }
}

/// Keeps it fresh until the end.
pub(crate) async fn watch(known: Arc<Known>, database: tokio_postgres::Config, shutdown: Shutdown) {
    let _registered = shutdown.register("users");
    let (mut session, mut soon) = (None, SOON);
    while !shutdown.is_asked() {
        let generation = known.generation();
        // Something was changed while it was read; the next answer holds it.
        let mut again = false;
        match tokio::time::timeout(DEADLINE, read(&mut session, &database)).await {
            Ok(Ok(state)) => {
                again = !known.replace(state, generation);
                soon = SOON;
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "users are not known anew");
                session = None;
            }
            Err(_) => session = None,
        }
        let hurry = again || !known.is_read();
        let pause = if hurry { soon } else { INTERVAL };
        soon = (soon * 2).min(INTERVAL);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.asked() => {}
        }
    }
}

async fn read(
    session: &mut Option<Session>,
    database: &tokio_postgres::Config,
) -> Result<State, crate::copy::Error> {
    let session = match session {
        Some(open) => open,
        none => none.insert(Session::open(database, "fiber-users").await?),
    };
    let mut state = State::default();
    for row in session.query("read users", USERS, &[]).await? {
        if let Some(standing) = standing(&row) {
            state.users.insert(row.get(0), standing);
        }
    }
    // A clock that is a minute off makes no difference.
    let lifetime_s = ACCESS_LIFETIME.as_secs_f64() + 60.0;
    for row in session
        .query("read ended sessions", ENDED, &[&lifetime_s])
        .await?
    {
        state.ended.insert(row.get(0));
    }
    Ok(state)
}

/// Of a row that begins like those of `USERS`. A role that this engine does not know gives no right.
pub(super) fn standing(row: &tokio_postgres::Row) -> Option<Standing> {
    Some(Standing {
        name: row.get(1),
        role: Role::parse(row.get(2))?,
        disabled: row.get(3),
        epoch: row.get(4),
    })
}

/// When an access token made now ends.
pub(super) fn access_end(now: UnixMicros, session_end: UnixMicros) -> UnixMicros {
    let lifetime_s = i64::try_from(ACCESS_LIFETIME.as_secs()).unwrap_or(i64::MAX);
    UnixMicros(now.0 + lifetime_s * 1_000_000).min(session_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> Standing {
        Standing {
            name: "ama".to_owned(),
            role: Role::Operator,
            disabled: false,
            epoch: 3,
        }
    }

    fn access(epoch: i64) -> Access {
        Access {
            user_id: Uuid::from_u128(1),
            session_id: Uuid::from_u128(2),
            epoch,
            expires_at: UnixMicros::now(),
        }
    }

    fn known() -> Known {
        let known = Known::default();
        assert!(known.replace(State::default(), 0));
        known.note(Uuid::from_u128(1), Some(standing()));
        known
    }

    #[test]
    fn every_change_of_a_user_or_the_end_of_the_session_ends_the_token() {
        let denied = Err(Denied::Unknown);
        assert_eq!(Known::default().judge(&access(3)), Err(Denied::Unchecked));
        let known = known();
        assert_eq!(
            known.judge(&access(3)),
            Ok(("ama".to_owned(), Role::Operator))
        );
        assert_eq!(known.judge(&access(2)), denied, "a password ago");
        assert_eq!(known.judge(&access(4)), denied, "from nowhere");
        let role = Standing {
            role: Role::Viewer,
            ..standing()
        };
        known.note(Uuid::from_u128(1), Some(role));
        assert_eq!(
            known.judge(&access(3)).map(|(_, role)| role),
            Ok(Role::Viewer)
        );
        let disabled = Standing {
            disabled: true,
            ..standing()
        };
        known.note(Uuid::from_u128(1), Some(disabled));
        assert_eq!(known.judge(&access(3)), denied, "disabled");
        known.note(Uuid::from_u128(1), None);
        assert_eq!(known.judge(&access(3)), denied, "removed");
        known.note(Uuid::from_u128(1), Some(standing()));
        known.note_end(Uuid::from_u128(2));
        assert_eq!(known.judge(&access(3)), denied, "signed out");
    }

    #[test]
    fn a_list_read_before_a_change_does_not_undo_it() {
        let known = known();
        let generation = known.generation();
        known.note_end(Uuid::from_u128(2));
        assert!(!known.replace(State::default(), generation));
        assert_eq!(known.judge(&access(3)), Err(Denied::Unknown));
        let now = known.generation();
        assert!(now > generation && known.replace(State::default(), now));
    }
}

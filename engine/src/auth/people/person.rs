//! The way in, the way on and the way out, put together for the routes.

use super::access::{Access, AccessKeys};
use super::error::Error;
use super::known::Known;
use super::sessions::{self, Granted, Refresh, Refreshed};
use super::throttle::Throttle;
use super::users::{Change, Users};
use crate::audit::Actor;
use crate::auth::lease::{Leases, in_time};
use crate::config::Config;
use crate::limits::{LOGIN_FAILED_AUDIT_BURST, LOGIN_FAILED_AUDIT_EVERY};
use fiber_contract::UnixMicros;
use fiber_contract::access::{Login, Me, NewUser, UserView};
use fiber_contract::limits::PASSWORD_BYTES_MAX;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use uuid::Uuid;

/// One per process.
#[derive(Debug)]
pub struct People {
    users: Users,
    keys: AccessKeys,
    known: Arc<Known>,
    throttle: Throttle,
    failures: Mutex<Failures>,
}

/// Failed sign-ins that the audit log has room for.
#[derive(Debug, Default)]
struct Failures {
    empty_at: Option<Instant>,
    left_out: u64,
}

/// What a browser gets. Both tokens are secrets: there is no `Debug` that shows them.
pub struct Signed {
    pub me: Me,
    pub access_token: String,
    pub access_end: UnixMicros,
    pub refresh_token: String,
    pub session_end: UnixMicros,
}

impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signed")
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}

impl People {
    pub(crate) fn new(config: &Config, keys: AccessKeys, known: Arc<Known>) -> Self {
        Self {
            users: Users::new(config.database.connection()),
            keys,
            known,
            throttle: Throttle::default(),
            failures: Mutex::default(),
        }
    }

    pub(crate) fn leases(&self) -> &Leases {
        &self.users.leases
    }

    pub async fn login(&self, login: &Login, from: IpAddr) -> Result<Signed, Error> {
        let attempt = self.throttle.attempt(&login.name, from, Instant::now())?;
        let from = from.to_canonical().to_string();
        let checked = in_time(self.check(login, &from)).await;
        // What is not the guesser's fault is not counted either.
        if !matches!(checked, Err(Error::Refused)) {
            self.throttle.succeeded(attempt);
        }
        checked
    }

    async fn check(&self, login: &Login, from: &str) -> Result<Signed, Error> {
        let leases = &self.users.leases;
        // No user has such a name; what follows is the same work.
        let name = super::rules::name_of(&login.name).unwrap_or_default();
        let found = sessions::by_name(leases, &name).await?;
        let stored = found.as_ref().map(|found| found.password_hash.clone());
        let (password, stored) = match login.password.len() {
            0..=PASSWORD_BYTES_MAX => (login.password.as_str(), stored),
            _ => ("", None),
        };
        let matches = self.users.passwords.matches(password, stored).await?;
        if let Some(found) = found
            .as_ref()
            .filter(|found| matches && !found.standing.disabled)
            && let Some(granted) = sessions::open(leases, found, from).await?
        {
            return Ok(self.signed(granted));
        }
        if let Some(left_out) = self.note_failure(Instant::now()) {
            let name = found.as_ref().map(|found| found.standing.name.as_str());
            sessions::record_failure(leases, name, from, left_out).await?;
        }
        Err(Error::Refused)
    }

    /// `None`: the log has no room now. Else how many had none before.
    fn note_failure(&self, now: Instant) -> Option<u64> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let empty_at = failures.empty_at.map_or(now, |at| at.max(now));
        let room = LOGIN_FAILED_AUDIT_EVERY * LOGIN_FAILED_AUDIT_BURST;
        if empty_at + LOGIN_FAILED_AUDIT_EVERY > now + room {
            failures.left_out += 1;
            return None;
        }
        failures.empty_at = Some(empty_at + LOGIN_FAILED_AUDIT_EVERY);
        Some(std::mem::take(&mut failures.left_out))
    }

    fn signed(&self, granted: Granted) -> Signed {
        let Granted {
            access,
            standing,
            refresh,
            session_end,
        } = granted;
        let me = Me {
            name: standing.name.clone(),
            role: standing.role,
            anonymous: false,
        };
        // The token must be good at once, also for a user that this engine has not heard of yet.
        self.known.note(access.user_id, Some(standing));
        Signed {
            me,
            access_token: self.keys.sign(&access),
            access_end: access.expires_at,
            refresh_token: refresh.into_text(),
            session_end,
        }
    }

    pub async fn refresh(&self, token: &str) -> Result<Signed, Error> {
        let token = Refresh::read(token).ok_or(Error::Ended)?;
        match sessions::refresh(&self.users.leases, &token).await? {
            Refreshed::Granted(granted) => Ok(self.signed(granted)),
            Refreshed::Reused { session_id } => {
                self.known.note_end(session_id);
                tracing::warn!(
                    session = %session_id.simple(),
                    "a refresh token was used again; its session was ended"
                );
                Err(Error::Ended)
            }
            Refreshed::Unknown => Err(Error::Ended),
        }
    }

    /// Ends the session of either token; without a session there is nothing to end.
    pub(crate) async fn logout(
        &self,
        refresh: Option<&str>,
        access: Option<Access>,
    ) -> Result<(), Error> {
        let leases = &self.users.leases;
        in_time(async {
            let by_refresh = match refresh.and_then(Refresh::read) {
                Some(token) => sessions::session_of(leases, &token).await?,
                None => None,
            };
            let mut sessions: Vec<Uuid> = by_refresh.into_iter().collect();
            sessions.extend(access.map(|access| access.session_id));
            sessions.dedup();
            for session_id in sessions {
                sessions::end(leases, session_id).await?;
                self.known.note_end(session_id);
            }
            Ok(())
        })
        .await
    }

    pub async fn users(&self) -> Result<Vec<UserView>, Error> {
        self.users.list().await
    }

    pub async fn add(&self, actor: &Actor, new: &NewUser) -> Result<UserView, Error> {
        let written = self.users.add(actor, new).await?;
        self.known.note(written.user_id, Some(written.standing));
        Ok(written.view)
    }

    pub async fn change(
        &self,
        actor: &Actor,
        name: &str,
        change: &Change,
    ) -> Result<UserView, Error> {
        let written = self.users.change(actor, name, change).await?;
        self.known.note(written.user_id, Some(written.standing));
        Ok(written.view)
    }

    pub async fn remove(&self, actor: &Actor, name: &str) -> Result<(), Error> {
        let user_id = self.users.remove(actor, name).await?;
        self.known.note(user_id, None);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;
    use std::time::Duration;

    #[test]
    fn a_flood_of_failures_is_counted_and_not_written() {
        let values = |name: &str| match name {
            "DB_PASS" | "FEDERATION_SECRET" => Some("s".to_owned()),
            _ => None,
        };
        let config = load(&values).unwrap();
        let people = People::new(&config, AccessKeys::of(&config), Arc::default());
        let now = Instant::now();
        let written = (0..1_000)
            .filter(|_| people.note_failure(now).is_some())
            .count();
        assert_eq!(written, LOGIN_FAILED_AUDIT_BURST as usize);
        let later = now + LOGIN_FAILED_AUDIT_EVERY + Duration::from_millis(1);
        assert_eq!(people.note_failure(later), Some(1_000 - written as u64));
        assert_eq!(people.note_failure(later), None);
    }
}

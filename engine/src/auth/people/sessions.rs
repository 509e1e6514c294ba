//! Signing in, refreshing, signing out, in the database.

use super::access::Access;
use super::error::Error;
use super::known::{Standing, access_end, standing};
use crate::audit::{self, Action, Actor, Detail};
use crate::auth::lease::{Lease, Leases, in_time};
use crate::copy::instant::PgInstant;
use crate::copy::session::Session;
use crate::limits::{
    REFRESH_GRACE, REFRESH_SIBLINGS_MAX, SESSION_IDLE, SESSION_LIFETIME, SESSIONS_PER_USER_MAX,
};
use fiber_contract::{UnixMicros, hex};
use sha2::{Digest, Sha256};
use std::time::Duration;
use uuid::Uuid;

const PREFIX: &str = "fr1.";

const BY_NAME: &str = "SELECT user_id, name, role, disabled, epoch, password_hash FROM users
    WHERE name = $1";
/// Nothing of it if the user was changed since the password was looked at.
const SIGN_IN: &str = "UPDATE users SET last_login_at = $3
    WHERE user_id = $1 AND epoch = $2 AND NOT disabled RETURNING user_id";
const OPEN: &str =
    "INSERT INTO login_sessions (session_id, user_id, created_at, rotated_at, expires_at)
    VALUES ($1, $2, $3, $3, $4)";
const GIVE: &str = "INSERT INTO refresh_tokens (token_hash, session_id, generation)
    VALUES ($1, $2, $3)";
/// The newest stay; the new one is among them.
const END_OLDEST: &str = "UPDATE login_sessions
    SET ended_at = now(), ended_why = 'too many', expires_at = now()
    WHERE session_id IN (SELECT session_id FROM login_sessions
        WHERE user_id = $1 AND ended_at IS NULL AND expires_at > now()
        ORDER BY created_at DESC, session_id OFFSET $2)";
/// The lock makes refreshes of one session follow each other.
const BY_TOKEN: &str = "SELECT u.user_id, u.name, u.role, u.disabled, u.epoch, s.session_id,
        s.created_at, s.generation, t.generation,
        s.ended_at IS NULL AND s.expires_at > clock_timestamp(),
        clock_timestamp() - s.rotated_at < make_interval(secs => $2),
        (SELECT count(*) FROM refresh_tokens a
         WHERE a.session_id = s.session_id AND a.generation = s.generation),
        clock_timestamp()
    FROM refresh_tokens t JOIN login_sessions s USING (session_id) JOIN users u USING (user_id)
    WHERE t.token_hash = $1 FOR UPDATE OF s";
const ROTATE: &str = "UPDATE login_sessions
    SET generation = $2, rotated_at = clock_timestamp(), expires_at = $3 WHERE session_id = $1";
const END: &str = "UPDATE login_sessions s SET ended_at = now(), ended_why = $2, expires_at = now()
    FROM users u WHERE s.session_id = $1 AND s.ended_at IS NULL AND u.user_id = s.user_id
    RETURNING u.name";
const SESSION_OF: &str = "SELECT session_id FROM refresh_tokens WHERE token_hash = $1";

/// A refresh token. Only its digest is kept.
pub(super) struct Refresh(String);

impl Refresh {
    fn draw() -> Self {
        Self(format!("{PREFIX}{}", hex::encode(&super::random::<32>())))
    }

    /// `None` for what cannot be one.
    pub(super) fn read(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let known = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        known.then(|| Self(text.to_owned()))
    }

    fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// A user as the sign-in finds it.
pub(super) struct Found {
    pub(super) user_id: Uuid,
    pub(super) standing: Standing,
    pub(super) password_hash: String,
}

/// A session that goes on.
pub(super) struct Granted {
    pub(super) access: Access,
    pub(super) standing: Standing,
    pub(super) refresh: Refresh,
    pub(super) session_end: UnixMicros,
}

pub(super) enum Refreshed {
    Granted(Granted),
    /// The session is over now, if it was not before.
    Reused {
        session_id: Uuid,
    },
    Unknown,
}

pub(super) async fn by_name(leases: &Leases, name: &str) -> Result<Option<Found>, Error> {
    let mut lease = leases.open().await?;
    let rows = lease.query("look for a user", BY_NAME, &[&name]).await?;
    lease.done();
    Ok(rows.first().and_then(|row| {
        Some(Found {
            user_id: row.get(0),
            standing: standing(row)?,
            password_hash: row.get(5),
        })
    }))
}

/// Always a session of its own, whatever the browser had before. `None` when the user was changed
/// between the look at the password and now.
pub(super) async fn open(
    leases: &Leases,
    found: &Found,
    from: &str,
) -> Result<Option<Granted>, Error> {
    let mut lease = leases.open().await?;
    let session = &mut *lease;
    let mut chain = audit::begin(session).await?;
    let (now, user_id, epoch) = (chain.now, found.user_id, found.standing.epoch);
    let at = PgInstant(now);
    let rows = session
        .query("sign in", SIGN_IN, &[&user_id, &epoch, &at])
        .await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let (session_id, refresh) = (Uuid::new_v4(), Refresh::draw());
    let end = later(now, SESSION_IDLE);
    session
        .execute(
            "open a session",
            OPEN,
            &[&session_id, &user_id, &at, &PgInstant(end)],
        )
        .await?;
    give(session, &refresh, session_id, 1).await?;
    session
        .execute(
            "end the oldest sessions",
            END_OLDEST,
            &[&user_id, &SESSIONS_PER_USER_MAX],
        )
        .await?;
    let actor = Actor::User(found.standing.name.clone());
    let detail = Detail::of("session", session_id.simple()).and("address", from);
    chain
        .append(session, &actor, Action::Login, &detail)
        .await?;
    chain.commit(session).await?;
    lease.done();
    Ok(Some(Granted {
        access: Access {
            user_id,
            session_id,
            epoch,
            expires_at: access_end(now, end),
        },
        standing: found.standing.clone(),
        refresh,
        session_end: end,
    }))
}

async fn give(
    session: &mut Session,
    refresh: &Refresh,
    session_id: Uuid,
    generation: i64,
) -> Result<(), Error> {
    session
        .execute(
            "give a refresh token",
            GIVE,
            &[&refresh.hash(), &session_id, &generation],
        )
        .await?;
    Ok(())
}

pub(super) async fn refresh(leases: &Leases, token: &Refresh) -> Result<Refreshed, Error> {
    in_time(async {
        let mut lease = leases.open().await?;
        match rotate(&mut lease, token).await? {
            Rotated::Granted(granted) => {
                lease.done();
                Ok(Refreshed::Granted(granted))
            }
            Rotated::Reused { session_id } => {
                // The lock on the session goes first: the chain's is always taken before others.
                lease.batch("roll back", "ROLLBACK").await?;
                end_in(&mut lease, session_id, "reused", Action::SessionReused).await?;
                lease.done();
                Ok(Refreshed::Reused { session_id })
            }
            Rotated::Unknown => {
                lease.batch("roll back", "ROLLBACK").await?;
                lease.done();
                Ok(Refreshed::Unknown)
            }
        }
    })
    .await
}

enum Rotated {
    Granted(Granted),
    Reused { session_id: Uuid },
    Unknown,
}

async fn rotate(session: &mut Session, token: &Refresh) -> Result<Rotated, Error> {
    session.batch("begin", "BEGIN").await?;
    let grace_s = REFRESH_GRACE.as_secs_f64();
    let rows = session
        .query(
            "look for a refresh token",
            BY_TOKEN,
            &[&token.hash(), &grace_s],
        )
        .await?;
    let Some((row, standing)) = rows.first().and_then(|row| Some((row, standing(row)?))) else {
        return Ok(Rotated::Unknown);
    };
    let (user_id, session_id): (Uuid, Uuid) = (row.get(0), row.get(5));
    let (newest, mine): (i64, i64) = (row.get(7), row.get(8));
    let (alive, in_grace, siblings): (bool, bool, i64) = (row.get(9), row.get(10), row.get(11));
    let (created_at, now) = (row.get::<_, PgInstant>(6).0, row.get::<_, PgInstant>(12).0);
    if !alive || standing.disabled {
        return Ok(Rotated::Unknown);
    }
    let sibling = mine == newest - 1 && in_grace && siblings < REFRESH_SIBLINGS_MAX;
    if mine != newest && !sibling {
        return Ok(Rotated::Reused { session_id });
    }
    let end = later(now, SESSION_IDLE).min(later(created_at, SESSION_LIFETIME));
    let refresh = Refresh::draw();
    let generation = if sibling { newest } else { newest + 1 };
    if !sibling {
        session
            .execute(
                "rotate a session",
                ROTATE,
                &[&session_id, &generation, &PgInstant(end)],
            )
            .await?;
    }
    give(session, &refresh, session_id, generation).await?;
    session.batch("commit", "COMMIT").await?;
    Ok(Rotated::Granted(Granted {
        access: Access {
            user_id,
            session_id,
            epoch: standing.epoch,
            expires_at: access_end(now, end),
        },
        standing,
        refresh,
        session_end: end,
    }))
}

/// The session of a refresh token, good or used.
pub(super) async fn session_of(leases: &Leases, token: &Refresh) -> Result<Option<Uuid>, Error> {
    let mut lease = leases.open().await?;
    let rows = lease
        .query("look for a session", SESSION_OF, &[&token.hash()])
        .await?;
    lease.done();
    Ok(rows.first().map(|row| row.get(0)))
}

pub(super) async fn end(leases: &Leases, session_id: Uuid) -> Result<(), Error> {
    let mut lease: Lease = leases.open().await?;
    end_in(&mut lease, session_id, "signed out", Action::Logout).await?;
    lease.done();
    Ok(())
}

async fn end_in(
    session: &mut Session,
    session_id: Uuid,
    why: &str,
    action: Action,
) -> Result<(), Error> {
    let mut chain = audit::begin(session).await?;
    let rows = session
        .query("end a session", END, &[&session_id, &why])
        .await?;
    if let Some(row) = rows.first() {
        let actor = match action {
            // Whoever it was, it need not be the user.
            Action::SessionReused => Actor::Nobody,
            _ => Actor::User(row.get(0)),
        };
        let name: &str = row.get(0);
        let detail = Detail::of("session", session_id.simple()).and("name", name);
        chain.append(session, &actor, action, &detail).await?;
    }
    chain.commit(session).await?;
    Ok(())
}

fn later(at: UnixMicros, by: Duration) -> UnixMicros {
    UnixMicros(at.0 + i64::try_from(by.as_micros()).unwrap_or(i64::MAX - at.0))
}

/// An entry of a failed sign-in. The name only if somebody has it.
pub(super) async fn record_failure(
    leases: &Leases,
    name: Option<&str>,
    from: &str,
    left_out: u64,
) -> Result<(), Error> {
    let mut lease = leases.open().await?;
    let session = &mut *lease;
    let mut chain = audit::begin(session).await?;
    let mut detail = Detail::of("address", from);
    if let Some(name) = name {
        detail = detail.and("name", name);
    }
    if left_out > 0 {
        detail = detail.and("left_out", left_out);
    }
    chain
        .append(session, &Actor::Nobody, Action::LoginFailed, &detail)
        .await?;
    chain.commit(session).await?;
    lease.done();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_token_reads_back_and_nothing_else_does() {
        let text = Refresh::draw().into_text();
        assert!(Refresh::read(&text).is_some());
        assert_ne!(text, Refresh::draw().into_text());
        for bad in [
            "",
            "fr1.",
            &text[..text.len() - 1],
            &format!("{text}0"),
            &text[4..],
        ] {
            assert!(Refresh::read(bad).is_none(), "{bad}");
        }
    }
}

//! Adding, listing, changing and removing users; for the routes and for the commands.

use super::error::Error;
use super::known::{Standing, standing};
use super::password::Passwords;
use super::rules::{check_name, check_password, name_of};
use crate::audit::{self, Action, Actor, Detail};
use crate::auth::lease::{Leases, in_time};
use crate::copy::instant::PgInstant;
use crate::copy::session::Session;
use crate::limits::USERS_MAX;
use fiber_contract::access::{NewUser, Role, UserView};
use tokio_postgres::Row;
use uuid::Uuid;

macro_rules! user_columns {
    () => {
        "user_id, name, role, disabled, epoch, created_at, last_login_at"
    };
}

const ADD: &str = concat!(
    "INSERT INTO users (user_id, name, password_hash, role)
     SELECT $1, $2, $3, $4 WHERE (SELECT count(*) FROM users) < $5
     ON CONFLICT (name) DO UPDATE SET name = users.name
     RETURNING ",
    user_columns!()
);
const LIST: &str = concat!("SELECT ", user_columns!(), " FROM users ORDER BY name");
/// What was signed before counts no more after a new password, and after a user was let in again.
const CHANGE: &str = concat!(
    "UPDATE users SET role = COALESCE($2, role), password_hash = COALESCE($3, password_hash),
         disabled = COALESCE($4, disabled),
         epoch = epoch + CASE WHEN $3 IS NOT NULL OR $4 IS NOT NULL THEN 1 ELSE 0 END
     WHERE name = $1 RETURNING ",
    user_columns!()
);
const REMOVE: &str = "DELETE FROM users WHERE name = $1 RETURNING user_id";
const END_ALL: &str = "UPDATE login_sessions SET ended_at = now(), ended_why = 'user changed',
         expires_at = now()
     WHERE user_id = $1 AND ended_at IS NULL";
const ADMINS: &str = "SELECT count(*) FROM users WHERE role = 'ADMIN' AND NOT disabled";

/// What is to be another; `None` stays.
#[derive(Clone, Default)]
pub struct Change {
    pub role: Option<Role>,
    pub password: Option<String>,
    pub disabled: Option<bool>,
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Change")
            .field("role", &self.role)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Users {
    pub(super) leases: Leases,
    pub(super) passwords: Passwords,
}

/// As it was written, for who remembers users.
#[derive(Debug)]
pub struct Written {
    pub view: UserView,
    pub(super) user_id: Uuid,
    pub(super) standing: Standing,
}

impl Users {
    pub fn new(database: tokio_postgres::Config) -> Self {
        Self {
            leases: Leases::new(database),
            passwords: Passwords::default(),
        }
    }

    pub async fn add(&self, actor: &Actor, new: &NewUser) -> Result<Written, Error> {
        let name = check_name(&new.name)?;
        check_password(&new.password, &name)?;
        let hash = self.passwords.hash(&new.password).await?;
        in_time(async {
            let mut lease = self.leases.open().await?;
            let session = &mut *lease;
            let mut chain = audit::begin(session).await?;
            let (id, role) = (Uuid::new_v4(), new.role.as_str());
            let rows = session
                .query("add a user", ADD, &[&id, &name, &hash, &role, &USERS_MAX])
                .await?;
            let row = rows.first().ok_or(Error::Full { most: USERS_MAX })?;
            let written = written(row)?;
            if written.user_id != id {
                return Err(Error::Exists(name));
            }
            let detail = Detail::of("name", &name).and("role", role);
            chain
                .append(session, actor, Action::UserAdded, &detail)
                .await?;
            chain.commit(session).await?;
            lease.done();
            Ok(written)
        })
        .await
    }

    pub async fn list(&self) -> Result<Vec<UserView>, Error> {
        in_time(async {
            let mut lease = self.leases.open().await?;
            let rows = lease.query("list users", LIST, &[]).await?;
            lease.done();
            rows.iter()
                .map(|row| written(row).map(|user| user.view))
                .collect()
        })
        .await
    }

    /// A command may also take away the last administrator: it can make the next.
    pub async fn change(
        &self,
        actor: &Actor,
        name: &str,
        change: &Change,
    ) -> Result<Written, Error> {
        let name = name_of(name).ok_or_else(|| Error::NoUser(name.to_owned()))?;
        let mut hash = None;
        if let Some(password) = &change.password {
            check_password(password, &name)?;
            hash = Some(self.passwords.hash(password).await?);
        }
        in_time(async {
            let mut lease = self.leases.open().await?;
            let session = &mut *lease;
            let mut chain = audit::begin(session).await?;
            let role = change.role.map(Role::as_str);
            let before = admins(session).await?;
            let rows = session
                .query(
                    "change a user",
                    CHANGE,
                    &[&name, &role, &hash, &change.disabled],
                )
                .await?;
            let row = rows.first().ok_or_else(|| Error::NoUser(name.clone()))?;
            let written = written(row)?;
            keep_an_admin(session, actor, before, &name).await?;
            if hash.is_some() || change.disabled == Some(true) {
                session
                    .execute("end the sessions of a user", END_ALL, &[&written.user_id])
                    .await?;
            }
            let mut detail = Detail::of("name", &name);
            if let Some(role) = role {
                detail = detail.and("role", role);
            }
            if let Some(disabled) = change.disabled {
                detail = detail.and("disabled", disabled);
            }
            if hash.is_some() {
                detail = detail.and("password", "changed");
            }
            chain
                .append(session, actor, Action::UserChanged, &detail)
                .await?;
            chain.commit(session).await?;
            lease.done();
            Ok(written)
        })
        .await
    }

    pub async fn remove(&self, actor: &Actor, name: &str) -> Result<Uuid, Error> {
        let name = name_of(name).ok_or_else(|| Error::NoUser(name.to_owned()))?;
        in_time(async {
            let mut lease = self.leases.open().await?;
            let session = &mut *lease;
            let mut chain = audit::begin(session).await?;
            let before = admins(session).await?;
            let rows = session.query("remove a user", REMOVE, &[&name]).await?;
            let row = rows.first().ok_or_else(|| Error::NoUser(name.clone()))?;
            let user_id = row.get(0);
            keep_an_admin(session, actor, before, &name).await?;
            let detail = Detail::of("name", &name);
            chain
                .append(session, actor, Action::UserRemoved, &detail)
                .await?;
            chain.commit(session).await?;
            lease.done();
            Ok(user_id)
        })
        .await
    }
}

async fn admins(session: &mut Session) -> Result<i64, Error> {
    let rows = session.query("count administrators", ADMINS, &[]).await?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}

/// Two administrators cannot take each other's right at once: the chain's lock is held.
async fn keep_an_admin(
    session: &mut Session,
    actor: &Actor,
    before: i64,
    name: &str,
) -> Result<(), Error> {
    let took_the_last = before > 0 && admins(session).await? == 0;
    if took_the_last && *actor != Actor::Command {
        return Err(Error::LastAdmin(name.to_owned()));
    }
    Ok(())
}

fn written(row: &Row) -> Result<Written, Error> {
    let standing = standing(row).ok_or_else(|| Error::Field {
        field: "role",
        reason: "is not known to this engine".to_owned(),
    })?;
    let last_login: Option<PgInstant> = row.get(6);
    Ok(Written {
        view: UserView {
            name: standing.name.clone(),
            role: standing.role,
            created_at: row.get::<_, PgInstant>(5).0,
            last_login_at: last_login.map(|at| at.0),
            disabled: standing.disabled,
        },
        user_id: row.get(0),
        standing,
    })
}

//! Issuing, listing and revoking, with the writer's database; for the routes and for the commands.

use super::error::Error;
use super::token::{KeySecrets, ProbeKey};
use crate::audit::{self, Action, Actor, Detail};
use crate::auth::lease::{Leases, in_time};
use crate::config::Config;
use crate::copy::instant::PgInstant;
use crate::parse::check_node_id;
use fiber_contract::UnixMicros;
use fiber_contract::access::{IssuedKey, KeyView, NewKey};
use uuid::Uuid;

/// A new key and the one it replaces; more would only be forgotten.
const LIVE_MAX: i64 = 2;
const DAYS_MAX: u32 = 3_650;

const ISSUE: &str = "INSERT INTO probe_keys (key_id, node_id, expires_at)
    SELECT $1, $2, $3 WHERE $4 >
        (SELECT count(*) FROM probe_keys WHERE node_id = $2 AND revoked_at IS NULL
            AND (expires_at IS NULL OR expires_at > now()))
    RETURNING key_id, node_id, created_at, expires_at, revoked_at";
const LIST: &str = "SELECT key_id, node_id, created_at, expires_at, revoked_at FROM probe_keys
    WHERE $1::text IS NULL OR node_id = $1 ORDER BY node_id, created_at, key_id LIMIT 10000";
const REVOKE: &str = "UPDATE probe_keys k SET revoked_at = COALESCE(k.revoked_at, now())
    FROM (SELECT key_id, revoked_at FROM probe_keys WHERE key_id = $1 FOR UPDATE) before
    WHERE k.key_id = before.key_id
    RETURNING k.key_id, k.node_id, k.created_at, k.expires_at, k.revoked_at, before.revoked_at";

#[derive(Clone, Debug)]
pub struct KeyStore {
    leases: Leases,
    secrets: Option<KeySecrets>,
}

impl KeyStore {
    /// Without API_KEY_SECRET keys can be listed and revoked, and none issued.
    pub fn new(config: &Config) -> Self {
        Self::with(config, Leases::new(config.database.connection()))
    }

    pub(crate) fn with(config: &Config, leases: Leases) -> Self {
        Self {
            leases,
            secrets: KeySecrets::of(config),
        }
    }

    /// The row is there before the key is known to anybody.
    pub async fn issue(&self, actor: &Actor, new: &NewKey) -> Result<IssuedKey, Error> {
        let secrets = self.secrets.as_ref().ok_or(Error::NoSecret)?;
        check_node_id(&new.node_id).map_err(Error::NodeId)?;
        let key = ProbeKey {
            id: Uuid::new_v4(),
            node_id: new.node_id.clone(),
            expires_at: expiry(new.expires_in_days)?,
        };
        in_time(async {
            let mut lease = self.leases.open().await?;
            let session = &mut *lease;
            // Two at once would each count without the other; the audit log's lock is in the way.
            let mut chain = audit::begin(session).await?;
            let expires_at = key.expires_at.map(PgInstant);
            let rows = session
                .query(
                    "issue a key",
                    ISSUE,
                    &[&key.id, &key.node_id, &expires_at, &LIVE_MAX],
                )
                .await?;
            let row = rows.first().ok_or_else(|| Error::TwoLive {
                node_id: key.node_id.clone(),
            })?;
            let detail = detail(key.id, &key.node_id);
            chain
                .append(session, actor, Action::KeyIssued, &detail)
                .await?;
            chain.commit(session).await?;
            lease.done();
            Ok(IssuedKey {
                view: view(row),
                key: secrets.sign(&key),
            })
        })
        .await
    }

    /// All keys, or those of one node; the oldest first.
    pub async fn list(&self, node_id: Option<&str>) -> Result<Vec<KeyView>, Error> {
        in_time(async {
            let mut lease = self.leases.open().await?;
            let rows = lease.query("list keys", LIST, &[&node_id]).await?;
            lease.done();
            Ok(rows.iter().map(view).collect())
        })
        .await
    }

    /// Once more changes nothing.
    pub async fn revoke(&self, actor: &Actor, key_id: Uuid) -> Result<KeyView, Error> {
        in_time(async {
            let mut lease = self.leases.open().await?;
            let session = &mut *lease;
            let mut chain = audit::begin(session).await?;
            let rows = session.query("revoke a key", REVOKE, &[&key_id]).await?;
            let row = rows.first().ok_or(Error::Unknown(key_id))?;
            let view = view(row);
            if row.get::<_, Option<PgInstant>>(5).is_none() {
                let detail = detail(key_id, &view.node_id);
                chain
                    .append(session, actor, Action::KeyRevoked, &detail)
                    .await?;
            }
            chain.commit(session).await?;
            lease.done();
            Ok(view)
        })
        .await
    }
}

fn detail(key_id: Uuid, node_id: &str) -> Detail {
    Detail::of("key_id", key_id.simple()).and("node_id", node_id)
}

fn expiry(days: Option<u32>) -> Result<Option<UnixMicros>, Error> {
    let Some(days) = days else { return Ok(None) };
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(Error::Days { most: DAYS_MAX });
    }
    // Whole seconds, as the key tells it.
    let now_s = UnixMicros::now().0 / 1_000_000;
    let expires_s = now_s + i64::from(days) * 86_400;
    Ok(Some(UnixMicros(expires_s * 1_000_000)))
}

fn view(row: &tokio_postgres::Row) -> KeyView {
    let instant = |at: usize| row.get::<_, Option<PgInstant>>(at).map(|at| at.0);
    KeyView {
        key_id: row.get::<_, Uuid>(0).simple().to_string(),
        node_id: row.get(1),
        created_at: row.get::<_, PgInstant>(2).0,
        expires_at: instant(3),
        revoked_at: instant(4),
    }
}

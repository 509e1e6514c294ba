//! The changes themselves.

use super::error::Error;
use super::rules::Fields;
use crate::audit::{self, Action, Actor, Detail};
use crate::auth::lease::{Leases, in_time};
use crate::copy::instant::PgInstant;
use crate::model::NodeKey;
use crate::publish::notify::NodeRegistration;
use crate::query::DatabaseError;
use crate::query::sql::Session;
use deadpool_postgres::Pool;
use fiber_contract::UnixMicros;
use fiber_contract::node::{ChangeNode, NewNode};
use fiber_contract::sample::Metadata;
use tokio_postgres::Row;

macro_rules! node_columns {
    () => {
        "node_key, node_id, country, region, city, lat, lng, expected_interval_s, tags, pinned,
         retired_at IS NOT NULL, first_seen, last_seen, edited_at"
    };
}

/// A retired node comes back this way; one that is in the fleet is left alone.
const ADD: &str = concat!(
    "INSERT INTO nodes AS n (node_key, node_id, country, region, city, lat, lng,
         expected_interval_s, tags, pinned, edited_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, COALESCE($9, '{}'::text[]), $10, clock_timestamp())
     ON CONFLICT (node_key) DO UPDATE SET retired_at = NULL, edited_at = excluded.edited_at,
         country = excluded.country, region = excluded.region,
         city = COALESCE(excluded.city, n.city), lat = COALESCE(excluded.lat, n.lat),
         lng = COALESCE(excluded.lng, n.lng),
         expected_interval_s = COALESCE(excluded.expected_interval_s, n.expected_interval_s),
         tags = COALESCE($9, n.tags), pinned = excluded.pinned
     WHERE n.retired_at IS NOT NULL AND n.node_id = excluded.node_id
     RETURNING ",
    node_columns!()
);
const CHANGE: &str = concat!(
    "UPDATE nodes SET country = COALESCE($3, country), region = COALESCE($4, region),
         city = COALESCE($5, city), lat = COALESCE($6, lat), lng = COALESCE($7, lng),
         expected_interval_s = COALESCE($8, expected_interval_s), tags = COALESCE($9, tags),
         pinned = ARRAY(SELECT unnest(pinned || $10::text[])
             EXCEPT SELECT unnest($11::text[]) ORDER BY 1),
         edited_at = clock_timestamp()
     WHERE node_key = $1 AND node_id = $2 AND retired_at IS NULL
     RETURNING ",
    node_columns!()
);
const RETIRE: &str = concat!(
    "UPDATE nodes SET retired_at = clock_timestamp(), edited_at = clock_timestamp()
     WHERE node_key = $1 AND node_id = $2 AND retired_at IS NULL
     RETURNING ",
    node_columns!()
);
const EDITED: &str = concat!(
    "SELECT ",
    node_columns!(),
    " FROM nodes WHERE edited_at >= $1 ORDER BY edited_at LIMIT 1000"
);

/// A node as an operator left it.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    pub(crate) node_key: NodeKey,
    pub(crate) registration: NodeRegistration,
    /// Columns in which the node's own word is not taken.
    pub(crate) pinned: Vec<String>,
    pub(crate) retired: bool,
    pub(crate) first_seen: Option<UnixMicros>,
    pub(crate) last_seen: Option<UnixMicros>,
    pub(crate) edited_at: Option<UnixMicros>,
}

#[derive(Debug)]
pub(crate) struct Registry {
    leases: Leases,
}

impl Registry {
    pub(crate) fn new(leases: Leases) -> Self {
        Self { leases }
    }

    pub(crate) async fn add(&self, actor: &Actor, new: &NewNode) -> Result<Edit, Error> {
        let (id, fields) = Fields::of_new(new)?;
        let detail = told(&id, &fields);
        in_time(async {
            let mut lease = self.leases.open().await?;
            let session = &mut *lease;
            let mut chain = audit::begin(session).await?;
            let (key, interval_s) = (NodeKey::of(&id).0, seconds(fields.interval_s));
            let rows = session
                .query(
                    "add a node",
                    ADD,
                    &[
                        &key,
                        &id,
                        &fields.country,
                        &fields.region,
                        &fields.city,
                        &fields.lat,
                        &fields.lng,
                        &interval_s,
                        &fields.tags,
                        &fields.pin,
                    ],
                )
                .await?;
            let row = rows.first().ok_or_else(|| Error::Exists(id.clone()))?;
            let edit = edit(row)?;
            chain
                .append(session, actor, Action::NodeAdded, &detail)
                .await?;
            chain.commit(session).await?;
            lease.done();
            Ok(edit)
        })
        .await
    }

    pub(crate) async fn change(
        &self,
        actor: &Actor,
        id: &str,
        change: &ChangeNode,
    ) -> Result<Edit, Error> {
        let fields = Fields::of_change(change)?;
        let detail = told(id, &fields);
        in_time(async {
            let mut lease = self.leases.open().await?;
            let session = &mut *lease;
            let mut chain = audit::begin(session).await?;
            let (key, interval_s) = (NodeKey::of(id).0, seconds(fields.interval_s));
            let rows = session
                .query(
                    "change a node",
                    CHANGE,
                    &[
                        &key,
                        &id,
                        &fields.country,
                        &fields.region,
                        &fields.city,
                        &fields.lat,
                        &fields.lng,
                        &interval_s,
                        &fields.tags,
                        &fields.pin,
                        &fields.unpin,
                    ],
                )
                .await?;
            let row = rows.first().ok_or_else(|| Error::NoNode(id.to_owned()))?;
            let edit = edit(row)?;
            chain
                .append(session, actor, Action::NodeChanged, &detail)
                .await?;
            chain.commit(session).await?;
            lease.done();
            Ok(edit)
        })
        .await
    }

    pub(crate) async fn retire(&self, actor: &Actor, id: &str) -> Result<Edit, Error> {
        in_time(async {
            let mut lease = self.leases.open().await?;
            let session = &mut *lease;
            let mut chain = audit::begin(session).await?;
            let key = NodeKey::of(id).0;
            let rows = session.query("retire a node", RETIRE, &[&key, &id]).await?;
            let row = rows.first().ok_or_else(|| Error::NoNode(id.to_owned()))?;
            let edit = edit(row)?;
            let detail = Detail::of("node_id", id);
            chain
                .append(session, actor, Action::NodeRetired, &detail)
                .await?;
            chain.commit(session).await?;
            lease.done();
            Ok(edit)
        })
        .await
    }
}

/// What operators changed since then, on this or another engine.
pub(crate) async fn edited_since(
    pool: &Pool,
    since: UnixMicros,
) -> Result<Vec<Edit>, DatabaseError> {
    let session = Session::open(pool).await?;
    let rows = session.query(EDITED, &[&PgInstant(since)]).await?;
    Ok(rows.iter().map(edit).collect::<Result<_, _>>()?)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "seconds between rounds need no f64"
)]
fn seconds(interval_s: Option<f64>) -> Option<f32> {
    interval_s.map(|s| s as f32)
}

/// The new values, as texts.
fn told(id: &str, fields: &Fields) -> Detail {
    let mut detail = Detail::of("node_id", id);
    let texts = [
        ("country", fields.country.clone()),
        ("region", fields.region.clone()),
        ("city", fields.city.clone()),
        ("lat", fields.lat.map(|lat| lat.to_string())),
        ("lng", fields.lng.map(|lng| lng.to_string())),
        ("interval_s", fields.interval_s.map(|s| s.to_string())),
        ("tags", fields.tags.as_ref().map(|tags| tags.join(", "))),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            detail = detail.and(name, value);
        }
    }
    if !fields.unpin.is_empty() {
        detail = detail.and("given_back", fields.unpin.join(", "));
    }
    detail
}

fn edit(row: &Row) -> Result<Edit, tokio_postgres::Error> {
    let instant = |at: usize| {
        row.try_get::<_, Option<PgInstant>>(at)
            .map(|instant| instant.map(|at| at.0))
    };
    let interval_s: Option<f32> = row.try_get(7)?;
    Ok(Edit {
        node_key: NodeKey(row.try_get(0)?),
        registration: NodeRegistration {
            node_id: row.try_get(1)?,
            country: row.try_get(2)?,
            region: row.try_get(3)?,
            place: Metadata {
                city: row.try_get(4)?,
                lat: row.try_get(5)?,
                lng: row.try_get(6)?,
                interval_s: interval_s.map(f64::from),
                tags: Some(row.try_get(8)?),
            },
            series_count: 0,
        },
        pinned: row.try_get(9)?,
        retired: row.try_get(10)?,
        first_seen: instant(11)?,
        last_seen: instant(12)?,
        edited_at: instant(13)?,
    })
}

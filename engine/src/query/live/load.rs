//! Nodes and their newest samples from the database, a page at a time.

use super::fleet::Loaded;
use crate::model::NodeKey;
use crate::publish::notify::{NodeRegistration, StoredSample};
use crate::query::error::DatabaseError;
use crate::query::sql::{PgInstant, Session};
use deadpool_postgres::Pool;
use fiber_contract::UnixMicros;
use fiber_contract::node::SPARK_POINTS;
use fiber_contract::sample::Metadata;
use std::collections::HashMap;
use tokio_postgres::Row;

/// Bounds the rows of one answer: `SPARK_POINTS` for each.
const PAGE_NODES: i64 = 500;

const NODES: &str = "
    SELECT n.node_key, n.node_id, n.country, n.region, n.city, n.lat, n.lng,
           n.first_seen, n.last_seen, n.expected_interval_s, n.tags, n.pinned,
           (SELECT count(*) FROM series s WHERE s.node_key = n.node_key) AS series_count
    FROM nodes n
    WHERE n.node_key > $1 AND n.retired_at IS NULL
    ORDER BY n.node_key
    LIMIT $2";

/// Per series the newest rows off the end of its index, then the newest of those per node.
const SAMPLES: &str = "
    SELECT k.node_key, m.\"time\", m.latency_ms, m.uptime_pct, m.packet_loss
    FROM unnest($1::int8[]) AS k (node_key)
    CROSS JOIN LATERAL (
        SELECT r.\"time\", r.latency_ms, r.uptime_pct, r.packet_loss
        FROM series s
        CROSS JOIN LATERAL (
            SELECT m.\"time\", m.latency_ms, m.uptime_pct, m.packet_loss
            FROM metrics m
            WHERE m.series_key = s.series_key
            ORDER BY m.\"time\" DESC
            LIMIT $2
        ) r
        WHERE s.node_key = k.node_key
        ORDER BY r.\"time\" DESC
        LIMIT $2
    ) m";

pub(super) async fn load(pool: &Pool) -> Result<Vec<Loaded>, DatabaseError> {
    let session = Session::open(pool).await?;
    let mut all = Vec::new();
    let mut after = i64::MIN;
    loop {
        let rows = session.query(NODES, &[&after, &PAGE_NODES]).await?;
        let Some(last) = rows.last() else {
            return Ok(all);
        };
        after = last.try_get("node_key")?;
        let mut page = rows.iter().map(node).collect::<Result<Vec<_>, _>>()?;
        let keys: Vec<i64> = page.iter().map(|node| node.node_key.0).collect();
        let points = i64::try_from(SPARK_POINTS).unwrap_or(i64::MAX);
        let mut samples: HashMap<i64, Vec<StoredSample>> = HashMap::new();
        for row in session.query(SAMPLES, &[&keys, &points]).await? {
            samples
                .entry(row.try_get(0)?)
                .or_default()
                .push(sample(&row)?);
        }
        for node in &mut page {
            node.samples = samples.remove(&node.node_key.0).unwrap_or_default();
            node.samples.sort_by_key(|sample| sample.time);
        }
        all.append(&mut page);
    }
}

fn node(row: &Row) -> Result<Loaded, tokio_postgres::Error> {
    let interval_s: Option<f32> = row.try_get("expected_interval_s")?;
    let series_count: i64 = row.try_get("series_count")?;
    Ok(Loaded {
        node_key: NodeKey(row.try_get("node_key")?),
        registration: NodeRegistration {
            node_id: row.try_get("node_id")?,
            country: row.try_get("country")?,
            region: row.try_get("region")?,
            place: Metadata {
                city: row.try_get("city")?,
                lat: row.try_get("lat")?,
                lng: row.try_get("lng")?,
                interval_s: interval_s.map(f64::from),
                tags: Some(row.try_get("tags")?),
            },
            series_count: u32::try_from(series_count).unwrap_or(u32::MAX),
        },
        pinned: row.try_get("pinned")?,
        first_seen: seen(row, "first_seen")?,
        last_seen: seen(row, "last_seen")?,
        samples: Vec::new(),
    })
}

/// `None` for a node that an operator added and that has not sent yet.
fn seen(row: &Row, name: &str) -> Result<Option<UnixMicros>, tokio_postgres::Error> {
    let seen: Option<PgInstant> = row.try_get(name)?;
    Ok(seen.map(|instant| instant.0))
}

fn instant(row: &Row, name: &str) -> Result<UnixMicros, tokio_postgres::Error> {
    row.try_get::<_, PgInstant>(name).map(|instant| instant.0)
}

fn sample(row: &Row) -> Result<StoredSample, tokio_postgres::Error> {
    Ok(StoredSample {
        time: instant(row, "time")?,
        latency_ms: row.try_get("latency_ms")?,
        uptime_pct: row.try_get("uptime_pct")?,
        packet_loss: row.try_get("packet_loss")?,
    })
}

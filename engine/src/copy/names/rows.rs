//! The rows behind names: written in the open transaction, and compared with what is there.

use super::fingerprint::fingerprint;
use super::{Bad, NewNode, Refusal, collision, span_of};
use crate::copy::error::Error;
use crate::copy::instant::PgInstant;
use crate::copy::plan::Plan;
use crate::copy::session::Session;
use crate::journal::record::SeriesEntry;
use crate::model::{NodeKey, NodePlace, SeriesKey};
use crate::publish::notify::NodeRegistration;
use std::collections::{BTreeMap, HashMap};

/// What an operator pinned is the operator's word. A sample newer than a retirement ends that.
const UPSERT_NODES: &str = "INSERT INTO nodes AS n (node_key, node_id, country, region, city, lat,
        lng, expected_interval_s, tags, first_seen, last_seen)
    SELECT k, id, country, region, city, lat, lng, interval_s,
           COALESCE((SELECT array_agg(tag) FROM jsonb_array_elements_text(tags::jsonb) AS tag), '{}'),
           first_seen, last_seen
    FROM UNNEST($1::int8[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[],
                $7::float8[], $8::float4[], $9::text[], $10::timestamptz[], $11::timestamptz[])
         AS u (k, id, country, region, city, lat, lng, interval_s, tags, first_seen, last_seen)
    ON CONFLICT (node_key) DO UPDATE SET
        country = CASE WHEN 'country' = ANY (n.pinned) THEN n.country ELSE excluded.country END,
        region = CASE WHEN 'region' = ANY (n.pinned) THEN n.region ELSE excluded.region END,
        city = CASE WHEN 'city' = ANY (n.pinned) THEN n.city
            ELSE COALESCE(excluded.city, n.city) END,
        lat = CASE WHEN 'lat' = ANY (n.pinned) THEN n.lat ELSE COALESCE(excluded.lat, n.lat) END,
        lng = CASE WHEN 'lng' = ANY (n.pinned) THEN n.lng ELSE COALESCE(excluded.lng, n.lng) END,
        expected_interval_s = CASE WHEN 'expected_interval_s' = ANY (n.pinned)
            THEN n.expected_interval_s
            ELSE COALESCE(excluded.expected_interval_s, n.expected_interval_s) END,
        tags = CASE WHEN excluded.tags = '{}' OR 'tags' = ANY (n.pinned) THEN n.tags
            ELSE excluded.tags END,
        retired_at = CASE WHEN excluded.last_seen > n.retired_at THEN NULL ELSE n.retired_at END,
        first_seen = LEAST(n.first_seen, excluded.first_seen),
        last_seen = GREATEST(n.last_seen, excluded.last_seen)
    WHERE n.node_id = excluded.node_id
    RETURNING node_key";

const INSERT_SERIES: &str = "INSERT INTO series (series_key, node_key, target_host, probe_type)
    SELECT * FROM UNNEST($1::int8[], $2::int8[], $3::text[], $4::text[])
    ON CONFLICT DO NOTHING";

const READ_SERIES: &str = "SELECT series_key, node_key, target_host, probe_type FROM series
    WHERE series_key = ANY($1)";

const COUNT_SERIES: &str = "SELECT node_key, count(*) FROM series
    WHERE node_key = ANY($1) GROUP BY node_key";

const TOUCH_NODES: &str = "UPDATE nodes AS n SET first_seen = LEAST(n.first_seen, u.first_seen),
        last_seen = GREATEST(n.last_seen, u.last_seen),
        retired_at = CASE WHEN u.last_seen > n.retired_at THEN NULL ELSE n.retired_at END
    FROM UNNEST($1::int8[], $2::timestamptz[], $3::timestamptz[])
         AS u (node_key, first_seen, last_seen)
    WHERE n.node_key = u.node_key";

pub(super) async fn upsert_nodes(
    session: &mut Session,
    plan: &Plan<'_>,
    nodes: &[&NewNode<'_>],
) -> Result<Vec<NodeKey>, Error> {
    if nodes.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<NodePlace> = nodes.iter().map(|new| parse_place(new.place)).collect();
    let keys: Vec<i64> = nodes.iter().map(|new| new.entry.node_key.0).collect();
    let ids: Vec<&str> = nodes.iter().map(|new| new.entry.node_id).collect();
    let countries: Vec<&str> = nodes.iter().map(|new| new.entry.country).collect();
    let regions: Vec<&str> = nodes.iter().map(|new| new.entry.region).collect();
    let cities: Vec<Option<&str>> = places.iter().map(|place| place.city.as_deref()).collect();
    let lats: Vec<Option<f64>> = places.iter().map(|place| place.lat).collect();
    let lngs: Vec<Option<f64>> = places.iter().map(|place| place.lng).collect();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "seconds between rounds need no f64"
    )]
    let intervals: Vec<Option<f32>> = places
        .iter()
        .map(|place| place.interval_s.map(|s| s as f32))
        .collect();
    // As JSON, because the arrays differ in length and SQL's may not.
    let tags: Vec<Option<String>> = places
        .iter()
        .map(|place| serde_json::to_string(place.tags.as_ref()?).ok())
        .collect();
    let spans = nodes.iter().map(|new| span_of(plan, new.entry.node_key));
    let (first, last): (Vec<_>, Vec<_>) = spans
        .map(|(first, last)| (PgInstant(first), PgInstant(last)))
        .unzip();
    let rows = session
        .query(
            "register nodes",
            UPSERT_NODES,
            &[
                &keys, &ids, &countries, &regions, &cities, &lats, &lngs, &intervals, &tags,
                &first, &last,
            ],
        )
        .await?;
    Ok(rows.iter().map(|row| NodeKey(row.get(0))).collect())
}

pub(super) async fn write_series(
    session: &mut Session,
    new_series: &[(SeriesEntry<'_>, u64)],
    isolate: bool,
    bad: &mut Bad<SeriesKey>,
) -> Result<(), Error> {
    let portion = if isolate { 1 } else { new_series.len().max(1) };
    for some in new_series.chunks(portion) {
        let outcome = in_savepoint(session, isolate, async |session| {
            insert_series(session, some).await
        });
        match outcome.await? {
            Ok(mismatched) => {
                for (entry, fingerprint) in some {
                    if mismatched.contains(&(entry.series_key, *fingerprint)) {
                        bad.insert((entry.series_key, *fingerprint), collision());
                    }
                }
            }
            Err(refusal) => {
                bad.insert((some[0].0.series_key, some[0].1), refusal);
            }
        }
    }
    Ok(())
}

/// The series that the table has under other names.
async fn insert_series(
    session: &mut Session,
    series: &[(SeriesEntry<'_>, u64)],
) -> Result<Vec<(SeriesKey, u64)>, Error> {
    let keys: Vec<i64> = series.iter().map(|(entry, _)| entry.series_key.0).collect();
    let nodes: Vec<i64> = series.iter().map(|(entry, _)| entry.node_key.0).collect();
    let targets: Vec<&str> = series.iter().map(|(entry, _)| entry.target_host).collect();
    let types: Vec<&str> = series.iter().map(|(entry, _)| entry.probe_type).collect();
    session
        .execute(
            "register series",
            INSERT_SERIES,
            &[&keys, &nodes, &targets, &types],
        )
        .await?;
    let rows = session
        .query("verify series", READ_SERIES, &[&keys])
        .await?;
    let stored: HashMap<i64, &tokio_postgres::Row> =
        rows.iter().map(|row| (row.get(0), row)).collect();
    let same = |entry: &SeriesEntry<'_>| {
        stored.get(&entry.series_key.0).is_some_and(|row| {
            row.get::<_, i64>(1) == entry.node_key.0
                && row.get::<_, &str>(2) == entry.target_host
                && row.get::<_, &str>(3) == entry.probe_type
        })
    };
    let mismatched = series.iter().filter(|(entry, _)| !same(entry));
    Ok(mismatched
        .map(|(entry, fingerprint)| (entry.series_key, *fingerprint))
        .collect())
}

/// Runs `work`; with `isolate`, a refusal of its rows is an answer and the transaction goes on.
pub(super) async fn in_savepoint<T>(
    session: &mut Session,
    isolate: bool,
    work: impl AsyncFnOnce(&mut Session) -> Result<T, Error>,
) -> Result<Result<T, Refusal>, Error> {
    if !isolate {
        return work(session).await.map(Ok);
    }
    session.batch("open a savepoint", "SAVEPOINT name").await?;
    match work(session).await {
        Ok(done) => {
            session
                .batch("close a savepoint", "RELEASE SAVEPOINT name")
                .await?;
            Ok(Ok(done))
        }
        Err(error) => {
            let refusal = Refusal::of(&error).ok_or(error)?;
            session
                .batch("roll back to a savepoint", "ROLLBACK TO SAVEPOINT name")
                .await?;
            Ok(Err(refusal))
        }
    }
}

pub(super) async fn describe_nodes(
    session: &mut Session,
    new_nodes: &BTreeMap<NodeKey, NewNode<'_>>,
    new_series: &[(SeriesEntry<'_>, u64)],
    bad_nodes: &Bad<NodeKey>,
) -> Result<HashMap<NodeKey, Box<NodeRegistration>>, Error> {
    let mut described = HashMap::new();
    let entries = new_series.iter().map(|(entry, _)| (entry, entry.place));
    // The nodes last: they hold the newest place, and replace what a series said.
    let entries = entries.chain(new_nodes.values().map(|new| (&new.entry, new.place)));
    for (entry, place) in entries {
        let fingerprint = fingerprint(&[entry.node_id]);
        if !bad_nodes.contains_key(&(entry.node_key, fingerprint)) {
            let registration = NodeRegistration {
                node_id: entry.node_id.to_owned(),
                country: entry.country.to_owned(),
                region: entry.region.to_owned(),
                place: parse_place(place),
                series_count: 0,
            };
            described.insert(entry.node_key, Box::new(registration));
        }
    }
    if described.is_empty() {
        return Ok(described);
    }
    let keys: Vec<i64> = described.keys().map(|key| key.0).collect();
    for row in session
        .query("count series", COUNT_SERIES, &[&keys])
        .await?
    {
        if let Some(node) = described.get_mut(&NodeKey(row.get(0))) {
            node.series_count = u32::try_from(row.get::<_, i64>(1)).unwrap_or(u32::MAX);
        }
    }
    Ok(described)
}

fn parse_place(json: &str) -> NodePlace {
    // The sample was accepted with it, and its other members are stored as sent.
    serde_json::from_str(json).unwrap_or_default()
}

pub(super) async fn touch_nodes(
    session: &mut Session,
    keys: &[i64],
    first: &[PgInstant],
    last: &[PgInstant],
) -> Result<(), Error> {
    session
        .execute(
            "note when nodes were seen",
            TOUCH_NODES,
            &[&keys, &first, &last],
        )
        .await?;
    Ok(())
}

//! `/api/metrics`: raw samples, newest first, a page at a time.
//!
//! The unique index is on (series, time), so the newest rows of each asked series are taken off
//! the end of its part of the index and then merged: a page costs pages × series, whatever the
//! span holds.

use super::context::Context;
use super::error::Error;
use super::params::Params;
use super::respond::{Body, answer};
use super::sql::{PgInstant, Session};
use crate::model::NodeKey;
use fiber_contract::UnixMicros;
use fiber_contract::limits::QUERY_ROWS_MAX;
use fiber_contract::query::{Meta, RawSample};
use hyper::Response;
use tokio_postgres::Row;

const LIMIT_DEFAULT: usize = 100;
/// Without a node and a start, so that the fleet's whole history is not merged for one page.
const FLEET_SPAN_DEFAULT_S: i64 = 300;

/// $1 node or NULL, $2 from, $3 to (exclusive), $4 and $5 the cursor's time and series, $6 rows.
const PAGE: &str = "
    SELECT m.\"time\", m.series_key, n.node_id, s.target_host, s.probe_type,
           m.latency_ms, m.uptime_pct, m.packet_loss
    FROM series s
    JOIN nodes n USING (node_key)
    CROSS JOIN LATERAL (
        SELECT r.\"time\", r.series_key, r.latency_ms, r.uptime_pct, r.packet_loss
        FROM metrics r
        WHERE r.series_key = s.series_key
          AND r.\"time\" >= $2 AND r.\"time\" < $3 AND r.\"time\" <= $4
          AND (r.\"time\" < $4 OR r.series_key < $5)
        ORDER BY r.\"time\" DESC
        LIMIT $6
    ) m
    WHERE $1::int8 IS NULL OR s.node_key = $1
    ORDER BY m.\"time\" DESC, m.series_key DESC
    LIMIT $6";

/// The last row of the page before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    time: UnixMicros,
    series_key: i64,
}

/// Before the first page: after everything.
const START: Cursor = Cursor {
    time: UnixMicros(LAST_MICROS),
    series_key: i64::MAX,
};
/// 9999-12-31T23:59:59Z, the last that RFC 3339 can write.
const LAST_MICROS: i64 = 253_402_300_799_000_000;

impl Cursor {
    fn parse(text: &str) -> Option<Self> {
        let (time, series_key) = text.split_once('~')?;
        let time: i64 = time.parse().ok()?;
        let known = (0..=LAST_MICROS).contains(&time);
        known.then_some(Self {
            time: UnixMicros(time),
            series_key: series_key.parse().ok()?,
        })
    }

    fn text(self) -> String {
        format!("{}~{}", self.time.0, self.series_key)
    }
}

#[derive(Debug, PartialEq)]
struct Asked {
    node_key: Option<NodeKey>,
    from: UnixMicros,
    to: UnixMicros,
    limit: usize,
    cursor: Cursor,
}

impl Asked {
    fn parse(params: &Params, now: UnixMicros) -> Result<Self, Error> {
        let node_key = params.node_id()?.map(NodeKey::of);
        let to = params.instant("end_time")?;
        let from = params
            .instant("start_time")?
            .unwrap_or_else(|| match node_key {
                Some(_) => UnixMicros(0),
                None => UnixMicros(to.unwrap_or(now).0 - FLEET_SPAN_DEFAULT_S * 1_000_000),
            });
        let to = to.unwrap_or(UnixMicros(LAST_MICROS));
        if from > to {
            return Err(Error::parameter("start_time", "is after end_time"));
        }
        let limit = params.number("limit")?.unwrap_or(LIMIT_DEFAULT);
        if !(1..=QUERY_ROWS_MAX).contains(&limit) {
            return Err(Error::parameter(
                "limit",
                format!("must be 1 to {QUERY_ROWS_MAX}"),
            ));
        }
        let cursor = match params.text("cursor")? {
            None => START,
            Some(text) => Cursor::parse(text)
                .ok_or_else(|| Error::parameter("cursor", "is not one that was given"))?,
        };
        Ok(Self {
            node_key,
            from,
            to,
            limit,
            cursor,
        })
    }
}

pub(super) async fn answer_page(
    context: &Context,
    params: &Params,
) -> Result<Response<Body>, Error> {
    let asked = Asked::parse(params, UnixMicros::now())?;
    let session = Session::for_request(context).await?;
    let rows = session
        .query(
            PAGE,
            &[
                &asked.node_key.map(|key| key.0),
                &PgInstant(asked.from),
                &PgInstant(asked.to),
                &PgInstant(asked.cursor.time),
                &asked.cursor.series_key,
                &i64::try_from(asked.limit).unwrap_or(i64::MAX),
            ],
        )
        .await?;
    let samples = rows.iter().map(sample).collect::<Result<Vec<_>, _>>()?;
    let full = rows.len() == asked.limit;
    let next_cursor = match rows.last().filter(|_| full) {
        Some(row) => Some(cursor_of(row)?.text()),
        None => None,
    };
    answer(
        samples,
        Meta {
            source: "metrics".to_owned(),
            next_cursor,
        },
    )
}

fn cursor_of(row: &Row) -> Result<Cursor, tokio_postgres::Error> {
    let PgInstant(time) = row.try_get("time")?;
    Ok(Cursor {
        time,
        series_key: row.try_get("series_key")?,
    })
}

fn sample(row: &Row) -> Result<RawSample, tokio_postgres::Error> {
    let PgInstant(time) = row.try_get("time")?;
    let target_host: String = row.try_get("target_host")?;
    Ok(RawSample {
        node_id: row.try_get("node_id")?,
        target_host: Some(target_host).filter(|target| !target.is_empty()),
        probe_type: row.try_get("probe_type")?,
        time,
        latency_ms: row.try_get("latency_ms")?,
        uptime_pct: row.try_get("uptime_pct")?,
        packet_loss: row.try_get("packet_loss")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMicros = UnixMicros(1_795_460_400_000_000);

    fn asked(query: &str) -> Result<Asked, Error> {
        Asked::parse(&Params::parse(Some(query)).unwrap(), NOW)
    }

    #[test]
    fn a_cursor_reads_back_and_a_made_up_one_is_refused() {
        let cursor = Cursor {
            time: NOW,
            series_key: -5,
        };
        assert_eq!(
            asked(&format!("cursor={}", cursor.text())).unwrap().cursor,
            cursor
        );
        for text in [
            "x",
            "1",
            "~",
            "1~x",
            "-1~1",
            "1~1~1",
            "99999999999999999999~1",
        ] {
            assert!(asked(&format!("cursor={text}")).is_err(), "{text}");
        }
    }

    #[test]
    fn the_bad_parameter_is_named() {
        for (query, name) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=1;DROP", "limit"),
            ("start_time=yesterday", "start_time"),
            (
                "start_time=2026-11-23T00:00:00Z&end_time=2026-11-22T00:00:00Z",
                "start_time",
            ),
            ("node_id='--", "node_id"),
        ] {
            let error = asked(query).unwrap_err();
            assert_eq!(error.code().http_status(), 422);
            assert!(error.to_string().contains(name), "{query}: {error}");
        }
    }

    #[test]
    fn one_node_may_be_asked_for_all_its_time_and_the_fleet_for_a_while() {
        assert_eq!(asked("node_id=a").unwrap().from, UnixMicros(0));
        assert_eq!(asked("").unwrap().from, UnixMicros(NOW.0 - 300_000_000));
        assert_eq!(asked("").unwrap().limit, 100);
    }
}

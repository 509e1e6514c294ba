//! `/api/ledger`: what became of every sample, per node and hour, and what was not taken, by reason.
//!
//! The counts are those that the writer added in the transactions that stored the samples, so they
//! cannot drift from the tables. An hour is that of the samples' own time.

use super::context::Context;
use super::error::Error;
use super::params::{Params, is_node_id};
use super::respond::{Body, answer};
use super::sql::{PgInstant, Session};
use crate::model::NodeKey;
use crate::telemetry::metrics::Accounts;
use fiber_contract::UnixMicros;
use fiber_contract::account::{LedgerAnswer, LedgerCounts, LedgerNow, LedgerRow, Refusal};
use fiber_contract::limits::QUERY_ROWS_MAX;
use fiber_contract::query::Meta;
use hyper::Response;
use tokio_postgres::Row;

const HOUR_S: i64 = 3_600;
const SPAN_DEFAULT_S: i64 = 24 * HOUR_S;
const LIMIT_DEFAULT: usize = 200;

/// $1 node or NULL, $2 from, $3 to (exclusive), $4 and $5 the cursor's hour and node, $6 rows.
const PAGE: &str = "
    SELECT l.received, l.stored, l.duplicate, l.quarantined, l.hour, n.node_id
    FROM ledger_hourly l JOIN nodes n USING (node_key)
    WHERE ($1::int8 IS NULL OR l.node_key = $1) AND l.hour >= $2 AND l.hour < $3
      AND l.hour <= $4 AND (l.hour < $4 OR n.node_id COLLATE \"C\" > $5)
    ORDER BY l.hour DESC, n.node_id COLLATE \"C\"
    LIMIT $6";

const TOTALS: &str = "
    SELECT COALESCE(sum(received), 0)::int8, COALESCE(sum(stored), 0)::int8,
           COALESCE(sum(duplicate), 0)::int8, COALESCE(sum(quarantined), 0)::int8
    FROM ledger_hourly
    WHERE ($1::int8 IS NULL OR node_key = $1) AND hour >= $2 AND hour < $3";

const REFUSED: &str = "
    SELECT hour, reason, sum(requests)::int8, sum(samples)::int8
    FROM refusals_hourly
    WHERE hour >= $1 AND hour < $2
    GROUP BY hour, reason
    ORDER BY hour DESC, reason
    LIMIT $3";

/// The last row of the page before; pages go from the newest hour back, and by node within one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cursor {
    hour: UnixMicros,
    node_id: String,
}

impl Cursor {
    fn parse(text: &str) -> Option<Self> {
        let (hour, node_id) = text.split_once('~')?;
        let hour = UnixMicros(hour.parse().ok()?);
        (hour.floor_to(HOUR_S) == hour && hour.0 >= 0 && is_node_id(node_id)).then(|| Self {
            hour,
            node_id: node_id.to_owned(),
        })
    }

    fn after(row: &LedgerRow) -> String {
        format!("{}~{}", row.hour.0, row.node_id)
    }
}

#[derive(Debug, PartialEq)]
struct Asked {
    node_key: Option<NodeKey>,
    /// Whole hours.
    from: UnixMicros,
    to: UnixMicros,
    limit: usize,
    cursor: Cursor,
}

impl Asked {
    fn parse(params: &Params, now: UnixMicros) -> Result<Self, Error> {
        let (from, end) = params.window(now, SPAN_DEFAULT_S)?;
        let to = UnixMicros(UnixMicros(end.0 - 1).floor_to(HOUR_S).0 + HOUR_S * 1_000_000);
        let limit = params.number("limit")?.unwrap_or(LIMIT_DEFAULT);
        if !(1..=QUERY_ROWS_MAX).contains(&limit) {
            let reason = format!("must be 1 to {QUERY_ROWS_MAX}");
            return Err(Error::parameter("limit", reason));
        }
        let cursor = match params.text("cursor")? {
            None => Cursor {
                hour: to,
                node_id: String::new(),
            },
            Some(text) => Cursor::parse(text)
                .ok_or_else(|| Error::parameter("cursor", "is not one that was given"))?,
        };
        Ok(Self {
            node_key: params.node_id()?.map(NodeKey::of),
            from: from.floor_to(HOUR_S),
            to,
            limit,
            cursor,
        })
    }
}

pub(super) async fn page(context: &Context, params: &Params) -> Result<Response<Body>, Error> {
    let asked = Asked::parse(params, UnixMicros::now())?;
    let session = Session::for_request(context).await?;
    let node_key = asked.node_key.map(|key| key.0);
    let (from, to) = (PgInstant(asked.from), PgInstant(asked.to));
    let rows = session
        .query(
            PAGE,
            &[
                &node_key,
                &from,
                &to,
                &PgInstant(asked.cursor.hour),
                &asked.cursor.node_id,
                &i64::try_from(asked.limit).unwrap_or(i64::MAX),
            ],
        )
        .await?;
    let rows = rows.iter().map(ledger_row).collect::<Result<Vec<_>, _>>()?;
    let totals = session.query(TOTALS, &[&node_key, &from, &to]).await?;
    let totals = match totals.first() {
        Some(row) => counts(row)?,
        None => LedgerCounts::default(),
    };
    let refused = if asked.node_key.is_some() {
        // A refusal seldom knows whose it was, so none is told of one node.
        Vec::new()
    } else {
        let limit = i64::try_from(QUERY_ROWS_MAX).unwrap_or(i64::MAX);
        let refused = session.query(REFUSED, &[&from, &to, &limit]).await?;
        refused.iter().map(refusal).collect::<Result<_, _>>()?
    };
    let full = rows.len() == asked.limit;
    let meta = Meta {
        source: "ledger_hourly".to_owned(),
        next_cursor: rows.last().filter(|_| full).map(Cursor::after),
    };
    let data = LedgerAnswer {
        from: asked.from,
        to: asked.to,
        totals,
        rows,
        refused,
        now: now_of(context.accounts.get()),
    };
    answer(data, meta)
}

fn now_of(accounts: Accounts) -> LedgerNow {
    LedgerNow {
        journaled: accounts.received,
        stored: accounts.stored,
        duplicate: accounts.duplicate,
        quarantined: accounts.quarantined,
        in_flight: accounts.in_flight,
    }
}

/// Of the first four columns.
fn counts(row: &Row) -> Result<LedgerCounts, tokio_postgres::Error> {
    let count = |at: usize| row.try_get(at).map(i64::unsigned_abs);
    Ok(LedgerCounts {
        received: count(0)?,
        stored: count(1)?,
        duplicate: count(2)?,
        quarantined: count(3)?,
    })
}

fn ledger_row(row: &Row) -> Result<LedgerRow, tokio_postgres::Error> {
    let PgInstant(hour) = row.try_get(4)?;
    Ok(LedgerRow {
        node_id: row.try_get(5)?,
        hour,
        counts: counts(row)?,
    })
}

fn refusal(row: &Row) -> Result<Refusal, tokio_postgres::Error> {
    let PgInstant(hour) = row.try_get(0)?;
    Ok(Refusal {
        hour,
        reason: row.try_get(1)?,
        requests: row.try_get(2).map(i64::unsigned_abs)?,
        samples: row.try_get(3).map(i64::unsigned_abs)?,
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
    fn whole_hours_are_asked_for() {
        let asked = asked("from=2026-11-23T10:20:00Z&to=2026-11-23T11:00:00.5Z").unwrap();
        assert_eq!(asked.from.to_string(), "2026-11-23T10:00:00Z");
        assert_eq!(asked.to.to_string(), "2026-11-23T12:00:00Z");
    }

    #[test]
    fn an_end_on_the_hour_leaves_that_hour_out() {
        let asked = asked("from=2026-11-23T10:00:00Z&to=2026-11-23T11:00:00Z").unwrap();
        assert_eq!(asked.to.to_string(), "2026-11-23T11:00:00Z");
    }

    #[test]
    fn a_cursor_reads_back_and_a_made_up_one_is_refused() {
        let row = LedgerRow {
            node_id: "accra-01".to_owned(),
            hour: UnixMicros(NOW.0).floor_to(HOUR_S),
            counts: LedgerCounts::default(),
        };
        let text = Cursor::after(&row);
        let cursor = asked(&format!("cursor={text}")).unwrap().cursor;
        assert_eq!((cursor.hour, cursor.node_id), (row.hour, row.node_id));
        for text in ["x", "~a", "1~a", "-3600000000~a", "3600000000~", "0~a b"] {
            let query = format!("cursor={}", text.replace(' ', "%20"));
            assert!(asked(&query).is_err(), "{text}");
        }
    }

    #[test]
    fn the_bad_parameter_is_named() {
        for (query, name) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("from=now", "from"),
            ("from=2026-11-23T10:00:00Z&to=2026-11-23T10:00:00Z", "from"),
            ("node_id=%27%3B--", "node_id"),
        ] {
            let error = asked(query).unwrap_err();
            assert_eq!(error.code().http_status(), 422, "{query}");
            assert!(error.to_string().contains(name), "{query}: {error}");
        }
    }
}

//! `/api/audit`: the record of who changed what, newest first, a page at a time.

use super::context::Context;
use super::error::Error;
use super::params::Params;
use super::respond::{Body, answer};
use super::sql::{PgInstant, Session};
use fiber_contract::audit::AuditEntry;
use fiber_contract::hex;
use fiber_contract::limits::QUERY_ROWS_MAX;
use fiber_contract::query::Meta;
use hyper::Response;
use std::collections::BTreeMap;
use tokio_postgres::Row;

const LIMIT_DEFAULT: usize = 100;
const PAGE: &str = "SELECT id, at, actor, action, detail, hash FROM audit_log
    WHERE id < $1 ORDER BY id DESC LIMIT $2";

pub(super) async fn page(context: &Context, params: &Params) -> Result<Response<Body>, Error> {
    let limit = params.number("limit")?.unwrap_or(LIMIT_DEFAULT);
    if !(1..=QUERY_ROWS_MAX).contains(&limit) {
        let reason = format!("must be 1 to {QUERY_ROWS_MAX}");
        return Err(Error::parameter("limit", reason));
    }
    let before: i64 = params.number("cursor")?.unwrap_or(i64::MAX);
    let session = Session::for_request(context).await?;
    let rows_max = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = session.query(PAGE, &[&before, &rows_max]).await?;
    let entries = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let full = entries.len() == limit;
    let last = entries.last().filter(|last| full && last.id > 1);
    let meta = Meta {
        source: "audit_log".to_owned(),
        next_cursor: last.map(|last| last.id.to_string()),
    };
    answer(entries, meta)
}

fn entry(row: &Row) -> Result<AuditEntry, tokio_postgres::Error> {
    let PgInstant(at) = row.try_get(1)?;
    let detail: serde_json::Value = row.try_get(4)?;
    let members = detail.as_object().into_iter().flatten();
    // Texts, unless somebody wrote to the table: then it is shown as it is.
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let detail: BTreeMap<_, _> = members
        .map(|(name, value)| (name.clone(), text(value)))
        .collect();
    Ok(AuditEntry {
        id: row.try_get(0)?,
        at,
        actor: row.try_get(2)?,
        action: row.try_get(3)?,
        detail,
        hash: hex::encode(row.try_get(5)?),
    })
}

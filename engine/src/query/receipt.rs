//! `/api/batches/{id}`: the receipt of a batch that came with an id of its own.
//!
//! `committed` is read from the table that the writer fills in the transaction of the samples.
//! What is not there yet and was answered by this engine is `durable`: in its journal, on its way.

use super::context::Context;
use super::error::Error;
use super::respond::{Body, answer};
use super::sql::{PgInstant, Session};
use crate::model::BatchId;
use fiber_contract::account::Receipt;
use fiber_contract::hex;
use fiber_contract::query::Meta;
use hyper::Response;
use tokio_postgres::Row;
use uuid::Uuid;

const ONE: &str = "
    SELECT batch_id, source_region, received_at, committed_at, accepted, rejected, journal_id,
           group_seq, body_hash, trace_id
    FROM batches WHERE batch_id = $1";

pub(super) async fn one(context: &Context, id: &str) -> Result<Response<Body>, Error> {
    let id = Uuid::try_parse(id).map_err(|_| Error::parameter("id", "is not a UUID"))?;
    // Asked first: a commit between the two questions must not make the batch vanish.
    let durable = context.ingest.answered(BatchId(id));
    let rows = match Session::for_request(context).await {
        Ok(session) => session.query(ONE, &[&id]).await.map_err(Error::from),
        Err(error) => Err(error.into()),
    };
    match (rows, durable) {
        (Ok(rows), _) if !rows.is_empty() => framed(committed(&rows[0])?, "batches"),
        // A database that is away takes nothing from what the journal holds.
        (_, Some(receipt)) => framed(receipt, "journal"),
        (Ok(_), None) => Err(Error::NoBatch(id.to_string())),
        (Err(error), None) => Err(error),
    }
}

fn framed(receipt: Receipt, source: &str) -> Result<Response<Body>, Error> {
    let meta = Meta {
        source: source.to_owned(),
        next_cursor: None,
    };
    answer(receipt, meta)
}

fn committed(row: &Row) -> Result<Receipt, tokio_postgres::Error> {
    let id: Uuid = row.try_get(0)?;
    let PgInstant(received_at) = row.try_get(2)?;
    let PgInstant(committed_at) = row.try_get(3)?;
    let (accepted, rejected): (i32, i32) = (row.try_get(4)?, row.try_get(5)?);
    let journal_id: Uuid = row.try_get(6)?;
    let group_seq: i64 = row.try_get(7)?;
    let body_hash: &[u8] = row.try_get(8)?;
    Ok(Receipt {
        batch_id: id.to_string(),
        state: "committed".to_owned(),
        source_region: row.try_get(1)?,
        received_at: Some(received_at),
        committed_at: Some(committed_at),
        accepted: accepted.unsigned_abs(),
        rejected: rejected.unsigned_abs(),
        journal_id: Some(journal_id.to_string()),
        group_seq: Some(group_seq.unsigned_abs()),
        body_sha256: hex::encode(body_hash),
        trace_id: row.try_get(9)?,
    })
}

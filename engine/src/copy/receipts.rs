//! The answers to batches whose groups have left the journal, back into memory after a start.
//!
//! The newest `RECEIPTS_MAX` of the last day are read once, in a session of its own beside the
//! writer's. A start waits for it a moment; while the database is away it is tried again in the
//! background, and until then a retry of such a batch is stored as duplicates and answered 202.

use super::error::Error;
use super::session::Session;
use crate::admit::BatchIds;
use crate::model::BatchId;
use crate::shutdown::Shutdown;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use uuid::Uuid;

/// Some 20 MiB while they are read.
const RECEIPTS_MAX: i64 = 50_000;
const RETRY: Duration = Duration::from_secs(5);

const NEWEST: &str = "SELECT batch_id, body_hash, answer::text FROM batches
    WHERE received_at > now() - interval '1 day' AND answer IS NOT NULL
    ORDER BY received_at DESC LIMIT $1";

/// Tells `tried` after the first attempt, good or not.
pub(crate) async fn restore(
    database: tokio_postgres::Config,
    ids: Arc<BatchIds>,
    tried: oneshot::Sender<()>,
    shutdown: Shutdown,
) {
    let mut tried = Some(tried);
    loop {
        match load(&database, &ids).await {
            Ok(restored) => {
                tracing::info!(restored, "answers to batches restored from receipts");
                return;
            }
            Err(error) => tracing::debug!(%error, "receipts cannot be read yet"),
        }
        drop(tried.take());
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = shutdown.asked() => return,
        }
    }
}

async fn load(database: &tokio_postgres::Config, ids: &BatchIds) -> Result<u64, Error> {
    let mut session = Session::open(database, "fiber-receipts").await?;
    let rows = session
        .query("read receipts", NEWEST, &[&RECEIPTS_MAX])
        .await?;
    let mut restored = 0;
    for row in rows {
        let (id, hash, answer): (Uuid, &[u8], &str) = (row.get(0), row.get(1), row.get(2));
        if let (Ok(hash), Ok(answer)) = (hash.try_into(), serde_json::from_str(answer)) {
            restored += u64::from(ids.remember_older(BatchId(id), hash, answer));
        }
    }
    Ok(restored)
}

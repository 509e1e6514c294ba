//! Appending. Every transaction of people begins here: the lock on the chain's end is the first that
//! is taken, so two of them wait for each other and never in a circle.

use super::entry::{Action, Actor, Detail, hash_of};
use crate::copy::Error;
use crate::copy::instant::PgInstant;
use crate::copy::session::Session;
use fiber_contract::UnixMicros;

const HEAD: &str = "SELECT id, hash, clock_timestamp() FROM audit_head FOR UPDATE";
const APPEND: &str = "WITH head AS (UPDATE audit_head SET id = $1, hash = $7)
    INSERT INTO audit_log (id, at, actor, action, detail, prev, hash)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// The end of the chain, locked until the transaction ends.
#[derive(Debug)]
pub(crate) struct Chain {
    id: i64,
    hash: Vec<u8>,
    /// By the database's clock, when the lock was taken.
    pub(crate) now: UnixMicros,
}

/// Begins a transaction and takes the lock.
pub(crate) async fn begin(session: &mut Session) -> Result<Chain, Error> {
    session.batch("begin", "BEGIN").await?;
    let rows = session.query("lock the audit log", HEAD, &[]).await?;
    let row = rows.first().ok_or(Error::Count {
        doing: "lock the audit log",
        sent: 1,
        taken: 0,
    })?;
    Ok(Chain {
        id: row.get(0),
        hash: row.get(1),
        now: row.get::<_, PgInstant>(2).0,
    })
}

impl Chain {
    pub(crate) async fn append(
        &mut self,
        session: &mut Session,
        actor: &Actor,
        action: Action,
        detail: &Detail,
    ) -> Result<(), Error> {
        let (id, actor, detail) = (self.id + 1, actor.to_string(), detail.to_json());
        let hash = hash_of(&self.hash, id, self.now, &actor, action.as_str(), &detail).to_vec();
        let at = PgInstant(self.now);
        let (action, prev) = (action.as_str(), std::mem::replace(&mut self.hash, hash));
        self.id = id;
        session
            .execute(
                "append to the audit log",
                APPEND,
                &[&id, &at, &actor, &action, &detail, &prev, &self.hash],
            )
            .await?;
        Ok(())
    }

    pub(crate) async fn commit(self, session: &mut Session) -> Result<(), Error> {
        session.batch("commit", "COMMIT").await
    }
}

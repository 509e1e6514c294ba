//! The accounts of a transaction: its groups, batches, refused rows, conflicts, and the identity per
//! node and hour.
//!
//! The hour of `ledger_hourly` is that of the sample, not of its receipt: so `stored` can be held
//! against `count(*)` of the same hour in `metrics` by anybody, and a sample that comes a day late
//! settles the account of the day it belongs to.

use super::error::Error;
use super::instant::PgInstant;
use super::names::Refusal;
use super::plan::{Fate, Plan, PlanRow};
use super::session::Session;
use super::shard::Shard;
use crate::model::{GroupSeq, JournalId, NodeKey};
use crate::planted::planted;
use crate::publish::notify::StoredSample;
use fiber_contract::UnixMicros;
use std::collections::BTreeMap;

const HOUR_S: i64 = 3_600;
const MINUTES_KEPT: &str = "60 minutes";

const COMMIT: &str = "INSERT INTO commit_ledger
        (journal_id, first_seq, last_seq, stored, duplicate, quarantined, slots)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";

const BATCHES: &str = "INSERT INTO batches (batch_id, body_hash, source_region, received_at,
        journal_id, group_seq, accepted, rejected, trace_id, answer)
    SELECT id, hash, NULLIF(region, ''), received, $1, seq, accepted, rejected, NULLIF(trace, ''),
           answer::jsonb
    FROM UNNEST($2::uuid[], $3::bytea[], $4::text[], $5::timestamptz[], $6::int8[], $7::int4[],
                $8::int4[], $9::text[], $10::text[])
         AS u (id, hash, region, received, seq, accepted, rejected, trace, answer)
    ON CONFLICT DO NOTHING";

const HOURLY: &str = "INSERT INTO ledger_hourly AS l
        (node_key, hour, received, stored, duplicate, quarantined)
    SELECT * FROM UNNEST($1::int8[], $2::timestamptz[], $3::int8[], $4::int8[], $5::int8[],
                         $6::int8[])
    ON CONFLICT (node_key, hour) DO UPDATE SET
        received = l.received + excluded.received, stored = l.stored + excluded.stored,
        duplicate = l.duplicate + excluded.duplicate,
        quarantined = l.quarantined + excluded.quarantined";

const QUARANTINE: &str = "INSERT INTO quarantine
        (journal_id, group_seq, sqlstate, reason, node_id, \"time\", tuple)
    SELECT $1, u.* FROM UNNEST($2::int8[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
                               $7::bytea[]) AS u";

const CONFLICTS: &str = "INSERT INTO duplicate_conflicts
        (series_key, \"time\", latency_ms, uptime_pct, packet_loss)
    SELECT * FROM UNNEST($1::int8[], $2::timestamptz[], $3::float4[], $4::float4[], $5::float4[])";

const TOTALS: &str = "SELECT stored, duplicate, quarantined FROM commit_ledger
    WHERE journal_id = $1 AND last_seq = $2 AND slots = $3";

const PRUNE: &str = "DELETE FROM commit_ledger
    WHERE journal_id = $1 AND last_seq < $2 AND committed_at < now() - $3::text::interval";

/// What became of a transaction's samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub stored: u64,
    pub duplicate: u64,
    pub quarantined: u64,
}

/// A row or record that is set aside, and why.
#[derive(Debug)]
pub(super) struct SetAside<'g> {
    pub group_seq: u64,
    pub refusal: Refusal,
    pub node_id: Option<&'g str>,
    pub time: Option<UnixMicros>,
    pub tuple: &'g [u8],
}

impl<'g> SetAside<'g> {
    pub(super) fn row(plan: &Plan<'g>, row: &PlanRow<'g>, refusal: Refusal) -> Self {
        let record = &plan.records[row.record as usize];
        let entry = record
            .content
            .series
            .iter()
            .find(|entry| entry.series_key == row.series_key);
        // A name that the database refused must not make this row fail, too.
        let node_id = entry
            .map(|entry| entry.node_id)
            .filter(|id| !id.contains('\0'));
        Self {
            group_seq: record.seq.0,
            refusal,
            node_id,
            time: Some(row.time()),
            tuple: row.bytes,
        }
    }
}

pub(super) fn totals(plan: &Plan<'_>) -> Totals {
    let mut totals = Totals {
        quarantined: plan.unreadable,
        ..Totals::default()
    };
    for row in &plan.rows {
        match row.fate {
            Fate::Stored => totals.stored += 1,
            Fate::Duplicate => totals.duplicate += 1,
            Fate::Quarantined if planted("quarantined-not-counted") => {}
            Fate::Quarantined => totals.quarantined += 1,
            Fate::Undecided => debug_assert!(false, "every row has a fate before COMMIT"),
        }
    }
    totals
}

pub(super) async fn write(
    session: &mut Session,
    journal: JournalId,
    plan: &Plan<'_>,
    totals: Totals,
    set_aside: &[SetAside<'_>],
) -> Result<(), Error> {
    session
        .execute(
            "write the commit ledger",
            COMMIT,
            &[
                &journal.0,
                &plan.first_seq.0.cast_signed(),
                &plan.last_seq.0.cast_signed(),
                &totals.stored.cast_signed(),
                &totals.duplicate.cast_signed(),
                &totals.quarantined.cast_signed(),
                &plan.shard.column(),
            ],
        )
        .await?;
    write_hourly(session, plan).await?;
    if plan.closes {
        write_batches(session, journal, plan).await?;
    }
    write_set_aside(session, journal, set_aside).await
}

async fn write_hourly(session: &mut Session, plan: &Plan<'_>) -> Result<(), Error> {
    let mut accounts: BTreeMap<(NodeKey, UnixMicros), [i64; 4]> = BTreeMap::new();
    let account = |row: &PlanRow<'_>| (row.node_key, row.time().floor_to(HOUR_S));
    for run in plan.rows.chunk_by(|a, b| account(a) == account(b)) {
        let counts = accounts.entry(account(&run[0])).or_default();
        for row in run {
            counts[0] += 1;
            match row.fate {
                Fate::Stored => counts[1] += 1,
                Fate::Duplicate => counts[2] += 1,
                Fate::Quarantined => counts[3] += 1,
                Fate::Undecided => {}
            }
        }
    }
    if accounts.is_empty() {
        return Ok(());
    }
    let nodes: Vec<i64> = accounts.keys().map(|(node, _)| node.0).collect();
    let hours: Vec<PgInstant> = accounts.keys().map(|(_, hour)| PgInstant(*hour)).collect();
    let column = |at: usize| {
        accounts
            .values()
            .map(|counts| counts[at])
            .collect::<Vec<i64>>()
    };
    let [received, stored, duplicate, quarantined] = [column(0), column(1), column(2), column(3)];
    session
        .execute(
            "write the hourly ledger",
            HOURLY,
            &[&nodes, &hours, &received, &stored, &duplicate, &quarantined],
        )
        .await?;
    Ok(())
}

async fn write_batches(
    session: &mut Session,
    journal: JournalId,
    plan: &Plan<'_>,
) -> Result<(), Error> {
    let named: Vec<_> = plan
        .records
        .iter()
        .filter(|record| record.content.named_by_client)
        .collect();
    if named.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = named
        .iter()
        .map(|record| record.content.batch_id.0)
        .collect();
    let hashes: Vec<&[u8]> = named
        .iter()
        .map(|record| &record.content.body_hash[..])
        .collect();
    let regions: Vec<&str> = named
        .iter()
        .map(|record| record.content.source_region)
        .collect();
    let received: Vec<_> = named
        .iter()
        .map(|record| PgInstant(record.content.received_at))
        .collect();
    let seqs: Vec<i64> = named
        .iter()
        .map(|record| record.seq.0.cast_signed())
        .collect();
    let accepted: Vec<i32> = named
        .iter()
        .map(|record| int4(record.content.rows))
        .collect();
    let rejected: Vec<i32> = named
        .iter()
        .map(|record| int4(record.content.rejected))
        .collect();
    let traces: Vec<&str> = named.iter().map(|record| record.content.trace_id).collect();
    let answers: Vec<_> = named
        .iter()
        .map(|record| storable_answer(record.content.answer))
        .collect();
    session
        .execute(
            "write receipts",
            BATCHES,
            &[
                &journal.0, &ids, &hashes, &regions, &received, &seqs, &accepted, &rejected,
                &traces, &answers,
            ],
        )
        .await?;
    Ok(())
}

async fn write_set_aside(
    session: &mut Session,
    journal: JournalId,
    set_aside: &[SetAside<'_>],
) -> Result<(), Error> {
    if set_aside.is_empty() {
        return Ok(());
    }
    let seqs: Vec<i64> = set_aside
        .iter()
        .map(|row| row.group_seq.cast_signed())
        .collect();
    let states: Vec<_> = set_aside
        .iter()
        .map(|row| row.refusal.sqlstate.as_deref())
        .collect();
    let reasons: Vec<&str> = set_aside
        .iter()
        .map(|row| row.refusal.reason.as_str())
        .collect();
    let nodes: Vec<Option<&str>> = set_aside.iter().map(|row| row.node_id).collect();
    let times: Vec<_> = set_aside
        .iter()
        .map(|row| row.time.map(PgInstant))
        .collect();
    let tuples: Vec<&[u8]> = set_aside.iter().map(|row| row.tuple).collect();
    session
        .execute(
            "write the quarantine",
            QUARANTINE,
            &[
                &journal.0, &seqs, &states, &reasons, &nodes, &times, &tuples,
            ],
        )
        .await?;
    Ok(())
}

/// Keeps the values of duplicates that differ from what is stored.
pub(super) async fn write_conflicts(
    session: &mut Session,
    conflicts: &[PlanRow<'_>],
) -> Result<(), Error> {
    if conflicts.is_empty() {
        return Ok(());
    }
    let sample = |get: fn(&StoredSample) -> Option<f32>| -> Vec<Option<f32>> {
        conflicts.iter().map(|row| get(&row.sample)).collect()
    };
    let series: Vec<i64> = conflicts.iter().map(|row| row.series_key.0).collect();
    let times: Vec<PgInstant> = conflicts.iter().map(|row| PgInstant(row.time())).collect();
    let latency = sample(|sample| sample.latency_ms);
    let uptime = sample(|sample| Some(sample.uptime_pct));
    let loss = sample(|sample| Some(sample.packet_loss));
    session
        .execute(
            "note conflicting duplicates",
            CONFLICTS,
            &[&series, &times, &latency, &uptime, &loss],
        )
        .await?;
    Ok(())
}

/// What a transaction made of its samples, of which only the database knows.
pub(super) async fn read_totals(
    session: &mut Session,
    journal: JournalId,
    shard: Shard,
    last: GroupSeq,
) -> Result<Option<Totals>, Error> {
    let rows = session
        .query(
            "read the accounts",
            TOTALS,
            &[&journal.0, &last.0.cast_signed(), &shard.column()],
        )
        .await?;
    let count = |row: &tokio_postgres::Row, at| row.get::<_, i64>(at).cast_unsigned();
    Ok(rows.first().map(|row| Totals {
        stored: count(row, 0),
        duplicate: count(row, 1),
        quarantined: count(row, 2),
    }))
}

/// Rows older than an hour, never the newest of a slot: they are the position.
pub(super) async fn prune(
    session: &mut Session,
    journal: JournalId,
    position: u64,
) -> Result<(), Error> {
    let position = position.cast_signed();
    session
        .execute(
            "prune the commit ledger",
            PRUNE,
            &[&journal.0, &position, &MINUTES_KEPT],
        )
        .await?;
    Ok(())
}

/// jsonb takes no NUL, and a receipt without its answer is better than one that stops the writer.
fn storable_answer(answer: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(answer).ok()?;
    (!text.is_empty() && !text.contains("\\u0000")).then_some(text)
}

fn int4(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

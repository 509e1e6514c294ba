//! One transaction: rows, names, rollups, accounts and the position, all or nothing.

use super::error::Error;
use super::ledger::{self, SetAside, Totals};
use super::names::{Names, Refusal, Registered};
use super::newest::NewestStored;
use super::plan::{Fate, Plan, PlanRow};
use super::tables::Tables;
use crate::failpoint::{self, Point};
use crate::model::{JournalId, NodeKey, SeriesKey};
use crate::planted::planted;
use crate::publish::notify::NodeRegistration;
use crate::publish::rollup::{Marker, Rollups, Stored};
use fiber_contract::UnixMicros;
use std::collections::HashMap;
use tokio::sync::watch;

/// How much of what is remembered may be believed, and of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// Rows newer than the newest stored are new.
    Trusting,
    /// Somebody else writes, too: every row takes the exact path, every bucket is loaded.
    TrustNothing,
    /// The same, and rows that the database refuses are set aside.
    Isolate,
}

/// What the writer remembers of the database. It is ahead of it while a transaction is open, so any
/// failure drops it.
#[derive(Debug)]
pub(super) struct Memory {
    names: Names,
    newest: NewestStored,
    rollups: Rollups,
}

impl Memory {
    /// Of one of so many writers, which share what there is room for.
    pub(super) fn of_one(writers: usize) -> Self {
        Self {
            names: Names::of_one(writers),
            newest: NewestStored::of_one(writers),
            rollups: Rollups::of_one(writers),
        }
    }

    pub(super) fn forget(&mut self) {
        self.names.forget();
        self.newest.forget();
        if !planted("buckets-kept-after-failure") {
            self.rollups.forget();
        }
    }
}

#[derive(Debug)]
pub(super) struct Done {
    pub totals: Totals,
    pub exact_path_rows: u64,
    pub registered: HashMap<NodeKey, Box<NodeRegistration>>,
}

/// The plan that closes a batch commits after all others of it.
#[derive(Debug)]
pub(super) struct Turn {
    left: watch::Sender<usize>,
}

impl Turn {
    pub(super) fn of(plans: usize) -> Self {
        Self {
            left: watch::channel(plans).0,
        }
    }

    async fn wait(&self, plan: &Plan<'_>) {
        if plan.closes && !planted("batch-closed-first") {
            let mut left = self.left.subscribe();
            // An error means that the sender is gone, and `self` holds it.
            left.wait_for(|left| *left == 1)
                .await
                .map(drop)
                .unwrap_or_default();
        }
    }

    fn pass(&self) {
        self.left.send_modify(|left| *left -= 1);
    }
}

/// Writes a plan and commits it when it is its turn. After an error the transaction may be open, and whether it
/// committed may be unknown: roll back or drop the session, and forget the memory.
pub(super) async fn write<'g>(
    session: &mut impl Tables,
    memory: &mut Memory,
    journal: JournalId,
    plan: &mut Plan<'g>,
    care: Care,
    turn: &Turn,
) -> Result<Done, Error> {
    let isolate = care == Care::Isolate;
    session.batch("begin", "BEGIN").await?;
    failpoint::pass(Point::Begun);
    let registered = session.register(&mut memory.names, plan, isolate).await?;
    let mut set_aside = damaged(plan);
    refuse_unnamed(plan, &memory.names, &registered, &mut set_aside);
    let series = plan.rows.chunk_by(same_series).map(|run| run[0].series_key);
    memory.newest.load(session, series).await?;

    let mut exact_path_rows = 0;
    loop {
        let pass = next_pass(plan, &memory.newest, care);
        session.note_conflicts(&pass.conflicts).await?;
        if pass.fast.is_empty() && pass.exact.is_empty() {
            break;
        }
        if !pass.fast.is_empty() {
            session.copy_rows(plan, &pass.fast).await?;
            for at in pass.fast {
                plan.rows[at].fate = Fate::Stored;
            }
        }
        if !pass.exact.is_empty() {
            exact_path_rows += pass.exact.len() as u64;
            write_exact(session, plan, &pass.exact, isolate, &mut set_aside).await?;
        }
    }

    failpoint::pass(Point::RowsCopied);
    let marker = Marker {
        journal,
        writer: plan.shard.number(),
    };
    memory
        .rollups
        .write(session, marker, stored_rows(plan, &memory.newest, care))
        .await?;
    failpoint::pass(Point::RolledUp);
    note_seen(plan, &mut memory.names);
    session.touch(&mut memory.names, plan).await?;
    let totals = ledger::totals(plan);
    if planted("account-apart-from-rows") {
        session.batch("commit", "COMMIT").await?;
        session.batch("begin", "BEGIN").await?;
    }
    session.account(journal, plan, totals, &set_aside).await?;
    failpoint::pass(Point::Accounted);
    turn.wait(plan).await;
    let committed = session.batch("commit", "COMMIT").await;
    if !planted("lost-answer-taken-for-yes") {
        committed?;
    }
    failpoint::pass(Point::Committed);
    turn.pass();
    for run in plan.rows.chunk_by(same_series) {
        if let Some(row) = run.iter().rev().find(|row| row.fate == Fate::Stored) {
            memory.newest.advance(row.series_key, row.time());
        }
    }
    Ok(Done {
        totals,
        exact_path_rows,
        registered: registered.nodes,
    })
}

fn same_series(a: &PlanRow<'_>, b: &PlanRow<'_>) -> bool {
    a.series_key == b.series_key
}

fn damaged<'g>(plan: &Plan<'g>) -> Vec<SetAside<'g>> {
    let reason = "unreadable record: its group's checksum held, so it was written wrong";
    let set_aside = |damaged: &super::plan::Damaged<'g>| SetAside {
        group_seq: damaged.seq.0,
        refusal: Refusal {
            sqlstate: None,
            reason: reason.to_owned(),
        },
        node_id: None,
        time: None,
        tuple: damaged.bytes,
    };
    plan.damaged.iter().map(set_aside).collect()
}

/// Rows whose key has no name, or the name of another.
fn refuse_unnamed<'g>(
    plan: &mut Plan<'g>,
    names: &Names,
    registered: &Registered,
    set_aside: &mut Vec<SetAside<'g>>,
) {
    let unnamed = Refusal {
        sqlstate: None,
        reason: "the record does not name the series of this row".to_owned(),
    };
    let mut known: Option<(SeriesKey, bool)> = None;
    for at in 0..plan.rows.len() {
        let row = plan.rows[at];
        let is_known = match known {
            Some((series_key, is_known)) if series_key == row.series_key => is_known,
            _ => names.knows(row.series_key),
        };
        known = Some((row.series_key, is_known));
        let refused = match registered.refused.get(&(row.record, row.series_key)) {
            Some(refusal) => refusal,
            None if is_known => continue,
            None => &unnamed,
        };
        set_aside.push(SetAside::row(plan, &row, refused.clone()));
        plan.rows[at].fate = Fate::Quarantined;
    }
}

/// Which rows go which way next; positions in `Plan::rows`.
#[derive(Debug, Default)]
struct Pass<'g> {
    fast: Vec<usize>,
    exact: Vec<usize>,
    /// Duplicates within the transaction that differ from the row that was taken.
    conflicts: Vec<PlanRow<'g>>,
}

/// Of every identity, the first row that is left; once one is in the table the others are
/// duplicates. So one pass does, unless rows are refused: then the next of the same identity gets
/// its chance in another.
fn next_pass<'g>(plan: &mut Plan<'g>, newest: &NewestStored, care: Care) -> Pass<'g> {
    let mut pass = Pass::default();
    let mut at = 0;
    let mut newest_of: Option<(SeriesKey, Option<UnixMicros>)> = None;
    while at < plan.rows.len() {
        let (series_key, time) = plan.rows[at].identity();
        let stored = match newest_of {
            Some((key, stored)) if key == series_key => stored,
            _ => newest.of(series_key),
        };
        newest_of = Some((series_key, stored));
        let mut end = at + 1;
        while end < plan.rows.len() && plan.rows[end].identity() == (series_key, time) {
            end += 1;
        }
        let run = &mut plan.rows[at..end];
        let taken = run
            .iter()
            .position(|row| matches!(row.fate, Fate::Stored | Fate::Duplicate));
        if let Some(taken) = taken {
            let taken = run[taken].sample;
            for row in run.iter_mut().filter(|row| row.fate == Fate::Undecided) {
                row.fate = Fate::Duplicate;
                if row.sample != taken {
                    pass.conflicts.push(*row);
                }
            }
        } else if let Some(first) = run.iter().position(|row| row.fate == Fate::Undecided) {
            let is_new = care == Care::Trusting
                && stored.is_none_or(|stored| {
                    time > stored || planted("newest-taken-for-new") && time == stored
                });
            if is_new {
                pass.fast.push(at + first);
            } else {
                pass.exact.push(at + first);
            }
        }
        at = end;
    }
    pass
}

async fn write_exact<'g>(
    session: &mut impl Tables,
    plan: &mut Plan<'g>,
    positions: &[usize],
    isolate: bool,
    set_aside: &mut Vec<SetAside<'g>>,
) -> Result<(), Error> {
    let rows: Vec<PlanRow<'g>> = positions.iter().map(|at| plan.rows[*at]).collect();
    let answer = session.insert_rows(&rows, isolate).await?;
    for (at, row) in positions.iter().zip(&rows) {
        let stored = answer.stored.contains(&row.identity());
        plan.rows[*at].fate = if stored {
            Fate::Stored
        } else {
            Fate::Duplicate
        };
    }
    for (at, refusal) in answer.refused {
        plan.rows[positions[at]].fate = Fate::Quarantined;
        set_aside.push(SetAside::row(plan, &rows[at], refusal));
    }
    Ok(())
}

fn stored_rows<'p>(
    plan: &'p Plan<'_>,
    newest: &'p NewestStored,
    care: Care,
) -> impl Iterator<Item = Stored> + 'p {
    plan.rows.chunk_by(same_series).flat_map(move |run| {
        let trusted = care == Care::Trusting;
        let newest_before = trusted.then(|| newest.of(run[0].series_key)).flatten();
        run.iter()
            .filter(|row| row.fate == Fate::Stored)
            .map(move |row| Stored {
                series_key: row.series_key,
                node_key: row.node_key,
                newest_before,
                sample: row.sample,
            })
    })
}

fn note_seen(plan: &Plan<'_>, names: &mut Names) {
    for run in plan.rows.chunk_by(same_series) {
        let mut stored = run.iter().filter(|row| row.fate == Fate::Stored);
        if let Some(first) = stored.next() {
            let last = stored.next_back().unwrap_or(first);
            names.saw(first.node_key, first.time(), last.time());
        }
    }
}

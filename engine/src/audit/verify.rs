//! Walks the chain and names what does not fit.

use super::entry::{GENESIS, hash_of};
use crate::copy::Error;
use crate::copy::instant::PgInstant;
use crate::copy::session::Session;
use fiber_contract::hex;
use std::fmt;

const PAGE: &str = "SELECT id, at, actor, action, detail, prev, hash FROM audit_log
    WHERE id > $1 ORDER BY id LIMIT 1000";
const HEAD: &str = "SELECT id, hash FROM audit_head";
/// Told at most; a log that was rewritten is bad in every row.
const FAULTS_MAX: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// These entries are not there, both ends included.
    Removed { from: i64, through: i64 },
    /// Its content is not what was hashed.
    Changed { id: i64 },
    /// It does not follow from the one before: one of the two was replaced.
    Replaced { id: i64 },
    /// It is not part of the chain: below the first, or after the end.
    Inserted { id: i64 },
    /// The row that holds the end is missing.
    NoHead,
    /// The end is another entry than the one that was written last.
    Head { id: i64 },
    /// The entry that the caller knows is not in this chain.
    Unexpected { id: i64 },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed { from, through } if from == through => {
                write!(f, "entry {from} was removed")
            }
            Self::Removed { from, through } => {
                write!(f, "entries {from} to {through} were removed")
            }
            Self::Changed { id } => write!(f, "entry {id} was changed"),
            Self::Replaced { id } => write!(
                f,
                "entry {id} does not follow from the one before: one of the two was replaced"
            ),
            Self::Inserted { id } => write!(f, "entry {id} was inserted"),
            Self::NoHead => f.write_str("the row of audit_head was removed"),
            Self::Head { id } => write!(f, "entry {id} is not the end that audit_head holds"),
            Self::Unexpected { id } => {
                write!(
                    f,
                    "entry {id} is not the one that was expected: the log was made anew"
                )
            }
        }
    }
}

/// Number and hash of an entry that was written down elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    id: i64,
    hash: [u8; 32],
}

impl std::str::FromStr for Expected {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(id, hash)| {
            let id = id.parse().ok()?;
            Some((id, hex::decode_32(hash.as_bytes())?))
        });
        let (id, hash) = parts.ok_or("must be <number>:<hash>, as an earlier run printed it")?;
        Ok(Self { id, hash })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub entries: u64,
    pub last_id: i64,
    pub last_hash: String,
    /// Empty: the chain is whole.
    pub faults: Vec<Fault>,
}

pub(super) struct Row {
    pub(super) id: i64,
    pub(super) prev: Vec<u8>,
    pub(super) hash: Vec<u8>,
    /// Of what the row says.
    pub(super) computed: [u8; 32],
}

/// Follows the rows, in the order of their numbers.
pub(super) struct Walk {
    next: i64,
    hash: Vec<u8>,
    entries: u64,
    faults: Vec<Fault>,
    expected: Option<Expected>,
}

impl Walk {
    pub(super) fn new(expected: Option<Expected>) -> Self {
        Self {
            next: 1,
            hash: GENESIS.to_vec(),
            entries: 0,
            faults: Vec::new(),
            expected,
        }
    }

    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }

    /// `head` is the number that the end should have, where it is known.
    pub(super) fn step(&mut self, row: Row, head: Option<i64>) {
        self.entries += 1;
        if row.id < self.next || head.is_some_and(|head| row.id > head) {
            return self.fault(Fault::Inserted { id: row.id });
        }
        if row.id > self.next {
            let (from, through) = (self.next, row.id - 1);
            self.fault(Fault::Removed { from, through });
        } else if row.prev != self.hash {
            self.fault(Fault::Replaced { id: row.id });
        }
        if row.computed[..] != row.hash[..] {
            self.fault(Fault::Changed { id: row.id });
        }
        if let Some(expected) = self.expected.take_if(|expected| expected.id == row.id)
            && expected.hash[..] != row.hash[..]
        {
            self.fault(Fault::Unexpected { id: row.id });
        }
        self.next = row.id + 1;
        self.hash = row.hash;
    }

    pub(super) fn end(mut self, head: Option<(i64, Vec<u8>)>) -> Verified {
        let last_id = self.next - 1;
        match head {
            None => self.fault(Fault::NoHead),
            Some((id, _)) if id > last_id => self.fault(Fault::Removed {
                from: self.next,
                through: id,
            }),
            Some((_, hash)) if hash != self.hash => self.fault(Fault::Head { id: last_id }),
            Some(_) => {}
        }
        if let Some(expected) = self.expected.take() {
            self.fault(Fault::Unexpected { id: expected.id });
        }
        Verified {
            entries: self.entries,
            last_id,
            last_hash: hex::encode(&self.hash),
            faults: self.faults,
        }
    }
}

/// Reads all of it, as it is at one moment.
pub async fn verify(
    database: &tokio_postgres::Config,
    expected: Option<Expected>,
) -> Result<Verified, Error> {
    let mut session = Session::open(database, "fiber-audit").await?;
    session
        .batch("begin", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    let rows = session.query("read the audit log's end", HEAD, &[]).await?;
    let head: Option<(i64, Vec<u8>)> = rows.first().map(|row| (row.get(0), row.get(1)));
    let mut walk = Walk::new(expected);
    let mut after = i64::MIN;
    loop {
        let rows = session.query("read the audit log", PAGE, &[&after]).await?;
        let Some(last) = rows.last() else { break };
        after = last.get(0);
        for row in &rows {
            let (id, prev): (i64, Vec<u8>) = (row.get(0), row.get(5));
            let PgInstant(at) = row.get(1);
            let detail: serde_json::Value = row.get(4);
            let computed = hash_of(&prev, id, at, row.get(2), row.get(3), &detail);
            let row = Row {
                id,
                prev,
                hash: row.get(6),
                computed,
            };
            walk.step(row, head.as_ref().map(|(id, _)| *id));
        }
    }
    Ok(walk.end(head))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Action, Detail};
    use fiber_contract::UnixMicros;

    #[derive(Clone)]
    struct Entry {
        id: i64,
        actor: &'static str,
        prev: Vec<u8>,
        hash: Vec<u8>,
    }

    impl Entry {
        fn computed(&self) -> [u8; 32] {
            let detail = Detail::of("name", "x").to_json();
            let action = Action::Login.as_str();
            hash_of(
                &self.prev,
                self.id,
                UnixMicros(self.id),
                self.actor,
                action,
                &detail,
            )
        }
    }

    fn chain(length: i64) -> Vec<Entry> {
        let mut all: Vec<Entry> = Vec::new();
        for id in 1..=length {
            let prev = all
                .last()
                .map_or(GENESIS.to_vec(), |last| last.hash.clone());
            let mut entry = Entry {
                id,
                actor: "user:a",
                prev,
                hash: Vec::new(),
            };
            entry.hash = entry.computed().to_vec();
            all.push(entry);
        }
        all
    }

    fn walk(entries: &[Entry], head: &Entry, expected: Option<Expected>) -> Vec<Fault> {
        let mut walk = Walk::new(expected);
        for entry in entries {
            let row = Row {
                id: entry.id,
                prev: entry.prev.clone(),
                hash: entry.hash.clone(),
                computed: entry.computed(),
            };
            walk.step(row, Some(head.id));
        }
        walk.end(Some((head.id, head.hash.clone()))).faults
    }

    #[test]
    fn what_was_done_to_a_chain_is_named_by_its_entry() {
        let whole = chain(6);
        let head = &whole[5];
        let check = |change: &dyn Fn(&mut Vec<Entry>), expect: &[Fault]| {
            let mut entries = whole.clone();
            change(&mut entries);
            assert_eq!(walk(&entries, head, None), expect);
        };
        check(&|_| {}, &[]);
        check(&|all| all[2].actor = "user:b", &[Fault::Changed { id: 3 }]);
        let rehashed = |all: &mut Vec<Entry>| {
            all[2].actor = "user:b";
            all[2].hash = all[2].computed().to_vec();
        };
        check(&rehashed, &[Fault::Replaced { id: 4 }]);
        let removed = |from, through| Fault::Removed { from, through };
        check(&|all| drop(all.remove(0)), &[removed(1, 1)]);
        check(&|all| drop(all.drain(1..3)), &[removed(2, 3)]);
        check(&|all| all.truncate(4), &[removed(5, 6)]);
        check(&Vec::clear, &[removed(1, 6)]);
        let first = |all: &mut Vec<Entry>| {
            let entry = Entry {
                id: 0,
                ..all[0].clone()
            };
            all.insert(0, entry);
        };
        check(&first, &[Fault::Inserted { id: 0 }]);
        let after = |all: &mut Vec<Entry>| {
            let mut entry = Entry {
                id: 7,
                prev: all[5].hash.clone(),
                ..all[5].clone()
            };
            entry.hash = entry.computed().to_vec();
            all.push(entry);
        };
        check(&after, &[Fault::Inserted { id: 7 }]);
    }

    #[test]
    fn a_chain_made_anew_is_found_by_who_wrote_its_end_down() {
        let mut anew = chain(6);
        anew[0].actor = "user:b";
        for at in 0..anew.len() {
            anew[at].prev = at
                .checked_sub(1)
                .map_or(GENESIS.to_vec(), |at| anew[at].hash.clone());
            anew[at].hash = anew[at].computed().to_vec();
        }
        let known = chain(4).pop().unwrap();
        let expected: Expected = format!("4:{}", hex::encode(&known.hash)).parse().unwrap();
        assert_eq!(walk(&anew, &anew[5], None), []);
        let faults = walk(&anew, &anew[5], Some(expected.clone()));
        assert_eq!(faults, [Fault::Unexpected { id: 4 }]);
        let whole = chain(6);
        assert_eq!(walk(&whole, &whole[5], Some(expected.clone())), []);
        let short = chain(3);
        assert_eq!(
            walk(&short, &short[2], Some(expected)),
            [Fault::Unexpected { id: 4 }]
        );
        assert!("4".parse::<Expected>().is_err() && "x:00".parse::<Expected>().is_err());
    }
}

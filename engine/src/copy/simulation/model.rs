//! A database in memory that keeps what PostgreSQL promises with `synchronous_commit = off`, and
//! nothing more: a transaction is seen whole or not at all, a confirmed one may be lost in a crash
//! until the log is flushed past it, and an answer may never come.

use crate::copy::error::{Error, Remedy};
use crate::copy::exact::Answer;
use crate::copy::ledger::{SetAside, Totals};
use crate::copy::names::{Names, Refusal, Registered};
use crate::copy::plan::{Fate, Plan, PlanRow};
use crate::copy::shard::{Positions, Shard};
use crate::copy::tables::{Database, Tables};
use crate::model::{GroupSeq, JournalId, NodeKey, SeriesKey};
use crate::publish::notify::StoredSample;
use crate::publish::rollup::{
    Bucket, BucketKey, BucketStore, Columns, FreshRows, LEVELS, Level, Marker,
};
use crate::schema::Edition;
use crate::testing::random::Random;
use fiber_contract::UnixMicros;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// The database refuses a row with this loss, as it would one that breaks a constraint.
pub(super) const REFUSED_LOSS: f32 = 66.0;

pub(super) type Identity = (SeriesKey, UnixMicros);

/// What is committed.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub(super) rows: BTreeMap<Identity, StoredSample>,
    series: BTreeSet<SeriesKey>,
    pub(super) buckets: HashMap<(&'static str, BucketKey), Bucket>,
    pub(super) accounts: Vec<Account>,
    pub(super) refused: BTreeSet<Identity>,
    /// Rows of another engine.
    pub(super) foreign: BTreeSet<Identity>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) shard: Shard,
    pub(super) first: GroupSeq,
    pub(super) last: GroupSeq,
    pub(super) totals: Totals,
}

impl Content {
    pub(super) fn has(&self, identity: &Identity) -> bool {
        self.rows.contains_key(identity) || self.refused.contains(identity)
    }
}

/// Cheap to clone: the server, and the way to it.
#[derive(Clone, Debug)]
pub(super) struct Model(Arc<Mutex<Server>>);

#[derive(Debug)]
struct Server {
    random: Random,
    content: Content,
    /// What a crash leaves, and what each commit since then made of it.
    flushed: Content,
    unflushed: Vec<Content>,
    /// End of the log that is flushed.
    flushed_at: i64,
    down: bool,
    /// Calls go wrong by chance.
    shaky: bool,
    /// Of the newest sessions; what older ones have open is gone.
    session: u64,
    /// Commits that took a row to be new which was there.
    wrong_guesses: u64,
    /// Transactions of another engine.
    foreign_writes: u64,
}

impl Model {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Server {
            random: Random::new(seed),
            content: Content::default(),
            flushed: Content::default(),
            unflushed: Vec::new(),
            flushed_at: 0,
            down: false,
            shaky: true,
            session: 0,
            wrong_guesses: 0,
            foreign_writes: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Server> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn content(&self) -> Content {
        self.lock().content.clone()
    }

    /// What a crash at this moment would leave.
    pub(super) fn flushed_through(&self) -> GroupSeq {
        position_of(&self.lock().flushed)
    }

    /// Rows that were taken for new and were not, although nobody else wrote.
    pub(super) fn wrong_guesses(&self) -> u64 {
        let server = self.lock();
        if server.foreign_writes > 0 {
            0
        } else {
            server.wrong_guesses
        }
    }

    /// Another engine stores a sample of a series that is there, and counts it in the buckets.
    pub(super) fn write_as_another(&self) {
        let mut server = self.lock();
        let Server {
            random, content, ..
        } = &mut *server;
        if content.rows.is_empty() {
            return;
        }
        let at = random.below(content.rows.len());
        let Some((series, time)) = content.rows.keys().nth(at).copied() else {
            return;
        };
        let identity = (series, UnixMicros(time.0 + 60_000_000));
        let sample = StoredSample {
            time: identity.1,
            latency_ms: None,
            uptime_pct: 0.0,
            packet_loss: 100.0,
        };
        if content.rows.contains_key(&identity) {
            return;
        }
        content.rows.insert(identity, sample);
        content.foreign.insert(identity);
        for level in LEVELS {
            let key = (series, identity.1.floor_to(level.step_s));
            let bucket = content.buckets.entry((level.table, key));
            let bucket = bucket.or_insert_with(|| Bucket::new(NodeKey(0)));
            bucket.add(&sample);
            bucket.rev += 1;
        }
        let content = content.clone();
        server.unflushed.push(content);
        server.foreign_writes += 1;
    }

    pub(super) fn set_down(&self, down: bool) {
        let mut server = self.lock();
        server.down = down;
        server.session += u64::from(down);
    }

    /// Nothing goes wrong any more.
    pub(super) fn heal(&self) {
        let mut server = self.lock();
        (server.down, server.shaky) = (false, false);
    }

    /// The log gets to the disk, as far as it is said.
    pub(super) fn flush(&self, commits: usize) {
        let mut server = self.lock();
        let commits = commits.min(server.unflushed.len());
        let newest = server.unflushed.drain(..commits).next_back();
        if let Some(newest) = newest {
            server.flushed = newest;
        }
        server.flushed_at += i64::try_from(commits).unwrap();
    }

    /// The server dies and recovers: confirmed commits may be lost.
    pub(super) fn crash(&self) {
        let mut server = self.lock();
        server.session += 1;
        server.unflushed.clear();
        server.content = server.flushed.clone();
    }
}

pub(super) fn position_of(content: &Content) -> GroupSeq {
    positions_of(content).oldest()
}

fn positions_of(content: &Content) -> Positions {
    let mut positions = Positions::default();
    for account in &content.accounts {
        positions.advance(account.shard, account.last);
    }
    positions
}

impl Database for Model {
    type Tables = ModelSession;

    async fn open(&mut self, _: JournalId, _: &str) -> Result<(ModelSession, Edition), Error> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut server = self.lock();
        if server.down {
            return Err(deadline("connect to the model"));
        }
        server.session += 1;
        Ok((self.session(server.session), Edition::Community))
    }

    fn join(
        &self,
        _: JournalId,
        _: &str,
    ) -> impl Future<Output = Result<ModelSession, Error>> + Send + use<> {
        let session = self.lock().session;
        let mut session = self.session(session);
        async move {
            session.call("join the model").await?;
            Ok(session)
        }
    }

    fn doubt_schema(&mut self) {}

    fn maintain(&self, _: Edition) -> Option<JoinHandle<()>> {
        None
    }
}

impl Model {
    fn session(&self, session: u64) -> ModelSession {
        ModelSession {
            model: self.clone(),
            session,
            transaction: None,
            marked: BTreeSet::new(),
            began_at: 0,
            closed: false,
        }
    }
}

/// What a transaction sees, and what it adds.
#[derive(Debug, Default)]
struct Transaction {
    sees: Content,
    adds: Content,
    /// It writes the receipts of the groups up to here.
    closes: GroupSeq,
}

#[derive(Debug)]
pub(super) struct ModelSession {
    model: Model,
    session: u64,
    transaction: Option<Transaction>,
    /// Minutes of the rollups that the transaction said it writes.
    marked: BTreeSet<UnixMicros>,
    /// `Server::foreign_writes` when the transaction began.
    began_at: u64,
    closed: bool,
}

fn deadline(doing: &'static str) -> Error {
    Error::Deadline {
        doing,
        deadline_s: 0,
    }
}

impl ModelSession {
    /// Every call takes time, in which the engine or the server may die.
    async fn call(&mut self, doing: &'static str) -> Result<(), Error> {
        let pause_ms = {
            let mut server = self.model.lock();
            let shaky = server.shaky;
            if shaky { server.random.below(20) } else { 0 }
        };
        tokio::time::sleep(Duration::from_millis(pause_ms as u64)).await;
        let mut server = self.model.lock();
        let lives = !self.closed && server.session == self.session && !server.down;
        if !lives || server.shaky && server.random.one_in(60) {
            self.closed = true;
            return Err(deadline(doing));
        }
        Ok(())
    }

    fn open_transaction(&mut self) -> &mut Transaction {
        self.transaction.as_mut().expect("a transaction is open")
    }

    fn commit(&mut self) -> Result<(), Error> {
        let Transaction { adds, closes, .. } = self.transaction.take().expect("one is open");
        let mut server = self.model.lock();
        if server.foreign_writes > self.began_at {
            // As a unique violation would say it.
            return Err(Error::Simulated(Remedy::TrustNothing));
        }
        let mut content = server.content.clone();
        let twice = adds.rows.keys().find(|row| content.rows.contains_key(row));
        assert_eq!(twice, None, "two writers wrote the same row");
        content.rows.extend(adds.rows);
        content.series.extend(adds.series);
        content.buckets.extend(adds.buckets);
        content.accounts.extend(adds.accounts);
        content.refused.extend(adds.refused);
        assert!(
            closes <= position_of(&content),
            "the receipts come before their samples"
        );
        let unnamed = content
            .rows
            .keys()
            .find(|(series, _)| !content.series.contains(series));
        assert_eq!(unnamed, None, "a row refers to a series that is not there");
        // The answer may be lost on the way, and the request as well.
        let fate = if server.shaky {
            server.random.below(16)
        } else {
            15
        };
        if fate == 2 {
            // Another engine wrote one of the rows, and somebody took it away again.
            return Err(Error::Simulated(Remedy::TrustNothing));
        }
        if fate != 0 {
            server.unflushed.push(content.clone());
            server.content = content;
        }
        if fate < 2 {
            self.closed = true;
            return Err(deadline("commit"));
        }
        Ok(())
    }

    fn refuses(row: &PlanRow<'_>) -> bool {
        row.sample.packet_loss.to_bits() == REFUSED_LOSS.to_bits()
    }

    fn insert(&mut self, row: &PlanRow<'_>) -> bool {
        let Transaction { sees, adds, .. } = self.open_transaction();
        let is_new =
            !sees.rows.contains_key(&row.identity()) && !adds.rows.contains_key(&row.identity());
        if is_new {
            adds.rows.insert(row.identity(), row.sample);
        }
        is_new
    }
}

impl Tables for ModelSession {
    fn is_closed(&self) -> bool {
        self.closed
    }

    async fn batch(&mut self, doing: &'static str, sql: &'static str) -> Result<(), Error> {
        self.call(doing).await?;
        match sql {
            "BEGIN" => {
                assert!(self.transaction.is_none(), "a transaction is open already");
                let server = self.model.lock();
                self.transaction = Some(Transaction {
                    sees: server.content.clone(),
                    ..Transaction::default()
                });
                self.marked.clear();
                self.began_at = server.foreign_writes;
            }
            "COMMIT" => self.commit()?,
            "ROLLBACK" => self.transaction = None,
            other => unreachable!("{other}"),
        }
        Ok(())
    }

    async fn register(
        &mut self,
        names: &mut Names,
        plan: &Plan<'_>,
        _isolate: bool,
    ) -> Result<Registered, Error> {
        self.call("register names").await?;
        let new = names.learn(plan);
        self.open_transaction().adds.series.extend(new);
        Ok(Registered::default())
    }

    async fn touch(&mut self, _: &mut Names, _: &Plan<'_>) -> Result<(), Error> {
        Ok(())
    }

    async fn newest(&mut self, series: &[i64]) -> Result<Vec<(SeriesKey, UnixMicros)>, Error> {
        self.call("load the newest instants").await?;
        let rows = &self.open_transaction().sees.rows;
        let newest = |series: SeriesKey| {
            let from = (series, UnixMicros(i64::MIN));
            let to = (series, UnixMicros(i64::MAX));
            rows.range(from..=to)
                .next_back()
                .map(|(identity, _)| *identity)
        };
        Ok(series
            .iter()
            .filter_map(|key| newest(SeriesKey(*key)))
            .collect())
    }

    async fn copy_rows(&mut self, plan: &Plan<'_>, positions: &[usize]) -> Result<(), Error> {
        self.call("copy rows").await?;
        for row in positions.iter().map(|at| &plan.rows[*at]) {
            if Self::refuses(row) {
                return Err(Error::Simulated(Remedy::Isolate));
            }
            if !self.insert(row) {
                self.model.lock().wrong_guesses += 1;
                return Err(Error::Simulated(Remedy::TrustNothing));
            }
        }
        Ok(())
    }

    async fn insert_rows(&mut self, rows: &[PlanRow<'_>], isolate: bool) -> Result<Answer, Error> {
        self.call("insert rows").await?;
        let mut answer = Answer::default();
        for (at, row) in rows.iter().enumerate() {
            if Self::refuses(row) {
                if !isolate {
                    return Err(Error::Simulated(Remedy::Isolate));
                }
                let reason = "refused by the model".to_owned();
                let refusal = Refusal {
                    sqlstate: None,
                    reason,
                };
                answer.refused.push((at, refusal));
            } else if self.insert(row) {
                answer.stored.insert(row.identity());
            }
        }
        Ok(answer)
    }

    async fn note_conflicts(&mut self, _: &[PlanRow<'_>]) -> Result<(), Error> {
        Ok(())
    }

    async fn account(
        &mut self,
        _: JournalId,
        plan: &Plan<'_>,
        totals: Totals,
        _: &[SetAside<'_>],
    ) -> Result<(), Error> {
        self.call("write the accounts").await?;
        let refused = plan.rows.iter();
        let refused = refused.filter(|row| row.fate == Fate::Quarantined);
        let refused: Vec<Identity> = refused.map(PlanRow::identity).collect();
        let transaction = self.open_transaction();
        if plan.closes {
            transaction.closes = plan.last_seq;
        }
        let content = &mut transaction.adds;
        content.refused.extend(refused);
        content.accounts.push(Account {
            shard: plan.shard,
            first: plan.first_seq,
            last: plan.last_seq,
            totals,
        });
        Ok(())
    }

    async fn positions(&mut self, _: JournalId) -> Result<Positions, Error> {
        self.call("read the positions").await?;
        Ok(positions_of(&self.model.lock().content))
    }

    async fn totals(
        &mut self,
        _: JournalId,
        shard: Shard,
        last: GroupSeq,
    ) -> Result<Option<Totals>, Error> {
        self.call("read the accounts").await?;
        let server = self.model.lock();
        let mut accounts = server.content.accounts.iter();
        let found = accounts.find(|account| (account.shard, account.last) == (shard, last));
        Ok(found.map(|account| account.totals))
    }

    async fn log_positions(&mut self) -> Result<Option<(i64, i64)>, Error> {
        self.call("ask for the flushed position").await?;
        let server = self.model.lock();
        let unflushed = i64::try_from(server.unflushed.len()).unwrap();
        Ok(Some((server.flushed_at + unflushed, server.flushed_at)))
    }

    async fn ensure_span(&mut self, _: (UnixMicros, UnixMicros)) -> Result<(), Error> {
        self.call("make partitions").await
    }

    async fn prune(&mut self, _: JournalId, _: GroupSeq) -> Result<(), Error> {
        self.call("prune").await
    }
}

impl BucketStore for ModelSession {
    async fn load_buckets(
        &mut self,
        level: &Level,
        keys: &[BucketKey],
    ) -> Result<Vec<(BucketKey, Bucket)>, Error> {
        self.call("load buckets").await?;
        let table = level.table;
        let buckets = &self.open_transaction().sees.buckets;
        let found = |key: &BucketKey| Some((*key, buckets.get(&(table, *key))?.clone()));
        Ok(keys.iter().filter_map(found).collect())
    }

    async fn mark_minutes(&mut self, _: Marker, minutes: &[UnixMicros]) -> Result<(), Error> {
        self.call("mark buckets").await?;
        self.marked.extend(minutes);
        Ok(())
    }

    async fn upsert_buckets(&mut self, level: &Level, columns: &Columns) -> Result<(), Error> {
        self.call("write buckets").await?;
        for (key, bucket) in columns.buckets() {
            // A reader would keep what was there before.
            let is_marked = self.marked.contains(&key.1.floor_to(LEVELS[0].step_s));
            assert!(
                level.step_s > LEVELS[0].step_s || is_marked,
                "a minute was written and not marked"
            );
            let Transaction { sees, adds, .. } = self.open_transaction();
            let rev = bucket.rev;
            let before = sees.buckets.get(&(level.table, key)).cloned();
            adds.buckets.insert((level.table, key), bucket);
            if before.is_some_and(|before| before.rev != rev - 1) {
                self.model.lock().wrong_guesses += 1;
                return Err(Error::Simulated(Remedy::TrustNothing));
            }
        }
        Ok(())
    }

    async fn copy_buckets(&mut self, _: &Level, _: &FreshRows) -> Result<(), Error> {
        unreachable!("a transaction of the simulation never has so many new buckets")
    }
}
